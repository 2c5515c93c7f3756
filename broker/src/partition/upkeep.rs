//! What happens to a partition beside reads and writes: checkpoints, the log start, expiry, deletion.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thiserror::Error;

use super::{Partition, ProducerEntry, Writer};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::error::{ReadError, StorageError};
use crate::storage::files::remove_folder;
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::log::Log;
use crate::storage::retention::{self, RetentionPolicy};
use crate::storage::segment::Segment;
use crate::storage::segment_list::delete_segments;

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

/// Why retention was not applied.
#[derive(Debug, Error)]
pub enum RetentionError {
    /// A segment had to be looked at and could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The last segment had to be closed, and a write or sync failed: the broker has to stop.
    #[error(transparent)]
    Failed(#[from] StorageError),
}

/// What a start after a crash can rely on.
#[derive(Debug)]
pub struct Checkpoint {
    /// The log, up to its durable end.
    pub log: PartitionCheckpoint,
    /// The producers, as of there.
    pub producers: Vec<(i64, ProducerEntry)>,
    /// The leader epochs.
    pub epochs: LeaderEpochs,
    /// Segments below the log start, to be deleted once this is saved.
    doomed: Vec<Arc<Segment>>,
}

impl Partition {
    /// The log as it is now, with its producers and epochs. `None` if nothing was ever written.
    ///
    /// It may be saved once everything below its end is durable, and not before: recovery never
    /// cuts what a checkpoint covers. `is_final` adds the list of segments, for a clean stop.
    ///
    /// # Errors
    /// [`StorageError`] if the last segment had to be looked at and could not be read.
    pub fn checkpoint(&self, is_final: bool) -> Result<Option<Checkpoint>, StorageError> {
        let writer = self.lock_writer();
        if self.is_deleted() {
            return Ok(None);
        }
        let log = if is_final { writer.log.clean_checkpoint()? } else { writer.log.checkpoint()? };
        if log.active.is_none() {
            return Ok(None);
        }
        let producers = writer.producers.entries().map(|(id, entry)| (id, entry.clone())).collect();
        // They stay noted until they are deleted: the checkpoint may not be saved, or the partition go first.
        let doomed = writer.doomed.clone();
        Ok(Some(Checkpoint { log, producers, epochs: self.epochs.clone(), doomed }))
    }

    /// Deletes the segments below the log start of a checkpoint that was saved. Not before: a start
    /// from an older checkpoint would miss them.
    ///
    /// # Errors
    /// [`StorageError`] if a file could not be removed; the next start finds it below the log start.
    pub fn checkpoint_saved(&self, checkpoint: &Checkpoint) -> Result<(), StorageError> {
        if let Some(active) = checkpoint.log.active {
            self.checkpointed.fetch_max(active.base_offset, Ordering::AcqRel);
        }
        let _rearranging = self.lock_rearranging();
        if self.is_deleted() {
            // The folder may be another topic's by now.
            return Ok(());
        }
        // They may be thousands, and appends wait for the lock.
        let deleted: HashSet<_> = checkpoint.doomed.iter().map(Arc::as_ptr).collect();
        self.lock_writer().doomed.retain(|one| !deleted.contains(&Arc::as_ptr(one)));
        delete_segments(&self.store, &checkpoint.doomed)
    }

    /// Whether all below `end_offset` is durable.
    pub fn is_durable(&self, end_offset: i64) -> bool {
        end_offset <= self.offsets.durable().offset
    }

    /// Whether the segments are synced up to `end_offset`: a checkpoint needs that, the commit journal does not do.
    pub fn is_synced(&self, end_offset: i64) -> bool {
        end_offset <= self.lock_writer().log.synced().offset()
    }

    /// Hides all records below `before`, -1 meaning the high watermark; returns the log start. The
    /// files go when the next checkpoint is saved.
    ///
    /// # Errors
    /// [`DeleteRecordsError`] if `before` is not within the log.
    pub fn delete_records(&self, before: i64) -> Result<i64, DeleteRecordsError> {
        let _rearranging = self.lock_rearranging();
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
            self.advance_start(&mut writer, before);
        }
        Ok(before.max(offsets.log_start))
    }

