//! A new segment that a checkpoint knows, and that no batch was appended to: its file may not have reached the disk.
//!
//! That takes a roll and no sync after it: the append behind it failed for want of room, or the broker was killed in between. The
//! checkpoint that is saved then covers nothing in it, so nothing had to be made durable. Nothing is lost with such a file; it
//! is made again, so that the log ends where it did.

use std::path::Path;

use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::error::StorageError;
use crate::storage::file_names::{self, segment_file};
use crate::storage::files::{FileSystem, OpenMode};
use crate::storage::summary::SegmentSummary;

/// Makes the checkpoint's last segment exist, if it is blank and comes behind all in the folder, and adds it to their `names`.
///
/// # Errors
/// [`StorageError::Io`], [`StorageError::Full`].
pub(super) fn restore(
    fs: &dyn FileSystem,
    dir: &Path,
    checkpoint: Option<&PartitionCheckpoint>,
    names: &mut Vec<String>,
) -> Result<(), StorageError> {
    let active = checkpoint.and_then(|checkpoint| checkpoint.active).filter(SegmentSummary::is_blank);
    let Some(active) = active else { return Ok(()) };
    let last = names.iter().filter_map(|name| file_names::base_offset_of(name, file_names::LOG)).max();
    if last.is_none_or(|last| active.base_offset <= last) {
        return Ok(());
    }
    let path = segment_file(dir, active.base_offset, file_names::LOG);
    fs.open(&path, OpenMode::Create).map_err(|source| StorageError::io(&path, "create", source))?;
    names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
    Ok(())
}
