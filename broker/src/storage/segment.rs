//! A segment: one `.log` file and its two indexes, shared by the writer and all readers.
//!
//! Owns the files' opening and closing, the published size, and whether the indexes can be believed: only if their count
//! and checksum are known from this process, a checkpoint or the segment's seal. Whatever is in doubt is rebuilt
//! from the log. When to roll, and which segment an offset is in, is the log's affair.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::storage::error::{ReadError, StorageError};
use crate::storage::file_names::{self, segment_file};
use crate::storage::files::{FileSystem, IoMode, OpenMode, StoredFile};
use crate::storage::header_walk::HeaderWalk;
use crate::storage::holes::KnownHoles;
use crate::storage::offset_index::{self, OffsetIndex, OffsetLookup};
use crate::storage::state_file::{self, StateKind};
use crate::storage::store::Store;
use crate::storage::summary::{NewEntries, SegmentSummary};
use crate::storage::time_index::{self, TimeIndex, TimeLookup};

pub(crate) const SEAL_KIND: StateKind = StateKind { tag: *b"SEAL", version: 1 };

/// See the module. Lock order: a segment's state before nothing; readers take it only while the indexes are in doubt.
pub struct Segment {
    store: Arc<Store>,
    base_offset: i64,
    path: PathBuf,
    index_interval_bytes: u32,
    log: ArcSwapOption<Arc<dyn StoredFile>>,
    size: AtomicU64,
    offset_index: OffsetIndex,
    time_index: TimeIndex,
    state: Mutex<State>,
    /// The indexes are right, as far as one can know without looking at every entry.
    is_ready: AtomicBool,
    is_sealed: AtomicBool,
    is_open: AtomicBool,
    was_used: AtomicBool,
    known_holes: KnownHoles,
}

/// Written under the lock by the log's writer, and by whoever rebuilds the indexes.
#[derive(Debug)]
pub(super) struct State {
    /// None if the segment has not been looked at since the start.
    pub(super) summary: Option<SegmentSummary>,
    /// The indexes were built from the log by this process: a sparse stretch is then as it is, not a doubt.
    is_rebuilt: bool,
}

/// Where and how densely a segment is kept.
#[derive(Clone, Copy)]
pub(crate) struct SegmentPlace<'a> {
    pub(crate) store: &'a Arc<Store>,
    pub(crate) dir: &'a Path,
    pub(crate) index_interval_bytes: u32,
}

impl Segment {
    /// A segment whose state is known: new, from a checkpoint, or just recovered. Touches no file.
    pub(super) fn with_summary(place: SegmentPlace<'_>, summary: SegmentSummary) -> Self {
        let segment = Self::with_size(place, summary.base_offset, summary.size);
        segment.state().summary = Some(summary);
        segment
    }

    /// A segment of which only the size is known. Touches no file.
    pub(crate) fn with_size(place: SegmentPlace<'_>, base_offset: i64, size: u64) -> Self {
        let file = |extension| segment_file(place.dir, base_offset, extension);
        Self {
            store: Arc::clone(place.store),
            base_offset,
            path: file(file_names::LOG),
            index_interval_bytes: place.index_interval_bytes,
            log: ArcSwapOption::empty(),
            size: AtomicU64::new(size),
            offset_index: offset_index::new(file(file_names::INDEX)),
            time_index: time_index::new(file(file_names::TIME_INDEX)),
            state: Mutex::new(State { summary: None, is_rebuilt: false }),
            is_ready: AtomicBool::new(false),
            is_sealed: AtomicBool::new(false),
            is_open: AtomicBool::new(false),
            was_used: AtomicBool::new(false),
            known_holes: KnownHoles::default(),
        }
    }

