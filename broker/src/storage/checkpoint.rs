//! What a restart needs to know of a log: how far it is durable, and where to look from.

use serde::{Deserialize, Serialize};

use crate::storage::holes::Quarantined;
use crate::storage::summary::SegmentSummary;

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
    /// Ranges below the end that cannot be read.
    pub quarantined: Vec<Quarantined>,
}

impl PartitionCheckpoint {
    /// Whether it lists all segments, and makes sense: what does not is looked at as after a crash.
    pub(crate) fn is_complete(&self) -> bool {
        (self.active.is_none() || self.sealed.is_some()) && self.start_offset <= self.end_offset
    }
}

/// A segment that grows no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSegment {
    /// Offset that the file is named after.
    pub base_offset: i64,
    /// Bytes.
    pub size: u64,
}
