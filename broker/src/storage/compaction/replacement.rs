//! Puts a compacted segment in the place of those that it was made of, over any crash.
//!
//! The new segment has the name of the first old one, so that all but the first have to go in the same moment. That moment is the
//! renaming of a small file, `BASE.replaces`, which says what replaces what: before it nothing has happened, behind it the next start
//! finishes what is left. `docs/storage-format.md`, "Compaction", has the steps.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::CompactionError;
use super::grouping::Group;
use super::rewrite::Cleaned;
use crate::storage::error::StorageError;
use crate::storage::file_names::{self, CLEANED, INDEX, LOG, REPLACES, SEAL, TIME_INDEX, segment_file};
use crate::storage::files::FileSystem;
use crate::storage::recovery::WAY_OUT;
use crate::storage::segment::{Segment, SegmentPlace};
use crate::storage::state_file::{self, StateKind};

pub(crate) const KIND: StateKind = StateKind { tag: *b"RPLC", version: 1 };

/// What is in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replacement {
    /// Bytes of the new segment, which has the name of the first old one.
    pub(crate) size: u64,
    /// Base offsets of the old ones, the first included.
    pub(crate) replaced: Vec<i64>,
}

/// A replacement that is under way in a running broker. The caller sees to it that nobody else changes the list of segments
/// meanwhile, or deletes the folder.
pub(crate) struct Replacing<'a> {
    group: &'a Group,
    cleaned: Cleaned,
    dir: PathBuf,
    marker: PathBuf,
}

impl<'a> Replacing<'a> {
    /// Nothing has happened yet. None for a group without segments.
    pub(crate) fn new(group: &'a Group, cleaned: Cleaned) -> Option<Self> {
        let first = group.segments.first()?;
        let dir = first.path().parent()?.to_path_buf();
        let marker = first.path().with_extension(REPLACES);
        Some(Self { group, cleaned, dir, marker })
    }

    fn first(&self) -> &Arc<Segment> {
        &self.group.segments[0]
    }

    fn fs(&self) -> &dyn FileSystem {
        self.first().store().fs()
    }

    /// Gives the new segment its name. From now on the old ones are there for those only who have them already; give the new one to
    /// everybody else, and then call [`Replacing::finish`].
    ///
    /// # Errors
    /// [`CompactionError::Failed`]: the broker has to stop, the next start finishes it. Else nothing has happened.
    pub(crate) fn switch(&self) -> Result<Arc<Segment>, CompactionError> {
        let switched = self.prepare().and_then(|()| self.rename());
        if switched.as_ref().is_err_and(|error| !matches!(error, CompactionError::Failed(_))) {
            self.group.segments.iter().for_each(|segment| segment.unset_replaced());
            self.discard();
        }
        switched?;
        let first = self.first();
        let place = SegmentPlace {
            store: first.store(),
            dir: &self.dir,
            index_interval_bytes: first.index_interval_bytes(),
        };
        let new = Arc::new(Segment::compacted(place, self.cleaned.summary));
        // It is the old one's, which most likely has another size. If it stays, an index is built too many.
        let _ = self.fs().remove(&first.path().with_extension(SEAL));
        // Without them they are built when they are needed.
        if new.install_indexes(&self.cleaned.entries).is_ok() {
            let _ = new.settle();
        }
        Ok(new)
    }

    fn prepare(&self) -> Result<(), CompactionError> {
        for segment in &self.group.segments {
            segment.set_replaced()?;
        }
        // The name of the new file is durable before anything relies on it.
        let synced = self.fs().sync_dir(&self.dir);
        synced.map_err(|source| failed(&self.dir, "sync", source))?;
        let replaced = self.group.segments.iter().map(|segment| segment.base_offset()).collect();
        let replacement = Replacement { size: self.cleaned.summary.size, replaced };
        state_file::save(self.fs(), &self.marker, KIND, &replacement)
            .or_else(|error| self.take_back(error.into()))
    }

    fn rename(&self) -> Result<(), CompactionError> {
        let path = self.first().path();
        self.fs()
            .rename(&self.cleaned.path, path)
            .or_else(|source| self.take_back(StorageError::io(path, "rename", source)))
    }

    /// After what can be waited out: the marker goes before the new segment does, or the next start would remove the old ones for
    /// it. It may be there although it was not saved: the folder's sync comes last, and fails if too many files are open.
    fn take_back(&self, error: StorageError) -> Result<(), CompactionError> {
        let error = CompactionError::write(error);
        if !matches!(error, CompactionError::Full(_)) {
            return Err(error);
        }
        match self.fs().remove(&self.marker) {
            Ok(()) => self.fs().sync_dir(&self.dir).map_err(|source| failed(&self.dir, "sync", source))?,
            Err(source) if source.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(failed(&self.marker, "remove", source)),
        }
        Err(error)
    }

