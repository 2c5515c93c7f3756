//! The writing end of the journal: one round, one block.

use crate::storage::error::StorageError;
use crate::storage::journal::block::{Extent, block_bytes, encode};
use crate::storage::journal::buffer::AlignedBuffer;
use crate::storage::journal::file_header::HEADER_BYTES;
use crate::storage::journal::ring::{Ring, RingFile};

/// Largest block. Larger rounds sync their segments: writing so much twice costs more than it saves.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;

/// Puts blocks one behind another. For one thread at a time.
#[derive(Default)]
pub struct JournalWriter {
    buffer: Option<AlignedBuffer>,
    current: Option<Current>,
}

/// The file that is being filled.
struct Current {
    file: RingFile,
    filling: u64,
    position: u64,
}

impl JournalWriter {
    /// Makes a round durable; returns the filling that holds it, or none if there is no room for it now.
    ///
    /// # Errors
    /// [`StorageError::Io`]: nothing may be acknowledged after it.
    pub fn write(&mut self, ring: &Ring, extents: &[Extent]) -> Result<Option<u64>, StorageError> {
        let needed = block_bytes(extents) as u64;
        if ring.file_bytes() < HEADER_BYTES as u64 + needed || (BLOCK_BYTES_MAX as u64) < needed {
            return Ok(None);
        }
        let fits = |current: &Current| current.position + needed <= ring.file_bytes();
        if !self.current.as_ref().is_some_and(fits) {
            self.current = ring
                .next()
                .map(|(file, filling)| Current { file, filling, position: HEADER_BYTES as u64 });
        }
        let Some(current) = &mut self.current else { return Ok(None) };
        let buffer = self.buffer.get_or_insert_with(|| AlignedBuffer::new(BLOCK_BYTES_MAX));
        if encode(buffer, current.file.key(), extents).is_none() {
            return Ok(None);
        }
        current.file.write(buffer.bytes(), current.position)?;
        current.position += needed;
        Ok(Some(current.filling))
    }
}

impl std::fmt::Debug for JournalWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("JournalWriter")
            .field("position", &self.current.as_ref().map(|current| current.position))
            .finish_non_exhaustive()
    }
}
