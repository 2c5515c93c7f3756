//! OffsetForLeaderEpoch (key 23): where a leader epoch ends (KIP-320).

message! {
    /// Epochs to look up.
    pub struct OffsetForLeaderEpochRequest: versions 2..=4, flexible from 4 {
        /// -1 for a consumer, -2 if unknown.
        replica_id: i32 = -2, 3..;
        topics: Vec<OffsetForLeaderTopic>, 0..;
    }

    /// Partitions of one topic.
    pub struct OffsetForLeaderTopic {
        topic: String, 0..;
        partitions: Vec<OffsetForLeaderPartition>, 0..;
    }

    /// One epoch to look up.
    pub struct OffsetForLeaderPartition {
        partition: i32, 0..;
        current_leader_epoch: i32 = -1, 2..;
        leader_epoch: i32, 0..;
    }
}

message! {
    /// Where the epochs end.
    pub struct OffsetForLeaderEpochResponse: versions 2..=4, flexible from 4 {
        throttle_time_ms: i32, 2..;
        topics: Vec<OffsetForLeaderTopicResult>, 0..;
    }

    /// Results of one topic.
    pub struct OffsetForLeaderTopicResult {
        topic: String, 0..;
        partitions: Vec<EpochEndOffset>, 0..;
    }

    /// Result of one partition.
    pub struct EpochEndOffset {
        error_code: i16, 0..;
        partition: i32, 0..;
        /// Largest epoch up to the one asked for, -1 if none.
        leader_epoch: i32 = -1, 1..;
        /// Where it ends, exclusive; -1 if none.
        end_offset: i64 = -1, 0..;
    }
}
