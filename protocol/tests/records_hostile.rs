//! Damaged and random bytes: nothing panics, and what is accepted can be read by every consumer.

use bytes::Bytes;
use proptest::prelude::*;
use sendlog_protocol::records::{
    BatchBuilder, BatchError, BatchHeader, Compression, NewHeader, NewRecord, ProduceLimits, ProducerStamp,
    check_stored, crc32c, first_record_at_or_after, max_timestamp_record, read_records, validate_produced,
};

const LIMIT: usize = 1024 * 1024;

fn limits() -> ProduceLimits {
    ProduceLimits { batch_bytes_max: usize::MAX, decompressed_bytes_max: LIMIT, ..ProduceLimits::default() }
}

/// Everything that takes a batch, on these bytes.
fn exercise(batch: &[u8]) {
    let accepted = validate_produced(batch, &limits());
    let stored = check_stored(batch);
    let _ = first_record_at_or_after(batch, 0, 1, LIMIT);
    let max = max_timestamp_record(batch, i64::MIN, LIMIT);
    let mut bytes = 0;
    let records = read_records(&Bytes::copy_from_slice(batch), LIMIT).and_then(|records| {
        records
            .inspect(|record| {
                let value = record.as_ref().ok().and_then(|record| record.value.as_ref());
                bytes += value.map_or(0, Bytes::len);
            })
            .collect::<Result<Vec<_>, _>>()
    });
    assert!(bytes <= LIMIT.max(batch.len()));
    if accepted.is_ok() {
        assert!(stored.is_ok() && max.is_ok(), "accepted, so it is good in storage");
        assert!(records.is_ok(), "accepted, so every consumer can read it");
    }
}

fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    if 61 <= batch.len() {
        let length = i32::try_from(batch.len() - 12).expect("small");
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    batch
}

fn good_batch(compression: Compression, records: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let headers =
        [NewHeader { key: b"header", value: None }, NewHeader { key: b"header", value: Some(b"1") }];
    for index in 0..records {
        let key = index.to_string();
        let value = format!("line {index} of a log that compresses well, well, well").repeat(index % 4);
        let record = NewRecord {
            timestamp: 7,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &headers,
        };
        builder.add(&record).expect("small");
    }
    builder.build(compression, ProducerStamp::NONE).expect("valid").to_vec()
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), 1u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (at(), 1usize..20).prop_map(|(at, bytes)| Damage::Remove(at, bytes)),
    ]
}

fn apply(batch: &mut Vec<u8>, damage: Damage) {
    match damage {
        _ if batch.is_empty() => {}
        Damage::Flip(at, bits) => {
            let at = at.index(batch.len());
            batch[at] ^= bits;
        }
        Damage::Cut(at) => batch.truncate(at.index(batch.len())),
        Damage::Insert(at, bytes) => {
            let at = at.index(batch.len());
            batch.splice(at..at, bytes);
        }
        Damage::Remove(at, bytes) => {
            let at = at.index(batch.len());
            batch.drain(at..(at + bytes).min(batch.len()));
        }
    }
}

/// A batch of `count` records with `stream` as what follows the header.
fn with_stream(compression: Compression, stream: &[u8], count: i32) -> Vec<u8> {
    let mut batch = good_batch(Compression::None, 1);
    batch.truncate(61);
    batch[21..23].copy_from_slice(&compression.code().to_be_bytes());
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    batch.extend_from_slice(stream);
    sealed(batch)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_batches_never_panic(
        compression in prop::sample::select(Compression::ALL.to_vec()),
        records in 1usize..40,
        damages in prop::collection::vec(damage(), 1..4),
        keep_header in any::<bool>(),
        seal in prop::bool::weighted(0.9),
    ) {
        let mut batch = good_batch(compression, records);
        let header = batch[..61].to_vec();
        for damage in damages {
            apply(&mut batch, damage);
        }
        // The deeper layers are reached only with a header that passes.
        if keep_header && 61 <= batch.len() {
            batch[..61].copy_from_slice(&header);
        }
        exercise(&if seal { sealed(batch) } else { batch });
    }

    #[test]
    fn random_records_never_panic(
        compression in prop::sample::select(Compression::ALL.to_vec()),
        records in prop::collection::vec(any::<u8>(), 0..200),
        count in 1i32..5,
    ) {
        exercise(&with_stream(compression, &records, count));
        // Random bytes well compressed: reaches the walk over the stream.
        let compressed = compression.compress(&records, LIMIT).expect("small");
        exercise(&with_stream(compression, &compressed, count));
        for codec in Compression::ALL {
            let _ = codec.decompress(&records, 1000);
        }
    }
}

#[test]
fn every_truncation_of_a_batch_is_handled() {
    for compression in Compression::ALL {
        let batch = good_batch(compression, 10);
        for length in 0..batch.len() {
            exercise(&batch[..length]);
            exercise(&sealed(batch[..length].to_vec()));
        }
    }
}

#[test]
fn compressing_is_capped_too() {
    let noise: Vec<u8> = (0..10_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    for compression in Compression::ALL {
        let size = compression.compress(&noise, usize::MAX).expect("no limit").len();
        assert_eq!(compression.compress(&noise, size).expect("at the limit").len(), size);
        let error = compression.compress(&noise, size - 1);
        assert_eq!(error, Err(BatchError::OutputTooLarge { limit: size - 1 }), "{}", compression.name());
        let back = compression.decompress(&compression.compress(&noise, size).expect("fits"), noise.len());
        assert_eq!(back.as_deref(), Ok(noise.as_slice()));
    }
}

#[test]
fn header_sizes_do_not_overflow() {
    let mut batch = good_batch(Compression::None, 1);
    batch[0..8].copy_from_slice(&i64::MAX.to_be_bytes());
    batch[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    batch[23..27].copy_from_slice(&i32::MAX.to_be_bytes());
    batch[53..57].copy_from_slice(&i32::MAX.to_be_bytes());
    let header = BatchHeader::read(&batch).expect("readable");
    assert_eq!(header.size(), 12 + usize::try_from(i32::MAX).expect("64 bit"));
    assert_eq!(header.next_offset(), i64::MAX);
    assert_eq!(header.last_sequence(), i32::MAX - 1);
    exercise(&batch);
}
