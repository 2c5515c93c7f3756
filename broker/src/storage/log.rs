//! A log: segments in order, one writer, any number of readers.
//!
//! Owns the order of segments, the assignment of batches to them, and what is published to readers. Which offsets a batch
//! gets, what is durable, and what a reader may see, is decided above. Nothing here syncs on its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use sendlog_protocol::records::{BATCH_HEADER_SIZE, BatchHeader};
use uuid::Uuid;

use crate::storage::checkpoint::{PartitionCheckpoint, SealedSegment};
use crate::storage::dirty::{Dirty, DirtyFile, Synced};
use crate::storage::error::StorageError;
use crate::storage::files::{IoMode, StoredFile};
use crate::storage::partition_metadata;
use crate::storage::quarantine::Meaning;
use crate::storage::recovery::{self, Recovered, RecoveryReport, Task};
use crate::storage::segment::{Segment, SegmentPlace};
use crate::storage::segment_append::Run;
use crate::storage::store::Store;
use crate::storage::summary::{LogConfig, SegmentSummary};
use crate::storage::view::{Bound, LogView};

/// What is known about a log before it is opened.
#[derive(Debug, Clone)]
pub enum Resume {
    /// A new partition: it has no folder yet.
    Fresh,
    /// The broker was shut down cleanly: the checkpoint is believed and nothing is read.
    Clean(PartitionCheckpoint),
    /// It was not. Batches behind the checkpoint's end, or all of them without one, are checked.
    Dirty {
        /// The last one that was saved.
        checkpoint: Option<PartitionCheckpoint>,
        /// The broker stopped because a write or sync had failed: what the page cache shows may never have reached the disk. The
        /// log goes on in a new segment.
        distrust_cache: bool,
        /// Wall clock, ms since 1970.
        now_ms: i64,
    },
}

/// Where a log lives.
#[derive(Debug, Clone)]
pub struct LogPlace {
    /// Partition folder; created by the first append, its parent must exist.
    pub dir: PathBuf,
    /// The topic, written into the folder.
    pub topic_id: Uuid,
    /// Number of the partition in it.
    pub partition: i32,
}

/// A batch to append: already valid, already patched with its offset and leader epoch.
#[derive(Debug, Clone, Copy)]
pub struct AppendBatch<'a> {
    /// The first 61 bytes as they go to disk.
    pub header: &'a [u8; BATCH_HEADER_SIZE],
    /// All bytes behind them.
    pub records: &'a [u8],
    /// What `header` says.
    pub parsed: BatchHeader,
}

/// What an append of several batches came to.
#[derive(Debug)]
pub struct Appended {
    /// How many were appended, from the first on. The others left no trace.
    pub count: usize,
    /// End of the log now.
    pub end: Bound,
    /// Why not all were: [`StorageError::Full`], which passes, or anything else, which poisons the log.
    pub error: Option<StorageError>,
}

/// The writer's side of a log. Keep it in a lock; readers need only a [`LogReader`].
pub struct Log {
    store: Arc<Store>,
    dir: Arc<Path>,
    topic_id: Uuid,
    config: LogConfig,
    pub(super) view: Arc<ArcSwap<LogView>>,
    pub(super) end: Bound,
    dirty_files: Vec<DirtyFile>,
    dirty_directories: Vec<PathBuf>,
    synced: Arc<Synced>,
    /// Sealed since the last call of [`Log::take_sealed`].
    pub(super) sealed: Vec<Arc<Segment>>,
    /// The active segment's file, once it was found to be as long as it must be.
    active_file: Option<ActiveFile>,
    is_poisoned: bool,
    /// A file was gone, and may come back; or one that is replaced is still there. The next start has to look at the folder.
    pub(super) is_incomplete: bool,
}

/// The length of the active file was checked; the descriptor itself is in the segment, under the budget.
#[derive(Debug, Clone)]
struct ActiveFile {
    path: Arc<Path>,
    is_dirty: bool,
}

/// The readers' side of a log.
#[derive(Debug, Clone)]
pub struct LogReader {
    view: Arc<ArcSwap<LogView>>,
}

impl LogReader {
    /// The segments as they are now. Never waits.
    #[must_use]
    pub fn view(&self) -> Arc<LogView> {
        self.view.load_full()
    }
}

