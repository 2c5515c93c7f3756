//! Records out of a batch, for consumers.

use bytes::Bytes;

use super::compression::Compression;
use super::error::{BatchError, RecordDefect};
use super::header::{BATCH_HEADER_SIZE, BatchHeader, TimestampType};
use super::source::{SliceSource, Source};
use super::walk::compression_of;

/// A record with its absolute offset and timestamp. Key, value and headers share the batch's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Offset in the log.
    pub offset: i64,
    /// Create time or log append time, ms since 1970; -1 for none.
    pub timestamp: i64,
    /// Key, if it has one.
    pub key: Option<Bytes>,
    /// Value; none is a tombstone in a compacted topic.
    pub value: Option<Bytes>,
    /// Headers in the order they were written; keys may repeat.
    pub headers: Vec<RecordHeader>,
}

/// A header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// Key; by convention UTF-8.
    pub key: Bytes,
    /// Value.
    pub value: Option<Bytes>,
}

/// Reads the records of a batch, control batches included. The CRC is not checked here: see
/// [`check_stored`](super::check_stored). Compressed records are decompressed as a whole first, to at most
/// `decompressed_max` bytes.
///
/// # Errors
/// [`BatchError::Truncated`], [`BatchError::LengthTooSmall`], [`BatchError::Magic`] from the header;
/// [`BatchError::UnknownCompression`], [`BatchError::Undecodable`], [`BatchError::OutputTooLarge`] from the codec. The
/// iterator yields [`BatchError::Record`] for a bad record, and then ends.
pub fn read_records(batch: &Bytes, decompressed_max: usize) -> Result<Records, BatchError> {
    let header = BatchHeader::read(batch)?;
    if batch.len() < header.size() {
        return Err(BatchError::Truncated { bytes: batch.len(), needed: header.size() });
    }
    let stored = batch.slice(BATCH_HEADER_SIZE..header.size());
    let data = match compression_of(&header)? {
        Compression::None => stored,
        compression => Bytes::from(compression.decompress(&stored, decompressed_max)?),
    };
    Ok(Records { header, data, position: 0, index: 0 })
}

/// The records of one batch, in offset order; made by [`read_records`].
#[derive(Debug)]
pub struct Records {
    header: BatchHeader,
    /// Uncompressed.
    data: Bytes,
    position: usize,
    index: i32,
}

impl Records {
    /// The header of the batch.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    fn read_next(&mut self) -> Result<Record, RecordDefect> {
        let mut source = SliceSource::new(self.data.get(self.position..).unwrap_or_default());
        let length = usize::try_from(source.varint()?).map_err(|_| RecordDefect::Length)?;
        let start = self.position + source.index();
        let end = start.checked_add(length).filter(|end| *end <= self.data.len());
        let record = self.data.slice(start..end.ok_or(RecordDefect::Truncated)?);
        self.position = start + length;
        read_record(&record, &self.header)
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.header.record_count <= self.index {
            return None;
        }
        let index = self.index;
        self.index += 1;
        let read = self.read_next().map_err(|defect| BatchError::Record { index, defect });
        if read.is_err() {
            // Where the next record starts is not known.
            self.index = self.header.record_count;
        }
        Some(read)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The count is a claim: only an upper bound, so that nobody allocates by it.
        (0, usize::try_from(self.header.record_count - self.index).ok())
    }
}

/// Reads a record from exactly its bytes, the length before them excluded.
fn read_record(record: &Bytes, header: &BatchHeader) -> Result<Record, RecordDefect> {
    let mut fields = Fields { record, source: SliceSource::new(record) };
    fields.source.byte()?;
    let timestamp_delta = fields.source.varlong()?;
    let offset_delta = fields.source.varint()?;
    let key = fields.nullable()?;
    let value = fields.nullable()?;
    let headers = fields.headers()?;
    if !fields.source.is_at_end()? {
        return Err(RecordDefect::Length);
    }
    Ok(Record {
        offset: header.base_offset.wrapping_add(i64::from(offset_delta)),
        timestamp: record_timestamp(header, timestamp_delta),
        key,
        value,
        headers,
    })
}

/// The timestamp of a record as readers see it.
pub(super) fn record_timestamp(header: &BatchHeader, timestamp_delta: i64) -> i64 {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => header.base_timestamp.wrapping_add(timestamp_delta),
        TimestampType::LogAppendTime => header.max_timestamp,
    }
}

/// A cursor that hands out parts of the record it runs over.
struct Fields<'a> {
    record: &'a Bytes,
    source: SliceSource<'a>,
}

impl Fields<'_> {
    fn nullable(&mut self) -> Result<Option<Bytes>, RecordDefect> {
        let length = self.source.varint()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| RecordDefect::FieldLength)?;
        let start = self.source.index();
        self.source.skip(length as u64).map_err(|_| RecordDefect::FieldLength)?;
        Ok(Some(self.record.slice(start..start + length)))
    }

    fn headers(&mut self) -> Result<Vec<RecordHeader>, RecordDefect> {
        let count = usize::try_from(self.source.varint()?).map_err(|_| RecordDefect::HeaderCount)?;
        // A header takes two bytes at least.
        if (self.record.len() - self.source.index()) / 2 < count {
            return Err(RecordDefect::HeaderCount);
        }
        let mut headers = Vec::new();
        for _ in 0..count {
            let key = self.nullable()?.ok_or(RecordDefect::FieldLength)?;
            headers.push(RecordHeader { key, value: self.nullable()? });
        }
        Ok(headers)
    }
}
