//! OffsetDelete (key 47): forget how far a group has read (KIP-496).

message! {
    /// Offsets to forget.
    pub struct OffsetDeleteRequest: versions 0..=0, flexible from never {
        group_id: String, 0..;
        topics: Vec<OffsetDeleteRequestTopic>, 0..;
    }

    /// Partitions of one topic.
    pub struct OffsetDeleteRequestTopic {
        name: String, 0..;
        partitions: Vec<OffsetDeleteRequestPartition>, 0..;
    }

    /// One partition.
    pub struct OffsetDeleteRequestPartition {
        partition_index: i32, 0..;
    }
}

message! {
    /// What was forgotten.
    pub struct OffsetDeleteResponse: versions 0..=0, flexible from never {
        error_code: i16, 0..;
        throttle_time_ms: i32, 0..;
        topics: Vec<OffsetDeleteResponseTopic>, 0..;
    }

    /// Results of one topic.
    pub struct OffsetDeleteResponseTopic {
        name: String, 0..;
        partitions: Vec<OffsetDeleteResponsePartition>, 0..;
    }

    /// Result of one partition.
    pub struct OffsetDeleteResponsePartition {
        partition_index: i32, 0..;
        error_code: i16, 0..;
    }
}