    fn discard(&self) {
        // What is left of it goes with the next start.
        let _ = self.fs().remove(&self.cleaned.path);
    }

    /// Removes the old files, and then the marker, both for sure: beside an old marker the next start would take what there is of
    /// the next segment of this name for the whole of it. Who still reads the old files goes on.
    ///
    /// # Errors
    /// [`CompactionError::Undeleted`]: the next start does it, and until then nothing else may be replaced in this log.
    /// [`CompactionError::Failed`].
    pub(crate) fn finish(self) -> Result<(), CompactionError> {
        for segment in self.group.segments.iter().skip(1) {
            segment.delete_files(self.fs()).map_err(CompactionError::Undeleted)?;
        }
        self.fs().sync_dir(&self.dir).map_err(|source| failed(&self.dir, "sync", source))?;
        self.fs()
            .remove(&self.marker)
            .map_err(|source| CompactionError::Undeleted(StorageError::io(&self.marker, "remove", source)))?;
        self.fs().sync_dir(&self.dir).map_err(|source| failed(&self.dir, "sync", source))
    }
}

fn failed(path: &Path, op: &'static str, source: std::io::Error) -> CompactionError {
    CompactionError::Failed(StorageError::Io { path: path.to_path_buf(), op, source })
}

/// For a start that looks at the folder: finishes what an interrupted replacement has left. `names` are those in the folder.
///
/// # Errors
/// [`StorageError`].
pub(crate) fn finish_all(
    fs: &dyn FileSystem,
    dir: &Path,
    names: &mut Vec<String>,
    removed: &mut Vec<PathBuf>,
) -> Result<(), StorageError> {
    let markers: Vec<i64> =
        names.iter().filter_map(|name| file_names::base_offset_of(name, REPLACES)).collect();
    if markers.is_empty() {
        return Ok(());
    }
    for base_offset in markers {
        finish_one(fs, dir, base_offset, names, removed)?;
    }
    // The markers are gone for sure before a segment of such a name is compacted again.
    fs.sync_dir(dir).map_err(|source| StorageError::Io { path: dir.to_path_buf(), op: "sync", source })?;
    *names = fs.list(dir).map_err(|source| StorageError::io(dir, "list", source))?;
    Ok(())
}

fn finish_one(
    fs: &dyn FileSystem,
    dir: &Path,
    base_offset: i64,
    names: &[String],
    removed: &mut Vec<PathBuf>,
) -> Result<(), StorageError> {
    let marker = segment_file(dir, base_offset, REPLACES);
    let Some(replacement) = state_file::load::<Replacement>(fs, &marker, KIND)? else { return Ok(()) };
    let is_there = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        names.iter().any(|other| Some(other.as_str()) == name)
    };
    let mut remove = |path: PathBuf| {
        if !is_there(&path) {
            return Ok(());
        }
        fs.remove(&path).map_err(|source| StorageError::io(&path, "remove", source))?;
        removed.push(path);
        Ok(())
    };
    let log = segment_file(dir, base_offset, LOG);
    let cleaned = log.with_added_extension(CLEANED);
    if is_there(&cleaned) {
        let size = fs.file_len(&cleaned).map_err(|source| StorageError::io(&cleaned, "stat", source))?;
        if size != replacement.size {
            return Err(StorageError::Corrupt {
                path: cleaned,
                position: size,
                offset: base_offset,
                reason: format!(
                    "{} of its bytes were durable, {size} are there; {WAY_OUT}",
                    replacement.size
                ),
            });
        }
        fs.rename(&cleaned, &log).map_err(|source| StorageError::io(&cleaned, "rename", source))?;
    }
    // They may be of what was there before.
    [SEAL, INDEX, TIME_INDEX].iter().try_for_each(|one| remove(segment_file(dir, base_offset, one)))?;
    for old in replacement.replaced.iter().filter(|old| **old != base_offset) {
        [SEAL, INDEX, TIME_INDEX, LOG].iter().try_for_each(|one| remove(segment_file(dir, *old, one)))?;
    }
    fs.sync_dir(dir).map_err(|source| StorageError::Io { path: dir.to_path_buf(), op: "sync", source })?;
    remove(marker)
}
