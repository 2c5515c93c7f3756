//! What a repair would do, and doing it.
//!
//! Nothing but this: the checkpoint is told to have a log scanned, damaged ranges are set aside as recovery does it, as a loss that
//! readers are told of, indexes and seals are built anew from the log, and the checkpoint is told where the ranges are now. The order matters: a segment that is changed moves the positions behind the change, so
//! before the first byte of it changes, the checkpoint must no more say how far it can be believed. From then on a
//! start finds a log that it scans, whatever happens to the repair.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use uuid::Uuid;

use crate::checkpoint::{
    self,
    offline::{Rescan, StoredCheckpoint},
};
use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, OpenMode};
use crate::storage::holes::Quarantined;
use crate::storage::quarantine::{self, Hole, Meaning};
use crate::storage::segment::{Segment, SegmentPlace};
use crate::storage::store::Store;

use super::batch_reader::{BatchReader, Step};

/// Descriptors that a repair keeps open.
const OPEN_SEGMENTS_MAX: usize = 4;

/// Added to the name of a checkpoint that nobody can read.
pub(super) const SET_ASIDE: &str = "set-aside";

/// All steps.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The checkpoint is damaged: it is renamed, and every log is scanned.
    pub(super) sets_checkpoint_aside: bool,
    pub(super) rescans: Vec<Rescan>,
    pub(super) segments: Vec<SegmentRepair>,
}

/// What a segment needs.
#[derive(Debug)]
pub(super) struct SegmentRepair {
    /// Topic and partition.
    pub(super) log: (Uuid, i32),
    pub(super) folder: PathBuf,
    pub(super) path: PathBuf,
    pub(super) base_offset: i64,
    /// Bytes when it was checked.
    pub(super) size: u64,
    /// By position.
    pub(super) holes: Vec<Hole>,
    /// Ranges that the broker knows, and that are set aside along with others only.
    pub(super) known: Vec<Hole>,
    /// Another segment follows.
    pub(super) is_closed: bool,
    /// Build indexes and seal anew.
    pub(super) rebuilds: bool,
    pub(super) index_interval_bytes: u32,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        !self.sets_checkpoint_aside && self.rescans.is_empty() && self.segments.is_empty()
    }

    /// Every step in a line of its own, in order.
    pub(super) fn steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        if self.sets_checkpoint_aside {
            steps.push(format!(
                "rename {0} to {0}.{SET_ASIDE}; the next start scans every log",
                checkpoint::FILE_NAME
            ));
        }
        for rescan in &self.rescans {
            let from = rescan.base_offset.map_or_else(String::new, |base| format!(" from offset {base} on"));
            steps.push(format!(
                "{}: have the next start scan partition {} of topic {}{from}",
                checkpoint::FILE_NAME,
                rescan.index,
                rescan.topic_id
            ));
        }
        for segment in &self.segments {
            let path = segment.path.display();
            for hole in &segment.holes {
                steps.push(format!("{path}: {}", hole_step(hole)));
            }
            if segment.rebuilds {
                steps.push(format!("{path}: build its indexes and its seal anew"));
            }
        }
        steps
    }

    /// Does it, and calls `done` after every segment.
    ///
    /// # Errors
    /// The first that occurs. What was done is durable; a check tells what is left.
    pub(super) fn apply(
        &self,
        fs: &Arc<dyn FileSystem>,
        root: &Path,
        checkpoint: Option<StoredCheckpoint>,
        done: &mut dyn FnMut(&Path),
    ) -> Result<(), StorageError> {
        let path = root.join(checkpoint::FILE_NAME);
        if self.sets_checkpoint_aside {
            set_aside(&**fs, &path, SET_ASIDE)?;
            done(&path);
        }
        let moved: Vec<&SegmentRepair> =
            self.segments.iter().filter(|segment| !segment.holes.is_empty()).collect();
        let mut checkpoint = checkpoint.filter(|_| !self.rescans.is_empty());
        if let Some(checkpoint) = &mut checkpoint {
            self.rescans.iter().for_each(|rescan| checkpoint.set_rescan(rescan));
            moved.iter().for_each(|segment| checkpoint.set_quarantined(segment.log, segment.base_offset, []));
            checkpoint.save(&**fs, root)?;
            done(&path);
        }
        let store = Store::new(Arc::clone(fs), OPEN_SEGMENTS_MAX);
        for segment in &self.segments {
            segment.apply(&store, root)?;
            done(&segment.path);
        }
        if let Some(checkpoint) = checkpoint.as_mut().filter(|_| !moved.is_empty()) {
            // A scan finds them too; but not all of a log is scanned.
            for segment in moved {
                let ranges = segment.marked_ranges(&**fs, root)?;
                checkpoint.set_quarantined(segment.log, segment.base_offset, ranges);
            }
            checkpoint.save(&**fs, root)?;
        }
        Ok(())
    }
}

