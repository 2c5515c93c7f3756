//! Ids for idempotent producers: each is given out once, also over restarts.
//!
//! Ids are reserved on disk in blocks, as Apache Kafka does (KIP-730), so that giving one out
//! costs a sync once in a thousand times. A crash wastes what was left of a block.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::storage::error::StorageError;
use crate::storage::files::FileSystem;
use crate::storage::state_file::{self, StateKind};

/// Ids reserved at a time.
const BLOCK_SIZE: i64 = 1000;

/// Name of the state file in the data directory.
pub(crate) const FILE_NAME: &str = "producer-ids.state";

pub(crate) const KIND: StateKind = StateKind { tag: *b"PIDS", version: 1 };

/// Gives out producer ids.
#[derive(Debug)]
pub struct ProducerIds {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    block: Mutex<Block>,
}

/// The ids that are reserved and not given out.
#[derive(Debug)]
struct Block {
    next: i64,
    end: i64,
}

/// On disk: ids below this are, or may have been, given out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reserved {
    end: i64,
}

impl ProducerIds {
    /// Opens the state in `data_dir`. Ids below `unused_from` are known to be in use, whatever the file
    /// says or if it is lost.
    ///
    /// # Errors
    /// [`StorageError`] if the file is there but cannot be read: starting over would give out ids
    /// twice, and duplicates would be lost.
    pub fn open(
        files: &Arc<dyn FileSystem>,
        data_dir: &std::path::Path,
        unused_from: i64,
    ) -> Result<Self, StorageError> {
        let path = data_dir.join(FILE_NAME);
        let reserved: Option<Reserved> = state_file::load(files.as_ref(), &path, KIND)?;
        let next = reserved.map_or(0, |reserved| reserved.end).max(unused_from);
        Ok(Self { files: Arc::clone(files), path, block: Mutex::new(Block { next, end: next }) })
    }

    /// An id that nobody has; may write to the disk.
    ///
    /// # Errors
    /// [`StorageError`] if a new block could not be reserved.
    pub fn next(&self) -> Result<i64, StorageError> {
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if block.next == block.end {
            let end = block.end + BLOCK_SIZE;
            state_file::save(self.files.as_ref(), &self.path, KIND, &Reserved { end })?;
            block.end = end;
        }
        block.next += 1;
        Ok(block.next - 1)
    }
}
