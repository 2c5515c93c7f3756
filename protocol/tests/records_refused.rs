//! What `validate_produced` refuses and as what, next to what Apache Kafka 4.4 answers.

use sendlog_protocol::records::{
    BatchBuilder, BatchError, BatchErrorKind, Compression, NewHeader, NewRecord, ProduceLimits,
    ProducerStamp, RecordDefect, crc32c, validate_produced,
};

const HEADER: usize = 61;

fn builder() -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    let headers = [NewHeader { key: b"h", value: Some(b"v") }];
    for (index, key) in [Some(b"k".as_slice()), None, Some(b"")].into_iter().enumerate() {
        let timestamp = 1000 + i64::try_from(index).expect("small");
        builder
            .add(&NewRecord { timestamp, key, value: Some(&[b'v'; 100]), headers: &headers })
            .expect("small");
    }
    builder
}

fn batch(compression: Compression) -> Vec<u8> {
    builder().build(compression, ProducerStamp::NONE).expect("valid").to_vec()
}

/// Makes length and CRC right again.
fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(batch.len() - 12).expect("small");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// A batch with these raw records.
fn with_records(records: &[u8], count: i32) -> Vec<u8> {
    let mut batch = batch(Compression::None);
    batch.truncate(HEADER);
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    batch.extend_from_slice(records);
    sealed(batch)
}

fn set(mut batch: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    batch
}

fn refusal(batch: &[u8]) -> BatchError {
    validate_produced(batch, &ProduceLimits::default()).expect_err("must be refused")
}

fn assert_kind(what: &str, batch: &[u8], kind: BatchErrorKind) {
    let error = refusal(batch);
    assert_eq!(error.kind(), kind, "{what}: {error}");
}

#[test]
fn damage_is_corrupt() {
    use BatchErrorKind::Corrupt;
    let good = batch(Compression::None);
    let mut flipped = good.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    assert_kind("a flipped bit", &flipped, Corrupt);
    assert_kind("magic 3", &set(good.clone(), 16, &[3]), Corrupt);
    assert_kind("magic -1", &set(good.clone(), 16, &[0xff]), Corrupt);
    assert_kind("length 48", &set(good.clone(), 8, &48i32.to_be_bytes()), Corrupt);
    assert_kind("length 0", &set(good.clone(), 8, &0i32.to_be_bytes()), Corrupt);
    assert_kind("a negative length", &set(good, 8, &i32::MIN.to_be_bytes()), Corrupt);
}

#[test]
fn rule_breaking_is_an_invalid_record() {
    use BatchErrorKind::InvalidRecord;
    let good = batch(Compression::None);
    assert_kind("nothing", &[], InvalidRecord);
    assert_kind("half a header", &good[..30], InvalidRecord);
    assert_kind("truncation", &good[..good.len() - 1], InvalidRecord);
    assert_kind("a huge length", &set(good.clone(), 8, &i32::MAX.to_be_bytes()), InvalidRecord);
    assert_kind("two batches", &[good.as_slice(), &good].concat(), InvalidRecord);
    assert_kind("one byte too many", &[good.as_slice(), &[0]].concat(), InvalidRecord);
    assert_kind("magic 0", &set(good.clone(), 16, &[0]), InvalidRecord);
    assert_kind("magic 1", &set(good.clone(), 16, &[1]), InvalidRecord);
    assert_kind("base offset 1", &set(good.clone(), 0, &1i64.to_be_bytes()), InvalidRecord);
    for compression in Compression::ALL {
        let good = batch(compression);
        let case = |what: &str, at, bytes: &[u8]| {
            let what = format!("{what}, {}", compression.name());
            assert_kind(&what, &sealed(set(good.clone(), at, bytes)), InvalidRecord);
        };
        let control = (1i16 << 5 | compression.code()).to_be_bytes();
        case("the control bit", 21, &control);
        case("last offset delta 1", 23, &1i32.to_be_bytes());
        case("record count 4", 57, &4i32.to_be_bytes());
        case("record count 0", 57, &0i32.to_be_bytes());
        case("a negative record count", 57, &(-1i32).to_be_bytes());
        case("a sequence of -1 with a producer id", 43, &7i64.to_be_bytes());
        // A false count that is consistent in the header: only the walk can tell.
        for count in [2i32, 4] {
            let lie = set(good.clone(), 23, &(count - 1).to_be_bytes());
            let lie = sealed(set(lie, 57, &count.to_be_bytes()));
            assert_kind(&format!("{count} of 3 records, {}", compression.name()), &lie, InvalidRecord);
        }
    }
}