    /// Offset that the file is named after.
    #[must_use]
    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// The `.log` file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written, durable or not. Final once the segment is not the last one.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// Whether nothing is appended any more.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::Acquire)
    }

    /// Ranges that hold no readable batches.
    pub(super) fn known_holes(&self) -> &KnownHoles {
        &self.known_holes
    }

    pub(super) fn index_interval_bytes(&self) -> u32 {
        self.index_interval_bytes
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(super) fn offset_index(&self) -> &OffsetIndex {
        &self.offset_index
    }

    pub(super) fn time_index(&self) -> &TimeIndex {
        &self.time_index
    }

    /// The writer's lock of this segment; a poisoned one is no worse, all its changes are single stores.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accounts for what was appended; readers see it from now on.
    pub(super) fn publish(&self, state: &mut State, summary: SegmentSummary) {
        state.summary = Some(summary);
        self.size.store(summary.size, Ordering::Release);
    }

    /// Makes the three files exist. A `.log` that has bytes already is never touched.
    pub(super) fn create_files(&self) -> Result<Arc<dyn StoredFile>, StorageError> {
        let fs = self.store.fs();
        let create = |source| StorageError::io(&self.path, "create", source);
        let file = fs.open(&self.path, OpenMode::Create).map_err(create)?;
        let size = file.size().map_err(create)?;
        if size != 0 {
            return Err(StorageError::Corrupt {
                path: self.path.clone(),
                position: 0,
                offset: self.base_offset,
                reason: format!("{size} bytes where a new segment was to begin; move the file away"),
            });
        }
        self.offset_index.create(fs).map_err(|e| StorageError::io(self.offset_index.path(), "create", e))?;
        self.time_index.create(fs).map_err(|e| StorageError::io(self.time_index.path(), "create", e))?;
        self.is_ready.store(true, Ordering::Release);
        Ok(file)
    }

    /// The open `.log` file.
    ///
    /// # Errors
    /// `WouldBlock` if it is closed and `io` forbids to open it; else the system's.
    pub(super) fn file(self: &Arc<Self>, io: IoMode) -> io::Result<Arc<dyn StoredFile>> {
        self.set_used();
        if let Some(file) = self.log.load().as_deref() {
            return Ok(Arc::clone(file));
        }
        if io == IoMode::NoWait {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mode = if self.is_sealed() { OpenMode::Read } else { OpenMode::Write };
        let file = self.store.fs().open(&self.path, mode)?;
        if self.is_sealed() {
            // A reader may be promised all that was ever there.
            let bytes = file.size()?;
            let is_known = || self.known_holes.load().is_some_and(|holes| holes.at_position(bytes).is_some());
            if bytes < self.size() && !is_known() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.log.store(Some(Arc::new(Arc::clone(&file))));
        self.set_open();
        Ok(file)
    }

    fn set_used(&self) {
        // Readers of one hot segment would otherwise pass the cache line around.
        if !self.was_used.load(Ordering::Relaxed) {
            self.was_used.store(true, Ordering::Relaxed);
        }
    }

    fn set_open(self: &Arc<Self>) {
        if !self.is_open.swap(true, Ordering::AcqRel) {
            self.store.opened(self);
        }
    }

    pub(super) fn take_used(&self) -> bool {
        self.was_used.swap(false, Ordering::Relaxed)
    }

    /// Lets descriptor and maps go; whoever holds a clone keeps it.
    pub(super) fn close(&self) {
        // In this order: whoever opens the file in between is counted again, at worst for nothing.
        self.is_open.store(false, Ordering::Release);
        self.log.store(None);
        self.offset_index.unmap();
        self.time_index.unmap();
    }

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
        if self.is_ready.load(Ordering::Acquire) {
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
        let fs = self.store.fs();
        self.offset_index.extend(fs, &entries.offset)?;
        self.time_index.extend(fs, &entries.time)
    }

    /// What the writer starts from.
    pub(super) fn ready_summary(self: &Arc<Self>, state: &mut State) -> Result<SegmentSummary, StorageError> {
        self.make_ready_locked(state).map_err(|error| self.unready(error))?;
        Ok(state.summary.expect("a ready segment has a summary"))
    }

    fn load_indexes(&self, summary: &SegmentSummary) -> bool {
        let fs = self.store.fs();
        // An index that cannot be read is as good as none.
        self.offset_index.load(fs, summary.offset_index).unwrap_or(false)
            && self.time_index.load(fs, summary.time_index).unwrap_or(false)
    }

    /// Reads all batch headers and writes new indexes. What is damaged is left out.
    pub(super) fn rebuild(self: &Arc<Self>, state: &mut State) -> Result<(), ReadError> {
        let mut entries = NewEntries::default();
        let file = self.file(IoMode::Blocking).map_err(|error| ReadError::io(&self.path, error))?;
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
        let fs = self.store.fs();
        self.offset_index
            .replace(fs, &entries.offset)
            .map_err(|error| ReadError::io(self.offset_index.path(), error))?;
        self.time_index
            .replace(fs, &entries.time)
            .map_err(|error| ReadError::io(self.time_index.path(), error))?;
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
        let mut summary = SegmentSummary::new(self.base_offset, created_ms);
        let mut walk = self.walk(file, 0..self.size(), IoMode::Blocking);
        while let Some(batch) = walk.next()? {
            summary.skip_to(batch.position);
            summary.add(&batch.header, self.index_interval_bytes, entries);
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

    /// Nothing is appended from now on.
    pub(super) fn set_sealed(&self) {
        self.is_sealed.store(true, Ordering::Release);
    }

    /// Finishes a sealed segment's files: cuts the indexes to their length, makes them durable, and writes the seal, without
    /// which the indexes would be rebuilt after a crash. Slow; call it without any lock. Returns false if a reader is
    /// at the maps; then call it again later.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Full`]; the segment is readable all the same.
    pub fn settle(self: &Arc<Self>) -> Result<bool, StorageError> {
        let mut state = self.state();
        self.make_ready_locked(&mut state).map_err(|error| self.unready(error))?;
        let fs = self.store.fs();
        let is_trimmed = self
            .offset_index
            .trim(fs)
            .map_err(|error| StorageError::io(self.offset_index.path(), "trim", error))?
            && self
                .time_index
                .trim(fs)
                .map_err(|error| StorageError::io(self.time_index.path(), "trim", error))?;
        if let Some(summary) = state.summary
            && is_trimmed
        {
            self.save_seal(&summary)?;
        }
        Ok(is_trimmed)
    }

    /// The writer cannot go on, for it could not read.
    pub(super) fn unready(&self, error: ReadError) -> StorageError {
        match error {
            ReadError::Io { path, source } => StorageError::io(&path, "read", source),
            other => StorageError::Corrupt {
                path: self.path.clone(),
                position: 0,
                offset: self.base_offset,
                reason: other.to_string(),
            },
        }
    }

    /// After a failed roll: takes back empty new files, as far as that works; recovery knows them too.
    pub(super) fn discard_files(&self) {
        let fs = self.store.fs();
        if fs.file_len(&self.path).is_ok_and(|size| size == 0) {
            let _ = self.delete_files(fs);
        }
    }

    /// Removes the segment's files from the folder.
    pub(super) fn delete_files(&self, fs: &dyn FileSystem) -> Result<(), StorageError> {
        for extension in [file_names::SEAL, file_names::INDEX, file_names::TIME_INDEX, file_names::LOG] {
            let path = self.path.with_extension(extension);
            let deleted = path.with_added_extension(file_names::DELETED);
            match fs.rename(&path, &deleted).and_then(|()| fs.remove(&deleted)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io(&path, "delete", source));
                }
                _ => {}
            }
        }
        self.close();
        Ok(())
    }

    fn seal_path(&self) -> PathBuf {
        self.path.with_extension(file_names::SEAL)
    }

    fn save_seal(&self, summary: &SegmentSummary) -> Result<(), StorageError> {
        Ok(state_file::save(self.store.fs(), &self.seal_path(), SEAL_KIND, summary)?)
    }

    /// The seal, if it is there, readable, and of the file as it is.
    fn load_seal(&self) -> Option<SegmentSummary> {
        self.seal().filter(|seal| seal.size == self.size())
    }

    /// The seal, if it is there and readable.
    pub(super) fn seal(&self) -> Option<SegmentSummary> {
        let seal = state_file::load::<SegmentSummary>(self.store.fs(), &self.seal_path(), SEAL_KIND);
        seal.ok().flatten().filter(|seal| seal.base_offset == self.base_offset)
    }

    /// What is known of the segment, read from its seal or its batch headers if need be.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub(super) fn summary(self: &Arc<Self>) -> Result<SegmentSummary, ReadError> {
        let mut state = self.state();
        if state.summary.is_none() {
            state.summary = self.load_seal();
        }
        if state.summary.is_none() {
            self.make_ready_locked(&mut state)?;
        }
        Ok(state.summary.unwrap_or_else(|| SegmentSummary::new(self.base_offset, 0)))
    }

    /// The offset index. While the disk has no room to rebuild it, one without entries: slow, and right.
    pub(super) fn offsets(self: &Arc<Self>, io: IoMode) -> Result<OffsetLookup, ReadError> {
        match self.make_ready(io) {
            Err(error) if error.is_full() => return Ok(OffsetLookup::empty(self.base_offset)),
            ready => ready?,
        }
        OffsetLookup::new(&self.offset_index, self.base_offset, self.store.fs(), io)
            .map_err(|error| ReadError::io(self.offset_index.path(), error))
    }

    /// The time index, likewise.
    pub(super) fn times(self: &Arc<Self>, io: IoMode) -> Result<TimeLookup, ReadError> {
        match self.make_ready(io) {
            Err(error) if error.is_full() => return Ok(TimeLookup::empty(self.base_offset)),
            ready => ready?,
        }
        TimeLookup::new(&self.time_index, self.base_offset, self.store.fs(), io)
            .map_err(|error| ReadError::io(self.time_index.path(), error))
    }

    pub(super) fn walk<'a>(
        &'a self,
        file: &'a dyn StoredFile,
        range: Range<u64>,
        io: IoMode,
    ) -> HeaderWalk<'a> {
        HeaderWalk::new(file, &self.path, range, self.known_holes.load(), io)
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Segment")
            .field("path", &self.path)
            .field("size", &self.size())
            .field("is_sealed", &self.is_sealed())
            .finish_non_exhaustive()
    }
}
