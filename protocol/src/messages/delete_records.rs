//! DeleteRecords (key 21): raise the start of logs.

message! {
    /// Partitions to cut.
    pub struct DeleteRecordsRequest: versions 0..=2, flexible from 2 {
        topics: Vec<DeleteRecordsTopic>, 0..;
        timeout_ms: i32, 0..;
    }

    /// Partitions of one topic.
    pub struct DeleteRecordsTopic {
        name: String, 0..;
        partitions: Vec<DeleteRecordsPartition>, 0..;
    }

    /// One partition to cut.
    pub struct DeleteRecordsPartition {
        partition_index: i32, 0..;
        /// The new log start; -1 for the high watermark.
        offset: i64, 0..;
    }
}

message! {
    /// What became of the partitions.
    pub struct DeleteRecordsResponse: versions 0..=2, flexible from 2 {
        throttle_time_ms: i32, 0..;
        topics: Vec<DeleteRecordsTopicResult>, 0..;
    }

    /// Results of one topic.
    pub struct DeleteRecordsTopicResult {
        name: String, 0..;
        partitions: Vec<DeleteRecordsPartitionResult>, 0..;
    }

    /// Result of one partition.
    pub struct DeleteRecordsPartitionResult {
        partition_index: i32, 0..;
        /// The log start now, -1 on error.
        low_watermark: i64, 0..;
        error_code: i16, 0..;
    }
}
