//! Batches as a producer makes them.

use bytes::Bytes;

use super::compression::Compression;
use super::crc::crc32c;
use super::error::BatchError;
use super::header::{
    ATTRIBUTES_AT, Attributes, BATCH_HEADER_SIZE, BatchHeader, CRC_AT, LOG_OVERHEAD, MAGIC,
    NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
};
use super::varint::{put_varint, put_varlong, varint_size, varlong_size};

/// A record to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    /// Ms since 1970.
    pub timestamp: i64,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: Option<&'a [u8]>,
    /// Headers; kept in this order.
    pub headers: &'a [NewHeader<'a>],
}

/// A record header to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewHeader<'a> {
    /// Key; by convention UTF-8.
    pub key: &'a [u8],
    /// Value.
    pub value: Option<&'a [u8]>,
}

/// Who sends a batch, and its place in that producer's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerStamp {
    /// Id from InitProducerId, or -1.
    pub producer_id: i64,
    /// Epoch from InitProducerId, or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record in its partition, or -1.
    pub base_sequence: i32,
}

impl ProducerStamp {
    /// A producer that is not idempotent.
    pub const NONE: Self =
        Self { producer_id: NO_PRODUCER_ID, producer_epoch: NO_PRODUCER_EPOCH, base_sequence: NO_SEQUENCE };
}

/// Collects records and makes a batch of them. Offsets count from 0, as a producer sends them.
#[derive(Debug)]
pub struct BatchBuilder {
    /// Room for the header, then the records.
    batch: Vec<u8>,
    record_count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// Without records.
    #[must_use]
    pub fn new() -> Self {
        Self {
            batch: vec![0; BATCH_HEADER_SIZE],
            record_count: 0,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
        }
    }

    /// Adds a record; returns the size of the batch without compression, bytes.
    ///
    /// # Errors
    /// [`BatchError::TooLarge`] if the record or the batch would pass what the format can express (2 GiB); the batch
    /// is unchanged then.
    pub fn add(&mut self, record: &NewRecord<'_>) -> Result<usize, BatchError> {
        let limit = BATCH_BYTES_MAX;
        let too_large = |bytes| BatchError::TooLarge { bytes, limit };
        let size_after = self.size().saturating_add(record_size_max(record));
        if limit < size_after {
            return Err(too_large(size_after));
        }
        if self.record_count == 0 {
            self.base_timestamp = record.timestamp;
            self.max_timestamp = record.timestamp;
        }
        let timestamp_delta = record.timestamp.wrapping_sub(self.base_timestamp);
        let body = body_size(record, timestamp_delta, self.record_count);
        put_varint(&mut self.batch, length_i32(body));
        self.batch.push(0);
        put_varlong(&mut self.batch, timestamp_delta);
        put_varint(&mut self.batch, self.record_count);
        put_nullable(&mut self.batch, record.key);
        put_nullable(&mut self.batch, record.value);
        put_varint(&mut self.batch, length_i32(record.headers.len()));
        for header in record.headers {
            put_nullable(&mut self.batch, Some(header.key));
            put_nullable(&mut self.batch, header.value);
        }
        self.record_count += 1;
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        Ok(self.size())
    }

    /// Number of records.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Bytes of the batch without compression.
    #[must_use]
    pub fn size(&self) -> usize {
        self.batch.len()
    }

    /// An upper bound of what one more record adds to [`size`](Self::size), bytes.
    #[must_use]
    pub fn size_max_of(record: &NewRecord<'_>) -> usize {
        record_size_max(record)
    }

    /// The batch, ready to send. If compression does not make the records smaller they are sent as they are.
    ///
    /// # Errors
    /// [`BatchError::Counts`] without records; [`BatchError::NotCompressed`].
    pub fn build(self, compression: Compression, producer: ProducerStamp) -> Result<Bytes, BatchError> {
        self.build_with(compression, producer, Attributes::default())
    }

    /// Like [`build`](Self::build), with further attributes (transactional, control) given.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub fn build_with(
        mut self,
        compression: Compression,
        producer: ProducerStamp,
        attributes: Attributes,
    ) -> Result<Bytes, BatchError> {
        let last_offset_delta = self.record_count - 1;
        if last_offset_delta < 0 {
            return Err(BatchError::Counts { record_count: self.record_count, last_offset_delta });
        }
        let used = compress_if_smaller(compression, &mut self.batch)?;
        let header = BatchHeader {
            base_offset: 0,
            batch_length: length_i32(self.batch.len() - LOG_OVERHEAD),
            leader_epoch: -1,
            magic: MAGIC,
            crc: 0,
            attributes: attributes.with_compression(used),
            last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            base_sequence: producer.base_sequence,
            record_count: self.record_count,
        };
        write_header(&header, &mut self.batch);
        Ok(Bytes::from(self.batch))
    }
}

/// What the length field can express, and the whole of it a signed 32-bit number.
const BATCH_BYTES_MAX: usize = i32::MAX as usize;

/// Replaces the records by compressed ones, unless those are larger; returns the codec that was used.
fn compress_if_smaller(compression: Compression, batch: &mut Vec<u8>) -> Result<Compression, BatchError> {
    if compression == Compression::None {
        return Ok(Compression::None);
    }
    let records = &batch[BATCH_HEADER_SIZE..];
    match compression.compress(records, records.len()) {
        Ok(compressed) => {
            batch.truncate(BATCH_HEADER_SIZE);
            batch.extend_from_slice(&compressed);
            Ok(compression)
        }
        Err(BatchError::OutputTooLarge { .. }) => Ok(Compression::None),
        Err(error) => Err(error),
    }
}

/// Writes the header in front of the records, with the CRC of both.
pub(super) fn write_header(header: &BatchHeader, batch: &mut [u8]) {
    let mut head = [0; BATCH_HEADER_SIZE];
    header.write(&mut head);
    batch[..BATCH_HEADER_SIZE].copy_from_slice(&head);
    let crc = crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

/// Bytes of a record after its length field.
fn body_size(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: i32) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|header| nullable_size(Some(header.key)) + nullable_size(header.value))
        .sum();
    1 + varlong_size(timestamp_delta)
        + varint_size(offset_delta)
        + nullable_size(record.key)
        + nullable_size(record.value)
        + varint_size(length_i32(record.headers.len()))
        + headers
}

/// An upper bound of a record's bytes, whatever its deltas; saturates.
fn record_size_max(record: &NewRecord<'_>) -> usize {
    const VARINT: usize = 5;
    const VARLONG: usize = 10;
    let field = |bytes: Option<&[u8]>| VARINT.saturating_add(bytes.map_or(0, <[u8]>::len));
    let fixed = VARINT + 1 + VARLONG + VARINT + VARINT;
    let headers = record.headers.iter().fold(0usize, |sum, header| {
        sum.saturating_add(field(Some(header.key))).saturating_add(field(header.value))
    });
    fixed.saturating_add(field(record.key)).saturating_add(field(record.value)).saturating_add(headers)
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_size(length_i32(bytes.len())) + bytes.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        put_varint(out, -1);
        return;
    };
    put_varint(out, length_i32(bytes.len()));
    out.extend_from_slice(bytes);
}

/// Every length here was bounded by [`BATCH_BYTES_MAX`] when the record was added.
fn length_i32(length: usize) -> i32 {
    i32::try_from(length).expect("bounded when the record was added")
}
