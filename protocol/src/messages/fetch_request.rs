//! Fetch request (key 1): read record batches from partitions.
//!
//! From version 13 topics go by id, not by name. Followers, and only they, use version 18, `replica_state`,
//! `last_fetched_epoch`, `replica_directory_id` and `high_watermark`.

use uuid::Uuid;

message! {
    /// Partitions to read, and how long to wait for them.
    pub struct FetchRequest: versions 4..=18, flexible from 12 {
        /// Of followers: the cluster that they believe to be in.
        cluster_id: Option<String>, 12.., nullable 12.., tag 0;
        /// -1 for a consumer.
        replica_id: i32 = -1, 0..=14;
        replica_state: ReplicaState, 15.., tag 1;
        max_wait_ms: i32, 0..;
        /// Bytes of records to wait for, in all partitions together.
        min_bytes: i32, 0..;
        /// Bytes of records to answer at most; a first batch that is larger is answered whole (KIP-74).
        max_bytes: i32 = i32::MAX, 3..;
        /// 0: read uncommitted; 1: read committed.
        isolation_level: i8, 4..;
        /// 0 for none (KIP-227).
        session_id: i32, 7..;
        session_epoch: i32 = -1, 7..;
        topics: Vec<FetchTopic>, 0..;
        /// Partitions to drop from the session.
        forgotten_topics_data: Vec<ForgottenTopic>, 7..;
        /// Where the consumer is (KIP-392).
        rack_id: String, 11..;
    }

    /// Identity of a follower.
    pub struct ReplicaState {
        /// -1 for a consumer.
        replica_id: i32 = -1, 15..;
        replica_epoch: i64 = -1, 15..;
    }

    /// Partitions of one topic.
    pub struct FetchTopic {
        topic: String, 0..=12;
        topic_id: Uuid, 13..;
        partitions: Vec<FetchPartition>, 0..;
    }

    /// One partition to read.
    pub struct FetchPartition {
        partition: i32, 0..;
        /// -1 if unknown (KIP-320).
        current_leader_epoch: i32 = -1, 9..;
        fetch_offset: i64, 0..;
        /// Epoch of the last record fetched, -1 for none (KIP-595).
        last_fetched_epoch: i32 = -1, 12..;
        /// Of followers: their log start, else -1.
        log_start_offset: i64 = -1, 5..;
        /// Bytes of records to answer at most; a first batch that is larger is answered whole (KIP-74).
        partition_max_bytes: i32, 0..;
        replica_directory_id: Uuid, 17.., tag 0;
        high_watermark: i64 = i64::MAX, 18.., tag 1;
    }

    /// Partitions of one topic to drop from the session.
    pub struct ForgottenTopic {
        topic: String, 7..=12;
        topic_id: Uuid, 13..;
        partitions: Vec<i32>, 7..;
    }
}
