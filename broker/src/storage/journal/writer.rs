//! The writing end of the journal: one round, one block.

use crate::storage::error::StorageError;
use crate::storage::journal::block::BlockBuilder;
use crate::storage::journal::file_header::HEADER_BYTES;
use crate::storage::journal::ring::{Ring, RingFile};

/// Puts blocks one behind another. For one thread at a time.
#[derive(Debug, Default)]
pub struct JournalWriter {
    current: Option<Current>,
}

/// The file that is being filled.
#[derive(Debug)]
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
    pub fn write(&mut self, ring: &Ring, block: &mut BlockBuilder) -> Result<Option<u64>, StorageError> {
        let needed = block.block_bytes() as u64;
        if ring.file_bytes() < HEADER_BYTES as u64 + needed {
            return Ok(None);
        }
        let fits = |current: &Current| current.position + needed <= ring.file_bytes();
        if !self.current.as_ref().is_some_and(fits) {
            let next = ring.next();
            self.current =
                next.map(|(file, filling)| Current { file, filling, position: HEADER_BYTES as u64 });
        }
        let Some(current) = &mut self.current else { return Ok(None) };
        current.file.write(block.finish(current.file.key(), current.filling), current.position)?;
        current.position += needed;
        Ok(Some(current.filling))
    }
}
