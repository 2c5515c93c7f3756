//! What a batch must satisfy: stored ones, and ones that a producer sends.

use std::ops::{ControlFlow, RangeInclusive};

use super::compression::Compression;
use super::crc::crc32c;
use super::error::{BatchError, RecordDefect};
use super::header::{ATTRIBUTES_AT, BATCH_HEADER_SIZE, BatchHeader, NO_TIMESTAMP};
use super::walk::{Passed, Walked, compression_of, walk};

/// What a topic accepts from producers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceLimits {
    /// Largest batch, header included, bytes (`max.message.bytes`).
    pub batch_bytes_max: usize,
    /// Most that the records of a compressed batch may decompress to, bytes.
    pub decompressed_bytes_max: usize,
    /// Whether compressed batches are decompressed (as a stream) and their records walked. Without it, a batch that no
    /// consumer can read may get in, and `keys_required` and `timestamps` do not apply to compressed batches.
    pub check_compressed: bool,
    /// Whether every record needs a key: the topic is compacted.
    pub keys_required: bool,
    /// Timestamps that records may have, ms since 1970; "none" (-1) is always allowed.
    pub timestamps: RangeInclusive<i64>,
}

impl Default for ProduceLimits {
    /// Kafka's default batch size (1 MiB and the log overhead), 64 MiB decompressed, everything checked, any
    /// timestamp.
    fn default() -> Self {
        Self {
            batch_bytes_max: 1024 * 1024 + 12,
            decompressed_bytes_max: 64 * 1024 * 1024,
            check_compressed: true,
            keys_required: false,
            timestamps: i64::MIN..=i64::MAX,
        }
    }
}

/// Checks header, CRC and size of a stored batch, without looking at its records: what recovery and scrubbing use.
/// Bytes after the batch are allowed and not looked at.
///
/// # Errors
/// [`BatchError::Truncated`], [`BatchError::LengthTooSmall`], [`BatchError::Magic`], [`BatchError::Crc`].
pub fn check_stored(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::read(batch)?;
    check_crc(batch, &header)?;
    Ok(header)
}

/// Decompresses a stored batch and walks its records, without regard to its checksum: every length, offset deltas that rise
/// within the batch, and that nothing follows the last record. Compaction may have removed some.
///
/// # Errors
/// What is wrong; [`BatchError::OutputTooLarge`] beyond `decompressed_max` bytes.
pub fn check_stored_records(batch: &[u8], decompressed_max: usize) -> Result<(), BatchError> {
    let header = BatchHeader::read(batch)?;
    if header.record_count == 0 && header.size() == BATCH_HEADER_SIZE {
        // Compaction has emptied it; its codec has nothing to work on.
        return Ok(());
    }
    let mut next_delta = 0;
    let mut wrong_delta = None;
    let walked = walk(batch, &header, decompressed_max, |record: Passed| {
        if !(next_delta..=header.last_offset_delta).contains(&record.offset_delta) {
            wrong_delta = Some(record.index);
            return ControlFlow::Break(());
        }
        next_delta = record.offset_delta.saturating_add(1);
        ControlFlow::Continue(())
    })?;
    if let Some(index) = wrong_delta {
        return Err(BatchError::Record { index, defect: RecordDefect::OffsetDelta });
    }
    match walked {
        Walked::WithBytesLeft => Err(BatchError::BytesAfterRecords { record_count: header.record_count }),
        _ => Ok(()),
    }
}

