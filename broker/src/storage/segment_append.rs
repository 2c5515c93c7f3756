//! Writing into a segment: one `pwritev` for a run of batches, and what the indexes need for it.
//!
//! Called by the log's writer alone. Everything that can fail for want of space comes before the write, or is taken back.

use std::io::IoSlice;
use std::sync::Arc;

use crate::storage::error::StorageError;
use crate::storage::files::{StoredFile, write_all_at};
use crate::storage::log::AppendBatch;
use crate::storage::segment::Segment;
use crate::storage::summary::{LogConfig, NewEntries, SegmentSummary};

/// Batches that went into one segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// How many.
    pub(super) count: usize,
    /// The segment with them.
    pub(super) summary: SegmentSummary,
}

impl Segment {
    /// Appends the first of `batches`, and of the others as many as belong into this segment too.
    ///
    /// # Errors
    /// [`StorageError::Full`]: nothing was changed. With any other error, the bytes behind the segment's end are unknown.
    ///
    /// # Panics
    /// If the batches do not follow each other.
    pub(super) fn append(
        self: &Arc<Self>,
        file: &dyn StoredFile,
        batches: &[AppendBatch<'_>],
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<Run, StorageError> {
        let mut state = self.state();
        let before = self.ready_summary(&mut state)?;
        let mut summary = before;
        let mut entries = NewEntries::default();
        let mut count = 0;
        for batch in batches {
            assert!(batch.parsed.base_offset == summary.next_offset, "batches are in order");
            if 0 < count && summary.should_roll(&batch.parsed, config, now_ms) {
                break;
            }
            summary.add(&batch.parsed, self.index_interval_bytes(), &mut entries);
            count += 1;
        }
        let fs = self.store().fs();
        let index_error = |source| StorageError::io(self.path(), "grow the indexes of", source);
        let offsets = self.offset_index().reserve(fs, entries.offset.len()).map_err(index_error)?;
        let times = self.time_index().reserve(fs, entries.time.len()).map_err(index_error)?;
        write_batches(file, &batches[..count], before.size)
            .map_err(|source| roll_back(file, self, before.size, source))?;
        entries.offset.iter().for_each(|entry| self.offset_index().push(&offsets, *entry));
        entries.time.iter().for_each(|entry| self.time_index().push(&times, *entry));
        self.publish(&mut state, summary);
        Ok(Run { count, summary })
    }

    /// Ends the indexes and takes no more batches. The files are finished later, by [`Segment::settle`].
    ///
    /// # Errors
    /// As [`Segment::append`].
    pub(super) fn finish(self: &Arc<Self>) -> Result<(), StorageError> {
        let mut state = self.state();
        let mut summary = self.ready_summary(&mut state)?;
        let mut entries = NewEntries::default();
        summary.close(&mut entries);
        let reserved = self
            .time_index()
            .reserve(self.store().fs(), entries.time.len())
            .map_err(|source| StorageError::io(self.time_index().path(), "grow", source))?;
        entries.time.iter().for_each(|entry| self.time_index().push(&reserved, *entry));
        self.publish(&mut state, summary);
        self.set_sealed();
        Ok(())
    }
}

/// One `pwritev` for all of them.
fn write_batches(file: &dyn StoredFile, batches: &[AppendBatch<'_>], position: u64) -> std::io::Result<()> {
    if let [batch] = batches {
        let mut parts = [IoSlice::new(batch.header), IoSlice::new(batch.records)];
        return write_all_at(file, &mut parts, position);
    }
    let mut parts: Vec<IoSlice<'_>> =
        batches.iter().flat_map(|batch| [IoSlice::new(batch.header), IoSlice::new(batch.records)]).collect();
    write_all_at(file, &mut parts, position)
}

/// After a failed write: takes back what it may have written. Nobody has read it, for it was never published.
fn roll_back(file: &dyn StoredFile, segment: &Segment, size: u64, source: std::io::Error) -> StorageError {
    let failure = StorageError::io(segment.path(), "write", source);
    match file.truncate(size) {
        Err(source) if matches!(failure, StorageError::Full { .. }) => {
            StorageError::Io { path: segment.path().to_path_buf(), op: "truncate", source }
        }
        _ => failure,
    }
}
