//! Records of groups of the consumer protocol (KIP-848).

use bytes::Bytes;
use uuid::Uuid;

message! {
    /// A group.
    pub struct ConsumerGroupMetadataKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
    }

    /// Its epoch.
    pub struct ConsumerGroupMetadataValue: versions 0..=0, flexible from 0 {
        epoch: i32, 0..;
        /// Hash of the topics that the group reads and of their partitions.
        metadata_hash: i64, 0.., tag 0;
    }
}

message! {
    /// A group. Kafka before 4.1 writes it, later ones its tombstone alone.
    pub struct ConsumerGroupPartitionMetadataKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
    }

    /// The topics that it reads.
    pub struct ConsumerGroupPartitionMetadataValue: versions 0..=0, flexible from 0 {
        topics: Vec<ConsumerGroupTopicMetadata>, 0..;
    }

    /// One topic.
    pub struct ConsumerGroupTopicMetadata {
        topic_id: Uuid, 0..;
        topic_name: String, 0..;
        num_partitions: i32, 0..;
        partition_metadata: Vec<ConsumerGroupPartitionRacks>, 0..;
    }

    /// One partition.
    pub struct ConsumerGroupPartitionRacks {
        partition: i32, 0..;
        racks: Vec<String>, 0..;
    }
}

message! {
    /// A member.
    pub struct ConsumerGroupMemberMetadataKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
        member_id: String, 0..;
    }

    /// What the member said of itself.
    pub struct ConsumerGroupMemberMetadataValue: versions 0..=0, flexible from 0 {
        /// Set by static members alone.
        instance_id: Option<String>, 0.., nullable 0..;
        rack_id: Option<String>, 0.., nullable 0..;
        client_id: String, 0..;
        client_host: String, 0..;
        subscribed_topic_names: Vec<String>, 0..;
        subscribed_topic_regex: Option<String>, 0.., nullable 0..;
        rebalance_timeout_ms: i32 = -1, 0..;
        /// Null for any.
        server_assignor: Option<String>, 0.., nullable 0..;
        /// Of a member that speaks the classic protocol. Its default is an empty one, not null, as in Kafka: whoever writes
        /// a member that does not has to say so.
        classic_member_metadata: Option<ClassicMemberMetadata> = Some(ClassicMemberMetadata::default()), 0.., nullable 0.., tag 0;
    }

    /// What a member of the classic protocol said when it joined.
    pub struct ClassicMemberMetadata {
        session_timeout_ms: i32, 0..;
        supported_protocols: Vec<ClassicProtocol>, 0..;
    }

    /// One assignor with its subscription.
    pub struct ClassicProtocol {
        name: String, 0..;
        metadata: Bytes, 0..;
    }
}

message! {
    /// A group.
    pub struct ConsumerGroupTargetAssignmentMetadataKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
    }

    /// Epoch of its target assignment.
    pub struct ConsumerGroupTargetAssignmentMetadataValue: versions 0..=0, flexible from 0 {
        assignment_epoch: i32, 0..;
        /// When it was computed, 0 if unknown.
        assignment_timestamp: i64, 0.., tag 0;
    }
}

message! {
    /// A member.
    pub struct ConsumerGroupTargetAssignmentMemberKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
        member_id: String, 0..;
    }

    /// What it is to own.
    pub struct ConsumerGroupTargetAssignmentMemberValue: versions 0..=0, flexible from 0 {
        topic_partitions: Vec<TargetAssignmentTopicPartition>, 0..;
    }

    /// Partitions of one topic.
    pub struct TargetAssignmentTopicPartition {
        topic_id: Uuid, 0..;
        partitions: Vec<i32>, 0..;
    }
}

message! {
    /// A member.
    pub struct ConsumerGroupCurrentMemberAssignmentKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
        member_id: String, 0..;
    }

    /// What it owns.
    pub struct ConsumerGroupCurrentMemberAssignmentValue: versions 0..=0, flexible from 0 {
        /// -2 of a static member that is away.
        member_epoch: i32, 0..;
        previous_member_epoch: i32, 0..;
        /// 0: stable; 1: revokes partitions; 2: waits for partitions that others revoke; 127: unknown.
        state: i8, 0..;
        assigned_partitions: Vec<CurrentAssignmentTopicPartitions>, 0..;
        partitions_pending_revocation: Vec<CurrentAssignmentTopicPartitions>, 0..;
    }

    /// Partitions of one topic.
    pub struct CurrentAssignmentTopicPartitions {
        topic_id: Uuid, 0..;
        partitions: Vec<i32>, 0..;
        /// Epochs in which the member got the partitions, one for each, or null.
        assignment_epochs: Option<Vec<i32>>, 0.., nullable 0.., tag 0;
    }
}

message! {
    /// A regular expression that members subscribe to.
    pub struct ConsumerGroupRegularExpressionKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
        regular_expression: String, 0..;
    }

    /// What it matches.
    pub struct ConsumerGroupRegularExpressionValue: versions 0..=0, flexible from 0 {
        topics: Vec<String>, 0..;
        /// Of the topics, when they were matched.
        version: i64, 0..;
        timestamp: i64, 0..;
    }
}