    /// Hides the segments that the topic's retention no longer keeps at `now_ms`, a time that no jump of
    /// the clock has reached; returns how many. Their files go when the next checkpoint is saved.
    ///
    /// # Errors
    /// [`RetentionError`].
    pub fn apply_retention(&self, now_ms: i64) -> Result<usize, RetentionError> {
        let config = self.config.load_full();
        if !config.cleanup.delete {
            return Ok(0);
        }
        let rearranging = self.lock_rearranging();
        let mut writer = self.lock_writer();
        if self.is_deleted() {
            return Ok(0);
        }
        let policy =
            RetentionPolicy { retention_ms: config.retention_ms, retention_bytes: config.retention_bytes };
        let view = writer.log.view();
        let mut infos = match view.segment_infos() {
            Err(error) => {
                drop(writer);
                drop(rearranging);
                // The next run gets further.
                return if self.leave_out_missing(&view, &error) { Ok(0) } else { Err(error.into()) };
            }
            infos => infos?,
        };
        // Closed segments may still wait for their sync: the log start does not pass the watermark.
        let high_watermark = self.offsets.view().high_watermark;
        let log_end = writer.log.end_offset();
        let beyond = infos.iter().find(|info| high_watermark < info.base_offset);
        let end_offset = beyond.map_or(log_end, |info| info.base_offset);
        infos.retain(|info| info.base_offset <= high_watermark);
        let log_start = view.start_offset();
        let new_start = retention::new_start(&infos, &policy, log_start, end_offset, now_ms);
        let Some(mut new_start) = new_start.map(|offset| offset.max(log_start)) else { return Ok(0) };
        if new_start == end_offset && (high_watermark < end_offset || !roll(&mut writer.log, now_ms)?) {
            // The last segment stays until the next run.
            new_start = infos.last().map_or(log_start, |last| last.base_offset).max(log_start);
        }
        Ok(self.advance_start(&mut writer, new_start))
    }

    /// Forgets producers that have not written since `before_ms`.
    pub fn expire_producers(&self, before_ms: i64) {
        self.lock_writer().producers.expire(before_ms);
    }

    /// Whether something was acknowledged that is not on disk: only with a relaxed flush policy.
    pub fn is_undurable(&self) -> bool {
        self.offsets.durable().offset < self.offsets.view().log_end
    }

    /// Removes the partition's files. Reads and writes fail from now on; fetches under way keep
    /// their files open to the end.
    ///
    /// # Errors
    /// [`StorageError`] if the folder could not be removed; it is out of the way all the same.
    pub fn delete(&self) -> Result<(), StorageError> {
        let _rearranging = self.lock_rearranging();
        let mut writer = self.lock_writer();
        self.is_deleted.store(true, Ordering::Release);
        self.waiters.wake_all();
        // Rounds that are on their way may come to sync the folder when it is gone.
        writer.log.synced().set_deleted();
        let doomed = std::mem::take(&mut writer.doomed);
        let path = writer.log.dir().to_path_buf();
        // Who waits for it to write finds out; and what follows may wait for the disk.
        drop(writer);
        self.reader.view().segments().iter().chain(&doomed).for_each(|segment| segment.set_deleted());
        remove_folder(self.store.fs(), &path).map_err(|source| StorageError::io(&path, "remove", source))
    }

    fn advance_start(&self, writer: &mut Writer, log_start: i64) -> usize {
        let segments = writer.log.advance_start(log_start);
        self.offsets.advance_log_start(log_start);
        let count = segments.len();
        writer.doomed.extend(segments);
        count
    }
}

/// Begins a new segment, so that the last one can go; false if there is no room for it.
fn roll(log: &mut Log, now_ms: i64) -> Result<bool, StorageError> {
    match log.roll(now_ms) {
        Ok(_) => Ok(true),
        Err(error) if error.is_full() => {
            let dir = log.dir().display();
            tracing::warn!(%dir, %error, "the last segment, which nobody keeps any longer, could not be closed");
            Ok(false)
        }
        Err(error) => {
            log.poison();
            Err(error)
        }
    }
}
