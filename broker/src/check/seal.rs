//! The files beside a segment: its seal, and its indexes opened for a walk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::file_names::{self, segment_file};
use crate::storage::files::{FileSystem, OpenMode, StoredFile};
use crate::storage::segment_files::SEAL_KIND;
use crate::storage::state_file::{self, StateFileError};
use crate::storage::summary::SegmentSummary;

use super::folder::Found;
use super::index_cursor::{IndexCursor, IndexType, KnownSum};
use super::listing::{self, Entry};
use super::segment::Indexes;

/// What a segment's seal is worth.
#[derive(Debug)]
pub(super) enum Seal {
    Missing,
    /// It is of this file.
    Good(Box<SegmentSummary>),
    /// It is of a file of another size.
    Other {
        size: u64,
    },
    /// It cannot be used.
    Bad(String),
}

/// Reads the seal of a segment; `entries` are the names in its folder.
pub(super) fn load(fs: &dyn FileSystem, dir: &Path, entries: &[Entry], found: Found) -> Seal {
    let path = segment_file(dir, found.base_offset, file_names::SEAL);
    if is_missing(entries, &path) {
        return Seal::Missing;
    }
    match state_file::load::<SegmentSummary>(fs, &path, SEAL_KIND) {
        Ok(None) => Seal::Missing,
        Ok(Some(seal)) if seal.base_offset == found.base_offset && seal.size == found.size => {
            Seal::Good(Box::new(seal))
        }
        Ok(Some(seal)) => Seal::Other { size: seal.size },
        Err(StateFileError::Damaged { reason, .. }) => Seal::Bad(reason),
        Err(error) => Seal::Bad(error.to_string()),
    }
}

/// Opens both indexes, to be compared with what is known of them.
///
/// # Errors
/// The system's.
pub(super) fn open_indexes(
    fs: &dyn FileSystem,
    dir: &Path,
    entries: &[Entry],
    known: &SegmentSummary,
) -> io::Result<Indexes> {
    let open = |extension| open(fs, entries, &segment_file(dir, known.base_offset, extension));
    let (offset, time) = (known.offset_index, known.time_index);
    let offset = KnownSum { entries: offset.entries, crc: offset.crc };
    let time = KnownSum { entries: time.entries, crc: time.crc };
    let base = known.base_offset;
    Ok(Indexes {
        offset: IndexCursor::new(IndexType::Offset, base, offset, open(file_names::INDEX)?)?,
        time: IndexCursor::new(IndexType::Time, base, time, open(file_names::TIME_INDEX)?)?,
    })
}

/// An index and its length; none if it is not there, or no file.
fn open(
    fs: &dyn FileSystem,
    entries: &[Entry],
    path: &Path,
) -> io::Result<Option<(Arc<dyn StoredFile>, u64)>> {
    if is_missing(entries, path) {
        return Ok(None);
    }
    let file = fs.open(path, OpenMode::Read)?;
    let size = file.size()?;
    Ok(Some((file, size)))
}

/// Also if something is there that is no file, which is told elsewhere.
fn is_missing(entries: &[Entry], path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    listing::find(entries, name).and_then(Entry::file_bytes).is_none()
}

/// A file beside a segment, relative to the data directory.
pub(super) fn beside(segment: &Path, extension: &str) -> PathBuf {
    segment.with_extension(extension)
}
