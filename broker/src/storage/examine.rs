//! Looks at every byte of a segment, and says which ranges hold no readable batches. Changes nothing.
//!
//! A batch is readable if its header, its size and its CRC-32C are right and its offsets follow on those before it. The CRC
//! leaves out the base offset: of two batches whose offsets contradict each other, the one that does not follow on its
//! predecessor is the bad one.

use std::io;

use sendlog_protocol::records::BatchHeader;

use crate::storage::batch_scan::{BatchScan, ReadAt, Scanned};
use crate::storage::holes::HOLES_MAX;
use crate::storage::quarantine::{self, Hole};

/// What a segment's file must hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) base_offset: i64,
    /// Bytes; the file may turn out to be shorter.
    pub(super) size: u64,
    /// Offset behind its last batch at most: the next segment's base, or the end of the log.
    pub(super) end_offset: i64,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Examined {
    pub(super) holes: Vec<Hole>,
    /// Readable batches.
    pub(super) batches: u64,
    /// Why the first hole is one.
    pub(super) reason: Option<String>,
    /// Offset behind the last readable batch or hole.
    pub(super) next_offset: i64,
}

/// Reads the whole segment.
///
/// # Errors
/// The system's. A file that ends early is damage, not an error.
pub(super) fn examine<R: ReadAt + ?Sized>(file: &R, file_bytes: u64, extent: Extent) -> io::Result<Examined> {
    let mut examination = Examination {
        scan: BatchScan::new(file, 0, extent.size.min(file_bytes)),
        extent,
        before: None,
        examined: Examined { next_offset: extent.base_offset, ..Examined::default() },
    };
    while examination.step()? {}
    let mut examined = examination.examined;
    if file_bytes < extent.size {
        let (offset, next_offset) = (examined.next_offset, extent.end_offset.max(examined.next_offset));
        let reason = format!("the file ends after {file_bytes} of {} bytes", extent.size);
        examined.add(Hole { position: file_bytes, end: extent.size, offset, next_offset }, reason);
    }
    Ok(examined)
}

struct Examination<'a, R: ReadAt + ?Sized> {
    scan: BatchScan<'a, R>,
    extent: Extent,
    /// The batch before the position.
    before: Option<Accepted>,
    examined: Examined,
}

/// A batch that was taken for right.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    position: u64,
    header: BatchHeader,
    /// The offset that was expected of it.
    expected: i64,
}

impl<R: ReadAt + ?Sized> Examination<'_, R> {
    /// Looks at the next batch; false at the end.
    fn step(&mut self) -> io::Result<bool> {
        let position = self.scan.position();
        match self.scan.next()? {
            Scanned::End => return Ok(false),
            Scanned::Batch(header) => self.take(position, header),
            Scanned::Bad(reason) => self.pass(position, reason)?,
        }
        Ok(self.examined.holes.len() < HOLES_MAX || self.give_up())
    }

    /// Judges a batch whose bytes are right by its offsets.
    fn take(&mut self, position: u64, header: BatchHeader) {
        let end = position + header.size() as u64;
        let expected = self.examined.next_offset;
        let misfit = self.misfit(&header, expected);
        if let (Some(reason), Some(before)) = (&misfit, self.before)
            && before.expected < before.header.base_offset
            && self.misfit(&header, before.expected).is_none()
        {
            // The one before had skipped offsets to get here.
            let (offset, next_offset) = (before.expected, header.base_offset);
            self.examined.batches -= 1;
            self.examined
                .add(Hole { position: before.position, end: position, offset, next_offset }, reason.clone());
            self.examined.next_offset = header.base_offset;
            self.before = None;
            return self.take(position, header);
        }
        match misfit {
            Some(reason) => {
                let records = i64::from(header.last_offset_delta.max(0)) + 1;
                let next_offset = expected.saturating_add(records).min(self.extent.end_offset).max(expected);
                self.examined.add(Hole { position, end, offset: expected, next_offset }, reason);
                self.before = None;
            }
            None if quarantine::is_marked(&header) => {
                let reason = "its bytes were set aside by recovery".to_owned();
                let (offset, next_offset) = (header.base_offset, header.next_offset());
                self.examined.add(Hole { position, end, offset, next_offset }, reason);
                self.before = None;
            }
            None => {
                self.before = Some(Accepted { position, header, expected });
                self.examined.batches += 1;
                self.examined.next_offset = header.next_offset();
            }
        }
    }

    /// Why a batch cannot stand where `expected` was to come.
    fn misfit(&self, header: &BatchHeader, expected: i64) -> Option<String> {
        let Extent { base_offset, end_offset, .. } = self.extent;
        if header.base_offset < expected {
            return Some(format!("offset {} where {expected} was to come", header.base_offset));
        }
        let is_within =
            header.last_offset() < end_offset && header.last_offset() - base_offset <= i64::from(i32::MAX);
        if header.last_offset_delta < 0 || !is_within {
            return Some(format!("last offset {} is not before {end_offset}", header.last_offset()));
        }
        None
    }

    /// Finds the next good batch behind bad bytes.
    fn pass(&mut self, position: u64, reason: String) -> io::Result<()> {
        let offset = self.examined.next_offset;
        // What lies behind the segment's last offset is no batch of it, whatever its checksum says.
        let (end, next_offset) = loop {
            match self.scan.find_valid_behind(offset)? {
                Some(found) if found.base_offset < self.extent.end_offset => {
                    break (found.position, found.base_offset);
                }
                Some(_) => {}
                None => break (self.scan.end(), self.extent.end_offset.max(offset)),
            }
        };
        self.scan.skip_to(end);
        self.before = None;
        self.examined.add(Hole { position, end, offset, next_offset }, reason);
        Ok(())
    }

    /// Counts all that is left as damaged: nobody reads a segment like that. Returns false.
    fn give_up(&mut self) -> bool {
        let (position, end) = (self.scan.position(), self.scan.end());
        let (offset, next_offset) = (self.examined.next_offset, self.extent.end_offset);
        if position < end {
            let hole = Hole { position, end, offset, next_offset: next_offset.max(offset) };
            self.examined.add(hole, "too many damaged ranges before it".to_owned());
        }
        false
    }
}

impl Examined {
    fn add(&mut self, hole: Hole, reason: String) {
        self.next_offset = hole.next_offset;
        self.reason.get_or_insert(reason);
        match self.holes.last_mut() {
            Some(last) if last.end == hole.position => {
                last.end = hole.end;
                last.next_offset = hole.next_offset;
            }
            _ => self.holes.push(hole),
        }
    }
}
