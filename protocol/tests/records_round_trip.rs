//! What a builder writes, the checks accept and the reader gives back, with every codec.

use bytes::Bytes;
use proptest::prelude::*;
use sendlog_protocol::records::{
    BatchBuilder, BatchHeader, Compression, NewHeader, NewRecord, ProduceLimits, ProducerStamp, Record,
    RecordHeader, check_stored, first_record_at_or_after, max_timestamp_record, patch_offset_and_epoch,
    read_records, stamp_create_time, stamp_log_append_time, stamp_producer, validate_produced,
};

const DECOMPRESSED_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug, Clone)]
struct Given {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Compressible and not.
        (0..max, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
        prop::collection::vec(any::<u8>(), 0..max.min(300)),
    ]
}

fn given() -> impl Strategy<Value = Given> {
    let headers = prop::collection::vec((bytes(20), prop::option::of(bytes(40))), 0..4);
    let timestamp = prop_oneof![Just(-1), 0..2_000_000_000_000i64, any::<i64>()];
    (timestamp, prop::option::of(bytes(40)), prop::option::of(bytes(5000)), headers)
        .prop_map(|(timestamp, key, value, headers)| Given { timestamp, key, value, headers })
}

fn build(records: &[Given], compression: Compression, producer: ProducerStamp) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for given in records {
        let headers: Vec<NewHeader<'_>> =
            given.headers.iter().map(|(key, value)| NewHeader { key, value: value.as_deref() }).collect();
        let before = builder.size();
        let record = NewRecord {
            timestamp: given.timestamp,
            key: given.key.as_deref(),
            value: given.value.as_deref(),
            headers: &headers,
        };
        let after = builder.add(&record).expect("small");
        assert!(after - before <= BatchBuilder::size_max_of(&record));
    }
    builder.build(compression, producer).expect("valid").to_vec()
}

fn expected(records: &[Given], base_offset: i64) -> Vec<Record> {
    let mut out = Vec::new();
    for (offset, given) in (base_offset..).zip(records) {
        let headers = given
            .headers
            .iter()
            .map(|(key, value)| RecordHeader {
                key: Bytes::from(key.clone()),
                value: value.clone().map(Bytes::from),
            })
            .collect();
        out.push(Record {
            offset,
            timestamp: given.timestamp,
            key: given.key.clone().map(Bytes::from),
            value: given.value.clone().map(Bytes::from),
            headers,
        });
    }
    out
}

fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

fn limits() -> ProduceLimits {
    ProduceLimits { batch_bytes_max: usize::MAX, ..ProduceLimits::default() }
}

fn read_all(batch: &[u8]) -> Vec<Record> {
    let records = read_records(&Bytes::copy_from_slice(batch), DECOMPRESSED_MAX).expect("readable");
    records.collect::<Result<_, _>>().expect("good records")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back_as_given(
        records in prop::collection::vec(given(), 1..30),
        compression in compression(),
        base_offset in 0..i64::MAX / 2,
    ) {
        let producer = ProducerStamp { producer_id: 7, producer_epoch: 1, base_sequence: i32::MAX };
        let mut batch = build(&records, compression, producer);
        let header = validate_produced(&batch, &limits()).expect("accepted");
        let max_timestamp = records.iter().map(|given| given.timestamp).max().expect("one at least");
        prop_assert_eq!(header.max_timestamp, max_timestamp);
        prop_assert_eq!(header, BatchHeader::read(&batch).expect("readable"));
        prop_assert_eq!(header.size(), batch.len());
        let sequence = i32::try_from(records.len()).expect("small") - 2;
        prop_assert_eq!(header.last_sequence(), if records.len() == 1 { i32::MAX } else { sequence });

        patch_offset_and_epoch(&mut batch, base_offset, 3);
        let header = check_stored(&batch).expect("patching keeps the CRC");
        prop_assert_eq!((header.base_offset, header.leader_epoch), (base_offset, 3));
        prop_assert_eq!(read_all(&batch), expected(&records, base_offset));
    }

    #[test]
    fn time_look_ups_agree_with_a_search_over_all_records(
        records in prop::collection::vec(given(), 1..30),
        compression in compression(),
        pick in any::<prop::sample::Index>(),
        shift in -1..=1i64,
        min_offset in 0..40i64,
    ) {
        let batch = build(&records, compression, ProducerStamp::NONE);
        let all = expected(&records, 0);
        let target = pick.get(&records).timestamp.saturating_add(shift);
        let wanted = all.iter().find(|record| target <= record.timestamp && min_offset <= record.offset);
        let found = first_record_at_or_after(&batch, target, min_offset, DECOMPRESSED_MAX).expect("readable");
        prop_assert_eq!(
            found.map(|at| (at.offset, at.timestamp)),
            wanted.map(|record| (record.offset, record.timestamp))
        );
        let behind = || all.iter().filter(|record| min_offset <= record.offset);
        let max = behind().map(|record| record.timestamp).max();
        let wanted = behind().find(|record| Some(record.timestamp) == max);
        let found = max_timestamp_record(&batch, min_offset, DECOMPRESSED_MAX).expect("readable");
        prop_assert_eq!(
            found.map(|at| (at.offset, at.timestamp)),
            wanted.map(|record| (record.offset, record.timestamp))
        );
    }

    #[test]
    fn stamps_keep_the_crc_right(
        records in prop::collection::vec(given(), 1..10),
        compression in compression(),
        now in 0..i64::MAX,
    ) {
        let mut batch = build(&records, compression, ProducerStamp::NONE);
        let original = batch.clone();
        let (head, tail) = batch.split_first_chunk_mut().expect("61 bytes");
        stamp_log_append_time(head, tail, now);
        check_stored(&batch).expect("valid CRC");
        prop_assert!(read_all(&batch).iter().all(|record| record.timestamp == now));
        let found = first_record_at_or_after(&batch, now, 0, DECOMPRESSED_MAX).expect("readable");
        prop_assert_eq!(found.map(|at| at.offset), Some(0));

        let max_timestamp = validate_produced(&batch, &limits()).expect("lenient with the type").max_timestamp;
        let (head, tail) = batch.split_first_chunk_mut().expect("61 bytes");
        stamp_create_time(head, tail, max_timestamp);
        prop_assert_eq!(&batch, &original);

        stamp_producer(&mut batch, ProducerStamp { producer_id: 1, producer_epoch: 2, base_sequence: 3 });
        let header = check_stored(&batch).expect("valid CRC");
        prop_assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (1, 2, 3));
        prop_assert_eq!(read_all(&batch), expected(&records, 0));
    }
}
