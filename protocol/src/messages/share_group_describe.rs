//! ShareGroupDescribe (key 77): state and members of share groups (KIP-932).

use uuid::Uuid;

message! {
    /// Groups to describe.
    pub struct ShareGroupDescribeRequest: versions 1..=1, flexible from 0 {
        group_ids: Vec<String>, 0..;
        include_authorized_operations: bool, 0..;
    }
}

message! {
    /// The groups.
    pub struct ShareGroupDescribeResponse: versions 1..=1, flexible from 0 {
        throttle_time_ms: i32, 0..;
        groups: Vec<ShareGroupDescribedGroup>, 0..;
    }

    /// One group.
    pub struct ShareGroupDescribedGroup {
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        group_id: String, 0..;
        group_state: String, 0..;
        group_epoch: i32, 0..;
        assignment_epoch: i32, 0..;
        assignor_name: String, 0..;
        members: Vec<ShareGroupDescribeMember>, 0..;
        /// Bit field; `i32::MIN` if not asked for.
        authorized_operations: i32 = i32::MIN, 0..;
    }

    /// One member.
    pub struct ShareGroupDescribeMember {
        member_id: String, 0..;
        rack_id: Option<String>, 0.., nullable 0..;
        member_epoch: i32, 0..;
        client_id: String, 0..;
        /// Address that the member connects from, with a slash before it.
        client_host: String, 0..;
        subscribed_topic_names: Vec<String>, 0..;
        assignment: ShareGroupDescribeAssignment, 0..;
    }

    /// Partitions of one topic.
    pub struct ShareGroupDescribeTopicPartitions {
        topic_id: Uuid, 0..;
        topic_name: String, 0..;
        partitions: Vec<i32>, 0..;
    }

    /// What a member reads.
    pub struct ShareGroupDescribeAssignment {
        topic_partitions: Vec<ShareGroupDescribeTopicPartitions>, 0..;
    }
}
