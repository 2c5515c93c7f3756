//! Compaction: closed segments are written anew with the last record of every key, and take the place of what they were.
//!
//! ```text
//! cleanable     which part of a log, and whether it is worth it           pure
//! key_pass      reads that part: the last offset of every key
//! key_map       the offsets, within a limit of memory
//! transactions  whose records count, and which markers are still needed   pure
//! batch_rule    what becomes of a batch                                   pure
//! grouping      which segments become one                                 pure
//! rewrite       writes the new segment beside the old ones
//! replacement   puts it in their place, over any crash
//! ```
//!
//! The rules are Apache Kafka's (`Cleaner`, `LogCleanerManager`, KIP-534); docs/decisions/0013 has what differs and why. When
//! to compact what is decided above, in `cleaner.rs`.

pub mod batch_rule;
pub mod cleanable;
pub mod grouping;
pub mod key_map;
pub mod key_pass;
pub(crate) mod replacement;
pub mod rewrite;
pub mod transactions;

use thiserror::Error;

use crate::storage::error::{ReadError, StorageError};

/// Why a compaction broke off. The log is as it was, or some of its segments are compacted and others not yet.
#[derive(Debug, Error)]
pub enum CompactionError {
    /// The caller wants no more.
    #[error("stopped")]
    Stopped,
    /// The topic was deleted, or what was to be replaced is no longer part of the log.
    #[error("the log has changed meanwhile")]
    Gone,
    /// A segment could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no room for what would be written. It may work later.
    #[error(transparent)]
    Full(StorageError),
    /// The key map has no room for the keys of a single transaction or batch.
    #[error(
        "{bytes} bytes for keys do not hold those behind offset {offset}; raise log.cleaner.dedupe.buffer.size"
    )]
    KeysTooMany {
        /// The limit.
        bytes: usize,
        /// Where it got stuck.
        offset: i64,
    },
    /// A transaction has not ended, and nobody knows whether its records count.
    #[error("the transaction that begins at offset {offset} has not ended")]
    Undecided {
        /// Where it begins.
        offset: i64,
    },
    /// A segment that was replaced, or the marker of that, could not be removed. The next start does it.
    #[error("what was replaced is still there: {0}")]
    Undeleted(#[source] StorageError),
    /// A write or sync failed, or a step that must not fail: what the disk has is unknown.
    #[error(transparent)]
    Failed(StorageError),
}

impl CompactionError {
    /// Of a failed write, sync or rename: a full disk can be waited out.
    pub(crate) fn write(error: StorageError) -> Self {
        if error.is_full() { Self::Full(error) } else { Self::Failed(error) }
    }
}