#[test]
fn bad_records_are_named_by_index_and_defect() {
    // length, attributes, timestamp delta, offset delta, key -1, value -1, no headers
    const MINIMAL: [u8; 7] = [12, 0, 0, 0, 1, 1, 0];
    const SECOND: [u8; 7] = [12, 0, 0, 2, 1, 1, 0];
    validate_produced(&with_records(&MINIMAL, 1), &ProduceLimits::default()).expect("minimal");
    let two = [MINIMAL, SECOND].concat();
    validate_produced(&with_records(&two, 2), &ProduceLimits::default()).expect("two minimal");

    let second = |bytes: &[u8]| refusal(&with_records(&[&MINIMAL, bytes].concat(), 2));
    let cases: [(&[u8], RecordDefect); 14] = [
        (&[], RecordDefect::Truncated),
        (&[12, 0, 0, 2, 1], RecordDefect::Truncated),
        (&[1, 0, 0, 2, 1, 1, 0], RecordDefect::Length),
        (&[14, 0, 0, 2, 1, 1, 0], RecordDefect::Length),
        (&[10, 0, 0, 2, 1, 1, 0], RecordDefect::FieldLength),
        (&[12, 0, 0, 0, 1, 1, 0], RecordDefect::OffsetDelta),
        (&[12, 0, 0, 2, 3, 1, 0], RecordDefect::FieldLength),
        (&[12, 0, 0, 2, 2, 1, 0], RecordDefect::FieldLength),
        (&[12, 0, 0, 2, 1, 1, 1], RecordDefect::HeaderCount),
        (&[12, 0, 0, 2, 1, 1, 2], RecordDefect::HeaderCount),
        (&[16, 0, 0, 2, 1, 1, 2, 1, 1], RecordDefect::FieldLength),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 1], RecordDefect::Varint),
        (&[0xff, 0xff, 0xff, 0xff, 0x1f], RecordDefect::Varint),
        (&[32, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 2, 1, 1, 0], RecordDefect::Varint),
    ];
    for (bytes, defect) in cases {
        let error = second(bytes);
        // Which of two defects is found first is no promise; that it is this record, is.
        assert_eq!(error.record_indexes(), [1], "{bytes:?}: {error}");
        assert_eq!(error.kind(), BatchErrorKind::InvalidRecord, "{bytes:?}");
        if defect != RecordDefect::FieldLength {
            assert_eq!(error, BatchError::Record { index: 1, defect }, "{bytes:?}");
        }
    }
    let after = refusal(&with_records(&[MINIMAL.as_slice(), &[0]].concat(), 1));
    assert_eq!(after, BatchError::BytesAfterRecords { record_count: 1 });
}

#[test]
fn codecs_and_limits_have_kinds_of_their_own() {
    for code in 5i16..8 {
        let unknown = sealed(set(batch(Compression::None), 21, &code.to_be_bytes()));
        assert_kind("an unknown codec", &unknown, BatchErrorKind::UnsupportedCompression);
    }
    for compression in &Compression::ALL[1..] {
        let undecodable = sealed(set(batch(Compression::None), 21, &compression.code().to_be_bytes()));
        assert_kind(compression.name(), &undecodable, BatchErrorKind::Undecodable);
    }
    let good = batch(Compression::None);
    let limits = |batch_bytes_max| ProduceLimits { batch_bytes_max, ..ProduceLimits::default() };
    validate_produced(&good, &limits(good.len())).expect("at the limit");
    let error = validate_produced(&good, &limits(good.len() - 1)).expect_err("one past it");
    assert_eq!(error, BatchError::TooLarge { bytes: good.len(), limit: good.len() - 1 });
    assert_eq!(error.kind(), BatchErrorKind::TooLarge);
}

#[test]
fn decompressed_size_is_limited_to_the_byte() {
    let plain = builder().size() - HEADER;
    for compression in &Compression::ALL[1..] {
        let good = batch(*compression);
        let limits =
            |decompressed_bytes_max| ProduceLimits { decompressed_bytes_max, ..ProduceLimits::default() };
        validate_produced(&good, &limits(plain)).expect("at the limit");
        let error = validate_produced(&good, &limits(plain - 1)).expect_err("one past it");
        assert_eq!(error, BatchError::OutputTooLarge { limit: plain - 1 }, "{}", compression.name());
        assert_eq!(error.kind(), BatchErrorKind::TooLarge);
    }
}

#[test]
fn a_compacted_topic_names_the_records_without_keys() {
    for compression in Compression::ALL {
        let limits = ProduceLimits { keys_required: true, ..ProduceLimits::default() };
        let error = validate_produced(&batch(compression), &limits).expect_err("keyless");
        assert_eq!(error, BatchError::KeysMissing { indexes: vec![1] });
        assert_eq!(error.record_indexes(), [1]);
        assert_eq!(error.kind(), BatchErrorKind::InvalidRecord);
    }
    // Unchecked compressed batches get in as they are.
    let limits = ProduceLimits { keys_required: true, check_compressed: false, ..ProduceLimits::default() };
    validate_produced(&batch(Compression::Zstd), &limits).expect("not looked at");
    validate_produced(&batch(Compression::None), &limits).expect_err("always looked at");
}

#[test]
fn timestamps_are_held_to_their_range() {
    let limits = |timestamps| ProduceLimits { timestamps, ..ProduceLimits::default() };
    let good = batch(Compression::Gzip);
    validate_produced(&good, &limits(1000..=1002)).expect("at the limits");
    let error = validate_produced(&good, &limits(1001..=1001)).expect_err("outside");
    assert_eq!(error, BatchError::Timestamps { indexes: vec![0, 2] });
    assert_eq!(error.kind(), BatchErrorKind::InvalidTimestamp);
}

#[test]
fn what_the_broker_sets_anyway_may_be_wrong() {
    let good = batch(Compression::Lz4);
    let wrong_max = sealed(set(good.clone(), 35, &5i64.to_be_bytes()));
    let header = validate_produced(&wrong_max, &ProduceLimits::default()).expect("lenient");
    assert_eq!(header.max_timestamp, 1002, "the true one");
    let epoch = set(good.clone(), 12, &99i32.to_be_bytes());
    validate_produced(&epoch, &ProduceLimits::default()).expect("lenient");
    let attributes = (Compression::Lz4.code() | 1 << 3).to_be_bytes();
    let append_time = sealed(set(good.clone(), 21, &attributes));
    validate_produced(&append_time, &ProduceLimits::default()).expect("lenient");
    let unused_bits = (Compression::Lz4.code() | 0x7f80).to_be_bytes();
    validate_produced(&sealed(set(good, 21, &unused_bits)), &ProduceLimits::default()).expect("lenient");
    let mut junk = batch(Compression::Gzip);
    junk.extend_from_slice(b"junk after the gzip stream");
    validate_produced(&sealed(junk), &ProduceLimits::default()).expect("lenient");
}
