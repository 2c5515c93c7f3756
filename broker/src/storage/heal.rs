//! Filling a segment from the commit journal, after a crash: what was acknowledged and had not reached the segment, or not whole.

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;

use sendlog_protocol::records::check_stored;
use uuid::Uuid;

use crate::storage::error::StorageError;
use crate::storage::files::{IoMode, write_all_at};
use crate::storage::segment::{Segment, SegmentPlace};
use crate::storage::summary::SegmentSummary;

/// Batches that a segment did not have, or not whole, and that the commit journal had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healed {
    /// Segment file.
    pub path: PathBuf,
    /// Where they are.
    pub position: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// The first offset.
    pub offset: i64,
    /// The first offset behind them.
    pub next_offset: i64,
}

impl Healed {
    /// What was written has to be there when it is read again; else recovery would write it for ever.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if it is not: the disk does not keep what it is given.
    pub(super) fn assert_stored(&self, now: &SegmentSummary) -> Result<(), StorageError> {
        if self.next_offset <= now.next_offset {
            return Ok(());
        }
        Err(StorageError::Corrupt {
            path: self.path.clone(),
            position: self.position,
            offset: self.offset,
            reason:
                "what was written there from the commit journal reads as something else; look at the disk \
                     (dmesg, smartctl), then start the broker again"
                    .to_owned(),
        })
    }
}

/// Takes the batch that should come next, and those behind it, from the commit journal, if it has it. They may be unsynced, or
/// torn, in the segment, although they were acknowledged.
pub(super) fn heal(
    place: SegmentPlace<'_>,
    log: (Uuid, i32),
    segment: &Arc<Segment>,
    summary: &SegmentSummary,
) -> Result<Option<Healed>, StorageError> {
    let Some(replay) = place.store.replay() else { return Ok(None) };
    let (position, offset) = (summary.size, summary.next_offset);
    let Some(mut bytes) = replay.batches(log, summary.base_offset, offset, position)? else {
        return Ok(None);
    };
    let next_offset = whole_batches(&mut bytes, offset);
    if next_offset == offset {
        return Ok(None);
    }
    let failed = |source| StorageError::io(segment.path(), "write what the journal has of", source);
    let file = segment.file(IoMode::Blocking).map_err(failed)?;
    write_all_at(&*file, &mut [IoSlice::new(&bytes)], position).map_err(failed)?;
    let path = segment.path().to_path_buf();
    Ok(Some(Healed { path, position, bytes: bytes.len() as u64, offset, next_offset }))
}

/// Cuts the bytes behind the last batch that is valid and follows the ones before; returns the offset after it.
pub(crate) fn whole_batches(bytes: &mut Vec<u8>, mut offset: i64) -> i64 {
    let mut end = 0;
    while let Ok(batch) = check_stored(&bytes[end..])
        && batch.base_offset == offset
    {
        offset = batch.next_offset();
        end += batch.size();
    }
    bytes.truncate(end);
    offset
}
