//! The first pass of a compaction: reads the dirty part of a log and remembers the last offset of every key.
//!
//! When the map is full the pass ends early: the log is then compacted up to there, and the rest by the next compaction.

use std::sync::Arc;

use sendlog_protocol::records::{BatchHeader, Marker, raw_records, uncompressed_records};

use super::CompactionError;
use super::key_map::{KeyMap, SLOT_BYTES};
use super::transactions::{AbortedTransactions, PendingKeys};
use crate::storage::batch_scan::{BatchScan, Scanned};
use crate::storage::error::ReadError;
use crate::storage::files::IoMode;
use crate::storage::scrub::{Pace, Paced};
use crate::storage::segment::Segment;

/// A transaction marker is a few bytes.
const MARKER_BYTES_MAX: usize = 1 << 16;

/// What to read, and how.
#[derive(Clone, Copy)]
pub struct KeyPass<'a> {
    /// The dirty segments, oldest first; the first one may begin before `start`.
    pub segments: &'a [Arc<Segment>],
    /// The first offset whose key counts.
    pub start: i64,
    /// Where the last segment ends.
    pub end: i64,
    /// Memory for keys, bytes.
    pub key_bytes_max: usize,
    /// How full that may become.
    pub load_factor: f64,
    /// Most that a batch is decompressed to.
    pub decompressed_max: usize,
    /// How fast.
    pub pace: &'a dyn Pace,
}

/// What was found.
#[derive(Debug)]
pub struct DirtyKeys {
    /// The last offset of every key below `end`.
    pub keys: KeyMap,
    /// Transactions below `end` whose records do not count.
    pub aborted: AbortedTransactions,
    /// Where the pass has ended.
    pub end: i64,
    /// Bytes that were read.
    pub bytes_read: u64,
}

struct Reading<'a> {
    pass: KeyPass<'a>,
    found: DirtyKeys,
    pending: PendingKeys,
}

/// The map is full.
struct IsFull;

impl KeyPass<'_> {
    /// Reads the keys.
    ///
    /// # Errors
    /// [`CompactionError::Read`], [`CompactionError::KeysTooMany`], [`CompactionError::Stopped`].
    pub fn run(self) -> Result<DirtyKeys, CompactionError> {
        let found = DirtyKeys {
            keys: KeyMap::new(self.key_bytes_max, self.load_factor),
            aborted: AbortedTransactions::default(),
            end: self.end,
            bytes_read: 0,
        };
        let mut reading = Reading { pass: self, found, pending: PendingKeys::default() };
        for segment in self.segments {
            if let Some(full_at) = reading.read_segment(segment)? {
                reading.found.end = full_at;
                break;
            }
        }
        // Of a transaction that has not ended nobody knows whether it counts.
        let undecided = reading.pending.first_offset().unwrap_or(i64::MAX);
        let end = reading.found.end.min(undecided);
        if end <= self.start {
            let is_full = reading.found.end < self.end;
            return Err(match is_full {
                true => CompactionError::KeysTooMany { bytes: self.key_bytes_max, offset: end },
                false => CompactionError::Undecided { offset: end },
            });
        }
        Ok(DirtyKeys { end, ..reading.found })
    }
}

impl Reading<'_> {
    /// Returns the offset at which the map was full, if it is.
    fn read_segment(&mut self, segment: &Arc<Segment>) -> Result<Option<i64>, CompactionError> {
        let first = match segment.base_offset() < self.pass.start {
            true => segment.locate(self.pass.start, segment.size(), IoMode::Blocking)?,
            false => None,
        };
        let failed = |source| ReadError::io(segment.path(), source);
        let file = segment.file(IoMode::Blocking).map_err(failed)?;
        let paced = Paced::new(&*file, self.pass.pace);
        for range in segment.readable_ranges(first.map_or(0, |batch| batch.position)) {
            let mut scan = BatchScan::new(&paced, range.start, range.end);
            loop {
                let position = scan.position();
                match scan.next().map_err(|error| stopped_or(error, segment))? {
                    Scanned::End => break,
                    Scanned::Batch(header) => {
                        self.found.bytes_read += header.size() as u64;
                        if self.add_batch(&header, scan.batch(&header)).is_err() {
                            return Ok(Some(header.base_offset));
                        }
                    }
                    Scanned::Bad(reason) => return Err(corrupt(segment, position, reason).into()),
                }
            }
        }
        Ok(None)
    }

    fn add_batch(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), IsFull> {
        if header.attributes.is_control() {
            let marker = Marker::read(batch, MARKER_BYTES_MAX);
            let keys = self.pending.end(header, marker, &mut self.found.aborted);
            return keys.into_iter().try_for_each(|(key, offset)| self.put(key, offset));
        }
        if header.last_offset() < self.pass.start || header.record_count == 0 {
            return Ok(());
        }
        let is_transactional = header.attributes.is_transactional();
        if is_transactional {
            self.pending.begin(header);
        }
        // What cannot be decoded stays as it is, and hides nothing.
        let Ok(records) = uncompressed_records(batch, self.pass.decompressed_max) else { return Ok(()) };
        if raw_records(header, &records).any(|record| record.is_err()) {
            return Ok(());
        }
        for record in raw_records(header, &records).flatten() {
            let Some(key) = record.key.filter(|_| self.pass.start <= record.offset) else { continue };
            let key = self.found.keys.hash(key);
            if !is_transactional {
                self.put(key, record.offset)?;
            } else if (self.found.keys.len() + 2 * self.pending.count()) * SLOT_BYTES
                < self.pass.key_bytes_max
            {
                self.pending.add(header.producer_id, key, record.offset);
            } else {
                return Err(IsFull);
            }
        }
        Ok(())
    }

    fn put(&mut self, key: super::key_map::KeyHash, offset: i64) -> Result<(), IsFull> {
        if self.found.keys.put(key, offset) { Ok(()) } else { Err(IsFull) }
    }
}

/// The pace ends a read by an interruption.
pub(super) fn stopped_or(error: std::io::Error, segment: &Segment) -> CompactionError {
    match error.kind() {
        std::io::ErrorKind::Interrupted => CompactionError::Stopped,
        _ => ReadError::io(segment.path(), error).into(),
    }
}

pub(super) fn corrupt(segment: &Segment, position: u64, reason: String) -> ReadError {
    ReadError::Corrupt { path: segment.path().to_path_buf(), position, reason }
}