/// Checks all that a producer's batch must satisfy; `records` must be exactly one batch.
///
/// In this order, cheap things first: length, magic, base offset 0, size, CRC, no control batch, counts, producer state,
/// codec, then the walk over the records (see [`ProduceLimits::check_compressed`]): lengths, offset deltas (each record's
/// index), keys, timestamps, headers, and that nothing follows the last record.
///
/// As lenient as Kafka with the leader epoch, the timestamp type bit and the max timestamp, which are the broker's to
/// set: the returned header's `max_timestamp` is the largest of the records. If it differs from the one in the bytes, or
/// the timestamp type is not the topic's, [`stamp_create_time`](super::stamp_create_time) puts it right. Stricter
/// than Kafka where a consumer would stumble: Kafka rewrites or cuts such batches, which verbatim storage cannot.
///
/// # Errors
/// What is wrong; see [`BatchError::kind`].
pub fn validate_produced(records: &[u8], limits: &ProduceLimits) -> Result<BatchHeader, BatchError> {
    let mut header = BatchHeader::read(records)?;
    let size = header.size();
    if records.len() < size {
        return Err(BatchError::Truncated { bytes: records.len(), needed: size });
    }
    if size < records.len() {
        return Err(BatchError::TrailingBytes { bytes: records.len() - size });
    }
    if header.base_offset != 0 {
        return Err(BatchError::BaseOffset { base_offset: header.base_offset });
    }
    if limits.batch_bytes_max < size {
        return Err(BatchError::TooLarge { bytes: size, limit: limits.batch_bytes_max });
    }
    check_crc(records, &header)?;
    check_fields(&header)?;
    let compression = compression_of(&header)?;
    if compression == Compression::None || limits.check_compressed {
        header.max_timestamp = check_records(records, &header, limits)?;
    }
    Ok(header)
}

fn check_crc(batch: &[u8], header: &BatchHeader) -> Result<(), BatchError> {
    let covered = batch
        .get(ATTRIBUTES_AT..header.size())
        .ok_or(BatchError::Truncated { bytes: batch.len(), needed: header.size() })?;
    let computed = crc32c(covered);
    if computed != header.crc {
        return Err(BatchError::Crc { stored: header.crc, computed });
    }
    Ok(())
}

fn check_fields(header: &BatchHeader) -> Result<(), BatchError> {
    if header.attributes.is_control() {
        return Err(BatchError::ControlBatch);
    }
    let BatchHeader { record_count, last_offset_delta, .. } = *header;
    if record_count < 1 || last_offset_delta != record_count - 1 {
        return Err(BatchError::Counts { record_count, last_offset_delta });
    }
    let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = *header;
    if header.has_producer_id() && (producer_epoch < 0 || base_sequence < 0) {
        return Err(BatchError::ProducerState { producer_id, producer_epoch, base_sequence });
    }
    Ok(())
}

/// Walks the records; returns the largest timestamp.
fn check_records(batch: &[u8], header: &BatchHeader, limits: &ProduceLimits) -> Result<i64, BatchError> {
    let mut wrong_delta = None;
    let mut keyless = Vec::new();
    let mut untimely = Vec::new();
    let mut max_timestamp = i64::MIN;
    let walked = walk(batch, header, limits.decompressed_bytes_max, |record: Passed| {
        if record.offset_delta != record.index {
            wrong_delta = Some(record.index);
            return ControlFlow::Break(());
        }
        if limits.keys_required && !record.has_key {
            report(&mut keyless, record.index);
        }
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        if timestamp != NO_TIMESTAMP && !limits.timestamps.contains(&timestamp) {
            report(&mut untimely, record.index);
        }
        max_timestamp = max_timestamp.max(timestamp);
        ControlFlow::Continue(())
    })?;
    if let Some(index) = wrong_delta {
        return Err(BatchError::Record { index, defect: RecordDefect::OffsetDelta });
    }
    if walked == Walked::WithBytesLeft {
        return Err(BatchError::BytesAfterRecords { record_count: header.record_count });
    }
    if !keyless.is_empty() {
        return Err(BatchError::KeysMissing { indexes: keyless });
    }
    if !untimely.is_empty() {
        return Err(BatchError::Timestamps { indexes: untimely });
    }
    Ok(max_timestamp)
}

/// The list goes back to the sender: keep it short.
fn report(indexes: &mut Vec<i32>, index: i32) {
    if indexes.len() < BatchError::REPORTED_RECORDS_MAX {
        indexes.push(index);
    }
}
