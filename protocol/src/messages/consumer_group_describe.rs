//! ConsumerGroupDescribe (key 69): state and members of groups of the consumer protocol (KIP-848).

use uuid::Uuid;

message! {
    /// Groups to describe.
    pub struct ConsumerGroupDescribeRequest: versions 0..=1, flexible from 0 {
        group_ids: Vec<String>, 0..;
        include_authorized_operations: bool, 0..;
    }
}

message! {
    /// The groups.
    pub struct ConsumerGroupDescribeResponse: versions 0..=1, flexible from 0 {
        throttle_time_ms: i32, 0..;
        groups: Vec<ConsumerGroupDescribedGroup>, 0..;
    }

    /// One group.
    pub struct ConsumerGroupDescribedGroup {
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        group_id: String, 0..;
        group_state: String, 0..;
        group_epoch: i32, 0..;
        assignment_epoch: i32, 0..;
        assignor_name: String, 0..;
        members: Vec<ConsumerGroupDescribeMember>, 0..;
        /// Bit field; `i32::MIN` if not asked for.
        authorized_operations: i32 = i32::MIN, 0..;
    }

    /// One member.
    pub struct ConsumerGroupDescribeMember {
        member_id: String, 0..;
        instance_id: Option<String>, 0.., nullable 0..;
        rack_id: Option<String>, 0.., nullable 0..;
        /// Epoch of the member in the consumer protocol.
        member_epoch: i32, 0..;
        client_id: String, 0..;
        /// Address that the member connects from, with a slash before it.
        client_host: String, 0..;
        subscribed_topic_names: Vec<String>, 0..;
        subscribed_topic_regex: Option<String>, 0.., nullable 0..;
        /// What it owns.
        assignment: ConsumerGroupDescribeAssignment, 0..;
        /// What it is to own.
        target_assignment: ConsumerGroupDescribeAssignment, 0..;
        /// -1: unknown; 0: classic protocol; 1: consumer protocol.
        member_type: i8 = -1, 1..;
    }

    /// Partitions of one topic.
    pub struct ConsumerGroupDescribeTopicPartitions {
        topic_id: Uuid, 0..;
        topic_name: String, 0..;
        partitions: Vec<i32>, 0..;
    }

    /// What a member is assigned.
    pub struct ConsumerGroupDescribeAssignment {
        topic_partitions: Vec<ConsumerGroupDescribeTopicPartitions>, 0..;
    }
}
