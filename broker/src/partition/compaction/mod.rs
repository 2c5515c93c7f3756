//! Compaction of a partition: what of it is next, and the exchange of segments in a log that is read and written meanwhile.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Partition, ProducerEntry};
use crate::storage::compaction::CompactionError;
use crate::storage::compaction::batch_rule::{Judge, LastBatch, Rules};
use crate::storage::compaction::cleanable::{Cleanable, CompactionPolicy};
use crate::storage::compaction::grouping::{Group, GroupLimits, group};
use crate::storage::compaction::key_pass::KeyPass;
use crate::storage::compaction::replacement::Replacing;
use crate::storage::compaction::rewrite::{Cleaned, Rewriting, cleaned_path};
use crate::storage::error::{ReadError, StorageError};
use crate::storage::file_names;
use crate::storage::files::{OpenMode, StoredFile};
use crate::storage::scrub::Pace;
use crate::storage::segment::Segment;
use crate::storage::segment_list::position_of;

/// How to compact.
#[derive(Clone, Copy)]
pub struct CompactionTask<'a> {
    /// Where the last compaction has ended, if that is known.
    pub cleaned_to: Option<i64>,
    /// The time by which records are old, ms since 1970; no jump of the clock has reached it.
    pub now_ms: i64,
    /// The latest time that it may be, ms since 1970: the retention of tombstones begins then.
    pub latest_ms: i64,
    /// Memory for keys, bytes.
    pub key_bytes_max: usize,
    /// How full that may become.
    pub load_factor: f64,
    /// Most that a batch is decompressed to.
    pub decompressed_max: usize,
    /// Bytes that are left free on the disk.
    pub free_bytes_min: u64,
    /// How fast.
    pub pace: &'a dyn Pace,
}

/// What a compaction came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Everything below is compacted now.
    pub cleaned_to: i64,
    /// Keys in the part that was not.
    pub keys: u64,
    /// Bytes that were read, of the new part twice.
    pub bytes_read: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
    /// Bytes of the segments before, and now.
    pub bytes_before: u64,
    /// See there.
    pub bytes_after: u64,
    /// Segments before, and now.
    pub segments_before: usize,
    /// See there.
    pub segments_after: usize,
    /// Segments that were left as they are, because a part of them is damaged.
    pub segments_damaged: usize,
    /// Where the first of them begins.
    pub damaged_from: Option<i64>,
    /// Batches that nobody could decode.
    pub undecodable: u64,
}

impl Partition {
    /// What could be compacted now; none if the topic is not compacted.
    ///
    /// # Errors
    /// [`ReadError::Io`], if a segment has to be looked at.
    pub fn cleanable(&self, cleaned_to: Option<i64>, now_ms: i64) -> Result<Option<Cleanable>, ReadError> {
        if !self.config.load().cleanup.compact || self.is_deleted() {
            return Ok(None);
        }
        let limit = self.compaction_limit();
        match self.reader.view().cleanable(cleaned_to, limit, &self.compaction_policy(), now_ms) {
            Err(error) if self.is_of_the_past(&error) => Ok(None),
            cleanable => cleanable.map(Some),
        }
    }

    /// Whether a part of it cannot be read, as far as that is known.
    pub fn is_damaged(&self) -> bool {
        self.reader.view().segments().iter().any(|segment| segment.is_damaged())
    }

    /// How the topic is compacted.
    pub fn compaction_policy(&self) -> CompactionPolicy {
        let config = self.config.load();
        CompactionPolicy {
            min_dirty_ratio: config.min_cleanable_dirty_ratio,
            min_lag_ms: config.min_compaction_lag_ms,
            max_lag_ms: config.max_compaction_lag_ms,
            delete_retention_ms: config.delete_retention_ms,
            segment_bytes: config.segment_bytes,
            segment_index_bytes: config.segment_index_bytes,
        }
    }

    /// Whether a start after a crash takes everything below `offset` as it is.
    pub fn is_checkpointed(&self, offset: i64) -> bool {
        offset <= self.checkpointed.load(Ordering::Acquire)
    }

    /// No segment that reaches beyond is touched: what is not decided or may still be told of by a watermark lies there.
    fn compaction_limit(&self) -> i64 {
        let high_watermark = self.offsets.high_watermark();
        high_watermark.segment_base.min(self.offsets.view().last_stable)
    }

