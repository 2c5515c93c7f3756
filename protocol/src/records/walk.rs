//! The walk over the records of a batch: every length checked, nothing copied.

use std::ops::ControlFlow;

use super::compression::Compression;
use super::decoder::Decoder;
use super::error::{BatchError, RecordDefect};
use super::header::{BATCH_HEADER_SIZE, BatchHeader};
use super::source::{SliceSource, Source, StreamSource};

/// What a walk shows of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    pub(super) index: i32,
    pub(super) offset_delta: i32,
    pub(super) timestamp_delta: i64,
    pub(super) has_key: bool,
}

/// Bytes that follow the last record, when all were visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walked {
    /// Every record was visited and nothing follows.
    ToTheEnd,
    /// Every record was visited; bytes follow the last one.
    WithBytesLeft,
    /// The visitor had enough.
    Stopped,
}

/// Visits the records of `batch`, which must hold the whole batch that `header` was read from. Compressed records
/// are streamed and never held as a whole (raw snappy excepted, whose blocks cannot be cut).
///
/// # Errors
/// What is wrong with the first bad record or with the compressed stream; [`BatchError::OutputTooLarge`] once more
/// than `decompressed_max` bytes come out of it.
pub(super) fn walk(
    batch: &[u8],
    header: &BatchHeader,
    decompressed_max: usize,
    visit: impl FnMut(Passed) -> ControlFlow<()>,
) -> Result<Walked, BatchError> {
    let compression = compression_of(header)?;
    let records = batch
        .get(BATCH_HEADER_SIZE..header.size())
        .ok_or(BatchError::Truncated { bytes: batch.len(), needed: header.size() })?;
    if compression == Compression::None {
        return visit_all(&mut SliceSource::new(records), header.record_count, visit);
    }
    let stream = Decoder::new(compression, records, decompressed_max)?;
    let mut source = StreamSource::new(stream, compression, decompressed_max);
    visit_all(&mut source, header.record_count, visit)
}

/// The codec of a batch, or the error that it is unknown.
pub(super) fn compression_of(header: &BatchHeader) -> Result<Compression, BatchError> {
    header.attributes.compression().map_err(|unknown| BatchError::UnknownCompression { codec: unknown.code })
}

fn visit_all<S: Source>(
    source: &mut S,
    record_count: i32,
    mut visit: impl FnMut(Passed) -> ControlFlow<()>,
) -> Result<Walked, BatchError> {
    for index in 0..record_count {
        let passed = pass_record(source, index).map_err(|halt| halt.into().at(index))?;
        if visit(passed).is_break() {
            return Ok(Walked::Stopped);
        }
    }
    match source.is_at_end().map_err(|halt| halt.into().at(record_count))? {
        true => Ok(Walked::ToTheEnd),
        false => Ok(Walked::WithBytesLeft),
    }
}

#[inline]
fn pass_record<S: Source>(source: &mut S, index: i32) -> Result<Passed, S::Halt> {
    let length = u64::try_from(source.varint()?).map_err(|_| RecordDefect::Length)?;
    let end = source.position() + length;
    // Attributes of a record: unused in format v2.
    source.byte()?;
    let timestamp_delta = source.varlong()?;
    let offset_delta = source.varint()?;
    let has_key = pass_nullable(source, end)?;
    pass_nullable(source, end)?;
    let headers = source.varint()?;
    if headers != 0 {
        pass_headers(source, headers, end)?;
    }
    if source.position() != end {
        return Err(RecordDefect::Length.into());
    }
    Ok(Passed { index, offset_delta, timestamp_delta, has_key })
}

fn pass_headers<S: Source>(source: &mut S, headers: i32, end: u64) -> Result<(), S::Halt> {
    let headers = u64::try_from(headers).map_err(|_| RecordDefect::HeaderCount)?;
    // A header takes two bytes at least.
    if end.saturating_sub(source.position()) / 2 < headers {
        return Err(RecordDefect::HeaderCount.into());
    }
    for _ in 0..headers {
        if !pass_nullable(source, end)? {
            return Err(RecordDefect::FieldLength.into());
        }
        pass_nullable(source, end)?;
    }
    Ok(())
}

/// Passes over a length and as many bytes; `false` for null (length -1).
#[inline]
fn pass_nullable<S: Source>(source: &mut S, end: u64) -> Result<bool, S::Halt> {
    let length = source.varint()?;
    let Ok(length) = u64::try_from(length) else {
        if length == -1 {
            return Ok(false);
        }
        return Err(RecordDefect::FieldLength.into());
    };
    // Before the skip: a length that lies must not make the decompressor work.
    if end.saturating_sub(source.position()) < length {
        return Err(RecordDefect::FieldLength.into());
    }
    source.skip(length)?;
    Ok(true)
}
