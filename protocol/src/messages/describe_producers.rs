//! DescribeProducers (key 61): idempotent and transactional producers of partitions (KIP-664).

message! {
    /// Partitions to describe.
    pub struct DescribeProducersRequest: versions 0..=0, flexible from 0 {
        topics: Vec<DescribeProducersTopicRequest>, 0..;
    }

    /// Partitions of one topic.
    pub struct DescribeProducersTopicRequest {
        name: String, 0..;
        partition_indexes: Vec<i32>, 0..;
    }
}

message! {
    /// Producers, by partition.
    pub struct DescribeProducersResponse: versions 0..=0, flexible from 0 {
        throttle_time_ms: i32, 0..;
        topics: Vec<DescribeProducersTopicResponse>, 0..;
    }

    /// Partitions of one topic.
    pub struct DescribeProducersTopicResponse {
        name: String, 0..;
        partitions: Vec<DescribeProducersPartitionResponse>, 0..;
    }

    /// Producers of one partition.
    pub struct DescribeProducersPartitionResponse {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        active_producers: Vec<ProducerState>, 0..;
    }

    /// One producer that a partition remembers.
    pub struct ProducerState {
        producer_id: i64, 0..;
        producer_epoch: i32, 0..;
        /// -1 if unknown.
        last_sequence: i32 = -1, 0..;
        /// Milliseconds since 1970, -1 if unknown.
        last_timestamp: i64 = -1, 0..;
        coordinator_epoch: i32, 0..;
        /// -1 if no transaction is open.
        current_txn_start_offset: i64 = -1, 0..;
    }
}
