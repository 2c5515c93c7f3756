//! Cutting a torn tail: bytes behind the last good batch of a log that no good batch follows.

use std::path::PathBuf;
use std::sync::Arc;

use crate::storage::error::{StorageError, is_full};
use crate::storage::files::{FileSystem, IoMode};
use crate::storage::quarantine;
use crate::storage::segment::Segment;
use crate::storage::summary::SegmentSummary;

/// A torn tail up to this size is kept in a file beside its segment.
const TORN_BYTES_KEPT_MAX: u64 = 64 << 20;

/// A torn tail that was cut: bytes that are no whole batch, behind the last good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Segment file.
    pub path: PathBuf,
    /// Where it ends now.
    pub position: u64,
    /// Bytes removed.
    pub bytes: u64,
    /// What was wrong with them.
    pub reason: String,
}

/// Bytes behind the last good batch of a segment.
pub(super) struct Damage<'a> {
    pub(super) segment: &'a Arc<Segment>,
    pub(super) summary: &'a SegmentSummary,
    pub(super) size: u64,
    pub(super) reason: String,
}

/// Cuts a torn tail. What is cut is kept beside the segment, unless it is very long.
pub(super) fn cut(fs: &dyn FileSystem, damage: Damage<'_>) -> Result<Cut, StorageError> {
    let Damage { segment, summary, size, reason } = damage;
    let path = segment.path().to_path_buf();
    let io_error = |op| move |source| StorageError::io(segment.path(), op, source);
    let file = segment.file(IoMode::Blocking).map_err(io_error("open"))?;
    let bytes = size - summary.size;
    if bytes <= TORN_BYTES_KEPT_MAX {
        let kept = path.with_added_extension(format!("torn-{}", summary.size));
        // On a full disk the cut is what makes room.
        match quarantine::keep(fs, &*file, &kept, summary.size..size) {
            Err(source) if !is_full(&source) => return Err(io_error("keep the torn end of")(source)),
            _ => {}
        }
    }
    file.truncate(summary.size).map_err(io_error("truncate"))?;
    Ok(Cut { path, position: summary.size, bytes, reason })
}
