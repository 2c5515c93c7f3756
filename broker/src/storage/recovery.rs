//! Opening a log after a crash: believe the checkpoint, check what lies behind it, cut a torn tail.
//!
//! Work is proportional to what was appended since the checkpoint. Below the checkpoint nothing is read and nothing is ever cut;
//! above it a bad batch is cut only if no valid one follows it; else it is set aside, and what follows stays. Bytes that a
//! checkpoint covers and that are not there are an error that names the place: on a single machine there is no other copy.
//! Every step may be interrupted anywhere and is taken again by the next start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendlog_protocol::records::BatchHeader;
use uuid::Uuid;

use crate::storage::batch_scan::{BatchScan, Scanned};
use crate::storage::blank_segment;
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::compaction::replacement;
use crate::storage::dirty::DirtyFile;
use crate::storage::error::StorageError;
use crate::storage::file_names::{self, segment_file};
use crate::storage::files::{FileSystem, IoMode};
use crate::storage::heal::{self, Healed};
use crate::storage::partition_metadata;
use crate::storage::quarantine::{self, Hole, Meaning};
use crate::storage::segment::{Segment, SegmentPlace};
use crate::storage::summary::{NewEntries, SegmentSummary};
use crate::storage::torn_tail::{Cut, Damage, cut};
use crate::storage::view::Bound;

/// What a user can do about stored data that contradicts the checkpoint.
pub(super) const WAY_OUT: &str = "nothing was changed; restore the partition folder from a backup, or, to go on with what is \
     there, move it out of the data directory and create the topic anew";

/// What recovery did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Batches that were checked.
    pub batches: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What the commit journal gave back.
    pub healed: Vec<Healed>,
    /// Torn tails that were cut.
    pub cuts: Vec<Cut>,
    /// Damage in the middle that was set aside.
    pub set_aside: Vec<SetAside>,
    /// Offsets that are missing between two segments.
    pub gaps: Vec<Gap>,
    /// Segment files whose indexes will be rebuilt when they are needed.
    pub indexes_to_rebuild: Vec<PathBuf>,
    /// Files of ours that were no longer of use and were removed.
    pub removed: Vec<PathBuf>,
}

/// Damage that good batches follow: it was set aside, and the batches behind it stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Segment file.
    pub path: PathBuf,
    /// Where the damage was.
    pub position: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// The first offset that is gone.
    pub offset: i64,
    /// The first offset behind it.
    pub next_offset: i64,
    /// Where the damaged bytes are now.
    pub kept: PathBuf,
    /// What was wrong with them.
    pub reason: String,
}

/// Offsets that are missing: a segment was lost, or its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// First missing offset.
    pub start: i64,
    /// First offset that is there again.
    pub end: i64,
}

/// A log as it was found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) start_offset: i64,
    pub(super) end: Bound,
    pub(super) segments: Vec<Arc<Segment>>,
    /// Closed segments whose files are to be finished.
    pub(super) unsettled: Vec<Arc<Segment>>,
    /// Files that hold bytes behind the checkpoint: nobody knows whether they were synced.
    pub(super) unsynced: Vec<DirtyFile>,
    pub(super) report: RecoveryReport,
}

impl Recovered {
    pub(super) fn empty(start_offset: i64, end_offset: i64) -> Self {
        let end = Bound { offset: end_offset, segment_base: end_offset, position: 0 };
        Self {
            start_offset,
            end,
            segments: Vec::new(),
            unsettled: Vec::new(),
            unsynced: Vec::new(),
            report: RecoveryReport::default(),
        }
    }
}

/// The log as a clean checkpoint has it. Touches no file.
pub(super) fn trust(place: SegmentPlace<'_>, checkpoint: &PartitionCheckpoint) -> Recovered {
    let mut recovered = Recovered::empty(checkpoint.start_offset, checkpoint.end_offset);
    let Some(active) = checkpoint.active else { return recovered };
    for sealed in checkpoint.sealed.iter().flatten() {
        let segment = Segment::with_size(place, sealed.base_offset, sealed.size);
        segment.set_sealed();
        recovered.segments.push(Arc::new(segment));
    }
    recovered.segments.push(Arc::new(Segment::with_summary(place, active)));
    recovered.segments.iter().for_each(|segment| segment.restore_holes(Some(checkpoint)));
    recovered.end =
        Bound { offset: checkpoint.end_offset, segment_base: active.base_offset, position: active.size };
    recovered
}

/// What to recover, and how.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) place: SegmentPlace<'a>,
    /// Topic and partition.
    pub(super) log: (Uuid, i32),
    pub(super) checkpoint: Option<&'a PartitionCheckpoint>,
    pub(super) distrust_cache: bool,
    pub(super) now_ms: i64,
    pub(super) holes_mean: Meaning,
    /// Offsets may be missing anywhere.
    pub(super) is_compacted: bool,
}

