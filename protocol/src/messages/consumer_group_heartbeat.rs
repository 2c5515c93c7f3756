//! ConsumerGroupHeartbeat (key 68): all that a member of the consumer protocol tells its group, and hears
//! from it (KIP-848).
//!
//! Nulls stand for what did not change since the last heartbeat.

use uuid::Uuid;

message! {
    /// The member.
    pub struct ConsumerGroupHeartbeatRequest: versions 0..=1, flexible from 0 {
        group_id: String, 0..;
        member_id: String, 0..;
        /// 0 to join, -1 to leave, -2 for a static member that will be back.
        member_epoch: i32, 0..;
        instance_id: Option<String>, 0.., nullable 0..;
        rack_id: Option<String>, 0.., nullable 0..;
        /// -1 if it did not change.
        rebalance_timeout_ms: i32 = -1, 0..;
        subscribed_topic_names: Option<Vec<String>>, 0.., nullable 0..;
        /// In RE2 syntax.
        subscribed_topic_regex: Option<String>, 1.., nullable 1..;
        /// Null for any.
        server_assignor: Option<String>, 0.., nullable 0..;
        /// What the member owns.
        topic_partitions: Option<Vec<ConsumerGroupHeartbeatTopicPartitions>>, 0.., nullable 0..;
    }

    /// Partitions of one topic.
    pub struct ConsumerGroupHeartbeatTopicPartitions {
        topic_id: Uuid, 0..;
        partitions: Vec<i32>, 0..;
    }
}

message! {
    /// What the member is to own.
    pub struct ConsumerGroupHeartbeatResponse: versions 0..=1, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        member_id: Option<String>, 0.., nullable 0..;
        /// Epoch of the member in the consumer protocol.
        member_epoch: i32, 0..;
        heartbeat_interval_ms: i32, 0..;
        assignment: Option<ConsumerGroupHeartbeatAssignment>, 0.., nullable 0..;
    }

    /// What a member may read.
    pub struct ConsumerGroupHeartbeatAssignment {
        topic_partitions: Vec<ConsumerGroupHeartbeatTopicPartitions>, 0..;
    }
}
