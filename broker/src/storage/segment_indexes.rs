//! A segment's indexes: whether they can be believed, what is done if not, and look-ups in them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::storage::error::{ReadError, StorageError};
use crate::storage::files::{IoMode, StoredFile};
use crate::storage::offset_index::OffsetLookup;
use crate::storage::segment::{Segment, State};
use crate::storage::summary::{NewEntries, SegmentSummary};
use crate::storage::time_index::TimeLookup;

impl Segment {
    /// Makes sure that the indexes can be believed: checks them against what is known, or rebuilds them.
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`] if that takes I/O and `io` forbids it; [`ReadError::Io`].
    pub(super) fn make_ready(self: &Arc<Self>, io: IoMode) -> Result<(), ReadError> {
        if self.is_ready.load(Ordering::Acquire) {
            return Ok(());
        }
        if io == IoMode::NoWait {
            return Err(ReadError::WouldBlock);
        }
        self.make_ready_locked(&mut self.state())
    }

    pub(super) fn make_ready_locked(self: &Arc<Self>, state: &mut State) -> Result<(), ReadError> {
        // The indexes of one that was replaced are another's now: look-ups walk instead.
        if self.is_ready.load(Ordering::Acquire) || self.is_replaced() {
            return Ok(());
        }
        self.set_open();
        if state.summary.is_none() {
            state.summary = self.load_seal();
        }
        if !state.summary.is_some_and(|summary| self.load_indexes(&summary)) {
            self.rebuild(state)?;
        }
        self.is_ready.store(true, Ordering::Release);
        Ok(())
    }

    /// After recovery has walked from `start` to `summary`: puts the entries of the walk behind those of `start`. Returns
    /// false if these cannot be believed, or the disk is full; then the indexes are rebuilt when they are needed.
    pub(super) fn resume(
        self: &Arc<Self>,
        start: SegmentSummary,
        summary: SegmentSummary,
        entries: &NewEntries,
    ) -> bool {
        let mut state = self.state();
        self.set_open();
        let is_resumed = self.load_indexes(&start) && self.extend_indexes(entries).is_ok();
        self.publish(&mut state, summary);
        self.is_ready.store(is_resumed, Ordering::Release);
        is_resumed
    }

    fn extend_indexes(&self, entries: &NewEntries) -> io::Result<()> {
        let fs = self.store().fs();
        self.offset_index().extend(fs, &entries.offset)?;
        self.time_index().extend(fs, &entries.time)
    }

    /// What the writer starts from.
    pub(super) fn ready_summary(self: &Arc<Self>, state: &mut State) -> Result<SegmentSummary, StorageError> {
        self.make_ready_locked(state).map_err(|error| self.unready(error))?;
        Ok(state.summary.expect("a ready segment has a summary"))
    }

    fn load_indexes(&self, summary: &SegmentSummary) -> bool {
        let fs = self.store().fs();
        // An index that cannot be read is as good as none.
        self.offset_index().load(fs, summary.offset_index).unwrap_or(false)
            && self.time_index().load(fs, summary.time_index).unwrap_or(false)
    }

    /// Reads all batch headers and writes new indexes. What is damaged is left out.
    pub(super) fn rebuild(self: &Arc<Self>, state: &mut State) -> Result<(), ReadError> {
        let mut entries = NewEntries::default();
        let file = self.file(IoMode::Blocking).map_err(|error| ReadError::io(self.path(), error))?;
        let known = state.summary;
        let mut summary = match self.summarize(&*file, known, &mut entries) {
            Err(error) if error.is_damage() => {
                self.find_holes(&*file, known.map_or(i64::MAX, |known| known.next_offset))?;
                entries = NewEntries::default();
                self.summarize(&*file, known, &mut entries)?
            }
            summarized => summarized?,
        };
        if self.is_sealed() {
            summary.close(&mut entries);
        }
        summary.size = self.size();
        let fs = self.store().fs();
        self.offset_index()
            .replace(fs, &entries.offset)
            .map_err(|error| ReadError::io(self.offset_index().path(), error))?;
        self.time_index()
            .replace(fs, &entries.time)
            .map_err(|error| ReadError::io(self.time_index().path(), error))?;
        state.summary = Some(summary);
        state.is_rebuilt = true;
        if self.is_sealed() {
            // Without it, the work is done again after the next start.
            let _ = self.save_seal(&summary);
        }
        Ok(())
    }

    /// What the batch headers of the file come to.
    fn summarize(
        &self,
        file: &dyn StoredFile,
        known: Option<SegmentSummary>,
        entries: &mut NewEntries,
    ) -> Result<SegmentSummary, ReadError> {
        let created_ms = known.map_or(0, |known| known.created_ms);
        let mut summary = SegmentSummary::new(self.base_offset(), created_ms);
        let mut walk = self.walk(file, 0..self.size(), IoMode::Blocking);
        while let Some(batch) = walk.next()? {
            summary.skip_to(batch.position);
            summary.add(&batch.header, self.index_interval_bytes(), entries);
        }
        if let Some(known) = known {
            // The last batches may be damaged.
            summary.next_offset = summary.next_offset.max(known.next_offset);
        }
        Ok(summary)
    }

    /// The indexes contradict the log: nobody uses them until they are rebuilt.
    pub(super) fn doubt(&self) {
        let mut state = self.state();
        state.is_rebuilt = false;
        if let Some(summary) = &mut state.summary {
            // Matches no file.
            summary.offset_index.entries = u32::MAX;
        }
        self.is_ready.store(false, Ordering::Release);
    }

    /// Whether this process has built the indexes.
    pub(super) fn is_rebuilt(&self) -> bool {
        self.state().is_rebuilt
    }

    /// Replaces the indexes by those that belong to the summary, which is known. If that fails they are rebuilt when they are needed.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn install_indexes(&self, entries: &NewEntries) -> io::Result<()> {
        let _state = self.state();
        let fs = self.store().fs();
        self.offset_index().replace(fs, &entries.offset)?;
        self.time_index().replace(fs, &entries.time)?;
        self.is_ready.store(true, Ordering::Release);
        Ok(())
    }

    /// The offset index. While the disk has no room to rebuild it, one without entries: slow, and right.
    pub(super) fn offsets(self: &Arc<Self>, io: IoMode) -> Result<OffsetLookup, ReadError> {
        match self.make_ready(io) {
            Err(error) if error.is_full() => return Ok(OffsetLookup::empty(self.base_offset())),
            ready => ready?,
        }
        let lookup = OffsetLookup::new(self.offset_index(), self.base_offset(), self.store().fs(), io);
        // Asked last: what was mapped before is the segment's own, and what comes after may be another's.
        if self.is_replaced() {
            return Ok(OffsetLookup::empty(self.base_offset()));
        }
        lookup.map_err(|error| ReadError::io(self.offset_index().path(), error))
    }

    /// The time index, likewise.
    pub(super) fn times(self: &Arc<Self>, io: IoMode) -> Result<TimeLookup, ReadError> {
        match self.make_ready(io) {
            Err(error) if error.is_full() => return Ok(TimeLookup::empty(self.base_offset())),
            ready => ready?,
        }
        let lookup = TimeLookup::new(self.time_index(), self.base_offset(), self.store().fs(), io);
        // Asked last: what was mapped before is the segment's own, and what comes after may be another's.
        if self.is_replaced() {
            return Ok(TimeLookup::empty(self.base_offset()));
        }
        lookup.map_err(|error| ReadError::io(self.time_index().path(), error))
    }
}