/// A segment file in the folder.
#[derive(Debug, Clone, Copy)]
struct Found {
    base_offset: i64,
    size: u64,
}

/// Recovers a log; see the module. `visit` gets every batch header that was checked.
///
/// # Errors
/// See [`Log::open`](crate::storage::log::Log::open).
pub(super) fn recover(
    task: Task<'_>,
    visit: &mut dyn FnMut(&BatchHeader),
) -> Result<Recovered, StorageError> {
    let fs = task.place.store.fs();
    let start_offset = task.checkpoint.map_or(0, |checkpoint| checkpoint.start_offset);
    let end_offset = task.checkpoint.map_or(0, |checkpoint| checkpoint.end_offset);
    let mut recovered = Recovered::empty(start_offset, start_offset.max(end_offset));
    let mut names = match fs.list(task.place.dir) {
        Ok(names) => names,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            check_checkpointed(task, &[])?;
            return Ok(recovered);
        }
        Err(source) => return Err(StorageError::io(task.place.dir, "list", source)),
    };
    partition_metadata::check(fs, task.place.dir, task.log.0)?;
    replacement::finish_all(fs, task.place.dir, &mut names, &mut recovered.report.removed)?;
    remove_leftovers(fs, task.place.dir, &names, &mut recovered.report)?;
    blank_segment::restore(fs, task.place.dir, task.checkpoint, &mut names)?;
    let mut found = find_segments(task, &names)?;
    check_checkpointed(task, &found)?;
    remove_empty(task, &mut found, &mut recovered.report)?;
    remove_obsolete(task, &mut found, &mut recovered)?;
    if let Some(first) = found.first() {
        recovered.start_offset = recovered.start_offset.max(first.base_offset);
        recovered.end = Bound { offset: first.base_offset, segment_base: first.base_offset, position: 0 };
    }
    for at in 0..found.len() {
        recover_segment(task, &found[at..], &mut recovered, visit)?;
    }
    recovered.segments.iter().for_each(|segment| segment.restore_holes(task.checkpoint));
    recovered.start_offset = recovered.start_offset.min(recovered.end.offset);
    Ok(recovered)
}

/// Removes what interrupted deletions and replacements have left. Only names that are exactly of our making.
fn remove_leftovers(
    fs: &dyn FileSystem,
    dir: &Path,
    names: &[String],
    report: &mut RecoveryReport,
) -> Result<(), StorageError> {
    for name in names.iter().filter(|name| file_names::is_leftover(name)) {
        remove(fs, dir.join(name), report)?;
    }
    Ok(())
}

fn remove(fs: &dyn FileSystem, path: PathBuf, report: &mut RecoveryReport) -> Result<(), StorageError> {
    fs.remove(&path).map_err(|source| StorageError::io(&path, "remove", source))?;
    report.removed.push(path);
    Ok(())
}

fn find_segments(task: Task<'_>, names: &[String]) -> Result<Vec<Found>, StorageError> {
    let mut found = Vec::new();
    for base_offset in names.iter().filter_map(|name| file_names::base_offset_of(name, file_names::LOG)) {
        let path = segment_file(task.place.dir, base_offset, file_names::LOG);
        let size = task.place.store.fs().file_len(&path);
        let size = size.map_err(|source| StorageError::io(&path, "stat", source))?;
        found.push(Found { base_offset, size });
    }
    found.sort_unstable_by_key(|segment| segment.base_offset);
    Ok(found)
}

/// An empty segment before others is what a failed roll has left.
fn remove_empty(
    task: Task<'_>,
    found: &mut Vec<Found>,
    report: &mut RecoveryReport,
) -> Result<(), StorageError> {
    let last = found.last().map(|segment| segment.base_offset);
    let active = task.checkpoint.and_then(|checkpoint| checkpoint.active).map(|active| active.base_offset);
    let empty = found.extract_if(.., |segment| {
        let base = Some(segment.base_offset);
        segment.size == 0 && base != last && base != active
    });
    for segment in empty {
        let path = segment_file(task.place.dir, segment.base_offset, file_names::LOG);
        remove(task.place.store.fs(), path, report)?;
    }
    Ok(())
}

/// What the checkpoint covers must be there.
fn check_checkpointed(task: Task<'_>, found: &[Found]) -> Result<(), StorageError> {
    let Some(PartitionCheckpoint { start_offset, active: Some(active), .. }) = task.checkpoint else {
        return Ok(());
    };
    let file = found.iter().find(|segment| segment.base_offset == active.base_offset);
    let size = file.map_or(0, |segment| segment.size);
    // The folder itself may not have reached the disk, if nothing was in it.
    let may_be_missing = active.is_blank() && found.is_empty() && active.base_offset <= *start_offset;
    if may_be_missing || file.is_some() && active.size <= size {
        return Ok(());
    }
    Err(StorageError::Corrupt {
        path: segment_file(task.place.dir, active.base_offset, file_names::LOG),
        position: size,
        offset: active.base_offset,
        reason: format!("{} of its bytes were durable, {size} are there; {WAY_OUT}", active.size),
    })
}

