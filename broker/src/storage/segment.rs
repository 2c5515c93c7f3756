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
use crate::storage::files::{IoMode, OpenMode, StoredFile};
use crate::storage::header_walk::HeaderWalk;
use crate::storage::holes::KnownHoles;
use crate::storage::offset_index::{self, OffsetIndex};
use crate::storage::store::Store;
use crate::storage::summary::SegmentSummary;
use crate::storage::time_index::{self, TimeIndex};

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
    pub(super) is_ready: AtomicBool,
    is_sealed: AtomicBool,
    is_open: AtomicBool,
    was_used: AtomicBool,
    known_holes: KnownHoles,
    /// The file, once another one has taken its name: readers that have this segment still go on with it. Whoever opens the
    /// file holds this, so that nobody opens the other one for it.
    replaced: Mutex<Option<Arc<dyn StoredFile>>>,
    is_replaced: AtomicBool,
    /// Made by compaction in this process: no high watermark lies in it, not even an old one.
    is_compacted: bool,
}

/// Written under the lock by the log's writer, and by whoever rebuilds the indexes.
#[derive(Debug)]
pub(super) struct State {
    /// None if the segment has not been looked at since the start.
    pub(super) summary: Option<SegmentSummary>,
    /// The indexes were built from the log by this process: a sparse stretch is then as it is, not a doubt.
    pub(super) is_rebuilt: bool,
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
            replaced: Mutex::default(),
            is_replaced: AtomicBool::new(false),
            is_compacted: false,
        }
    }

    /// A closed segment that compaction has made. Touches no file.
    pub(super) fn compacted(place: SegmentPlace<'_>, summary: SegmentSummary) -> Self {
        let segment = Self::with_summary(place, summary);
        segment.set_sealed();
        Self { is_compacted: true, ..segment }
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

    /// Whether another file has its name now, or may have it soon: its own is replaced or deleted.
    pub(super) fn is_replaced(&self) -> bool {
        self.is_replaced.load(Ordering::Acquire)
    }

    /// Whether compaction has made it since the start.
    pub(super) fn is_compacted(&self) -> bool {
        self.is_compacted
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
        let replaced = self.lock_replaced();
        if let Some(file) = &*replaced {
            return Ok(Arc::clone(file));
        }
        if self.is_replaced() {
            return Err(io::ErrorKind::NotFound.into());
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
        drop(replaced);
        self.set_open();
        Ok(file)
    }

    /// The file through a descriptor of its own.
    pub(super) fn reopen(&self) -> io::Result<Arc<dyn StoredFile>> {
        match &*self.lock_replaced() {
            Some(file) => Ok(Arc::clone(file)),
            None if self.is_replaced() => Err(io::ErrorKind::NotFound.into()),
            None => self.store.fs().open(&self.path, OpenMode::Read),
        }
    }

    /// Before another file takes this one's name: whoever has this segment goes on reading it as it is, and nobody touches
    /// the files of its name for it any more.
    ///
    /// # Errors
    /// The system's, if the file has to be opened and cannot; or its summary read.
    pub(super) fn set_replaced(self: &Arc<Self>) -> Result<(), ReadError> {
        let mut state = self.state();
        if state.summary.is_none() {
            self.make_ready_locked(&mut state)?;
        }
        let file = self.file(IoMode::Blocking).map_err(|error| ReadError::io(&self.path, error))?;
        *self.lock_replaced() = Some(file);
        self.is_replaced.store(true, Ordering::Release);
        Ok(())
    }

    /// Nothing has taken its name after all.
    pub(super) fn unset_replaced(&self) {
        self.is_replaced.store(false, Ordering::Release);
        *self.lock_replaced() = None;
    }

    /// Before its files are deleted: nobody touches the files of its name for it any more, which may be those of a new topic
    /// soon. Waits for whoever is at them. Readers that have the file open go on.
    pub(crate) fn set_deleted(&self) {
        let _state = self.state();
        let _replaced = self.lock_replaced();
        self.is_replaced.store(true, Ordering::Release);
    }

    fn lock_replaced(&self) -> MutexGuard<'_, Option<Arc<dyn StoredFile>>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_used(&self) {
        // Readers of one hot segment would otherwise pass the cache line around.
        if !self.was_used.load(Ordering::Relaxed) {
            self.was_used.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn set_open(self: &Arc<Self>) {
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

    /// Nothing is appended from now on.
    pub(super) fn set_sealed(&self) {
        self.is_sealed.store(true, Ordering::Release);
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