impl Log {
    /// Opens a log, after a crash with recovery. `visit` gets the header of every batch that recovery has walked.
    ///
    /// With [`Resume::Fresh`] and [`Resume::Clean`] no file is touched.
    ///
    /// # Errors
    /// [`StorageError::Io`]; [`StorageError::Corrupt`] if something that a checkpoint covers is missing or damaged;
    /// [`StorageError::ForeignPartition`].
    pub fn open(
        store: &Arc<Store>,
        place: LogPlace,
        config: LogConfig,
        resume: Resume,
        visit: &mut dyn FnMut(&BatchHeader),
    ) -> Result<(Self, RecoveryReport), StorageError> {
        let dir: Arc<Path> = place.dir.into();
        let log = (place.topic_id, place.partition);
        let segments = SegmentPlace { store, dir: &dir, index_interval_bytes: config.index_interval_bytes };
        let holes_mean = if config.sync_before_roll { Meaning::Loss } else { Meaning::Allowed };
        let unknown = Task {
            place: segments,
            log,
            checkpoint: None,
            distrust_cache: false,
            now_ms: 0,
            holes_mean,
            is_compacted: config.is_compacted,
        };
        let (recovered, roll_ms) = match resume {
            Resume::Fresh => (Recovered::empty(0, 0), None),
            Resume::Clean(checkpoint) if checkpoint.is_complete() => {
                (recovery::trust(segments, &checkpoint), None)
            }
            Resume::Clean(checkpoint) => {
                let task = Task { checkpoint: Some(&checkpoint), ..unknown };
                (recovery::recover(task, visit)?, None)
            }
            Resume::Dirty { checkpoint, distrust_cache, now_ms } => {
                let task = Task { checkpoint: checkpoint.as_ref(), distrust_cache, now_ms, ..unknown };
                (recovery::recover(task, visit)?, distrust_cache.then_some(now_ms))
            }
        };
        let is_checked = !recovered.unsynced.is_empty();
        let view = LogView { start_offset: recovered.start_offset, segments: recovered.segments };
        // What recovery has found is synced by whoever opens the log, before anything else happens to it.
        let synced = Synced::new(if is_checked { i64::MIN } else { recovered.end.offset });
        let mut log = Self {
            store: Arc::clone(store),
            dir,
            topic_id: place.topic_id,
            config,
            view: Arc::new(ArcSwap::from_pointee(view)),
            end: recovered.end,
            dirty_files: recovered.unsynced,
            dirty_directories: Vec::new(),
            synced,
            sealed: recovered.unsettled,
            active_file: None,
            is_poisoned: false,
            is_incomplete: false,
        };
        if is_checked {
            // New files among them may not have reached their folder, nor the folder its parent.
            log.dirty_directories.extend([log.dir.to_path_buf(), log.parent_dir().to_path_buf()]);
        }
        if let Some(now_ms) = roll_ms
            && log.active().is_some()
        {
            log.roll(now_ms)?;
        }
        Ok((log, recovered.report))
    }

