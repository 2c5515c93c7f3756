//! DescribeLogDirs (key 35): sizes of partitions on disk.

message! {
    /// Partitions to measure.
    pub struct DescribeLogDirsRequest: versions 1..=4, flexible from 2 {
        /// Null for all partitions.
        topics: Option<Vec<DescribableLogDirTopic>> = Some(Vec::new()), 0.., nullable 0..;
    }

    /// Partitions of one topic.
    pub struct DescribableLogDirTopic {
        topic: String, 0..;
        partitions: Vec<i32>, 0..;
    }
}

message! {
    /// Sizes, by data directory.
    pub struct DescribeLogDirsResponse: versions 1..=4, flexible from 2 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 3..;
        results: Vec<DescribeLogDirsResult>, 0..;
    }

    /// One data directory.
    pub struct DescribeLogDirsResult {
        error_code: i16, 0..;
        log_dir: String, 0..;
        topics: Vec<DescribeLogDirsTopic>, 0..;
        /// Size of the volume, -1 if unknown.
        total_bytes: i64 = -1, 4..;
        /// Free space of the volume, -1 if unknown.
        usable_bytes: i64 = -1, 4..;
    }

    /// Partitions of one topic in a data directory.
    pub struct DescribeLogDirsTopic {
        name: String, 0..;
        partitions: Vec<DescribeLogDirsPartition>, 0..;
    }

    /// Size of one partition.
    pub struct DescribeLogDirsPartition {
        partition_index: i32, 0..;
        /// Bytes.
        partition_size: i64, 0..;
        /// Records that a moving replica is behind, else 0.
        offset_lag: i64, 0..;
        /// Whether the replica is moving into this directory.
        is_future_key: bool, 0..;
    }
}
