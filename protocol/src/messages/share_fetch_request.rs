//! ShareFetch request (key 78): records for a member of a share group, and what it has done with earlier ones
//! (KIP-932).

use uuid::Uuid;

message! {
    /// Partitions to read.
    pub struct ShareFetchRequest: versions 1..=2, flexible from 0 {
        group_id: Option<String>, 0.., nullable 0..;
        member_id: Option<String>, 0.., nullable 0..;
        /// 0 opens a session, -1 ends it, else one more each time.
        share_session_epoch: i32, 0..;
        max_wait_ms: i32, 0..;
        min_bytes: i32, 0..;
        max_bytes: i32 = i32::MAX, 0..;
        /// Exceeded to end with a batch, unless the acquire mode forbids that.
        max_records: i32, 1..;
        /// Records that the client would like to have in a batch of `acquired_records`.
        batch_size: i32, 1..;
        /// 0: whole batches; 1: no more than `max_records` (KIP-1206).
        share_acquire_mode: i8, 2..;
        /// Whether an acknowledgement below renews a lock (KIP-1222).
        is_renew_ack: bool, 2..;
        topics: Vec<ShareFetchTopic>, 0..;
        forgotten_topics_data: Vec<ShareForgottenTopic>, 0..;
    }

    /// Partitions of one topic.
    pub struct ShareFetchTopic {
        topic_id: Uuid, 0..;
        partitions: Vec<ShareFetchPartition>, 0..;
    }

    /// One partition.
    pub struct ShareFetchPartition {
        partition_index: i32, 0..;
        acknowledgement_batches: Vec<ShareAcknowledgementBatch>, 0..;
    }

    /// Records that are acknowledged.
    pub struct ShareAcknowledgementBatch {
        first_offset: i64, 0..;
        /// Inclusive.
        last_offset: i64, 0..;
        /// One for each record, or one for all. 0: gap; 1: accept; 2: release; 3: reject; 4: renew.
        acknowledge_types: Vec<i8>, 0..;
    }

    /// Partitions to drop from the session.
    pub struct ShareForgottenTopic {
        topic_id: Uuid, 0..;
        partitions: Vec<i32>, 0..;
    }
}