/// Finishes an interrupted deletion: segments wholly below the log's start. Not the one that the checkpoint names: if the
/// broker crashes again before the next checkpoint, recovery will look for it.
fn remove_obsolete(
    task: Task<'_>,
    found: &mut Vec<Found>,
    recovered: &mut Recovered,
) -> Result<(), StorageError> {
    let active = task.checkpoint.and_then(|checkpoint| checkpoint.active);
    let Some(active) = active else { return Ok(()) };
    let next_bases = found.iter().skip(1).map(|next| next.base_offset);
    let count =
        next_bases.take_while(|base| *base <= recovered.start_offset && *base <= active.base_offset).count();
    for segment in found.drain(..count) {
        let segment = Segment::with_size(task.place, segment.base_offset, segment.size);
        segment.delete_files(task.place.store.fs())?;
        recovered.report.removed.push(segment.path().to_path_buf());
    }
    Ok(())
}

/// Adds the first of `found` to the log: as it is if the checkpoint lies behind it, else after a check.
fn recover_segment(
    task: Task<'_>,
    found: &[Found],
    recovered: &mut Recovered,
    visit: &mut dyn FnMut(&BatchHeader),
) -> Result<(), StorageError> {
    let Some((this, later)) = found.split_first() else { return Ok(()) };
    let active = task.checkpoint.and_then(|checkpoint| checkpoint.active);
    if active.is_some_and(|active| this.base_offset < active.base_offset) {
        let segment = Segment::with_size(task.place, this.base_offset, this.size);
        segment.set_sealed();
        recovered.end =
            Bound { offset: this.base_offset, segment_base: this.base_offset, position: this.size };
        recovered.segments.push(Arc::new(segment));
        return Ok(());
    }
    let known = active.filter(|active| active.base_offset == this.base_offset);
    if known.is_none() && !is_next(task, *this, recovered)? {
        return Ok(());
    }
    let start = known.unwrap_or_else(|| SegmentSummary::new(this.base_offset, task.now_ms));
    let segment = Arc::new(Segment::with_summary(task.place, start));
    // What this broker has appended is dense; what was compacted, here or elsewhere, is not.
    let is_dense = !task.is_compacted && (task.checkpoint.is_some() || later.is_empty());
    let mut extent = Extent { size: this.size, is_dense };
    let mut checked = check_batches(task, &segment, start, &extent, visit)?;
    loop {
        if let Some(healed) = heal::heal(task.place, task.log, &segment, &checked.summary)? {
            extent.size = extent.size.max(healed.position + healed.bytes);
            checked.extend(check_batches(task, &segment, checked.summary, &extent, visit)?);
            healed.assert_stored(&checked.summary)?;
            recovered.report.healed.push(healed);
            continue;
        }
        let Some(reason) = checked.damage.take() else { break };
        let damage = Damage { segment: &segment, summary: &checked.summary, size: extent.size, reason };
        let next_base = later.iter().find(|next| 0 < next.size).map(|next| next.base_offset);
        match find_hole(&damage, next_base)? {
            Some(hole) => {
                let (size, set_aside) = set_aside(task, damage, hole)?;
                recovered.report.set_aside.push(set_aside);
                extent.size = size;
                checked.extend(check_batches(task, &segment, checked.summary, &extent, visit)?);
            }
            None => {
                recovered.report.cuts.push(cut(task.place.store.fs(), damage)?);
                break;
            }
        }
    }
    recovered.report.batches += checked.batches;
    recovered.report.bytes += checked.summary.size - start.size;
    add_recovered(start, &segment, checked.summary, checked.entries, later.is_empty(), recovered)
}

/// Whether a segment may follow the ones before. An empty one that does not is what a failed roll has left; it is removed.
fn is_next(task: Task<'_>, this: Found, recovered: &mut Recovered) -> Result<bool, StorageError> {
    let expected = recovered.end.offset;
    if recovered.segments.is_empty() || this.base_offset == expected {
        return Ok(true);
    }
    if expected < this.base_offset {
        recovered.report.gaps.push(Gap { start: expected, end: this.base_offset });
        return Ok(true);
    }
    let path = segment_file(task.place.dir, this.base_offset, file_names::LOG);
    if this.size == 0 {
        remove(task.place.store.fs(), path, &mut recovered.report)?;
        return Ok(false);
    }
    Err(StorageError::Corrupt {
        path,
        position: 0,
        offset: this.base_offset,
        reason: format!("the segment before it already reaches to offset {expected}; {WAY_OUT}"),
    })
}

