//! What happens to a partition beside reads and writes: checkpoints, the log start, expiry, deletion.

use std::sync::atomic::Ordering;

use thiserror::Error;

use super::{Partition, ProducerEntry, Writer};
use crate::storage::retention::RetentionLimits;
use crate::storage::{PartitionCheckpoint, StorageError};

/// Why records were not deleted.
#[derive(Debug, Error)]
pub enum DeleteRecordsError {
    /// The offset is beyond the high watermark.
    #[error("offset {offset} is beyond the high watermark {high_watermark}")]
    OutOfRange {
        /// The offset asked for.
        offset: i64,
        /// Where the log ends for readers.
        high_watermark: i64,
    },
    /// The topic was deleted meanwhile.
    #[error("the topic was deleted")]
    Deleted,
    /// The log could not be changed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a start after a crash can rely on.
#[derive(Debug)]
pub struct Checkpoint {
    /// The log, up to its durable end.
    pub log: PartitionCheckpoint,
    /// The producers, as of there.
    pub producers: Vec<(i64, ProducerEntry)>,
}

impl Partition {
    /// The durable end, and the producers as of there. `None` if nothing was ever written.
    ///
    /// A batch behind the durable end is left out of the producers: after a power cut it would be
    /// gone, and its retry must not be taken for a duplicate.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let writer = self.lock_writer();
        let durable = self.offsets.durable();
        let producers = writer.producers.entries().filter_map(|(id, entry)| {
            let mut entry = entry.clone();
            entry.batches.retain(|seen| seen.base_offset < durable.offset);
            (!entry.batches.is_empty()).then_some((id, entry))
        });
        let log = writer.log.checkpoint(&durable)?;
        Some(Checkpoint { producers: producers.collect(), log })
    }

    /// Deletes all records below `before`, -1 meaning the high watermark; returns the log start.
    /// Whole segments go at once, the rest with their segment.
    ///
    /// # Errors
    /// [`DeleteRecordsError`] if `before` is not within the log.
    pub fn delete_records(&self, before: i64) -> Result<i64, DeleteRecordsError> {
        let mut writer = self.lock_writer();
        if self.is_deleted() {
            return Err(DeleteRecordsError::Deleted);
        }
        let offsets = self.offsets.view();
        let before = if before == -1 { offsets.high_watermark } else { before };
        if before < 0 || offsets.high_watermark < before {
            let high_watermark = offsets.high_watermark;
            return Err(DeleteRecordsError::OutOfRange { offset: before, high_watermark });
        }
        if offsets.log_start < before {
            self.advance_start(&mut writer, before)?;
        }
        Ok(before.max(offsets.log_start))
    }

    /// Deletes the segments that the topic's retention no longer keeps; returns how many.
    ///
    /// # Errors
    /// [`StorageError`] if a segment could not be deleted.
    pub fn apply_retention(&self) -> Result<usize, StorageError> {
        let config = self.config.load_full();
        if !config.cleanup.delete {
            return Ok(0);
        }
        let mut writer = self.lock_writer();
        if self.is_deleted() {
            return Ok(0);
        }
        let limits = RetentionLimits {
            now_ms: self.clock.now_ms(),
            retention_ms: config.retention_ms,
            retention_bytes: config.retention_bytes,
        };
        let Some(log_start) = writer.log.retained_start(&limits, &self.offsets.durable()) else {
            return Ok(0);
        };
        self.advance_start(&mut writer, log_start)
    }

    /// Forgets producers that have not written for `expiration_ms`.
    pub fn expire_producers(&self, expiration_ms: i64) {
        let before_ms = self.clock.now_ms().saturating_sub(expiration_ms);
        self.lock_writer().producers.expire(before_ms);
    }

    /// Whether something was acknowledged that is not on disk: only with a relaxed flush policy.
    pub fn is_undurable(&self) -> bool {
        self.offsets.durable().offset < self.offsets.view().log_end
    }

    /// Brings the files into the form in which the next start finds them without recovery.
    ///
    /// # Errors
    /// [`StorageError`] if that failed; the next start recovers then.
    pub fn close(&self) -> Result<(), StorageError> {
        self.lock_writer().log.close()
    }

    /// Removes the partition's files. Reads and writes fail from now on; fetches under way keep
    /// their files open to the end.
    ///
    /// # Errors
    /// [`StorageError`] if the folder could not be removed; it is out of the way all the same.
    pub fn delete(&self) -> Result<(), StorageError> {
        let mut writer = self.lock_writer();
        self.is_deleted.store(true, Ordering::Release);
        self.waiters.wake_all();
        writer.log.delete()
    }

    fn advance_start(&self, writer: &mut Writer, log_start: i64) -> Result<usize, StorageError> {
        let removed = writer.log.advance_start(log_start)?;
        self.offsets.advance_log_start(log_start);
        Ok(removed)
    }
}