    /// Whether what could not be read is no longer part of the log: retention, DeleteRecords or the topic's deletion took it.
    fn is_of_the_past(&self, error: &ReadError) -> bool {
        let view = self.reader.view();
        let is_gone = |path: &Path| view.segment_at(&path.with_extension(file_names::LOG)).is_none();
        self.is_deleted() || error.path().is_some_and(is_gone)
    }

    /// Compacts what [`Partition::cleanable`] tells of, as far as a saved checkpoint lies behind it: recovery reads nothing
    /// there, and takes nothing from the commit journal for it. Reads, writes, and waits for the disk.
    ///
    /// # Errors
    /// [`CompactionError`].
    pub fn compact(&self, task: &CompactionTask<'_>) -> Result<Compacted, CompactionError> {
        match self.compact_segments(task) {
            Err(CompactionError::Read(error)) if self.is_of_the_past(&error) => Err(CompactionError::Gone),
            compacted => compacted,
        }
    }

    fn compact_segments(&self, task: &CompactionTask<'_>) -> Result<Compacted, CompactionError> {
        let policy = self.compaction_policy();
        let view = self.reader.view();
        let limit = self.compaction_limit().min(self.checkpointed.load(Ordering::Acquire));
        let cleanable = view.cleanable(task.cleaned_to, limit, &policy, task.now_ms)?;
        if cleanable.end <= cleanable.first_dirty {
            return Err(CompactionError::Gone);
        }
        let count = view.segments().partition_point(|segment| segment.base_offset() < cleanable.end);
        let segments = view.segments().get(..count).unwrap_or_default();
        let next_bases = segments.iter().skip(1).map(|next| next.base_offset());
        let clean = next_bases.take_while(|next| *next <= cleanable.first_dirty).count();
        self.look_for_room(&segments[clean..], task.free_bytes_min)?;
        let dirty = KeyPass {
            segments: &segments[clean..],
            start: cleanable.first_dirty,
            end: cleanable.end,
            key_bytes_max: task.key_bytes_max,
            load_factor: task.load_factor,
            decompressed_max: task.decompressed_max,
            pace: task.pace,
        };
        let dirty = dirty.run()?;
        // The last segment is only touched if some of it lies below the end.
        let count = segments.partition_point(|segment| segment.base_offset() < dirty.end);
        let last_end = view.segments().get(count).map_or(cleanable.end, |next| next.base_offset());
        let segments = segments.get(..count).unwrap_or_default();
        let limits = GroupLimits {
            bytes: policy.segment_bytes.min(i32::MAX.cast_unsigned().into()),
            index_bytes: policy.segment_index_bytes.into(),
        };
        let groups = group(segments, last_end, limits)?;
        let last_batches = self.last_batches();
        let mut judge = Judge::new(Rules {
            keys: &dirty.keys,
            end: dirty.end,
            now_ms: task.now_ms,
            horizon_ms: task.latest_ms.saturating_add(policy.delete_retention_ms),
            decompressed_max: task.decompressed_max,
            last_batches: &last_batches,
            aborted: &dirty.aborted,
        });
        let mut compacted = Compacted {
            cleaned_to: dirty.end,
            keys: dirty.keys.len() as u64,
            bytes_read: dirty.bytes_read,
            segments_damaged: segments.len() - groups.iter().map(|group| group.segments.len()).sum::<usize>(),
            damaged_from: first_left_out(segments, &groups),
            ..Compacted::default()
        };
        for group in &groups {
            self.compact_group(group, task, &mut judge, &mut compacted)?;
        }
        compacted.undecodable = judge.undecodable();
        Ok(compacted)
    }

    fn compact_group(
        &self,
        group: &Group,
        task: &CompactionTask<'_>,
        judge: &mut Judge<'_>,
        compacted: &mut Compacted,
    ) -> Result<(), CompactionError> {
        let bytes: u64 = group.segments.iter().map(|segment| segment.size()).sum();
        compacted.bytes_read += bytes;
        compacted.bytes_before += bytes;
        compacted.segments_before += group.segments.len();
        compacted.segments_after += 1;
        let create = |path: &Path| self.create_cleaned(path, bytes.saturating_add(task.free_bytes_min));
        let rewriting = Rewriting { group, pace: task.pace, create: &create };
        let rewritten = rewriting.run(judge).inspect_err(|_| self.discard_cleaned(group));
        let Some(cleaned) = rewritten? else {
            compacted.bytes_after += bytes;
            return Ok(());
        };
        compacted.bytes_written += cleaned.bytes();
        compacted.bytes_after += cleaned.bytes();
        self.replace(group, cleaned)
    }

