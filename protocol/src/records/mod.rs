//! Record batches, format v2: the unit that producers send, the log stores and consumers fetch.
//!
//! Owns the 61-byte header, the CRC-32C, the walk over records, the four codecs and the rules that a produced batch
//! must satisfy. Knows nothing of topics, error codes on the wire, files or clocks: a caller maps
//! [`BatchError::kind`] to what it answers. Everything here works on bytes in memory and never panics on them.
//!
//! The format is Kafka's (KIP-98, `DefaultRecordBatch.java`); `docs/storage-format.md` has the byte table.

mod builder;
mod check;
mod compression;
mod crc;
mod decoder;
mod error;
mod header;
mod patch;
mod raw;
mod read;
mod recompress;
mod retain;
mod snappy;
mod source;
mod timestamp;
mod varint;
mod walk;

pub use builder::{BatchBuilder, NewHeader, NewRecord, ProducerStamp};
pub use check::{ProduceLimits, check_stored, check_stored_records, validate_produced};
pub use compression::{Compression, UnknownCompression};
pub use crc::{Crc32c, crc32c};
pub use error::{BatchError, BatchErrorKind, RecordDefect};
pub use header::{
    Attributes, BATCH_HEADER_SIZE, BatchHeader, LOG_OVERHEAD, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
    NO_SEQUENCE, NO_TIMESTAMP, TimestampType, increment_sequence,
};
pub use patch::{patch_offset_and_epoch, stamp_create_time, stamp_log_append_time, stamp_producer};
pub use raw::{RawRecord, RawRecords, raw_records, uncompressed_records};
pub use read::{Record, RecordHeader, Records, read_records};
pub use recompress::{Recompression, RecompressionLimits, recompress};
pub use retain::{Marker, Retained, Retention, empty_batch, retain_records};
pub use timestamp::{OffsetAndTimestamp, first_record_at_or_after, max_timestamp_record};
