//! Record batches for scenarios: seeded, so that a failure can be repeated, and tampered with on request.

use bytes::{Bytes, BytesMut};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use sendlog_protocol::records::{
    BATCH_HEADER_SIZE, BatchBuilder, BatchHeader, Compression, NewRecord, ProducerStamp, crc32c,
};

/// Timestamp of every record: in the past of any clock that runs these tests.
pub const TIMESTAMP_MS: i64 = 1_700_000_000_000;
/// Where the CRC is in a batch, and where what it covers begins.
const CRC_AT: usize = 17;
const CRC_COVERS_FROM: usize = 21;

/// A batch of `count` records with values of `value_bytes` random bytes, the same ones for the same `seed`.
pub fn batch(seed: u64, count: usize, value_bytes: usize) -> Bytes {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut builder = BatchBuilder::new();
    let mut value = vec![0; value_bytes];
    for _ in 0..count {
        rng.fill_bytes(&mut value);
        add(&mut builder, &value);
    }
    build(builder, Compression::None)
}

/// A batch of one record whose value is `value_bytes` times the same byte: compressed, it is a bomb.
pub fn uniform(value_bytes: usize, compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new();
    add(&mut builder, &vec![0; value_bytes]);
    build(builder, compression)
}

/// A batch of two small records, compressed or not; its values compress well.
pub fn small(compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..2 {
        add(&mut builder, &[b'v'; 200]);
    }
    build(builder, compression)
}

fn add(builder: &mut BatchBuilder, value: &[u8]) {
    let record = NewRecord { timestamp: TIMESTAMP_MS, key: Some(b"key"), value: Some(value), headers: &[] };
    builder.add(&record).expect("a test's batch is small");
}

fn build(builder: BatchBuilder, compression: Compression) -> Bytes {
    builder.build(compression, ProducerStamp::NONE).expect("a test's batch can be built")
}

/// The batch with some bytes changed, and the CRC made right again.
pub fn changed(batch: &[u8], change: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::from(batch);
    change(&mut bytes);
    let crc = crc32c(&bytes[CRC_COVERS_FROM..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

/// The batch with another header over the same records, and the CRC made right again.
///
/// # Panics
/// When `batch` is none.
pub fn with_header(batch: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::read(batch).expect("a test's batch is right");
    change(&mut header);
    let mut head = [0; BATCH_HEADER_SIZE];
    header.write(&mut head);
    changed(batch, |bytes| bytes[..BATCH_HEADER_SIZE].copy_from_slice(&head))
}

/// The batches that a record set consists of.
///
/// # Panics
/// When it does not end where a batch ends.
pub fn split(record_set: &Bytes) -> Vec<Bytes> {
    let mut rest = record_set.clone();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let header = BatchHeader::read(&rest).expect("a record set consists of whole batches");
        assert!(header.size() <= rest.len(), "a record set ends in the middle of a batch");
        batches.push(rest.split_to(header.size()));
    }
    batches
}

/// What of a batch the broker must never change: all but base offset and leader epoch.
pub fn payload(batch: &Bytes) -> (Bytes, Bytes) {
    (batch.slice(8..12), batch.slice(16..))
}

/// Base offset of a batch.
///
/// # Panics
/// When `batch` is none.
pub fn base_offset(batch: &[u8]) -> i64 {
    BatchHeader::read(batch).expect("a whole batch").base_offset
}