    /// Creates the file for a compacted segment, if the folder is still this partition's and the disk has room for it.
    fn create_cleaned(&self, path: &Path, bytes: u64) -> Result<Arc<dyn StoredFile>, CompactionError> {
        let _rearranging = self.lock_rearranging();
        if self.is_deleted() {
            return Err(CompactionError::Gone);
        }
        self.check_room(path, bytes)?;
        self.store.fs().open(path, OpenMode::Replace).map_err(cannot(path, "create"))
    }

    /// One of the dirty segments at least is written anew: without room for it, all would be read in vain, in every round.
    fn look_for_room(&self, dirty: &[Arc<Segment>], free_bytes_min: u64) -> Result<(), CompactionError> {
        let Some(least) = dirty.iter().min_by_key(|segment| segment.size()) else { return Ok(()) };
        let _rearranging = self.lock_rearranging();
        if self.is_deleted() {
            return Err(CompactionError::Gone);
        }
        self.check_room(least.path(), least.size().saturating_add(free_bytes_min))
    }

    /// Whether the disk has room for so many bytes at that path, whose folder must exist.
    fn check_room(&self, path: &Path, bytes: u64) -> Result<(), CompactionError> {
        let folder = path.parent().unwrap_or(path);
        let free = self.store.fs().free_bytes(folder).map_err(cannot(path, "look for room for"))?;
        let is_room = bytes <= free;
        is_room.then_some(()).ok_or_else(|| cannot(path, "create")(std::io::ErrorKind::StorageFull.into()))
    }

    fn discard_cleaned(&self, group: &Group) {
        let _rearranging = self.lock_rearranging();
        if let Some(path) = cleaned_path(group).filter(|_| !self.is_deleted()) {
            // If it stays, the next start removes it.
            let _ = self.store.fs().remove(&path);
        }
    }

    /// Puts the compacted segment in the place of its group. Readers see one or the other.
    fn replace(&self, group: &Group, cleaned: Cleaned) -> Result<(), CompactionError> {
        let rearranging = self.lock_rearranging();
        if self.is_deleted() {
            return Err(CompactionError::Gone);
        }
        let is_part = position_of(self.reader.view().segments(), &group.segments).is_some();
        let is_damaged = group.segments.iter().any(|segment| segment.is_damaged());
        let replacing = Replacing::new(group, cleaned).filter(|_| is_part && !is_damaged);
        let Some(replacing) = replacing else {
            drop(rearranging);
            self.discard_cleaned(group);
            return Err(CompactionError::Gone);
        };
        let new: Arc<Segment> = replacing.switch()?;
        self.lock_writer().log.replace(&group.segments, new);
        let finished = replacing.finish();
        if finished.is_err() {
            self.lock_writer().log.set_incomplete();
        }
        finished
    }

    /// What every producer has written last.
    fn last_batches(&self) -> HashMap<i64, LastBatch> {
        let writer = self.lock_writer();
        let last = |entry: &ProducerEntry| LastBatch {
            last_offset: entry.batches.last().map(|batch| batch.last_offset),
            epoch: entry.epoch,
        };
        writer.producers.entries().map(|(id, entry)| (id, last(entry))).collect()
    }
}

/// Base offset of the first segment that is in no group.
fn first_left_out(segments: &[Arc<Segment>], groups: &[Group]) -> Option<i64> {
    let mut grouped = groups.iter().flat_map(|group| &group.segments);
    let is_left_out = |segment: &&Arc<Segment>| grouped.next().is_none_or(|next| !Arc::ptr_eq(next, segment));
    segments.iter().find(is_left_out).map(|segment| segment.base_offset())
}

fn cannot(path: &Path, op: &'static str) -> impl Fn(std::io::Error) -> CompactionError {
    move |source| CompactionError::write(StorageError::io(path, op, source))
}

#[cfg(test)]
mod tests;
