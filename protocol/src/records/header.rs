//! The 61-byte header of a record batch.

use super::compression::{Compression, UnknownCompression};
use super::error::BatchError;

/// Bytes before the first record.
pub const BATCH_HEADER_SIZE: usize = 61;
/// Base offset and length field: what stands before the bytes that the length field counts.
pub const LOG_OVERHEAD: usize = 12;
/// The only message format that is spoken here.
pub const MAGIC: i8 = 2;
/// Producer id of a producer that is not idempotent.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch of a producer that is not idempotent.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Sequence of a producer that is not idempotent.
pub const NO_SEQUENCE: i32 = -1;
/// The timestamp that stands for "none".
pub const NO_TIMESTAMP: i64 = -1;

/// The smallest value of the length field: a batch without records.
const BATCH_LENGTH_MIN: i32 = 49;
const _: () = assert!(BATCH_LENGTH_MIN as usize + LOG_OVERHEAD == BATCH_HEADER_SIZE);

pub(super) const LENGTH_AT: usize = 8;
pub(super) const LEADER_EPOCH_AT: usize = 12;
pub(super) const MAGIC_AT: usize = 16;
pub(super) const CRC_AT: usize = 17;
/// The first byte that the CRC covers.
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;
pub(super) const PRODUCER_ID_AT: usize = 43;
pub(super) const PRODUCER_EPOCH_AT: usize = 51;
pub(super) const BASE_SEQUENCE_AT: usize = 53;

const COMPRESSION_MASK: i16 = 0b111;
const TIMESTAMP_TYPE_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;
const DELETE_HORIZON_BIT: i16 = 1 << 6;

