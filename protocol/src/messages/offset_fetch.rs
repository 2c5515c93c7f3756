//! OffsetFetch (key 9): how far groups have read.
//!
//! Up to version 7 a request has one group, later any number. From version 10 topics go by id, not by name.

use uuid::Uuid;

message! {
    /// Groups and partitions to look up.
    pub struct OffsetFetchRequest: versions 1..=10, flexible from 6 {
        group_id: String, 0..=7;
        /// Null for all.
        topics: Option<Vec<OffsetFetchRequestTopic>> = Some(Vec::new()), 0..=7, nullable 2..=7;
        /// Several at once (KIP-709).
        groups: Vec<OffsetFetchRequestGroup>, 8..;
        /// Refuses partitions with a pending commit of a transaction (KIP-447).
        require_stable: bool, 7..;
    }

    /// Partitions of one topic.
    pub struct OffsetFetchRequestTopic {
        name: String, 0..=7;
        partition_indexes: Vec<i32>, 0..=7;
    }

    /// One group to look up.
    pub struct OffsetFetchRequestGroup {
        group_id: String, 8..;
        member_id: Option<String>, 9.., nullable 9..;
        /// -1 if no member of the consumer protocol asks.
        member_epoch: i32 = -1, 9..;
        /// Null for all.
        topics: Option<Vec<OffsetFetchRequestTopics>> = Some(Vec::new()), 8.., nullable 8..;
    }

    /// Partitions of one topic of a group.
    pub struct OffsetFetchRequestTopics {
        name: String, 8..=9;
        topic_id: Uuid, 10..;
        partition_indexes: Vec<i32>, 8..;
    }
}

message! {
    /// The offsets.
    pub struct OffsetFetchResponse: versions 1..=10, flexible from 6 {
        throttle_time_ms: i32, 3..;
        topics: Vec<OffsetFetchResponseTopic>, 0..=7;
        error_code: i16, 2..=7;
        groups: Vec<OffsetFetchResponseGroup>, 8..;
    }

    /// Offsets of one topic.
    pub struct OffsetFetchResponseTopic {
        name: String, 0..=7;
        partitions: Vec<OffsetFetchResponsePartition>, 0..=7;
    }

    /// Offset of one partition.
    pub struct OffsetFetchResponsePartition {
        partition_index: i32, 0..=7;
        /// -1 for none.
        committed_offset: i64, 0..=7;
        /// -1 if unknown.
        committed_leader_epoch: i32 = -1, 5..=7;
        metadata: Option<String>, 0..=7, nullable 0..=7;
        error_code: i16, 0..=7;
    }

    /// Offsets of one group.
    pub struct OffsetFetchResponseGroup {
        group_id: String, 8..;
        topics: Vec<OffsetFetchResponseTopics>, 8..;
        error_code: i16, 8..;
    }

    /// Offsets of one topic of a group.
    pub struct OffsetFetchResponseTopics {
        name: String, 8..=9;
        topic_id: Uuid, 10..;
        partitions: Vec<OffsetFetchResponsePartitions>, 8..;
    }

    /// Offset of one partition of a group.
    pub struct OffsetFetchResponsePartitions {
        partition_index: i32, 8..;
        /// -1 for none.
        committed_offset: i64, 8..;
        /// -1 if unknown.
        committed_leader_epoch: i32 = -1, 8..;
        metadata: Option<String>, 8.., nullable 8..;
        error_code: i16, 8..;
    }
}
