//! Time look-ups inside a batch, exact to the record.

use std::ops::ControlFlow;

use super::error::BatchError;
use super::header::BatchHeader;
use super::read::record_timestamp;
use super::walk::{Passed, walk};

/// A record's offset and its own timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetAndTimestamp {
    /// Offset in the log.
    pub offset: i64,
    /// Timestamp, ms since 1970.
    pub timestamp: i64,
}

/// The first record of the batch whose timestamp is at least `timestamp` and whose offset is at least `min_offset`.
/// Compressed records are streamed, not held.
///
/// # Errors
/// What is wrong with the batch up to that record; [`BatchError::OutputTooLarge`] beyond `decompressed_max` bytes.
pub fn first_record_at_or_after(
    batch: &[u8],
    timestamp: i64,
    min_offset: i64,
    decompressed_max: usize,
) -> Result<Option<OffsetAndTimestamp>, BatchError> {
    let header = BatchHeader::read(batch)?;
    let mut found = None;
    walk(batch, &header, decompressed_max, |record| {
        let seen = seen(&header, record);
        if seen.timestamp < timestamp || seen.offset < min_offset {
            return ControlFlow::Continue(());
        }
        found = Some(seen);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// The record with the largest timestamp, of those whose offset is at least `min_offset`; the first of them if there are
/// several, none in a batch without records. Compressed records are streamed, not held.
///
/// # Errors
/// What is wrong with the batch; [`BatchError::OutputTooLarge`] beyond `decompressed_max` bytes.
pub fn max_timestamp_record(
    batch: &[u8],
    min_offset: i64,
    decompressed_max: usize,
) -> Result<Option<OffsetAndTimestamp>, BatchError> {
    let header = BatchHeader::read(batch)?;
    let mut found: Option<OffsetAndTimestamp> = None;
    walk(batch, &header, decompressed_max, |record| {
        let seen = seen(&header, record);
        if min_offset <= seen.offset && found.is_none_or(|best| best.timestamp < seen.timestamp) {
            found = Some(seen);
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn seen(header: &BatchHeader, record: Passed) -> OffsetAndTimestamp {
    OffsetAndTimestamp {
        offset: header.base_offset.wrapping_add(i64::from(record.offset_delta)),
        timestamp: record_timestamp(header, record.timestamp_delta),
    }
}