/// The header of a record batch, field by field in wire order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record; 0 from a producer.
    pub base_offset: i64,
    /// Bytes of the batch after this field: the whole size less 12.
    pub batch_length: i32,
    /// Leader epoch at the time of the append; outside the CRC, as the base offset is.
    pub leader_epoch: i32,
    /// Message format, always 2 after [`BatchHeader::read`].
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: Attributes,
    /// Offset of the last record relative to the base offset.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas count from, ms since 1970.
    pub base_timestamp: i64,
    /// Largest timestamp in the batch, or the append time; ms since 1970.
    pub max_timestamp: i64,
    /// Producer id, or -1.
    pub producer_id: i64,
    /// Producer epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header from the first 61 bytes; more may follow.
    ///
    /// Checks only what makes the header usable: that the length field is at least 49 and the magic is 2.
    ///
    /// # Errors
    /// [`BatchError::Truncated`], [`BatchError::LengthTooSmall`], [`BatchError::Magic`].
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(head) = bytes.first_chunk::<BATCH_HEADER_SIZE>() else {
            return Err(BatchError::Truncated { bytes: bytes.len(), needed: BATCH_HEADER_SIZE });
        };
        let header = Self::parse(head);
        if header.batch_length < BATCH_LENGTH_MIN {
            return Err(BatchError::LengthTooSmall { length: header.batch_length });
        }
        if header.magic != MAGIC {
            return Err(BatchError::Magic { magic: header.magic });
        }
        Ok(header)
    }

    fn parse(head: &[u8; BATCH_HEADER_SIZE]) -> Self {
        Self {
            base_offset: i64::from_be_bytes(field(head, 0)),
            batch_length: i32::from_be_bytes(field(head, LENGTH_AT)),
            leader_epoch: i32::from_be_bytes(field(head, LEADER_EPOCH_AT)),
            magic: i8::from_be_bytes(field(head, MAGIC_AT)),
            crc: u32::from_be_bytes(field(head, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(field(head, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(field(head, 23)),
            base_timestamp: i64::from_be_bytes(field(head, 27)),
            max_timestamp: i64::from_be_bytes(field(head, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(field(head, PRODUCER_ID_AT)),
            producer_epoch: i16::from_be_bytes(field(head, PRODUCER_EPOCH_AT)),
            base_sequence: i32::from_be_bytes(field(head, BASE_SEQUENCE_AT)),
            record_count: i32::from_be_bytes(field(head, 57)),
        }
    }

    /// Writes the header as it goes to disk and wire. The CRC is written as it stands, not computed.
    pub fn write(&self, out: &mut [u8; BATCH_HEADER_SIZE]) {
        put(out, 0, self.base_offset.to_be_bytes());
        put(out, LENGTH_AT, self.batch_length.to_be_bytes());
        put(out, LEADER_EPOCH_AT, self.leader_epoch.to_be_bytes());
        put(out, MAGIC_AT, self.magic.to_be_bytes());
        put(out, CRC_AT, self.crc.to_be_bytes());
        put(out, ATTRIBUTES_AT, self.attributes.0.to_be_bytes());
        put(out, 23, self.last_offset_delta.to_be_bytes());
        put(out, 27, self.base_timestamp.to_be_bytes());
        put(out, MAX_TIMESTAMP_AT, self.max_timestamp.to_be_bytes());
        put(out, PRODUCER_ID_AT, self.producer_id.to_be_bytes());
        put(out, PRODUCER_EPOCH_AT, self.producer_epoch.to_be_bytes());
        put(out, BASE_SEQUENCE_AT, self.base_sequence.to_be_bytes());
        put(out, 57, self.record_count.to_be_bytes());
    }

    /// Bytes of the whole batch, header included.
    #[must_use]
    pub fn size(&self) -> usize {
        LOG_OVERHEAD + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset after the last record: where the next batch starts.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence of the last record; -1 without a base sequence. Sequences wrap from 2^31 - 1 to 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return NO_SEQUENCE;
        }
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// From when on the tombstones of the batch, or its transaction marker, may go; ms since 1970. Compaction sets it, in place of
    /// the base timestamp (KIP-534).
    #[must_use]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Whether the batch comes from an idempotent or transactional producer.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        NO_PRODUCER_ID < self.producer_id
    }
}

/// Adds to a sequence, wrapping from 2^31 - 1 to 0 as Kafka's `DefaultRecordBatch.incrementSequence`; both
/// arguments count from 0, negative ones are taken as 0.
#[must_use]
pub fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    let sum = i64::from(sequence.max(0)) + i64::from(increment.max(0));
    let wrapped = sum % (i64::from(i32::MAX) + 1);
    i32::try_from(wrapped).expect("the remainder of a division by 2^31")
}

/// What a timestamp of a batch means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Every record has its own, set by the producer.
    CreateTime,
    /// All records have the batch's max timestamp, set by the broker.
    LogAppendTime,
}

/// The attributes field of a batch header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// The codec of the records.
    ///
    /// # Errors
    /// [`UnknownCompression`] for codes 5 to 7.
    pub fn compression(self) -> Result<Compression, UnknownCompression> {
        Compression::from_code(self.0 & COMPRESSION_MASK)
    }

    /// The same with another codec.
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Self {
        Self(self.0 & !COMPRESSION_MASK | compression.code())
    }

    /// Whose clock the timestamps are from.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// The same with another timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => Self(self.0 & !TIMESTAMP_TYPE_BIT),
            TimestampType::LogAppendTime => Self(self.0 | TIMESTAMP_TYPE_BIT),
        }
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL_BIT != 0
    }

    /// Whether the records are control records (transaction markers), which applications never see.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & CONTROL_BIT != 0
    }

    /// Whether the base timestamp holds a delete horizon (KIP-534, set by log compaction).
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & DELETE_HORIZON_BIT != 0
    }

    /// The same with a delete horizon as base timestamp.
    #[must_use]
    pub fn with_delete_horizon(self) -> Self {
        Self(self.0 | DELETE_HORIZON_BIT)
    }

    /// The same with a base timestamp that is one.
    #[must_use]
    pub fn without_delete_horizon(self) -> Self {
        Self(self.0 & !DELETE_HORIZON_BIT)
    }
}

/// `N` bytes at a fixed place; `at + N` is at most 61 in every call of this module.
fn field<const N: usize>(head: &[u8; BATCH_HEADER_SIZE], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}

fn put<const N: usize>(head: &mut [u8; BATCH_HEADER_SIZE], at: usize, bytes: [u8; N]) {
    head[at..at + N].copy_from_slice(&bytes);
}
