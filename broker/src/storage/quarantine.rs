//! Damage in the middle of a segment, found by recovery: set aside, so that what lies behind it stays.
//!
//! The damaged bytes are copied into a file beside the segment, and the segment is replaced by one that has an empty batch in
//! their place: 61 bytes that take up the offsets which are gone, as compaction leaves them in Apache Kafka. So the log stays
//! dense. Offsets of other batches do not change, and nothing is thrown away.
//!
//! The empty batch is marked where the offsets may be those of acknowledged records: a fetch there is answered with an error.
//! Where a topic's flush policy has promised nothing, it is not, and consumers pass over the hole.
//!
//! Every step is durable before the next one, and the segment is replaced by a rename: a crash in between is found again as
//! the same damage.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use sendlog_protocol::records::{
    Attributes, BATCH_HEADER_SIZE, BatchHeader, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, crc32c,
};

use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, OpenMode, StoredFile, read_full_at, write_all_at};

/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Where the CRC is in a batch header, and what it covers begins.
const CRC_AT: usize = 17;
const CRC_COVERS_FROM: usize = 21;

/// In the attributes of an empty batch that stands for records which may have been acknowledged. Apache Kafka looks at the
/// lower byte only.
const MARK: i16 = 0x5100;

/// A range of a segment that holds no valid batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Where it starts in the file.
    pub(crate) position: u64,
    /// Where the next valid batch starts, or the file ends.
    pub(crate) end: u64,
    /// The first offset that is gone.
    pub(crate) offset: i64,
    /// The first offset behind it.
    pub(crate) next_offset: i64,
}

/// What a hole means to those who read there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Acknowledged records may be gone: they are told.
    Loss,
    /// Within what the topic's flush policy leaves open: they pass over it.
    Allowed,
}

/// Whether a batch is an empty one that stands for records which may have been acknowledged.
pub(crate) fn is_marked(header: &BatchHeader) -> bool {
    header.record_count == 0 && header.producer_id == NO_PRODUCER_ID && header.attributes.0 == MARK
}

/// Where recovery puts the damaged bytes of a segment.
pub(crate) fn kept_path(path: &Path, position: u64) -> PathBuf {
    path.with_added_extension(format!("damaged-{position}"))
}

/// Replaces the damage by an empty batch; returns the new size of the segment and where the damaged bytes are.
///
/// # Errors
/// [`StorageError::Full`] or [`StorageError::Io`]; the segment is as it was, or repaired.
pub(crate) fn quarantine(
    fs: &dyn FileSystem,
    path: &Path,
    size: u64,
    hole: Hole,
    meaning: Meaning,
) -> Result<(u64, PathBuf), StorageError> {
    let failed = |source| StorageError::io(path, "set damage aside in", source);
    let old = fs.open(path, OpenMode::Read).map_err(failed)?;
    let kept = kept_path(path, hole.position);
    keep(fs, &*old, &kept, hole.position..hole.end).map_err(failed)?;
    let temporary = path.with_added_extension("tmp");
    let new_size = replace(fs, &*old, &temporary, size, (hole, meaning)).map_err(failed)?;
    fs.rename(&temporary, path).map_err(failed)?;
    sync_parent(fs, path).map_err(failed)?;
    Ok((new_size, kept))
}

/// Copies a range of a file into a new one, durably.
pub(super) fn keep(
    fs: &dyn FileSystem,
    file: &dyn StoredFile,
    kept: &Path,
    range: std::ops::Range<u64>,
) -> io::Result<()> {
    let copy = fs.open(kept, OpenMode::Replace)?;
    copy_range(file, range, &*copy, 0)?;
    copy.sync_data()?;
    sync_parent(fs, kept)
}

fn replace(
    fs: &dyn FileSystem,
    old: &dyn StoredFile,
    temporary: &Path,
    size: u64,
    (hole, meaning): (Hole, Meaning),
) -> io::Result<u64> {
    let new = fs.open(temporary, OpenMode::Replace)?;
    let mut position = copy_range(old, 0..hole.position, &*new, 0)?;
    if hole.offset < hole.next_offset {
        let batch = empty_batch(hole, meaning)?;
        write_all_at(&*new, &mut [IoSlice::new(&batch)], position)?;
        position += batch.len() as u64;
    }
    position = copy_range(old, hole.end..size, &*new, position)?;
    new.sync_data()?;
    Ok(position)
}

/// Returns where the copy ends.
fn copy_range(
    from: &dyn StoredFile,
    range: std::ops::Range<u64>,
    to: &dyn StoredFile,
    mut position: u64,
) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = range.start;
    while at < range.end {
        let wanted = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(COPY_BYTES);
        let part = &mut buffer[..wanted];
        if read_full_at(from, part, at)? < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all_at(to, &mut [IoSlice::new(part)], position)?;
        at += wanted as u64;
        position += wanted as u64;
    }
    Ok(position)
}

/// A batch without records that takes up the offsets of the hole.
fn empty_batch(hole: Hole, meaning: Meaning) -> io::Result<[u8; BATCH_HEADER_SIZE]> {
    let too_wide =
        |_| io::Error::new(io::ErrorKind::InvalidData, "more offsets are gone than a batch can have");
    let header = BatchHeader {
        base_offset: hole.offset,
        batch_length: 49,
        leader_epoch: 0,
        magic: MAGIC,
        crc: 0,
        attributes: Attributes(if meaning == Meaning::Loss { MARK } else { 0 }),
        last_offset_delta: i32::try_from(hole.next_offset - hole.offset - 1).map_err(too_wide)?,
        base_timestamp: NO_TIMESTAMP,
        max_timestamp: NO_TIMESTAMP,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        base_sequence: NO_SEQUENCE,
        record_count: 0,
    };
    let mut bytes = [0; BATCH_HEADER_SIZE];
    header.write(&mut bytes);
    let crc = crc32c(&bytes[CRC_COVERS_FROM..]);
    bytes[CRC_AT..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
    Ok(bytes)
}

/// Whether a batch stands in for damage that was set aside: it takes up offsets and has neither records nor a producer. (The
/// empty batches that Apache Kafka's compaction leaves keep their producer.)
pub(crate) fn is_placeholder(header: &BatchHeader) -> bool {
    header.record_count == 0 && !header.has_producer_id() && header.max_timestamp == NO_TIMESTAMP
}

fn sync_parent(fs: &dyn FileSystem, path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| fs.sync_dir(parent))
}
