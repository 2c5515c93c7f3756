//! What can be wrong with a record batch.

use thiserror::Error;

/// Why a batch was refused or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Fewer bytes than the header, or than the batch length says.
    #[error("{bytes} bytes are not a whole record batch, which needs {needed}")]
    Truncated {
        /// Bytes there are.
        bytes: usize,
        /// Bytes that the header (61) or the length field asks for.
        needed: usize,
    },
    /// The length field is smaller than what every batch has after it (49 bytes).
    #[error("batch length field {length} is below the 49 bytes that an empty batch has after it")]
    LengthTooSmall {
        /// The length field.
        length: i32,
    },
    /// Something follows the batch: a second one, or junk.
    #[error("{bytes} bytes follow the record batch, where exactly one batch is allowed")]
    TrailingBytes {
        /// Bytes after the batch.
        bytes: usize,
    },
    /// A message format other than v2.
    #[error("message format (magic) {magic}, only 2 is supported")]
    Magic {
        /// The magic byte.
        magic: i8,
    },
    /// The checksum does not match the bytes.
    #[error("CRC-32C of the batch is {computed:#010x}, its header says {stored:#010x}")]
    Crc {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The batch is larger than the topic allows.
    #[error("record batch of {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Size of the batch.
        bytes: usize,
        /// The limit (`max.message.bytes`).
        limit: usize,
    },
    /// The records decompress (or compress) to more than allowed; what lies beyond was not looked at.
    #[error("records take more than {limit} bytes")]
    OutputTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The codec bits name no codec.
    #[error("compression codec {codec} is unknown")]
    UnknownCompression {
        /// Bits 0 to 2 of the attributes.
        codec: i16,
    },
    /// The compressed records cannot be decompressed.
    #[error("{compression} data does not decompress: {reason}")]
    Undecodable {
        /// Name of the codec.
        compression: &'static str,
        /// What the decompressor said.
        reason: String,
    },
    /// The codec refused to compress.
    #[error("{compression} compression: {reason}")]
    NotCompressed {
        /// Name of the codec.
        compression: &'static str,
        /// What the compressor said.
        reason: String,
    },
    /// Record count not positive, or not the last offset delta plus one.
    #[error("record count {record_count} does not fit last offset delta {last_offset_delta}")]
    Counts {
        /// The record count in the header.
        record_count: i32,
        /// The last offset delta in the header.
        last_offset_delta: i32,
    },
    /// A producer must send base offset 0.
    #[error("base offset {base_offset} in a produced batch, expected 0")]
    BaseOffset {
        /// The base offset in the header.
        base_offset: i64,
    },
    /// Producers must not write control batches.
    #[error("control batch from a producer")]
    ControlBatch,
    /// A producer id without a producer epoch or sequence.
    #[error("producer id {producer_id} with epoch {producer_epoch} and sequence {base_sequence}")]
    ProducerState {
        /// The producer id in the header.
        producer_id: i64,
        /// The producer epoch in the header.
        producer_epoch: i16,
        /// The base sequence in the header.
        base_sequence: i32,
    },
    /// A record that is not what its length and the batch header say.
    #[error("record {index} of the batch: {defect}")]
    Record {
        /// Index of the record in the batch, from 0.
        index: i32,
        /// What is wrong with it.
        defect: RecordDefect,
    },
    /// Bytes are left inside the batch after the last record.
    #[error("bytes follow the last of {record_count} records in the batch")]
    BytesAfterRecords {
        /// The record count in the header.
        record_count: i32,
    },
    /// Records without a key, where the topic is compacted.
    #[error("{} or more records without a key, first at index {}; a compacted topic needs keys", indexes.len(), indexes.first().copied().unwrap_or(0))]
    KeysMissing {
        /// Indexes of the records in the batch, from 0; at most [`BatchError::REPORTED_RECORDS_MAX`].
        indexes: Vec<i32>,
    },
    /// Records with a timestamp outside of what the topic allows.
    #[error("{} or more records with a timestamp that is not allowed, first at index {}", indexes.len(), indexes.first().copied().unwrap_or(0))]
    Timestamps {
        /// Indexes of the records in the batch, from 0; at most [`BatchError::REPORTED_RECORDS_MAX`].
        indexes: Vec<i32>,
    },
}

/// What is wrong with one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordDefect {
    /// The batch ends inside the record.
    #[error("the batch ends inside it")]
    Truncated,
    /// The record's length is negative, or not where its fields end.
    #[error("its length does not fit its fields")]
    Length,
    /// A variable-length integer of too many bytes.
    #[error("a variable-length integer is too long")]
    Varint,
    /// A length below -1, or beyond the end of the record.
    #[error("a key, value or header length does not fit")]
    FieldLength,
    /// A negative header count, or more headers than the record has room for.
    #[error("its header count does not fit")]
    HeaderCount,
    /// The offset delta is not the record's index.
    #[error("its offset delta is not its index")]
    OffsetDelta,
}

/// What a refusal means to the sender; a broker maps it to its error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchErrorKind {
    /// Damaged on its way: Kafka's CORRUPT_MESSAGE.
    Corrupt,
    /// Against the rules of the format: Kafka's INVALID_RECORD.
    InvalidRecord,
    /// A timestamp out of range: Kafka's INVALID_TIMESTAMP.
    InvalidTimestamp,
    /// Larger than allowed: Kafka's MESSAGE_TOO_LARGE.
    TooLarge,
    /// An unknown codec: Kafka's UNSUPPORTED_COMPRESSION_TYPE.
    UnsupportedCompression,
    /// Compressed data that does not decompress; Kafka itself answers UNKNOWN_SERVER_ERROR.
    Undecodable,
}

impl BatchError {
    /// How many records a refusal names at most.
    pub const REPORTED_RECORDS_MAX: usize = 1000;

    /// What this means to the sender, as Kafka 4.4 sorts it.
    #[must_use]
    pub fn kind(&self) -> BatchErrorKind {
        match self {
            Self::LengthTooSmall { .. } | Self::Crc { .. } => BatchErrorKind::Corrupt,
            // Kafka knows the formats 0 and 1 and says that Produce no longer takes them; others are noise to it.
            Self::Magic { magic: 0 | 1 } => BatchErrorKind::InvalidRecord,
            Self::Magic { .. } => BatchErrorKind::Corrupt,
            Self::TooLarge { .. } | Self::OutputTooLarge { .. } => BatchErrorKind::TooLarge,
            Self::UnknownCompression { .. } => BatchErrorKind::UnsupportedCompression,
            Self::Undecodable { .. } | Self::NotCompressed { .. } => BatchErrorKind::Undecodable,
            Self::Timestamps { .. } => BatchErrorKind::InvalidTimestamp,
            Self::Truncated { .. }
            | Self::TrailingBytes { .. }
            | Self::Counts { .. }
            | Self::BaseOffset { .. }
            | Self::ControlBatch
            | Self::ProducerState { .. }
            | Self::Record { .. }
            | Self::BytesAfterRecords { .. }
            | Self::KeysMissing { .. } => BatchErrorKind::InvalidRecord,
        }
    }

    /// Indexes of the records a refusal is about (Produce answers them as record errors); empty if it is about the
    /// batch as a whole.
    #[must_use]
    pub fn record_indexes(&self) -> &[i32] {
        match self {
            Self::KeysMissing { indexes } | Self::Timestamps { indexes } => indexes,
            Self::Record { index, .. } => std::slice::from_ref(index),
            _ => &[],
        }
    }
}