    /// A handle for readers.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader { view: Arc::clone(&self.view) }
    }

    /// The segments as they are now.
    #[must_use]
    pub fn view(&self) -> Arc<LogView> {
        self.view.load_full()
    }

    /// The partition folder, which may not exist yet.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Offset that the next batch gets.
    pub fn end_offset(&self) -> i64 {
        self.end.offset
    }

    /// End of the log, for readers.
    #[must_use]
    pub fn end(&self) -> Bound {
        self.end
    }

    /// First offset that can be read.
    #[must_use]
    pub fn start_offset(&self) -> i64 {
        self.view.load().start_offset
    }

    /// Replaces the settings; the index interval holds from the next segment on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Takes no more writes: a sync has failed.
    pub fn poison(&mut self) {
        self.is_poisoned = true;
    }

    /// Whether a write or sync has failed.
    pub fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }

    /// Appends one batch, whose base offset must be [`Log::end_offset`]. Nothing is durable on return.
    ///
    /// # Errors
    /// [`StorageError::Full`]: the log is as it was, later appends may work. Everything else poisons the log.
    ///
    /// # Panics
    /// If the offset is wrong.
    pub fn append(&mut self, batch: &AppendBatch<'_>, now_ms: i64) -> Result<Bound, StorageError> {
        let appended = self.append_many(std::slice::from_ref(batch), now_ms);
        appended.error.map_or(Ok(appended.end), Err)
    }

    /// Appends batches, the first at [`Log::end_offset`], each of the others behind the one before; those that go into one
    /// segment with one `pwritev`. Nothing is durable on return.
    ///
    /// # Panics
    /// If an offset is wrong.
    pub fn append_many(&mut self, batches: &[AppendBatch<'_>], now_ms: i64) -> Appended {
        let mut count = 0;
        let mut error = None;
        while count < batches.len() {
            match self.append_run(&batches[count..], now_ms) {
                Ok(run) => count += run,
                Err(failure) => {
                    self.is_poisoned |= !matches!(failure, StorageError::Full { .. });
                    error = Some(failure);
                    break;
                }
            }
        }
        Appended { count, end: self.end, error }
    }

    /// Appends as many batches as belong into one segment; at least one.
    fn append_run(&mut self, batches: &[AppendBatch<'_>], now_ms: i64) -> Result<usize, StorageError> {
        if self.is_poisoned {
            return Err(StorageError::Poisoned { dir: self.dir.to_path_buf() });
        }
        let segment = self.segment_for(&batches[0].parsed, now_ms)?;
        let file = self.active_file(&segment)?;
        let run = segment.append(&*file, batches, &self.config, now_ms)?;
        let Run { count, summary } = run;
        self.end = Bound {
            offset: summary.next_offset,
            segment_base: segment.base_offset(),
            position: summary.size,
        };
        self.set_dirty(file);
        Ok(count)
    }

    /// The segment that a batch goes into; a new one if the last one is full or there is none.
    fn segment_for(&mut self, header: &BatchHeader, now_ms: i64) -> Result<Arc<Segment>, StorageError> {
        if let Some(active) = self.active() {
            let summary = active.summary().map_err(|error| active.unready(error))?;
            if !summary.should_roll(header, &self.config, now_ms) {
                return Ok(active);
            }
        }
        self.roll(now_ms)
    }

    fn active(&self) -> Option<Arc<Segment>> {
        self.view.load().segments.last().cloned()
    }

    /// Closes the last segment and starts a new one at the end of the log. The folder is created with the first one.
    ///
    /// # Errors
    /// [`StorageError::Full`] or [`StorageError::Io`]; the log is as it was.
    pub fn roll(&mut self, now_ms: i64) -> Result<Arc<Segment>, StorageError> {
        let active = self.active();
        if let Some(active) = &active
            && active.base_offset() == self.end.offset
        {
            return Ok(Arc::clone(active));
        }
        match &active {
            Some(active) if self.config.sync_before_roll => sync(active)?,
            Some(_) => {}
            None => self.create_folder()?,
        }
        let place = SegmentPlace {
            store: &self.store,
            dir: &self.dir,
            index_interval_bytes: self.config.index_interval_bytes,
        };
        let summary = SegmentSummary::new(self.end.offset, now_ms);
        let segment = Arc::new(Segment::with_summary(place, summary));
        let created = segment.create_files().and_then(|file| {
            active.as_ref().map_or(Ok(()), Segment::finish)?;
            Ok(file)
        });
        let file = created.inspect_err(|_| segment.discard_files())?;
        self.sealed.extend(active);
        self.end = Bound { segment_base: segment.base_offset(), position: 0, ..self.end };
        self.active_file = Some(ActiveFile { path: segment.path().into(), is_dirty: false });
        self.set_dirty(file);
        self.dirty_directories.push(self.dir.to_path_buf());
        self.publish(|view| view.segments.push(Arc::clone(&segment)));
        Ok(segment)
    }

    fn create_folder(&mut self) -> Result<(), StorageError> {
        let created = partition_metadata::create_folder(self.store.fs(), &self.dir, self.topic_id)?;
        self.dirty_files.push(created);
        self.dirty_directories.push(self.parent_dir().to_path_buf());
        Ok(())
    }

    fn parent_dir(&self) -> &Path {
        self.dir.parent().unwrap_or(Path::new("."))
    }

    /// The active segment's file. After a clean start it is looked at here for the first time, and must be as long as the
    /// checkpoint says: whoever wrote to it, or restored it from a backup, must not be overwritten.
    fn active_file(&mut self, segment: &Arc<Segment>) -> Result<Arc<dyn StoredFile>, StorageError> {
        let open_error = |source| StorageError::io(segment.path(), "open", source);
        let file = segment.file(IoMode::Blocking).map_err(open_error)?;
        if self.active_file.is_none() {
            let size = file.size().map_err(open_error)?;
            if size != self.end.position {
                return Err(StorageError::Corrupt {
                    path: segment.path().to_path_buf(),
                    position: size.min(self.end.position),
                    offset: self.end.offset,
                    reason: format!(
                        "it has {size} bytes and had {} at the clean shutdown; {}",
                        self.end.position,
                        recovery::WAY_OUT
                    ),
                });
            }
            self.active_file = Some(ActiveFile { path: segment.path().into(), is_dirty: false });
        }
        Ok(file)
    }

    fn set_dirty(&mut self, file: Arc<dyn StoredFile>) {
        if let Some(active) = &mut self.active_file
            && !active.is_dirty
        {
            active.is_dirty = true;
            self.dirty_files.push(DirtyFile { file, path: Arc::clone(&active.path) });
        }
    }

    /// What to sync so that everything appended so far is durable, except what was taken before.
    pub fn take_dirty(&mut self) -> Dirty {
        if let Some(active) = &mut self.active_file {
            active.is_dirty = false;
        }
        Dirty {
            files: std::mem::take(&mut self.dirty_files),
            directories: std::mem::take(&mut self.dirty_directories),
            end: self.end,
            synced: Arc::clone(&self.synced),
            fs: self.store.fs_arc(),
        }
    }

    /// How far the segments are synced.
    pub fn synced(&self) -> &Arc<Synced> {
        &self.synced
    }

    /// Segments that were closed since the last call; [`Segment::settle`] them, away from this log's lock.
    pub fn take_sealed(&mut self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut self.sealed)
    }

    pub(super) fn publish(&mut self, change: impl FnOnce(&mut LogView)) {
        let mut view = LogView::clone(&self.view.load());
        change(&mut view);
        self.view.store(Arc::new(view));
    }

    /// The log as it is now; see [`PartitionCheckpoint`] for when it may be saved.
    ///
    /// # Errors
    /// [`StorageError::Io`], if the last segment had to be looked at.
    pub fn checkpoint(&self) -> Result<PartitionCheckpoint, StorageError> {
        let view = self.view.load();
        let summary = |active: &Arc<Segment>| active.summary().map_err(|error| active.unready(error));
        Ok(PartitionCheckpoint {
            start_offset: view.start_offset,
            end_offset: self.end.offset,
            active: view.segments.last().map(summary).transpose()?,
            sealed: None,
            quarantined: view.quarantined(),
        })
    }

    /// The same for a clean shutdown, with the list of segments: the next start believes it without looking.
    ///
    /// # Errors
    /// As [`Log::checkpoint`].
    pub fn clean_checkpoint(&self) -> Result<PartitionCheckpoint, StorageError> {
        let view = self.view.load();
        let (_, sealed) =
            view.segments.split_last().map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
        let sealed = sealed
            .iter()
            .map(|segment| SealedSegment { base_offset: segment.base_offset(), size: segment.size() })
            .collect();
        let sealed = Some(sealed).filter(|_| !self.is_incomplete);
        Ok(PartitionCheckpoint { sealed, ..self.checkpoint()? })
    }
}

/// Makes a segment durable that is about to be followed by another.
fn sync(segment: &Arc<Segment>) -> Result<(), StorageError> {
    let file =
        segment.file(IoMode::Blocking).map_err(|source| StorageError::io(segment.path(), "open", source))?;
    file.sync_data().map_err(|source| StorageError::Io {
        path: segment.path().to_path_buf(),
        op: "sync",
        source,
    })
}

impl std::fmt::Debug for Log {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Log").field("dir", &self.dir).field("end", &self.end).finish_non_exhaustive()
    }
}
