//! OffsetCommit (key 8): store how far a group has read.
//!
//! From version 10 topics go by id, not by name. Version 9 is the first that members of the consumer
//! protocol (KIP-848) may use.

use uuid::Uuid;

message! {
    /// Offsets to store.
    pub struct OffsetCommitRequest: versions 2..=10, flexible from 8 {
        group_id: String, 0..;
        /// Generation of a classic group, epoch of a member of the consumer protocol; -1 for neither.
        generation_id_or_member_epoch: i32 = -1, 1..;
        /// Empty if no member commits.
        member_id: String, 1..;
        /// Set by static members alone (KIP-345).
        group_instance_id: Option<String>, 7.., nullable 7..;
        /// -1 for the broker's.
        retention_time_ms: i64 = -1, 2..=4;
        topics: Vec<OffsetCommitRequestTopic>, 0..;
    }

    /// Offsets of one topic.
    pub struct OffsetCommitRequestTopic {
        name: String, 0..=9;
        topic_id: Uuid, 10..;
        partitions: Vec<OffsetCommitRequestPartition>, 0..;
    }

    /// Offset of one partition.
    pub struct OffsetCommitRequestPartition {
        partition_index: i32, 0..;
        /// The next one to read.
        committed_offset: i64, 0..;
        /// Epoch of the last record read, -1 if unknown (KIP-320).
        committed_leader_epoch: i32 = -1, 6..;
        /// Whatever the client wants to keep.
        committed_metadata: Option<String>, 0.., nullable 0..;
    }
}

message! {
    /// What was stored.
    pub struct OffsetCommitResponse: versions 2..=10, flexible from 8 {
        throttle_time_ms: i32, 3..;
        topics: Vec<OffsetCommitResponseTopic>, 0..;
    }

    /// Results of one topic.
    pub struct OffsetCommitResponseTopic {
        name: String, 0..=9;
        topic_id: Uuid, 10..;
        partitions: Vec<OffsetCommitResponsePartition>, 0..;
    }

    /// Result of one partition.
    pub struct OffsetCommitResponsePartition {
        partition_index: i32, 0..;
        error_code: i16, 0..;
    }
}
