//! Which transactions a log holds: their records stay as they are, and nobody may be misled about them.

use std::collections::HashSet;

use bytes::Bytes;
use sendlog_protocol::records::read_records;

use crate::storage::error::StorageError;
use crate::storage::import::PassingBatch;

/// A marker is a few bytes.
const MARKER_BYTES_MAX: usize = 1 << 16;

/// Type of a marker that takes its transaction back (`org.apache.kafka.common.record.ControlRecordType`).
const ABORT: i16 = 0;

/// Transactions of one partition.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: HashSet<i64>,
    committed: u64,
    aborted: u64,
    markers: u64,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TransactionCount {
    /// With records, ended by a commit.
    pub(super) committed: u64,
    /// With records, ended by an abort.
    pub(super) aborted: u64,
    /// With records, not ended.
    pub(super) unfinished: u64,
    /// Markers, of transactions whose records are gone too.
    pub(super) markers: u64,
}

impl Transactions {
    /// Takes note of a batch; batches come in order.
    pub(super) fn see(&mut self, batch: &PassingBatch<'_>) -> Result<(), StorageError> {
        let header = &batch.header;
        if header.attributes.is_control() {
            self.markers += 1;
            if self.open.remove(&header.producer_id) {
                let is_abort = marker_type(batch.read()?) == Some(ABORT);
                *(if is_abort { &mut self.aborted } else { &mut self.committed }) += 1;
            }
        } else if header.attributes.is_transactional() && 0 < header.record_count {
            self.open.insert(header.producer_id);
        }
        Ok(())
    }

    pub(super) fn count(&self) -> TransactionCount {
        TransactionCount {
            committed: self.committed,
            aborted: self.aborted,
            unfinished: self.open.len() as u64,
            markers: self.markers,
        }
    }
}

impl std::ops::AddAssign for TransactionCount {
    fn add_assign(&mut self, other: Self) {
        self.committed += other.committed;
        self.aborted += other.aborted;
        self.unfinished += other.unfinished;
        self.markers += other.markers;
    }
}

/// The key of a control record is a version and a type, two bytes each.
fn marker_type(batch: Vec<u8>) -> Option<i16> {
    let record = read_records(&Bytes::from(batch), MARKER_BYTES_MAX).ok()?.next()?.ok()?;
    let kind = record.key?.get(2..4)?.try_into().ok()?;
    Some(i16::from_be_bytes(kind))
}