/// What is expected of a segment file.
struct Extent {
    size: u64,
    is_dense: bool,
}

/// What the batches of a segment came to.
struct Checked {
    summary: SegmentSummary,
    entries: NewEntries,
    batches: u64,
    /// Why the walk ended before the file's end.
    damage: Option<String>,
}

impl Checked {
    /// Adds what was found behind damage that was set aside.
    fn extend(&mut self, more: Self) {
        self.summary = more.summary;
        self.entries.offset.extend(more.entries.offset);
        self.entries.time.extend(more.entries.time);
        self.batches += more.batches;
        self.damage = more.damage;
    }
}

fn check_batches(
    task: Task<'_>,
    segment: &Arc<Segment>,
    start: SegmentSummary,
    extent: &Extent,
    visit: &mut dyn FnMut(&BatchHeader),
) -> Result<Checked, StorageError> {
    let mut checked = Checked { summary: start, entries: NewEntries::default(), batches: 0, damage: None };
    if start.size == extent.size {
        return Ok(checked);
    }
    let read_error = |source| StorageError::io(segment.path(), "read", source);
    let file = segment.file(IoMode::Blocking).map_err(read_error)?;
    if task.distrust_cache {
        file.drop_cache(start.size).map_err(read_error)?;
    }
    let mut scan = BatchScan::new(&*file, start.size, extent.size);
    loop {
        match scan.next().map_err(read_error)? {
            Scanned::Batch(header) => {
                if let Err(reason) = checked.summary.check_next(&header, extent.is_dense) {
                    checked.damage = Some(reason);
                    return Ok(checked);
                }
                segment.note_placeholder(&header, checked.summary.size);
                checked.summary.add(&header, segment.index_interval_bytes(), &mut checked.entries);
                checked.batches += 1;
                visit(&header);
            }
            Scanned::End => return Ok(checked),
            Scanned::Bad(reason) => {
                checked.damage = Some(reason);
                return Ok(checked);
            }
        }
    }
}

/// What is damaged if good batches follow, in the file or in a later segment, from `next_base` on; none for a torn tail.
/// Damage takes an offset at least: no checksum covers a batch's own, and one that is torn off would pass for 0.
fn find_hole(damage: &Damage<'_>, next_base: Option<i64>) -> Result<Option<Hole>, StorageError> {
    let Damage { segment, summary, size, .. } = *damage;
    let read_error = |source| StorageError::io(segment.path(), "read", source);
    let file = segment.file(IoMode::Blocking).map_err(read_error)?;
    let mut scan = BatchScan::new(&*file, summary.size, size);
    let next = scan.find_valid_behind(summary.next_offset + 1).map_err(read_error)?;
    let (end, next_offset) = match (next, next_base) {
        (Some(found), _) => (found.position, found.base_offset),
        (None, Some(next_base)) => (size, next_base),
        (None, None) => return Ok(None),
    };
    Ok(Some(Hole { position: summary.size, end, offset: summary.next_offset, next_offset }))
}

/// Sets damage in the middle aside; returns the segment's new size.
fn set_aside(task: Task<'_>, damage: Damage<'_>, hole: Hole) -> Result<(u64, SetAside), StorageError> {
    let Damage { segment, size, reason, .. } = damage;
    let path = segment.path().to_path_buf();
    let (new_size, kept) = quarantine::quarantine(task.place.store.fs(), &path, size, hole, task.holes_mean)?;
    // The descriptor is of the file as it was.
    segment.close();
    let Hole { position, end, offset, next_offset } = hole;
    Ok((new_size, SetAside { path, position, bytes: end - position, offset, next_offset, kept, reason }))
}

fn add_recovered(
    start: SegmentSummary,
    segment: &Arc<Segment>,
    mut summary: SegmentSummary,
    mut entries: NewEntries,
    is_last: bool,
    recovered: &mut Recovered,
) -> Result<(), StorageError> {
    if !is_last {
        summary.close(&mut entries);
        segment.set_sealed();
        recovered.unsettled.push(Arc::clone(segment));
    }
    let is_checked =
        start.size < summary.size || recovered.report.cuts.iter().any(|cut| cut.path == segment.path());
    if !segment.resume(start, summary, &entries) {
        recovered.report.indexes_to_rebuild.push(segment.path().to_path_buf());
    }
    // Of a segment that no durable batch is known in, not even the name may have reached the disk.
    if is_checked || start.size == 0 {
        let file = segment
            .file(IoMode::Blocking)
            .map_err(|source| StorageError::io(segment.path(), "open", source))?;
        recovered.unsynced.push(DirtyFile { file, path: segment.path().into() });
    }
    recovered.end =
        Bound { offset: summary.next_offset, segment_base: summary.base_offset, position: summary.size };
    recovered.segments.push(Arc::clone(segment));
    Ok(())
}
