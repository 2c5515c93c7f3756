//! AlterShareGroupOffsets (key 91): set how far a share group without members is (KIP-932).

use uuid::Uuid;

message! {
    /// Offsets to set.
    pub struct AlterShareGroupOffsetsRequest: versions 0..=0, flexible from 0 {
        group_id: String, 0..;
        topics: Vec<AlterShareGroupOffsetsRequestTopic>, 0..;
    }

    /// Partitions of one topic.
    pub struct AlterShareGroupOffsetsRequestTopic {
        topic_name: String, 0..;
        partitions: Vec<AlterShareGroupOffsetsRequestPartition>, 0..;
    }

    /// One partition.
    pub struct AlterShareGroupOffsetsRequestPartition {
        partition_index: i32, 0..;
        start_offset: i64, 0..;
    }
}

message! {
    /// What was set.
    pub struct AlterShareGroupOffsetsResponse: versions 0..=0, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        responses: Vec<AlterShareGroupOffsetsResponseTopic>, 0..;
    }

    /// Results of one topic.
    pub struct AlterShareGroupOffsetsResponseTopic {
        topic_name: String, 0..;
        topic_id: Uuid, 0..;
        partitions: Vec<AlterShareGroupOffsetsResponsePartition>, 0..;
    }

    /// Result of one partition.
    pub struct AlterShareGroupOffsetsResponsePartition {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
    }
}
