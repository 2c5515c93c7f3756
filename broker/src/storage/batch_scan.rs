//! Checks stored batches one after another, checksums included: what recovery does with what it must not believe.

use std::io;

use sendlog_protocol::records::{BATCH_HEADER_SIZE, BatchHeader, check_stored};

use crate::storage::files::{StoredFile, read_full_at};

/// Bytes read at a time; more for a larger batch.
const WINDOW_BYTES: usize = 1 << 20;

/// What was found next.
#[derive(Debug)]
pub(super) enum Scanned {
    /// A whole batch with a right checksum.
    Batch(BatchHeader),
    /// Nothing is left.
    End,
    /// Something else, from here on.
    Bad(String),
}

/// Goes through a file from a batch boundary on.
pub(super) struct BatchScan<'a> {
    file: &'a dyn StoredFile,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_position: u64,
}

impl<'a> BatchScan<'a> {
    pub(super) fn new(file: &'a dyn StoredFile, position: u64, end: u64) -> Self {
        Self { file, position, end, window: Vec::new(), window_position: position }
    }

    /// The next batch. After [`Scanned::Bad`] the answer stays the same.
    pub(super) fn next(&mut self) -> io::Result<Scanned> {
        if self.end <= self.position {
            return Ok(Scanned::End);
        }
        self.load(BATCH_HEADER_SIZE)?;
        let header = match BatchHeader::read(self.bytes()) {
            Ok(header) => header,
            Err(error) => return Ok(Scanned::Bad(error.to_string())),
        };
        if self.end - self.position < header.size() as u64 {
            return Ok(Scanned::Bad(format!("the batch of {} bytes is not all there", header.size())));
        }
        self.load(header.size())?;
        match check_stored(self.bytes()) {
            Ok(header) => {
                self.position += header.size() as u64;
                Ok(Scanned::Batch(header))
            }
            Err(error) => Ok(Scanned::Bad(error.to_string())),
        }
    }

    /// Where a valid batch of an offset from `offset` on starts, behind the position: byte by byte.
    pub(super) fn find_valid_behind(&mut self, offset: i64) -> io::Result<Option<u64>> {
        const OFFSETS_AHEAD: i64 = 1 << 32;
        while self.position + (BATCH_HEADER_SIZE as u64) < self.end {
            self.position += 1;
            self.load(BATCH_HEADER_SIZE)?;
            let Ok(header) = BatchHeader::read(self.bytes()) else { continue };
            let is_plausible = (offset..offset.saturating_add(OFFSETS_AHEAD)).contains(&header.base_offset)
                && header.size() as u64 <= self.end - self.position;
            if !is_plausible {
                continue;
            }
            self.load(header.size())?;
            if check_stored(self.bytes()).is_ok() {
                return Ok(Some(self.position));
            }
        }
        Ok(None)
    }

    /// Makes the window hold `len` bytes from the position on, or all that is left.
    fn load(&mut self, len: usize) -> io::Result<()> {
        let rest = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        if len.min(rest) <= self.bytes().len() {
            return Ok(());
        }
        self.window.resize(len.max(WINDOW_BYTES).min(rest), 0);
        let read = read_full_at(self.file, &mut self.window, self.position)?;
        self.window.truncate(read);
        self.window_position = self.position;
        if read < len.min(rest) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        let at = usize::try_from(self.position - self.window_position).unwrap_or(usize::MAX);
        self.window.get(at..).unwrap_or_default()
    }
}
