//! Records of `__share_group_state`: to and from bytes, in Kafka's form.

use sendlog_protocol::records::{
    BatchBuilder, BatchError, BatchHeader, Compression, NewRecord, ProducerStamp,
};
use sendlog_protocol::share_state_records::{
    ShareSnapshotKey, ShareSnapshotValue, ShareStateBatch, ShareStateRecord, ShareUpdateKey, ShareUpdateValue,
};
use sendlog_protocol::wire::EncodeError;
use thiserror::Error;

use super::delivery::DurableState;
use super::durable::StateBatch;
use super::key::ShareKey;
use super::share_partition::SharePartition;
use crate::partition::ProducedBatch;

/// What a state says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Counts the snapshots.
    pub(super) snapshot_epoch: i32,
    /// Another one when the state was begun anew.
    pub(super) state_epoch: i32,
    /// When it was begun, ms since 1970.
    pub(super) created_ms: i64,
    /// When it was last written, ms since 1970.
    pub(super) written_ms: i64,
}

/// Why a record is not written.
#[derive(Debug, Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// The leader of all partitions is this broker, and has been since the first day.
const LEADER_EPOCH: i32 = 0;

/// The whole state.
pub(super) fn snapshot(key: &ShareKey, stamp: &Stamp, share: &SharePartition) -> ShareStateRecord {
    ShareStateRecord::ShareSnapshot(
        snapshot_key(key),
        Some(ShareSnapshotValue {
            snapshot_epoch: stamp.snapshot_epoch,
            state_epoch: stamp.state_epoch,
            leader_epoch: LEADER_EPOCH,
            start_offset: share.start_offset(),
            create_timestamp: stamp.created_ms,
            write_timestamp: stamp.written_ms,
            state_batches: to_record(&share.snapshot()),
            delivery_complete_count: complete_count(share),
        }),
    )
}

/// A change of it; `start` if the start offset is another one.
pub(super) fn update(
    key: &ShareKey,
    stamp: &Stamp,
    share: &SharePartition,
    start: Option<i64>,
    changed: &[StateBatch],
) -> ShareStateRecord {
    ShareStateRecord::ShareUpdate(
        ShareUpdateKey {
            group_id: key.group_id.to_string(),
            topic_id: key.at.topic_id,
            partition: key.at.partition,
        },
        Some(ShareUpdateValue {
            snapshot_epoch: stamp.snapshot_epoch,
            leader_epoch: LEADER_EPOCH,
            start_offset: start.unwrap_or(-1),
            state_batches: to_record(changed),
            delivery_complete_count: complete_count(share),
        }),
    )
}

/// The end of a state.
pub(super) fn tombstone(key: &ShareKey) -> ShareStateRecord {
    ShareStateRecord::ShareSnapshot(snapshot_key(key), None)
}

/// A record as a batch.
///
/// # Errors
/// [`RecordError`] if it is larger than the format can express.
pub(super) fn batch(record: &ShareStateRecord, timestamp: i64) -> Result<ProducedBatch, RecordError> {
    let encoded = record.encode()?;
    let mut builder = BatchBuilder::new();
    builder.add(&NewRecord {
        timestamp,
        key: Some(&encoded.key),
        value: encoded.value.as_deref(),
        headers: &[],
    })?;
    let bytes = builder.build(Compression::None, ProducerStamp::NONE)?;
    Ok(ProducedBatch { header: BatchHeader::read(&bytes)?, bytes })
}

/// As a share partition takes them over.
pub(super) fn from_record(batches: &[ShareStateBatch]) -> Vec<StateBatch> {
    let batches = batches.iter().map(|batch| StateBatch {
        first: batch.first_offset,
        last: batch.last_offset,
        state: DurableState { code: batch.delivery_state, count: batch.delivery_count },
    });
    batches.collect()
}

fn to_record(batches: &[StateBatch]) -> Vec<ShareStateBatch> {
    let batches = batches.iter().map(|batch| ShareStateBatch {
        first_offset: batch.first,
        last_offset: batch.last,
        delivery_state: batch.state.code,
        delivery_count: batch.state.count,
    });
    batches.collect()
}

fn snapshot_key(key: &ShareKey) -> ShareSnapshotKey {
    ShareSnapshotKey {
        group_id: key.group_id.to_string(),
        topic_id: key.at.topic_id,
        partition: key.at.partition,
    }
}

fn complete_count(share: &SharePartition) -> i32 {
    i32::try_from(share.delivery_complete_count()).unwrap_or(i32::MAX)
}
