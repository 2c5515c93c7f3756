//! ShareGroupHeartbeat (key 76): all that a member of a share group tells its group, and hears from it
//! (KIP-932).
//!
//! Nulls stand for what did not change since the last heartbeat.

use uuid::Uuid;

message! {
    /// The member.
    pub struct ShareGroupHeartbeatRequest: versions 1..=1, flexible from 0 {
        group_id: String, 0..;
        member_id: String, 0..;
        /// 0 to join, -1 to leave.
        member_epoch: i32, 0..;
        rack_id: Option<String>, 0.., nullable 0..;
        subscribed_topic_names: Option<Vec<String>>, 0.., nullable 0..;
    }
}

message! {
    /// What the member is to read.
    pub struct ShareGroupHeartbeatResponse: versions 1..=1, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        member_id: Option<String>, 0.., nullable 0..;
        member_epoch: i32, 0..;
        heartbeat_interval_ms: i32, 0..;
        assignment: Option<ShareGroupHeartbeatAssignment>, 0.., nullable 0..;
    }

    /// What a member may read.
    pub struct ShareGroupHeartbeatAssignment {
        topic_partitions: Vec<ShareGroupHeartbeatTopicPartitions>, 0..;
    }

    /// Partitions of one topic.
    pub struct ShareGroupHeartbeatTopicPartitions {
        topic_id: Uuid, 0..;
        partitions: Vec<i32>, 0..;
    }
}