impl SegmentRepair {
    fn apply(&self, store: &Arc<Store>, root: &Path) -> Result<(), StorageError> {
        let fs = store.fs();
        let path = root.join(&self.path);
        let mut size = self.size;
        // From the end on: the positions of those before stay as they were found.
        for hole in self.holes.iter().rev() {
            let kept = quarantine::kept_path(&path, hole.position);
            keep_older(fs, &kept)?;
            let (new_size, kept) = quarantine::quarantine(fs, &path, size, *hole, Meaning::Loss)?;
            size = new_size;
            if hole.position == hole.end {
                // Nothing was there to be kept.
                fs.remove(&kept).map_err(|source| StorageError::io(&kept, "remove", source))?;
            }
        }
        if self.rebuilds {
            let dir = root.join(&self.folder);
            let place = SegmentPlace { store, dir: &dir, index_interval_bytes: self.index_interval_bytes };
            Arc::new(Segment::with_size(place, self.base_offset, size)).rebuild_files()?;
        }
        Ok(())
    }
}

impl SegmentRepair {
    /// The ranges of the repaired segment for which an empty batch stands.
    fn marked_ranges(&self, fs: &dyn FileSystem, root: &Path) -> Result<Vec<Quarantined>, StorageError> {
        let path = root.join(&self.path);
        let failed = |source| StorageError::io(&path, "read", source);
        let file = fs.open(&path, OpenMode::Read).map_err(failed)?;
        let bytes_read = AtomicU64::new(0);
        let mut reader = BatchReader::new(&*file, file.size().map_err(failed)?, &bytes_read);
        let mut ranges = Vec::new();
        while let Step::Batch(batch) = reader.next().map_err(failed)? {
            if quarantine::is_marked(&batch.header) {
                ranges.push(Quarantined {
                    segment_base: self.base_offset,
                    position: batch.position,
                    bytes: batch.bytes(),
                    offset: batch.header.base_offset,
                    next_offset: batch.header.next_offset(),
                });
            }
        }
        Ok(ranges)
    }
}

fn hole_step(hole: &Hole) -> String {
    let Hole { position, end, offset, next_offset } = *hole;
    let bytes = end - position;
    let offsets = next_offset - offset;
    match (bytes, offsets) {
        (0, _) => format!(
            "put an empty batch at position {position} for the offsets {offset} to {}",
            next_offset - 1
        ),
        (_, 0) => format!("move {bytes} bytes at position {position} into a file beside it"),
        _ => format!(
            "move {bytes} bytes at position {position} into a file beside it, an empty batch takes the offsets {offset} to {}",
            next_offset - 1
        ),
    }
}

/// An earlier repair may have kept other bytes of the same place: they get a number.
fn keep_older(fs: &dyn FileSystem, kept: &Path) -> Result<(), StorageError> {
    let is_there = |path: &Path| match fs.file_len(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StorageError::io(path, "stat", source)),
    };
    if !is_there(kept)? {
        return Ok(());
    }
    for number in 1_u32.. {
        if !is_there(&kept.with_added_extension(number.to_string()))? {
            return set_aside(fs, kept, &number.to_string());
        }
    }
    Ok(())
}

/// Adds to a file's name, durably; what has that name already gets out of the way the same way.
fn set_aside(fs: &dyn FileSystem, path: &Path, extension: &str) -> Result<(), StorageError> {
    let aside = path.with_added_extension(extension);
    if fs.file_len(&aside).is_ok() {
        keep_older(fs, &aside)?;
    }
    fs.rename(path, &aside).map_err(|source| StorageError::io(path, "rename", source))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs.sync_dir(folder).map_err(|source| StorageError::io(folder, "sync", source))
}
