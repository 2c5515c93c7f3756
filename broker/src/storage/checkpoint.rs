//! What a restart needs to know of every partition: how far it is durable, and where to look from.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::storage::files::FileSystem;
use crate::storage::state_file::{self, StateFileError, StateKind};
use crate::storage::summary::SegmentSummary;

/// Name of the file in the data directory.
pub const FILE_NAME: &str = "checkpoint.state";

const KIND: StateKind = StateKind { tag: *b"ckpt", version: 1 };

/// A log as it was at one moment. To be saved only once everything below its end is durable: recovery never cuts what a
/// checkpoint covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionCheckpoint {
    /// Log start offset.
    pub start_offset: i64,
    /// Offset after the last record.
    pub end_offset: i64,
    /// The last segment; none while the partition has no folder.
    pub active: Option<SegmentSummary>,
    /// All other segments, in the checkpoint of a clean shutdown only, which is trusted without looking.
    pub sealed: Option<Vec<SealedSegment>>,
}

/// A segment that grows no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSegment {
    /// Offset that the file is named after.
    pub base_offset: i64,
    /// Bytes.
    pub size: u64,
}

/// A partition and its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointEntry {
    /// Topic.
    pub topic_id: Uuid,
    /// Partition number.
    pub partition: i32,
    /// Its log.
    pub checkpoint: PartitionCheckpoint,
}

/// An entry as it is stored.
type Stored = ([u8; 16], i32, PartitionCheckpoint);

/// Saves all partitions' checkpoints, durably.
///
/// # Errors
/// [`StateFileError::Io`].
pub fn save(fs: &dyn FileSystem, data_dir: &Path, entries: &[CheckpointEntry]) -> Result<(), StateFileError> {
    let stored: Vec<([u8; 16], i32, &PartitionCheckpoint)> = entries
        .iter()
        .map(|entry| (entry.topic_id.into_bytes(), entry.partition, &entry.checkpoint))
        .collect();
    state_file::save(fs, &data_dir.join(FILE_NAME), KIND, &stored)
}

/// Loads them; none if there is no such file.
///
/// # Errors
/// [`StateFileError`]; the caller may go on without a checkpoint and scan all logs.
pub fn load(fs: &dyn FileSystem, data_dir: &Path) -> Result<Option<Vec<CheckpointEntry>>, StateFileError> {
    let stored: Option<Vec<Stored>> = state_file::load(fs, &data_dir.join(FILE_NAME), KIND)?;
    let entry = |(topic_id, partition, checkpoint): Stored| CheckpointEntry {
        topic_id: Uuid::from_bytes(topic_id),
        partition,
        checkpoint,
    };
    Ok(stored.map(|stored| stored.into_iter().map(entry).collect()))
}
