//! Batches to append.

use bytes::Bytes;
use sendlog_protocol::records::{
    BATCH_HEADER_SIZE, BatchBuilder, BatchHeader, Compression, NewRecord, ProducerStamp,
    patch_offset_and_epoch,
};

use crate::storage::log::AppendBatch;

/// A batch with its offset in place.
#[derive(Debug, Clone, PartialEq)]
pub struct TestBatch {
    /// The first 61 bytes.
    pub head: [u8; BATCH_HEADER_SIZE],
    /// All bytes.
    pub bytes: Bytes,
    /// The header.
    pub parsed: BatchHeader,
}

/// A batch of records at these timestamps, with values of `value_bytes`.
///
/// # Panics
/// If there is no timestamp.
#[must_use]
pub fn batch(
    base_offset: i64,
    timestamps: &[i64],
    value_bytes: usize,
    compression: Compression,
) -> TestBatch {
    let mut builder = BatchBuilder::new();
    for (index, timestamp) in timestamps.iter().enumerate() {
        let filler =
            u8::try_from((base_offset.unsigned_abs() + index as u64) % 251).expect("a remainder below 251");
        let value = vec![filler; value_bytes];
        let record = NewRecord { timestamp: *timestamp, value: Some(&value), ..NewRecord::default() };
        builder.add(&record).expect("test records are small");
    }
    let built = builder.build(compression, ProducerStamp::NONE).expect("test records compress");
    let mut bytes = built.to_vec();
    patch_offset_and_epoch(&mut bytes, base_offset, 0);
    let mut head = [0; BATCH_HEADER_SIZE];
    head.copy_from_slice(&bytes[..BATCH_HEADER_SIZE]);
    let parsed = BatchHeader::read(&head).expect("a built batch has a header");
    TestBatch { head, bytes: bytes.into(), parsed }
}

impl TestBatch {
    /// For [`Log::append`](crate::storage::log::Log::append).
    #[must_use]
    pub fn to_append(&self) -> AppendBatch<'_> {
        AppendBatch { header: &self.head, records: &self.bytes[BATCH_HEADER_SIZE..], parsed: self.parsed }
    }
}
