//! Records of `__share_group_state` (KIP-932), as Kafka 4.4 writes them: what share groups were given and have done with.

use bytes::Bytes;
use uuid::Uuid;

use crate::wire::{DecodeError, Reader};

message! {
    /// A partition that a share group reads.
    pub struct ShareSnapshotKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
        topic_id: Uuid, 0..;
        partition: i32, 0..;
    }

    /// The whole state.
    pub struct ShareSnapshotValue: versions 0..=0, flexible from 0 {
        /// Counts the snapshots.
        snapshot_epoch: i32, 0..;
        /// Changes when the state is begun anew.
        state_epoch: i32, 0..;
        leader_epoch: i32, 0..;
        /// Everything before is done with; -1 if unknown.
        start_offset: i64, 0..;
        create_timestamp: i64, 0..;
        write_timestamp: i64, 0..;
        state_batches: Vec<ShareStateBatch>, 0..;
        /// Records from the start that are done with, -1 if unknown.
        delivery_complete_count: i32 = -1, 0.., tag 0;
    }

    /// Records with the same state.
    pub struct ShareStateBatch {
        first_offset: i64, 0..;
        /// Inclusive.
        last_offset: i64, 0..;
        /// 0: available; 2: acknowledged; 4: archived.
        delivery_state: i8, 0..;
        delivery_count: i16, 0..;
    }
}

message! {
    /// A partition that a share group reads.
    pub struct ShareUpdateKey: versions 0..=0, flexible from never {
        group_id: String, 0..;
        topic_id: Uuid, 0..;
        partition: i32, 0..;
    }

    /// What changed since the last snapshot or update.
    pub struct ShareUpdateValue: versions 0..=0, flexible from 0 {
        /// Of the snapshot that it changes.
        snapshot_epoch: i32, 0..;
        leader_epoch: i32, 0..;
        /// Everything before is done with; -1 if it did not change.
        start_offset: i64, 0..;
        state_batches: Vec<ShareStateBatch>, 0..;
        /// Records from the start that are done with, -1 if unknown.
        delivery_complete_count: i32 = -1, 0.., tag 0;
    }
}

coordinator_records! {
    /// A record of `__share_group_state`.
    pub enum ShareStateRecord {
        /// The whole state of a partition.
        ShareSnapshot(ShareSnapshotKey, ShareSnapshotValue) = 0, written in |_: &_| 0;
        /// A change of it.
        ShareUpdate(ShareUpdateKey, ShareUpdateValue) = 1, written in |_: &_| 0;
    }
}

impl ShareStateRecord {
    /// Reads a record; `None` if its type is none of these.
    ///
    /// # Errors
    /// The key or value is not what its type and version say, or the version is not known.
    pub fn decode(key: Bytes, value: Option<Bytes>) -> Result<Option<Self>, DecodeError> {
        let mut input = Reader::new(key);
        Self::decode_type(input.i16()?, input.into_remaining(), value)
    }
}
