//! The first pass of a compaction: reads the dirty part of a log and remembers the last offset of every key.
//!
//! When the map is full the pass ends early: the log is then compacted up to there, and the rest by the next compaction.

use std::sync::Arc;

use sendlog_protocol::records::{BatchHeader, Marker, raw_records, uncompressed_records};

use super::CompactionError;
use super::key_map::{KeyMap, SLOT_BYTES};
use super::transactions::{AbortedTransactions, Committed, PendingKeys};
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

/// The map is full: all keys before this offset are in it, and not all of those behind.
struct FullAt(i64);

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
                        if let Err(FullAt(offset)) = self.add_batch(&header, scan.batch(&header)) {
                            return Ok(Some(offset));
                        }
                    }
                    Scanned::Bad(reason) => return Err(corrupt(segment, position, reason).into()),
                }
            }
        }
        Ok(None)
    }

    fn add_batch(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), FullAt> {
        if header.attributes.is_control() {
            let marker = Marker::read(batch, MARKER_BYTES_MAX);
            let committed = self.pending.end(header, marker, &mut self.found.aborted);
            let Some(Committed { first_offset, keys }) = committed else { return Ok(()) };
            let is_room = keys.into_iter().all(|(key, offset)| self.found.keys.put(key, offset));
            return if is_room { Ok(()) } else { Err(FullAt(first_offset)) };
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
            let is_room = if is_transactional {
                let bytes = (self.found.keys.len() + 2 * self.pending.count()) * SLOT_BYTES;
                self.pending.add(header.producer_id, key, record.offset);
                bytes < self.pass.key_bytes_max
            } else {
                self.found.keys.put(key, record.offset)
            };
            if !is_room {
                return Err(FullAt(header.base_offset));
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::fs;

    use sendlog_protocol::records::{
        Attributes, BatchBuilder, Compression, NewRecord, ProducerStamp, patch_offset_and_epoch,
    };

    use super::super::key_map::BYTES_MIN;
    use super::*;
    use crate::storage::file_names::{LOG, segment_file};
    use crate::storage::files::RealFs;
    use crate::storage::scrub::AtOnce;
    use crate::storage::segment::SegmentPlace;
    use crate::storage::store::Store;

    fn batch(base_offset: i64, keys: &[&[u8]], producer_id: i64, attributes: i16) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for key in keys {
            builder.add(&NewRecord { key: Some(key), value: Some(b"v"), ..NewRecord::default() }).unwrap();
        }
        let stamp = ProducerStamp { producer_id, producer_epoch: 0, base_sequence: -1 };
        let mut batch =
            builder.build_with(Compression::None, stamp, Attributes(attributes)).unwrap().to_vec();
        patch_offset_and_epoch(&mut batch, base_offset, 0);
        batch
    }

    #[test]
    fn a_transaction_that_does_not_fit_counts_as_a_whole_in_the_next_pass() {
        let many: Vec<[u8; 4]> = (0..100_u32).map(u32::to_be_bytes).collect();
        let keys: Vec<&[u8]> = many.iter().map(|key| &key[..]).chain([&b"a"[..]]).collect();
        let log = [batch(0, &[b"a"], -1, 0), batch(1, &keys, 4, 0x10), batch(102, &[&[0, 0, 0, 1]], 4, 0x30)]
            .concat();
        let dir = tempfile::tempdir().unwrap();
        fs::write(segment_file(dir.path(), 0, LOG), &log).unwrap();
        let store = Store::new(Arc::new(RealFs), 4);
        let place = SegmentPlace { store: &store, dir: dir.path(), index_interval_bytes: 4096 };
        let segment = Segment::with_size(place, 0, log.len() as u64);
        segment.set_sealed();
        let pass = KeyPass {
            segments: &[Arc::new(segment)],
            start: 0,
            end: 103,
            // Room for all of them while they are held back, and for one in each shard.
            key_bytes_max: BYTES_MIN,
            load_factor: 0.0,
            decompressed_max: 1 << 20,
            pace: &AtOnce,
        };
        let found = pass.run().unwrap();
        assert_eq!(found.end, 1, "its last key would be taken for compacted, and was not looked at");
        assert_eq!(found.keys.get(found.keys.hash(b"a")), Some(0));
    }
}
