//! ListOffsets (key 2): offsets by position or by time.

message! {
    /// Offsets to find.
    pub struct ListOffsetsRequest: versions 1..=11, flexible from 6 {
        /// -1 for a consumer.
        replica_id: i32, 0..;
        /// 0: read uncommitted; 1: read committed.
        isolation_level: i8, 2..;
        topics: Vec<ListOffsetsTopic>, 0..;
        timeout_ms: i32, 10..;
    }

    /// Partitions of one topic.
    pub struct ListOffsetsTopic {
        name: String, 0..;
        partitions: Vec<ListOffsetsPartition>, 0..;
    }

    /// One offset to find.
    pub struct ListOffsetsPartition {
        partition_index: i32, 0..;
        /// -1 if unknown (KIP-320).
        current_leader_epoch: i32 = -1, 4..;
        /// Milliseconds since 1970, or -1: latest; -2: earliest; -3: largest timestamp; -4: earliest local;
        /// -5: latest tiered; -6: earliest not yet tiered.
        timestamp: i64, 0..;
    }
}

message! {
    /// Offsets found.
    pub struct ListOffsetsResponse: versions 1..=11, flexible from 6 {
        throttle_time_ms: i32, 2..;
        topics: Vec<ListOffsetsTopicResponse>, 0..;
    }

    /// Results of one topic.
    pub struct ListOffsetsTopicResponse {
        name: String, 0..;
        partitions: Vec<ListOffsetsPartitionResponse>, 0..;
    }

    /// Result of one partition.
    pub struct ListOffsetsPartitionResponse {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        /// The found record's own timestamp, -1 if none or not asked by time.
        timestamp: i64 = -1, 1..;
        /// -1 if none.
        offset: i64 = -1, 1..;
        leader_epoch: i32 = -1, 4..;
    }
}
