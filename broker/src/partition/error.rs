//! What can go wrong at a partition.

use std::sync::Arc;

use thiserror::Error;

use super::producer_state::SequenceError;
use crate::storage::error::{self, StorageError};

/// Why a batch was not appended.
#[derive(Debug, Clone, Error)]
pub enum AppendError {
    /// The producer's sequence or epoch is wrong.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// No room on the disk; nothing was changed, and a later append may succeed.
    #[error("no room on the disk: {0}")]
    Full(Arc<StorageError>),
    /// A write or sync failed, now or before: the broker stops.
    #[error("the log takes no more appends: {0}")]
    Poisoned(Arc<StorageError>),
    /// The topic was deleted meanwhile.
    #[error("the topic was deleted")]
    Deleted,
    /// The broker stops.
    #[error("the broker stops")]
    Stopping,
}

/// Why a read was not served.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The offset is below the log start or above the log end.
    #[error("offset {offset} is not in {log_start}..={log_end}")]
    OutOfRange {
        /// The offset asked for.
        offset: i64,
        /// The first offset of the log.
        log_start: i64,
        /// The end of the log.
        log_end: i64,
    },
    /// The topic was deleted meanwhile.
    #[error("the topic was deleted")]
    Deleted,
    /// The client's leader epoch is older than the partition's.
    #[error("leader epoch {found} is fenced by {current}")]
    Fenced {
        /// The partition's epoch.
        current: i32,
        /// The client's.
        found: i32,
    },
    /// The client's leader epoch is newer than the partition's.
    #[error("leader epoch {found} is unknown, the partition is at {current}")]
    UnknownEpoch {
        /// The partition's epoch.
        current: i32,
        /// The client's.
        found: i32,
    },
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] error::ReadError),
}
