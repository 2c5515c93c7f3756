//! What a broker writes into a batch before it is stored, and a producer before it is sent.

use super::crc::{Crc32c, crc32c};
use super::header::{
    ATTRIBUTES_AT, Attributes, BASE_SEQUENCE_AT, BATCH_HEADER_SIZE, CRC_AT, LEADER_EPOCH_AT,
    MAX_TIMESTAMP_AT, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, TimestampType,
};

/// Sets base offset and leader epoch. They lie outside of the CRC, so it stays valid.
///
/// # Panics
/// If `header` has fewer than 16 bytes.
pub fn patch_offset_and_epoch(header: &mut [u8], base_offset: i64, leader_epoch: i32) {
    header[..8].copy_from_slice(&base_offset.to_be_bytes());
    header[LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Sets the timestamp type to "log append time", the max timestamp to `timestamp_ms` (which readers then take for every
/// record) and the new CRC. `records` is what follows the header.
pub fn stamp_log_append_time(batch_header: &mut [u8; BATCH_HEADER_SIZE], records: &[u8], timestamp_ms: i64) {
    stamp_timestamp(batch_header, records, TimestampType::LogAppendTime, timestamp_ms);
}

/// Sets the timestamp type to "create time", the max timestamp to `max_timestamp_ms` and the new CRC: for a producer
/// that got either wrong. `records` is what follows the header.
pub fn stamp_create_time(batch_header: &mut [u8; BATCH_HEADER_SIZE], records: &[u8], max_timestamp_ms: i64) {
    stamp_timestamp(batch_header, records, TimestampType::CreateTime, max_timestamp_ms);
}

fn stamp_timestamp(
    head: &mut [u8; BATCH_HEADER_SIZE],
    records: &[u8],
    timestamp_type: TimestampType,
    max_timestamp: i64,
) {
    let attributes = Attributes(i16::from_be_bytes([head[ATTRIBUTES_AT], head[ATTRIBUTES_AT + 1]]));
    let attributes = attributes.with_timestamp_type(timestamp_type);
    head[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.0.to_be_bytes());
    head[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&max_timestamp.to_be_bytes());
    let crc = crc_of_parts(&head[ATTRIBUTES_AT..], records);
    head[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

/// CRC-32C of a header's tail and the records, which lie apart.
fn crc_of_parts(tail: &[u8], records: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(tail);
    crc.update(records);
    crc.value()
}

/// Sets producer id, epoch and base sequence of a whole batch, and its CRC: for a producer that sends a batch again under
/// another epoch (KIP-360).
///
/// # Panics
/// If `batch` has fewer than 61 bytes.
pub fn stamp_producer(batch: &mut [u8], producer: super::ProducerStamp) {
    batch[PRODUCER_ID_AT..PRODUCER_ID_AT + 8].copy_from_slice(&producer.producer_id.to_be_bytes());
    batch[PRODUCER_EPOCH_AT..PRODUCER_EPOCH_AT + 2].copy_from_slice(&producer.producer_epoch.to_be_bytes());
    batch[BASE_SEQUENCE_AT..BASE_SEQUENCE_AT + 4].copy_from_slice(&producer.base_sequence.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}
