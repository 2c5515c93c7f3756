//! Takes over a partition folder whose segments another program wrote: every batch is checked, nothing is repaired.
//!
//! What came is closed: it gets sendlog's indexes and seals, and the log goes on in a segment of its own. So recovery never has
//! to guess whether offsets that are missing in the last segment were compacted away elsewhere or lost here. The folder must be
//! a copy: a torn end is cut off it, where that is allowed, and files are added.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendlog_protocol::records::BatchHeader;
use thiserror::Error;

use crate::storage::batch_scan::{BatchScan, Scanned};
use crate::storage::checkpoint::{PartitionCheckpoint, SealedSegment};
use crate::storage::error::StorageError;
use crate::storage::file_names::{self, segment_file};
use crate::storage::files::{OpenMode, StoredFile, read_full_at};
use crate::storage::segment::{Segment, SegmentPlace};
use crate::storage::store::Store;
use crate::storage::summary::{LogConfig, NewEntries, SegmentSummary};

/// Where the magic byte is, in all of Kafka's message formats.
const MAGIC_AT: u64 = 16;

/// A folder to take over.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// The file system, and the budget of open segments.
    pub store: &'a Arc<Store>,
    /// The folder, a copy, with `.log` files only.
    pub dir: &'a Path,
    /// First offset that may be read; none for the first segment's.
    pub start_offset: Option<i64>,
    /// Whether a torn end is cut: the other program did not stop cleanly.
    pub cut_torn_end: bool,
    /// Whether nothing is written, so that the folder need not be a copy.
    pub is_dry_run: bool,
    /// Wall clock, ms since 1970.
    pub now_ms: i64,
}

/// What a folder held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The log, with the list of its segments: for the checkpoint of a clean shutdown. Durable.
    pub checkpoint: PartitionCheckpoint,
    /// Segments with batches.
    pub segments: usize,
    /// Bytes of batches.
    pub bytes: u64,
    /// Batches.
    pub batches: u64,
    /// Records.
    pub records: u64,
    /// Whether offsets are missing, as compaction leaves them.
    pub has_gaps: bool,
    /// Bytes of a torn end that were cut off.
    pub cut_bytes: u64,
}

/// Why a folder was not taken over.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Bytes that are not the batch that must be there.
    #[error("{path} is damaged at position {position} (offset {offset}): {reason}", path = .path.display())]
    Damaged {
        /// Segment file.
        path: PathBuf,
        /// Where the batch begins.
        position: u64,
        /// First offset in doubt.
        offset: i64,
        /// What is wrong.
        reason: String,
    },
    /// Messages in the format of Kafka before 0.11.
    #[error("{path} has a message of format (magic) {magic} at position {position}", path = .path.display())]
    OldFormat {
        /// Segment file.
        path: PathBuf,
        /// Where it begins.
        position: u64,
        /// 0 or 1.
        magic: u8,
    },
    /// The log's start lies behind its end.
    #[error("the log in {dir} is to start at offset {start}, and ends at {end}", dir = .dir.display())]
    StartBehindEnd {
        /// Partition folder.
        dir: PathBuf,
        /// First offset that may be read.
        start: i64,
        /// Offset after the last record.
        end: i64,
    },
}

/// A batch on its way past the visitor.
pub struct PassingBatch<'a> {
    /// Its header.
    pub header: BatchHeader,
    file: &'a dyn StoredFile,
    path: &'a Path,
    position: u64,
}

impl PassingBatch<'_> {
    /// All its bytes.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn read(&self) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; self.header.size()];
        let read = read_full_at(self.file, &mut bytes, self.position)
            .map_err(|source| StorageError::io(self.path, "read", source))?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// Called with every batch that was found valid, in order.
