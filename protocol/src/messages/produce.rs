//! Produce (key 0): append record batches to partitions.
//!
//! Versions 0 to 2 are known so that they can be refused in their own form. They carry message sets of the
//! old formats, which sendlog does not store, but their layout is that of version 3 without the transactional
//! id.

use bytes::Bytes;
use uuid::Uuid;

use crate::messages::{LeaderIdAndEpoch, NodeEndpoint};

message! {
    /// Batches to append.
    pub struct ProduceRequest: versions 0..=13, flexible from 9 {
        /// Null unless the batches belong to a transaction.
        transactional_id: Option<String>, 3.., nullable 3..;
        /// 0: no answer; 1: the leader has it; -1: all in-sync replicas have it.
        acks: i16, 0..;
        timeout_ms: i32, 0..;
        topic_data: Vec<TopicProduceData>, 0..;
    }

    /// Batches for one topic.
    pub struct TopicProduceData {
        name: String, 0..=12;
        topic_id: Uuid, 13..;
        partition_data: Vec<PartitionProduceData>, 0..;
    }

    /// The batch for one partition.
    pub struct PartitionProduceData {
        index: i32, 0..;
        /// One record batch, shared with the frame.
        records: Option<Bytes>, 0.., nullable 0..;
    }
}

message! {
    /// Where the batches went.
    pub struct ProduceResponse: versions 0..=13, flexible from 9 {
        responses: Vec<TopicProduceResponse>, 0..;
        throttle_time_ms: i32, 1..;
        /// Addresses of the leaders named above (KIP-951).
        node_endpoints: Vec<NodeEndpoint>, 10.., tag 0;
    }

    /// Results of one topic.
    pub struct TopicProduceResponse {
        name: String, 0..=12;
        topic_id: Uuid, 13..;
        partition_responses: Vec<PartitionProduceResponse>, 0..;
    }

    /// Result of one partition.
    pub struct PartitionProduceResponse {
        index: i32, 0..;
        error_code: i16, 0..;
        /// Offset of the first record, -1 on error.
        base_offset: i64, 0..;
        /// Milliseconds since 1970 if the topic uses LogAppendTime, else -1.
        log_append_time_ms: i64 = -1, 2..;
        log_start_offset: i64 = -1, 5..;
        /// Records that made the batch fail (KIP-467).
        record_errors: Vec<BatchIndexAndErrorMessage>, 8..;
        error_message: Option<String>, 8.., nullable 8..;
        /// Whom to ask instead (KIP-951).
        current_leader: LeaderIdAndEpoch, 10.., tag 0;
    }

    /// A record that made its batch fail.
    pub struct BatchIndexAndErrorMessage {
        /// Index of the record in its batch.
        batch_index: i32, 8..;
        batch_index_error_message: Option<String>, 8.., nullable 8..;
    }
}
