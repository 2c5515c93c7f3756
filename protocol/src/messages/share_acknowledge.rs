//! ShareAcknowledge (key 79): what a member of a share group has done with records (KIP-932).

use uuid::Uuid;

use crate::messages::{LeaderIdAndEpoch, NodeEndpoint, ShareAcknowledgementBatch};

message! {
    /// The acknowledgements.
    pub struct ShareAcknowledgeRequest: versions 1..=2, flexible from 0 {
        group_id: Option<String>, 0.., nullable 0..;
        member_id: Option<String>, 0.., nullable 0..;
        /// 0 opens a session, -1 ends it, else one more each time.
        share_session_epoch: i32, 0..;
        /// Whether an acknowledgement below renews a lock (KIP-1222).
        is_renew_ack: bool, 2..;
        topics: Vec<ShareAcknowledgeTopic>, 0..;
    }

    /// Partitions of one topic.
    pub struct ShareAcknowledgeTopic {
        topic_id: Uuid, 0..;
        partitions: Vec<ShareAcknowledgePartition>, 0..;
    }

    /// One partition.
    pub struct ShareAcknowledgePartition {
        partition_index: i32, 0..;
        acknowledgement_batches: Vec<ShareAcknowledgementBatch>, 0..;
    }
}

message! {
    /// Whether they were taken.
    pub struct ShareAcknowledgeResponse: versions 1..=2, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        /// How long the consumer has the records.
        acquisition_lock_timeout_ms: i32, 2..;
        responses: Vec<ShareAcknowledgeTopicResponse>, 0..;
        node_endpoints: Vec<NodeEndpoint>, 0..;
    }

    /// Results of one topic.
    pub struct ShareAcknowledgeTopicResponse {
        topic_id: Uuid, 0..;
        partitions: Vec<ShareAcknowledgePartitionData>, 0..;
    }

    /// Result of one partition.
    pub struct ShareAcknowledgePartitionData {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        current_leader: LeaderIdAndEpoch, 0..;
    }
}
