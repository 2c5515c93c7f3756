//! From batch to batch through a segment file, by headers alone.

use std::io;
use std::path::Path;
use std::sync::Arc;

use sendlog_protocol::records::{BATCH_HEADER_SIZE, BatchHeader};

use crate::storage::error::ReadError;
use crate::storage::files::{IoMode, StoredFile};
use crate::storage::holes::Holes;

/// Bytes read at a time: headers of small batches come many in one read.
const CHUNK_BYTES: usize = 8192;

/// A batch header and where its batch starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Located {
    pub(super) position: u64,
    pub(super) header: BatchHeader,
}

impl Located {
    /// Where the next batch starts.
    pub(super) fn end(&self) -> u64 {
        self.position.saturating_add(self.header.size() as u64)
    }
}

/// Walks the batches of a file between two batch boundaries, past the holes that are known.
pub(super) struct HeaderWalk<'a> {
    file: &'a dyn StoredFile,
    path: &'a Path,
    io: IoMode,
    /// Where the next batch starts.
    position: u64,
    end: u64,
    last_offset: i64,
    next_read: usize,
    chunk: [u8; CHUNK_BYTES],
    chunk_position: u64,
    chunk_len: usize,
    holes: Option<Arc<Holes>>,
    skipped: u64,
}

impl<'a> HeaderWalk<'a> {
    pub(super) fn new(
        file: &'a dyn StoredFile,
        path: &'a Path,
        range: std::ops::Range<u64>,
        holes: Option<Arc<Holes>>,
        io: IoMode,
    ) -> Self {
        Self {
            file,
            path,
            io,
            position: range.start,
            end: range.end,
            last_offset: i64::MIN,
            next_read: CHUNK_BYTES,
            chunk: [0; CHUNK_BYTES],
            chunk_position: 0,
            chunk_len: 0,
            holes,
            skipped: 0,
        }
    }

    /// Bytes of holes on the way so far.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next batch; none at the end.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if there is something else than a batch header, the batch crosses the end, or offsets fall.
    pub(super) fn next(&mut self) -> Result<Option<Located>, ReadError> {
        if let Some(holes) = &self.holes
            && let Some(hole) = holes.at_position(self.position)
        {
            self.skipped += hole.end - self.position;
            self.position = hole.end;
            self.last_offset = self.last_offset.max(hole.next_offset - 1);
        }
        if self.end <= self.position {
            return Ok(None);
        }
        let position = self.position;
        let header =
            BatchHeader::read(self.header_bytes()?).map_err(|error| self.corrupt(error.to_string()))?;
        let located = Located { position, header };
        if self.end < located.end() {
            return Err(self.corrupt(format!("a batch of {} bytes crosses the end", header.size())));
        }
        if header.base_offset <= self.last_offset || header.last_offset() < header.base_offset {
            return Err(self.corrupt(format!("offset {} is out of order", header.base_offset)));
        }
        self.last_offset = header.last_offset();
        self.position = located.end();
        self.next_read = if CHUNK_BYTES < header.size() { BATCH_HEADER_SIZE } else { CHUNK_BYTES };
        Ok(Some(located))
    }

    fn header_bytes(&mut self) -> Result<&[u8], ReadError> {
        let chunk_end = self.chunk_position + self.chunk_len as u64;
        if self.position < self.chunk_position || chunk_end < self.position + BATCH_HEADER_SIZE as u64 {
            self.read_chunk()?;
        }
        let at = usize::try_from(self.position - self.chunk_position).unwrap_or(usize::MAX);
        Ok(self.chunk[..self.chunk_len].get(at..).unwrap_or_default())
    }

    fn read_chunk(&mut self) -> Result<(), ReadError> {
        let rest = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = self.next_read.min(rest);
        let buffer = &mut self.chunk[..wanted];
        let read = match self.io {
            IoMode::NoWait => self.file.read_at_nowait(buffer, self.position),
            IoMode::Blocking => super::files::read_full_at(self.file, buffer, self.position),
        };
        let read = read.map_err(|error| ReadError::io(self.path, error))?;
        if read < BATCH_HEADER_SIZE.min(rest) {
            return Err(self.short_read(read));
        }
        self.chunk_position = self.position;
        self.chunk_len = read;
        Ok(())
    }

    /// Without waiting, a read stops at the first page that is not in memory; else only at the end of the file.
    fn short_read(&self, read: usize) -> ReadError {
        match self.io {
            IoMode::NoWait => ReadError::io(self.path, io::ErrorKind::WouldBlock.into()),
            IoMode::Blocking => self.corrupt(format!("the file ends after {read} bytes of a batch header")),
        }
    }

    fn corrupt(&self, reason: String) -> ReadError {
        ReadError::Corrupt { path: self.path.to_path_buf(), position: self.position, reason }
    }
}
