//! DescribeShareGroupOffsets (key 90): how far share groups are (KIP-932).

use uuid::Uuid;

message! {
    /// Groups to look up.
    pub struct DescribeShareGroupOffsetsRequest: versions 0..=1, flexible from 0 {
        groups: Vec<DescribeShareGroupOffsetsRequestGroup>, 0..;
    }

    /// One group.
    pub struct DescribeShareGroupOffsetsRequestGroup {
        group_id: String, 0..;
        /// Null for all.
        topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic>> = Some(Vec::new()), 0.., nullable 0..;
    }

    /// Partitions of one topic.
    pub struct DescribeShareGroupOffsetsRequestTopic {
        topic_name: String, 0..;
        partitions: Vec<i32>, 0..;
    }
}

message! {
    /// The offsets.
    pub struct DescribeShareGroupOffsetsResponse: versions 0..=1, flexible from 0 {
        throttle_time_ms: i32, 0..;
        groups: Vec<DescribeShareGroupOffsetsResponseGroup>, 0..;
    }

    /// One group.
    pub struct DescribeShareGroupOffsetsResponseGroup {
        group_id: String, 0..;
        topics: Vec<DescribeShareGroupOffsetsResponseTopic>, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
    }

    /// One topic.
    pub struct DescribeShareGroupOffsetsResponseTopic {
        topic_name: String, 0..;
        topic_id: Uuid, 0..;
        partitions: Vec<DescribeShareGroupOffsetsResponsePartition>, 0..;
    }

    /// One partition.
    pub struct DescribeShareGroupOffsetsResponsePartition {
        partition_index: i32, 0..;
        /// -1 if unknown.
        start_offset: i64, 0..;
        leader_epoch: i32, 0..;
        /// -1 if unknown.
        lag: i64 = -1, 1..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
    }
}
