//! Reads a segment file from batch to batch, checksums included, in memory of fixed size: a batch whose length field lies is not
//! believed before its checksum was computed piece by piece.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use sendlog_protocol::records::{BATCH_HEADER_SIZE, BatchError, BatchHeader, Crc32c, crc32c};

use crate::storage::files::{StoredFile, read_full_at};

/// Bytes read at a time.
const WINDOW_BYTES: usize = 1 << 20;
/// Where the bytes begin that the checksum covers.
const CRC_COVERS_FROM: u64 = 21;

/// A batch and where it starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    pub(super) position: u64,
    pub(super) header: BatchHeader,
}

impl Located {
    pub(super) fn bytes(&self) -> u64 {
        self.header.size() as u64
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// A whole batch with a right checksum.
    Batch(Located),
    /// Nothing is left.
    End,
    /// Something else; the position stays before it.
    Bad(String),
}

/// See the module.
pub(super) struct BatchReader<'a> {
    file: &'a dyn StoredFile,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_position: u64,
    window_len: usize,
    /// Counts the bytes that were read.
    bytes_read: &'a AtomicU64,
}

impl<'a> BatchReader<'a> {
    pub(super) fn new(file: &'a dyn StoredFile, end: u64, bytes_read: &'a AtomicU64) -> Self {
        let window = vec![0; usize::try_from(end).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES)];
        Self { file, position: 0, end, window, window_position: 0, window_len: 0, bytes_read }
    }

    /// Where the next batch starts.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// # Errors
    /// The system's; `UnexpectedEof` if the file has become shorter.
    pub(super) fn next(&mut self) -> io::Result<Step> {
        if self.end <= self.position {
            return Ok(Step::End);
        }
        let header = match self.header()? {
            Ok(header) => header,
            Err(error) => return Ok(Step::Bad(error.to_string())),
        };
        let size = header.size() as u64;
        if self.end - self.position < size {
            return Ok(Step::Bad(format!("the batch of {size} bytes is not all there")));
        }
        let computed = self.crc(self.position, size)?;
        if computed != header.crc {
            return Ok(Step::Bad(BatchError::Crc { stored: header.crc, computed }.to_string()));
        }
        let located = Located { position: self.position, header };
        self.position += size;
        Ok(Step::Batch(located))
    }

    /// The header of the next batch, whose checksum nobody has looked at; none at the end, or if there is no header.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn peek(&mut self) -> io::Result<Option<BatchHeader>> {
        if self.end <= self.position {
            return Ok(None);
        }
        Ok(self.header()?.ok())
    }

    /// All bytes of a batch that [`next`](Self::next) gave.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn read(&mut self, batch: &Located) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; batch.header.size()];
        if read_full_at(self.file, &mut bytes, batch.position)? < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }

    fn header(&mut self) -> io::Result<Result<BatchHeader, BatchError>> {
        let rest = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        Ok(BatchHeader::read(self.load(self.position, rest.min(BATCH_HEADER_SIZE))?))
    }

    fn crc(&mut self, position: u64, size: u64) -> io::Result<u32> {
        let end = position + size;
        if let Ok(len) = usize::try_from(size)
            && len <= self.window.len()
        {
            let from = usize::try_from(CRC_COVERS_FROM).unwrap_or(0);
            return Ok(crc32c(&self.load(position, len)?[from..]));
        }
        let mut digest = Crc32c::new();
        let mut at = position + CRC_COVERS_FROM;
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(self.window.len());
            digest.update(self.load(at, len)?);
            at += len as u64;
        }
        Ok(digest.value())
    }

    /// `len` bytes, which the window has room for and the file must have.
    fn load(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let window_end = self.window_position + self.window_len as u64;
        if position < self.window_position || window_end < position + len as u64 {
            let rest = usize::try_from(self.end - position).unwrap_or(usize::MAX);
            let wanted = rest.min(self.window.len());
            self.window_len = 0;
            let read = read_full_at(self.file, &mut self.window[..wanted], position)?;
            if read < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let is_new = (position + read as u64).saturating_sub(window_end.max(position));
            self.bytes_read.fetch_add(is_new, Ordering::Relaxed);
            (self.window_position, self.window_len) = (position, read);
        }
        let at = usize::try_from(position - self.window_position).unwrap_or(usize::MAX);
        self.window.get(at..at + len).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
