//! Records of share groups (KIP-932), but for what is delivered, which is in [`crate::share_state_records`].

use uuid::Uuid;

use super::consumer::TargetAssignmentTopicPartition;

message! {
    /// A member.
    pub struct ShareGroupMemberMetadataKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
        member_id: String, 0..;
    }

    /// What the member said of itself.
    pub struct ShareGroupMemberMetadataValue: versions 0..=0, flexible from 0 {
        rack_id: Option<String>, 0.., nullable 0..;
        client_id: String, 0..;
        client_host: String, 0..;
        subscribed_topic_names: Vec<String>, 0..;
    }
}

message! {
    /// A group.
    pub struct ShareGroupMetadataKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
    }

    /// Its epoch.
    pub struct ShareGroupMetadataValue: versions 0..=0, flexible from 0 {
        epoch: i32, 0..;
        /// Hash of the topics that the group reads and of their partitions.
        metadata_hash: i64, 0..;
    }
}

message! {
    /// A group.
    pub struct ShareGroupTargetAssignmentMetadataKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
    }

    /// Epoch of its target assignment.
    pub struct ShareGroupTargetAssignmentMetadataValue: versions 0..=0, flexible from 0 {
        assignment_epoch: i32, 0..;
        /// When it was computed, 0 if unknown.
        assignment_timestamp: i64, 0.., tag 0;
    }
}

message! {
    /// A member.
    pub struct ShareGroupTargetAssignmentMemberKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
        member_id: String, 0..;
    }

    /// What it is to read.
    pub struct ShareGroupTargetAssignmentMemberValue: versions 0..=0, flexible from 0 {
        topic_partitions: Vec<TargetAssignmentTopicPartition>, 0..;
    }
}

message! {
    /// A member.
    pub struct ShareGroupCurrentMemberAssignmentKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
        member_id: String, 0..;
    }

    /// What it reads.
    pub struct ShareGroupCurrentMemberAssignmentValue: versions 0..=0, flexible from 0 {
        member_epoch: i32, 0..;
        previous_member_epoch: i32, 0..;
        /// 0: stable.
        state: i8, 0..;
        assigned_partitions: Vec<TargetAssignmentTopicPartition>, 0..;
    }
}

message! {
    /// A group.
    pub struct ShareGroupStatePartitionMetadataKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
    }

    /// The partitions of which delivery state is kept.
    pub struct ShareGroupStatePartitionMetadataValue: versions 0..=0, flexible from 0 {
        initializing_topics: Vec<ShareGroupStateTopicPartitions>, 0..;
        initialized_topics: Vec<ShareGroupStateTopicPartitions>, 0..;
        deleting_topics: Vec<ShareGroupStateTopic>, 0..;
    }

    /// Partitions of one topic.
    pub struct ShareGroupStateTopicPartitions {
        topic_id: Uuid, 0..;
        topic_name: String, 0..;
        partitions: Vec<i32>, 0..;
    }

    /// One topic.
    pub struct ShareGroupStateTopic {
        topic_id: Uuid, 0..;
        topic_name: String, 0..;
    }
}