pub type Visit<'a> = &'a mut dyn FnMut(&PassingBatch<'_>) -> Result<(), StorageError>;

/// Checks all batches of the folder (length, format, checksum, rising offsets), writes indexes and seals, and begins a new
/// segment at the end. Everything in the folder is durable on return; the folder's own name is the caller's concern.
///
/// # Errors
/// [`ImportError`], at the first batch that is wrong.
pub fn import(task: Import<'_>, visit: Visit<'_>) -> Result<Imported, ImportError> {
    let bases = segment_bases(task)?;
    let mut progress = Progress::new(bases.first().copied().or(task.start_offset).unwrap_or(0));
    for (at, base_offset) in bases.iter().enumerate() {
        import_segment(task, *base_offset, at + 1 == bases.len(), &mut progress, visit)?;
    }
    finish(task, progress)
}

/// What the segments so far have come to.
struct Progress {
    sealed: Vec<SealedSegment>,
    first_offset: i64,
    end_offset: i64,
    bytes: u64,
    batches: u64,
    records: u64,
    has_gaps: bool,
    cut_bytes: u64,
}

impl Progress {
    fn new(first_offset: i64) -> Self {
        Self {
            sealed: Vec::new(),
            first_offset,
            end_offset: first_offset,
            bytes: 0,
            batches: 0,
            records: 0,
            has_gaps: false,
            cut_bytes: 0,
        }
    }
}

fn segment_bases(task: Import<'_>) -> Result<Vec<i64>, StorageError> {
    let list = |source| StorageError::io(task.dir, "list", source);
    let names = task.store.fs().list(task.dir).map_err(list)?;
    let mut bases: Vec<i64> =
        names.iter().filter_map(|name| file_names::base_offset_of(name, file_names::LOG)).collect();
    bases.sort_unstable();
    // Segments wholly below the start are gone, but for their files.
    let next_bases = bases.iter().skip(1);
    let below = next_bases.take_while(|base| task.start_offset.is_some_and(|start| **base <= start)).count();
    bases.drain(..below);
    Ok(bases)
}

fn import_segment(
    task: Import<'_>,
    base_offset: i64,
    is_last: bool,
    progress: &mut Progress,
    visit: Visit<'_>,
) -> Result<(), ImportError> {
    let path = segment_file(task.dir, base_offset, file_names::LOG);
    let end_before = progress.end_offset;
    if base_offset < end_before {
        let reason = format!("the segment before it already reaches to offset {end_before}");
        return Err(ImportError::Damaged { path, position: 0, offset: base_offset, reason });
    }
    let mode = if task.is_dry_run { OpenMode::Read } else { OpenMode::Write };
    let file = task.store.fs().open(&path, mode).map_err(io_error(&path, "open"))?;
    let size = file.size().map_err(io_error(&path, "stat"))?;
    let mut walked = Walked::new(base_offset, task.now_ms);
    let damage = walk(&*file, &path, size, &mut walked, visit)?;
    if let Some(reason) = damage {
        let summary = walked.summary;
        check_format(&*file, &path, summary.size)?;
        let is_torn = is_last && task.cut_torn_end && is_torn_end(&*file, &path, &summary, size)?;
        if !is_torn {
            let (position, offset) = (summary.size, summary.next_offset);
            return Err(ImportError::Damaged { path, position, offset, reason });
        }
        progress.cut_bytes = size - summary.size;
    }
    progress.has_gaps |= walked.has_gaps || end_before < base_offset && !progress.sealed.is_empty();
    progress.end_offset = walked.summary.next_offset;
    progress.bytes += walked.summary.size;
    progress.batches += walked.batches;
    progress.records += walked.records;
    let sealed = SealedSegment { base_offset, size: walked.summary.size };
    if !task.is_dry_run {
        write(task, &*file, &path, walked)?;
    }
    progress.sealed.extend(Some(sealed).filter(|sealed| 0 < sealed.size));
    Ok(())
}

/// Makes a checked segment one of ours: without a torn end, durable, with indexes and a seal.
fn write(task: Import<'_>, file: &dyn StoredFile, path: &Path, walked: Walked) -> Result<(), StorageError> {
    let size = walked.summary.size;
    if size == 0 {
        // An offset without a byte: where the log goes on, if it is the last; the name of nothing, if not.
        return task.store.fs().remove(path).map_err(io_error(path, "remove"));
    }
    file.truncate(size).map_err(io_error(path, "cut"))?;
    file.sync_data().map_err(|source| StorageError::Io { path: path.to_path_buf(), op: "sync", source })?;
    seal(task, walked)
}

/// What the batches of one segment came to.
struct Walked {
    summary: SegmentSummary,
    entries: NewEntries,
    batches: u64,
    records: u64,
    has_gaps: bool,
}

impl Walked {
    fn new(base_offset: i64, now_ms: i64) -> Self {
        Self {
            summary: SegmentSummary::new(base_offset, now_ms),
            entries: NewEntries::default(),
            batches: 0,
            records: 0,
            has_gaps: false,
        }
    }

    fn add(&mut self, header: &BatchHeader) {
        let interval = LogConfig::default().index_interval_bytes;
        let offsets = header.next_offset() - header.base_offset;
        self.has_gaps |=
            self.summary.next_offset < header.base_offset || i64::from(header.record_count) < offsets;
        self.summary.add(header, interval, &mut self.entries);
        self.batches += 1;
        self.records += u64::try_from(header.record_count).unwrap_or(0);
    }
}

/// Walks the batches; returns what is wrong behind the last good one, if the file goes on there.
fn walk(
    file: &(dyn StoredFile + 'static),
    path: &Path,
    size: u64,
    walked: &mut Walked,
    visit: Visit<'_>,
) -> Result<Option<String>, StorageError> {
    let mut scan = BatchScan::new(file, 0, size);
    loop {
        match scan.next().map_err(io_error(path, "read"))? {
            Scanned::Batch(header) => {
                if let Err(reason) = walked.summary.check_next(&header, false) {
                    return Ok(Some(reason));
                }
                visit(&PassingBatch { header, file, path, position: walked.summary.size })?;
                walked.add(&header);
            }
            Scanned::End => return Ok(None),
            Scanned::Bad(reason) => return Ok(Some(reason)),
        }
    }
}

/// Messages of the formats 0 and 1 are no damage, and deserve a better word than that.
fn check_format(file: &dyn StoredFile, path: &Path, position: u64) -> Result<(), ImportError> {
    let mut magic = [0];
    let read = read_full_at(file, &mut magic, position + MAGIC_AT).map_err(io_error(path, "read"))?;
    if read == 1 && magic[0] < 2 && is_old_message(file, path, position)? {
        return Err(ImportError::OldFormat { path: path.to_path_buf(), position, magic: magic[0] });
    }
    Ok(())
}

/// Zeros, which a power cut leaves, have magic 0 as well; a message has a size.
fn is_old_message(file: &dyn StoredFile, path: &Path, position: u64) -> Result<bool, StorageError> {
    let mut size = [0; 4];
    read_full_at(file, &mut size, position + 8).map_err(io_error(path, "read"))?;
    Ok(i32::from_be_bytes(size) != 0)
}

/// Whether no valid batch follows the bad bytes.
fn is_torn_end(
    file: &(dyn StoredFile + 'static),
    path: &Path,
    summary: &SegmentSummary,
    size: u64,
) -> Result<bool, StorageError> {
    let mut scan = BatchScan::new(file, summary.size, size);
    let next = scan.find_valid_behind(summary.next_offset).map_err(io_error(path, "read"))?;
    Ok(next.is_none())
}

/// Writes the segment's indexes and its seal, so that they need not be built when it is read first.
fn seal(task: Import<'_>, walked: Walked) -> Result<(), StorageError> {
    let Walked { mut summary, mut entries, .. } = walked;
    summary.close(&mut entries);
    let place = place(task);
    let start = SegmentSummary::new(summary.base_offset, summary.created_ms);
    let segment = Arc::new(Segment::with_summary(place, start));
    segment.set_sealed();
    segment.resume(start, summary, &entries);
    segment.settle()?;
    segment.close();
    Ok(())
}

fn place(task: Import<'_>) -> SegmentPlace<'_> {
    let index_interval_bytes = LogConfig::default().index_interval_bytes;
    SegmentPlace { store: task.store, dir: task.dir, index_interval_bytes }
}

/// Begins the segment that sendlog will append to.
fn finish(task: Import<'_>, progress: Progress) -> Result<Imported, ImportError> {
    let Progress { sealed, first_offset, end_offset, bytes, batches, records, has_gaps, cut_bytes } =
        progress;
    let start_offset = task.start_offset.map_or(first_offset, |start| start.max(first_offset));
    if end_offset < start_offset {
        let dir = task.dir.to_path_buf();
        return Err(ImportError::StartBehindEnd { dir, start: start_offset, end: end_offset });
    }
    let active = SegmentSummary::new(end_offset, task.now_ms);
    if !task.is_dry_run {
        begin_segment(task, active)?;
    }
    let segments = sealed.len();
    let checkpoint = PartitionCheckpoint {
        start_offset,
        end_offset,
        active: Some(active),
        sealed: Some(sealed),
        quarantined: Vec::new(),
    };
    Ok(Imported { checkpoint, segments, bytes, batches, records, has_gaps, cut_bytes })
}

fn begin_segment(task: Import<'_>, active: SegmentSummary) -> Result<(), StorageError> {
    let sync_error = |path: &Path| {
        let path = path.to_path_buf();
        move |source| StorageError::Io { path, op: "sync", source }
    };
    let segment = Arc::new(Segment::with_summary(place(task), active));
    let file = segment.create_files()?;
    file.sync_data().map_err(sync_error(segment.path()))?;
    segment.close();
    task.store.fs().sync_dir(task.dir).map_err(sync_error(task.dir))
}

fn io_error(path: &Path, op: &'static str) -> impl FnOnce(std::io::Error) -> StorageError {
    let path = path.to_path_buf();
    move |source| StorageError::io(&path, op, source)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sendlog_protocol::records::{Compression, NO_TIMESTAMP};
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::storage::files::RealFs;
    use crate::storage::log::{Log, LogPlace, Resume};
    use crate::storage::recovery::RecoveryReport;
    use crate::storage::testing::batch;

    struct Folder {
        dir: TempDir,
        store: Arc<Store>,
    }

    impl Folder {
        /// Segments, each with its batches as `(base offset, last offset)`.
        fn new(segments: &[(i64, &[(i64, i64)])]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (base_offset, batches) in segments {
                let bytes: Vec<u8> =
                    batches.iter().flat_map(|(first, last)| bytes_of(*first, *last)).collect();
                fs::write(segment_file(dir.path(), *base_offset, file_names::LOG), bytes).unwrap();
            }
            Self { dir, store: Store::new(Arc::new(RealFs), 4) }
        }

        fn import(&self, cut_torn_end: bool) -> Result<Imported, ImportError> {
            let dir = self.dir.path();
            let task = Import {
                store: &self.store,
                dir,
                start_offset: None,
                cut_torn_end,
                is_dry_run: false,
                now_ms: 5,
            };
            import(task, &mut |_| Ok(()))
        }

        fn open(&self, resume: Resume) -> (Log, RecoveryReport) {
            let place = LogPlace { dir: self.dir.path().into(), topic_id: Uuid::from_u128(1), partition: 0 };
            Log::open(&self.store, place, LogConfig::default(), resume, &mut |_| {}).unwrap()
        }

        fn change(&self, base_offset: i64, change: impl FnOnce(&mut Vec<u8>)) {
            let path = segment_file(self.dir.path(), base_offset, file_names::LOG);
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
    }

    /// A batch that has lost records, so that the offsets from `first` to `last` are two records' only.
    fn bytes_of(first: i64, last: i64) -> Vec<u8> {
        let mut built = batch(first, &[first, first], 900, Compression::None).bytes.to_vec();
        let delta = i32::try_from(last - first).unwrap();
        built[23..27].copy_from_slice(&delta.to_be_bytes());
        let crc = sendlog_protocol::records::crc32c(&built[21..]);
        built[17..21].copy_from_slice(&crc.to_be_bytes());
        built
    }

    fn offsets_read(log: &Log, from: i64) -> Vec<i64> {
        let (view, end) = (log.view(), log.end());
        let mut found = Vec::new();
        view.visit_headers(from, &end, |header| found.push(header.base_offset)).unwrap();
        found
    }

    #[test]
    fn a_compacted_log_is_the_same_after_every_kind_of_start() {
        let folder = Folder::new(&[(3, &[(5, 9), (20, 20)]), (40, &[(41, 50), (70, 71)])]);
        let imported = folder.import(false).unwrap();
        let Imported { checkpoint, segments, batches, records, has_gaps, cut_bytes, .. } = imported;
        assert_eq!((segments, batches, records, has_gaps, cut_bytes), (2, 4, 8, true, 0));
        assert_eq!((checkpoint.start_offset, checkpoint.end_offset), (3, 72));
        let before = fs::read(segment_file(folder.dir.path(), 40, file_names::LOG)).unwrap();
        let dirty = |checkpoint| Resume::Dirty { checkpoint, distrust_cache: false, now_ms: 0 };
        let kinds = [Resume::Clean(checkpoint.clone()), dirty(Some(checkpoint)), dirty(None), dirty(None)];
        for resume in kinds {
            let (mut log, report) = folder.open(resume);
            assert!(report.set_aside.is_empty() && report.cuts.is_empty(), "{report:?}");
            assert_eq!(offsets_read(&log, 3), [5, 20, 41, 70]);
            assert_eq!(offsets_read(&log, 10), [20, 41, 70], "an offset that is gone leads to the next one");
            assert_eq!(offsets_read(&log, 30), [41, 70]);
            assert_eq!(log.end_offset(), 72);
            let found = log.view().offset_for_timestamp(21, &log.end()).unwrap().unwrap();
            assert_eq!((found.offset, found.timestamp), (41, 41));
            log.take_dirty().sync().unwrap();
        }
        assert_eq!(fs::read(segment_file(folder.dir.path(), 40, file_names::LOG)).unwrap(), before);
    }

    #[test]
    fn appends_after_an_import_survive_a_crash() {
        let folder = Folder::new(&[(0, &[(0, 4), (9, 9)])]);
        let checkpoint = folder.import(false).unwrap().checkpoint;
        let (mut log, _) = folder.open(Resume::Clean(checkpoint.clone()));
        for offset in 10..13 {
            log.append(&batch(offset, &[7], 10, Compression::None).to_append(), 0).unwrap();
        }
        log.take_dirty().sync().unwrap();
        drop(log);
        for checkpoint in [Some(checkpoint), None] {
            let (log, report) = folder.open(Resume::Dirty { checkpoint, distrust_cache: false, now_ms: 0 });
            assert!(report.set_aside.is_empty() && report.cuts.is_empty(), "{report:?}");
            assert_eq!(offsets_read(&log, 0), [0, 9, 10, 11, 12]);
        }
    }

    #[test]
    fn indexes_and_seals_are_those_that_a_read_would_build() {
        let folder = Folder::new(&[(0, &[(0, 4), (9, 9), (10, 11), (12, 13), (30, 31)])]);
        folder.import(false).unwrap();
        let file = |extension| fs::read(segment_file(folder.dir.path(), 0, extension)).unwrap();
        let [index, time_index] = [file(file_names::INDEX), file(file_names::TIME_INDEX)];
        assert_eq!((index.len(), time_index.len()), (8, 24), "five batches of 1.9 KB, and the closing entry");
        assert!(!file(file_names::SEAL).is_empty());
    }

    #[test]
    fn an_empty_last_segment_is_where_the_log_goes_on() {
        let folder = Folder::new(&[(0, &[(0, 4)]), (5, &[]), (77, &[])]);
        let checkpoint = folder.import(false).unwrap().checkpoint;
        assert_eq!((checkpoint.start_offset, checkpoint.end_offset), (0, 77));
        let (log, _) = folder.open(Resume::Dirty { checkpoint: None, distrust_cache: false, now_ms: 0 });
        assert_eq!(log.end_offset(), 77);
        let folder = Folder::new(&[(77, &[])]);
        let checkpoint = folder.import(false).unwrap().checkpoint;
        assert_eq!((checkpoint.start_offset, checkpoint.end_offset), (77, 77));
        assert_eq!(checkpoint.active.map(|active| active.first_timestamp), Some(NO_TIMESTAMP));
    }

    #[test]
    fn damage_is_refused_with_its_place_and_a_torn_end_is_cut_only_where_allowed() {
        let folder = || Folder::new(&[(0, &[(0, 1)]), (2, &[(2, 3), (4, 5)])]);
        let len = bytes_of(2, 3).len();
        let flipped = folder();
        flipped.change(2, |bytes| bytes[100] ^= 1);
        for cut_torn_end in [false, true] {
            let refused = flipped.import(cut_torn_end).unwrap_err();
            assert!(matches!(refused, ImportError::Damaged { position: 0, offset: 2, .. }), "{refused}");
        }
        let torn = folder();
        torn.change(2, |bytes| bytes.truncate(len + 70));
        let refused = torn.import(false).unwrap_err();
        assert!(matches!(refused, ImportError::Damaged { offset: 4, .. }), "{refused}");
        let task = Import {
            store: &torn.store,
            dir: torn.dir.path(),
            start_offset: None,
            cut_torn_end: true,
            is_dry_run: true,
            now_ms: 5,
        };
        let files = fs::read_dir(torn.dir.path()).unwrap().count();
        let looked = import(task, &mut |_| Ok(())).unwrap();
        assert_eq!(fs::read_dir(torn.dir.path()).unwrap().count(), files);
        let imported = torn.import(true).unwrap();
        assert_eq!(imported, looked, "a dry run tells what will be, and changes nothing");
        assert_eq!((imported.cut_bytes, imported.checkpoint.end_offset), (70, 4));
        let early = folder();
        early.change(0, |bytes| bytes.truncate(70));
        assert!(
            matches!(early.import(true), Err(ImportError::Damaged { position: 0, .. })),
            "not the last one"
        );
        let overlapping = Folder::new(&[(0, &[(0, 5)]), (3, &[(3, 4)])]);
        assert!(matches!(overlapping.import(true), Err(ImportError::Damaged { offset: 3, .. })));
    }

    #[test]
    fn old_message_formats_are_told_from_damage() {
        for magic in [0, 1] {
            let folder = Folder::new(&[(0, &[(0, 1)])]);
            folder.change(0, |bytes| bytes[16] = magic);
            let refused = folder.import(true).unwrap_err();
            assert!(matches!(refused, ImportError::OldFormat { position: 0, .. }), "{refused}");
        }
        let zeros = Folder::new(&[(0, &[(0, 1)])]);
        zeros.change(0, |bytes| bytes.extend([0; 100]));
        assert_eq!(zeros.import(true).unwrap().cut_bytes, 100);
    }

    #[test]
    fn segments_below_the_start_are_not_looked_at() {
        let folder = Folder::new(&[(0, &[(0, 1)]), (2, &[(2, 3)]), (4, &[(4, 5)])]);
        folder.change(0, |bytes| bytes[100] ^= 1);
        let (store, dir) = (&folder.store, folder.dir.path());
        let task =
            Import { store, dir, start_offset: Some(3), cut_torn_end: false, is_dry_run: true, now_ms: 0 };
        let imported = import(task, &mut |_| Ok(())).unwrap();
        assert_eq!((imported.segments, imported.checkpoint.start_offset), (2, 3));
    }

    #[test]
    fn a_start_behind_the_end_is_refused() {
        let folder = Folder::new(&[(0, &[(0, 1)])]);
        let dir = folder.dir.path();
        let task = |start| Import {
            store: &folder.store,
            dir,
            start_offset: Some(start),
            cut_torn_end: false,
            is_dry_run: false,
            now_ms: 0,
        };
        assert!(matches!(import(task(3), &mut |_| Ok(())), Err(ImportError::StartBehindEnd { end: 2, .. })));
        assert_eq!(import(task(2), &mut |_| Ok(())).unwrap().checkpoint.start_offset, 2);
    }
}
