//! What no consumer could read does not get in, and no name leaves the data directory. After each refusal the broker
//! serves on.

use std::fs;

use bytes::{BufMut as _, Bytes, BytesMut};
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsTopic, MetadataRequest, MetadataRequestTopic,
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use sendlog_protocol::records::{
    Attributes, BATCH_HEADER_SIZE, BatchBuilder, Compression, NewRecord, ProducerStamp,
};
use sendlog_tests::canary::Canary;
use sendlog_tests::sample_batches::{self, changed, with_header};
use sendlog_tests::wire_client::WireClient;
use sendlog_tests::wire_requests::{self, CREATE_TOPICS_VERSION};
use sendlog_tests::{Broker, BrokerOptions, vitals};

const MIB: u64 = 1 << 20;
const MAGIC_AT: usize = 16;
const CONTROL_BIT: i16 = 1 << 5;
const TRANSACTIONAL_BIT: i16 = 1 << 4;

/// What is wrong, the records, and the error that docs/protocol.md states.
type Bad = (&'static str, Option<Bytes>, ErrorCode);

fn answer(
    client: &mut WireClient,
    version: i16,
    topic: &str,
    records: Option<Bytes>,
) -> PartitionProduceResponse {
    let request = wire_requests::produce_request(topic, 0, -1, records);
    client.call(version, &request).responses.remove(0).partition_responses.remove(0)
}

fn end_offset(client: &mut WireClient, topic: &str) -> i64 {
    client.call(2, &wire_requests::list_offsets_request(topic, 0, -1)).topics[0].partitions[0].offset
}

fn framing(good: &Bytes) -> Vec<Bad> {
    use ErrorCode::{CorruptMessage, InvalidRecord};
    let with_length_field = |length: i32| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes.freeze()
    };
    let flipped = |at: usize| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[at] ^= 1;
        bytes.freeze()
    };
    let with_magic = |magic: u8| changed(good, |bytes| bytes[MAGIC_AT] = magic);
    let honest = i32::try_from(good.len()).expect("small") - 12;
    vec![
        ("no records", None, InvalidRecord),
        ("an empty record set", Some(Bytes::new()), InvalidRecord),
        ("a header cut short", Some(good.slice(..60)), InvalidRecord),
        ("a header and no records", Some(good.slice(..61)), InvalidRecord),
        ("the last byte missing", Some(good.slice(..good.len() - 1)), InvalidRecord),
        ("a length below the header", Some(with_length_field(48)), CorruptMessage),
        ("a negative length", Some(with_length_field(-1)), CorruptMessage),
        ("a length beyond the end", Some(with_length_field(honest + 1)), InvalidRecord),
        ("a length of two gibibytes", Some(with_length_field(i32::MAX)), InvalidRecord),
        ("a wrong CRC", Some(flipped(17)), CorruptMessage),
        ("a flipped bit in a value", Some(flipped(good.len() - 3)), CorruptMessage),
        ("a flipped bit in the header", Some(flipped(30)), CorruptMessage),
        ("magic 3", Some(with_magic(3)), CorruptMessage),
        ("magic -1", Some(with_magic(0xff)), CorruptMessage),
        ("magic 0", Some(with_magic(0)), InvalidRecord),
        ("magic 1", Some(with_magic(1)), InvalidRecord),
        ("two batches", Some([&good[..], &good[..]].concat().into()), InvalidRecord),
        ("junk after the batch", Some([&good[..], b"junk"].concat().into()), InvalidRecord),
    ]
}

fn fields(good: &Bytes) -> Vec<Bad> {
    use ErrorCode::{InvalidRecord, UnsupportedCompressionType};
    let bits = |bits: i16| {
        move |header: &mut sendlog_protocol::records::BatchHeader| header.attributes = Attributes(bits)
    };
    vec![
        ("base offset 7", Some(with_header(good, |header| header.base_offset = 7)), InvalidRecord),
        ("one record too many", Some(with_header(good, |header| header.record_count = 3)), InvalidRecord),
        ("one record too few", Some(with_header(good, |header| header.record_count = 1)), InvalidRecord),
        ("no records counted", Some(with_header(good, |header| header.record_count = 0)), InvalidRecord),
        ("a negative count", Some(with_header(good, |header| header.record_count = -2)), InvalidRecord),
        (
            "a wrong last offset",
            Some(with_header(good, |header| header.last_offset_delta = 5)),
            InvalidRecord,
        ),
        (
            "both counts too large",
            Some(with_header(good, |header| (header.record_count, header.last_offset_delta) = (3, 2))),
            InvalidRecord,
        ),
        (
            "both counts huge",
            Some(with_header(good, |header| {
                (header.record_count, header.last_offset_delta) = (i32::MAX, i32::MAX - 1);
            })),
            InvalidRecord,
        ),
        ("the control bit", Some(with_header(good, bits(CONTROL_BIT))), InvalidRecord),
        (
            "control and transaction",
            Some(with_header(good, bits(CONTROL_BIT | TRANSACTIONAL_BIT))),
            InvalidRecord,
        ),
        ("codec 5", Some(with_header(good, bits(5))), UnsupportedCompressionType),
        ("codec 7", Some(with_header(good, bits(7))), UnsupportedCompressionType),
        ("gzip that is none", Some(with_header(good, bits(1))), InvalidRecord),
        ("snappy that is none", Some(with_header(good, bits(2))), InvalidRecord),
        ("lz4 that is none", Some(with_header(good, bits(3))), InvalidRecord),
        ("zstd that is none", Some(with_header(good, bits(4))), InvalidRecord),
    ]
}

/// Records that do not parse, behind a right header and CRC.
fn records(good: &Bytes) -> Vec<Bad> {
    let with_records = |records: &[u8], count: i32| {
        let mut bytes = BytesMut::from(&good[..BATCH_HEADER_SIZE]);
        bytes.put_slice(records);
        let length = i32::try_from(bytes.len()).expect("small") - 12;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        Some(with_header(&bytes, |header| {
            (header.record_count, header.last_offset_delta) = (count, count - 1);
        }))
    };
    let bad: [(&'static str, &[u8], i32); 10] = [
        // Length, attributes, timestamp delta, offset delta, key, value, number of headers; all zigzag varints.
        ("a record of no length", b"\0", 1),
        ("a negative record length", b"\x01", 1),
        ("a record longer than the batch", b"\x7e\0\0\0\x01\x01\0", 1),
        ("a varint without an end", b"\xff\xff\xff\xff\xff\xff", 1),
        ("a key longer than the record", b"\x0c\0\0\0\x7e\x01\0", 1),
        ("a key of length -2", b"\x0c\0\0\0\x03\x01\0", 1),
        ("a billion headers", b"\x14\0\0\0\x01\x01\xfe\xff\xff\xff\x07", 1),
        ("a header with a null key", b"\x10\0\0\0\x01\x01\x02\x01\x01", 1),
        ("a wrong offset delta", b"\x0c\0\0\x06\x01\x01\0", 1),
        ("bytes after the last record", b"\x0c\0\0\0\x01\x01\0junk!", 1),
    ];
    bad.into_iter()
        .map(|(what, bytes, count)| (what, with_records(bytes, count), ErrorCode::InvalidRecord))
        .collect()
}

/// Counts that are false inside compressed data, where only decompression shows it.
fn compressed() -> Vec<Bad> {
    let mut bad = Vec::new();
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let good = sample_batches::small(compression);
        let counted = with_header(&good, |header| (header.record_count, header.last_offset_delta) = (3, 2));
        bad.push((compression.name(), Some(counted), ErrorCode::InvalidRecord));
        let cut = changed(&good, |bytes| {
            bytes.truncate(good.len() - 9);
            let length = i32::try_from(bytes.len()).expect("small") - 12;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
        });
        bad.push((compression.name(), Some(cut), ErrorCode::InvalidRecord));
    }
    bad
}

#[test]
fn bad_batches_get_the_documented_error() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "bad", 1, &[]);
    let good = sample_batches::small(Compression::None);
    let oversized = sample_batches::batch(1, 1, 1_100_000);
    let mut table = [framing(&good), fields(&good), records(&good), compressed()].concat();
    table.push(("a batch over max.message.bytes", Some(oversized), ErrorCode::MessageTooLarge));
    let mut wrong = Vec::new();
    for (what, batch, code) in table {
        for version in [3, 8, 12] {
            // Zstd is refused for itself below version 7.
            if version < 7 && what.starts_with("zstd") {
                continue;
            }
            let answered = answer(&mut client, version, "bad", batch.clone());
            if answered.error_code != code.code() || answered.base_offset != -1 {
                let (got, offset) = (answered.error_code, answered.base_offset);
                wrong.push(format!(
                    "{what}, v{version}: error {got}, offset {offset}; {} expected",
                    code.name()
                ));
            }
        }
        canary.sing();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(end_offset(&mut client, "bad"), 0, "nothing got in");
    // And the good ones do, whatever the codec.
    for compression in Compression::ALL {
        let answered = answer(&mut client, 12, "bad", Some(sample_batches::small(compression)));
        assert_eq!(
            answered.error_code,
            ErrorCode::None.code(),
            "{compression:?}: {:?}",
            answered.error_message
        );
    }
    canary.expect_unharmed(&broker);
}

#[test]
fn zstd_needs_version_7() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "zstd", 1, &[]);
    let batch = sample_batches::small(Compression::Zstd);
    for version in 3..=12 {
        let expected = if version < 7 { ErrorCode::UnsupportedCompressionType } else { ErrorCode::None };
        assert_eq!(answer(&mut client, version, "zstd", Some(batch.clone())).error_code, expected.code());
    }
}

/// 64 MiB of zeros in a batch of about a hundred KiB, against a limit of 1 MiB.
#[test]
fn decompression_bombs_are_defused() {
    let limit = "sendlog.decompressed.batch.bytes.max=1048576";
    let broker = Broker::start(BrokerOptions::with_args(["--set", limit]));
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "bombs", 1, &[]);
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        // Snappy does not compress that well: its bomb has to fit max.message.bytes.
        let size = if compression == Compression::Snappy { 16 << 20 } else { 64 << 20 };
        let bomb = sample_batches::uniform(size, compression);
        let before = vitals::memory(broker.process_id());
        vitals::forget_peak(broker.process_id());
        let answered = answer(&mut client, 12, "bombs", Some(bomb.clone()));
        assert_eq!(answered.error_code, ErrorCode::MessageTooLarge.code(), "{compression:?}");
        let grown = vitals::memory(broker.process_id()).resident_peak.saturating_sub(before.resident);
        assert!(grown < 8 * MIB, "{compression:?}: memory grew by {grown} bytes for {} bytes", bomb.len());
    }
    assert_eq!(end_offset(&mut client, "bombs"), 0, "nothing got in");
    canary.expect_unharmed(&broker);
}

#[test]
fn one_bad_partition_does_not_spoil_the_others() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "mixed", 2, &[]);
    let good = sample_batches::small(Compression::None);
    let bad = with_header(&good, |header| header.base_offset = 1);
    let data = |index, records: &Bytes| PartitionProduceData { index, records: Some(records.clone()) };
    let partitions = vec![data(0, &bad), data(1, &good), data(7, &good), data(0, &good)];
    let topic = |name: &str, partition_data| TopicProduceData {
        name: name.to_owned(),
        partition_data,
        ..TopicProduceData::default()
    };
    let topic_data = vec![topic("mixed", partitions), topic("unknown", vec![data(0, &good)])];
    let request = ProduceRequest { acks: 1, timeout_ms: 30_000, topic_data, ..ProduceRequest::default() };
    let response = client.call(9, &request);
    let codes: Vec<_> = response
        .responses
        .iter()
        .flat_map(|topic| {
            topic.partition_responses.iter().map(|answered| (answered.index, answered.error_code))
        })
        .collect();
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(codes, [(0, ErrorCode::InvalidRecord.code()), (1, 0), (7, unknown), (0, 0), (0, unknown)]);
    assert_eq!(end_offset(&mut client, "mixed"), 2);
}

/// Without an acknowledgement a closed connection is the only way to tell, as with Kafka.
#[test]
fn a_bad_batch_without_acks_closes_the_connection() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "silent", 1, &[]);
    let good = sample_batches::small(Compression::None);
    let bad = with_header(&good, |header| header.record_count = 9);
    client.send(9, &wire_requests::produce_request("silent", 0, 0, Some(good)));
    // A good one is appended and not answered. Nobody waits for its sync, so it may take a while to be seen.
    let mut seen = WireClient::connect(broker.address());
    vitals::eventually("the records are there", || canary.sing(), || end_offset(&mut seen, "silent") == 2);
    client.send(9, &wire_requests::produce_request("silent", 0, 0, Some(bad)));
    assert_eq!(client.receive_frame().expect("the broker closes in time"), None);
    let line = broker.wait_for_log(&format!("{} ", client.local_address()));
    assert!(line.contains("INVALID_RECORD") && line.contains("silent-0"), "{line}");
    for acks in [2, -2, i16::MAX] {
        let mut client = WireClient::connect(broker.address());
        let batch = sample_batches::small(Compression::None);
        let response = client.call(9, &wire_requests::produce_request("silent", 0, acks, Some(batch)));
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::InvalidRequiredAcks.code(), "acks {acks}");
    }
    canary.expect_unharmed(&broker);
}

#[test]
fn size_limits_hold_to_the_byte() {
    let limit = "sendlog.decompressed.batch.bytes.max=100000";
    let broker = Broker::start(BrokerOptions::with_args(["--set", limit]));
    let mut client = WireClient::connect(broker.address());
    let batch = sample_batches::batch(1, 1, 5000);
    let (fits, over) = (batch.len().to_string(), (batch.len() - 1).to_string());
    wire_requests::create_topic(&mut client, "fits", 1, &[("max.message.bytes", &fits)]);
    wire_requests::create_topic(&mut client, "over", 1, &[("max.message.bytes", &over)]);
    assert_eq!(answer(&mut client, 12, "fits", Some(batch.clone())).error_code, 0);
    assert_eq!(answer(&mut client, 12, "over", Some(batch)).error_code, ErrorCode::MessageTooLarge.code());

    let records_bytes =
        |value_bytes| sample_batches::uniform(value_bytes, Compression::None).len() - BATCH_HEADER_SIZE;
    let at_limit = 100_000 - (records_bytes(99_000) - 99_000);
    assert_eq!(records_bytes(at_limit), 100_000);
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let produce = |client: &mut WireClient, value_bytes| {
            let batch = sample_batches::uniform(value_bytes, compression);
            let topic = format!("unpacked-{}", compression.name());
            answer(client, 12, &topic, Some(batch)).error_code
        };
        wire_requests::create_topic(&mut client, &format!("unpacked-{}", compression.name()), 1, &[]);
        assert_eq!(produce(&mut client, at_limit), 0, "{compression:?}");
        assert_eq!(produce(&mut client, at_limit + 1), ErrorCode::MessageTooLarge.code(), "{compression:?}");
    }
}

/// Timestamps from before 1970, at the ends of the number range, and none at all: refused or stored, and then looked up
/// without harm.
#[test]
fn odd_timestamps_are_refused_or_served() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    for timestamp_type in ["CreateTime", "LogAppendTime"] {
        wire_requests::create_topic(
            &mut client,
            timestamp_type,
            1,
            &[("message.timestamp.type", timestamp_type)],
        );
        let good = sample_batches::small(Compression::None);
        let mut appended = 0;
        for odd in [i64::MIN, i64::MIN + 1, -2, -1, 0, 1, i64::MAX - 1, i64::MAX] {
            for is_lying in [false, true] {
                let batch = with_header(&good, |header| {
                    header.base_timestamp = odd;
                    header.max_timestamp = if is_lying { !odd } else { odd };
                });
                let code = answer(&mut client, 12, timestamp_type, Some(batch)).error_code;
                let expected = [ErrorCode::None.code(), ErrorCode::InvalidTimestamp.code()];
                assert!(expected.contains(&code), "{timestamp_type} {odd}: error {code}");
                appended += if code == 0 { 2 } else { 0 };
            }
        }
        assert_eq!(end_offset(&mut client, timestamp_type), appended);
        assert!(4 < appended, "timestamps in the past are legal");
        for sought in [i64::MIN, -3, -2, -1, 0, 1, i64::MAX] {
            let request = wire_requests::list_offsets_request(timestamp_type, 0, sought);
            let found = &client.call(10, &request).topics[0].partitions[0];
            assert!(found.offset <= appended, "{timestamp_type} {sought}: offset {}", found.offset);
        }
    }
    canary.expect_unharmed(&broker);
}

#[test]
fn absurd_numbers_of_partitions_are_refused() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "grows", 1, &[]);
    let before = vitals::memory(broker.process_id());
    for count in [i32::MIN, -2, 0, 100_001, i32::MAX] {
        let request = wire_requests::create_topic_request("many", count, &[]);
        let created = client.call(CREATE_TOPICS_VERSION, &request).topics.remove(0);
        let refused = [ErrorCode::InvalidPartitions.code(), ErrorCode::PolicyViolation.code()];
        assert!(refused.contains(&created.error_code), "{count}: error {}", created.error_code);
        let topic = CreatePartitionsTopic { name: "grows".to_owned(), count, assignments: None };
        let request = CreatePartitionsRequest { topics: vec![topic], ..CreatePartitionsRequest::default() };
        let grown = client.call(3, &request).results.remove(0);
        assert!(refused.contains(&grown.error_code), "{count}: error {}", grown.error_code);
    }
    let grown = vitals::memory(broker.process_id()).resident_peak.saturating_sub(before.resident);
    assert!(grown < 8 * MIB, "memory grew by {grown} bytes");
    canary.expect_unharmed(&broker);
}

/// What a client chose to write does not write the broker's log.
#[test]
fn names_from_clients_cannot_forge_log_lines() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let batch = sample_batches::small(Compression::None);
    let name = "evil\nFORGED nothing happened\r\u{1b}[2J\u{7}";
    client.send(9, &wire_requests::produce_request(name, 0, 0, Some(batch)));
    client.expect_close();
    let line = broker.wait_for_log(&format!("{} ", client.local_address()));
    assert!(line.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{line}");
    let log = broker.stderr().text();
    assert!(!log.lines().any(|line| line.starts_with("FORGED")), "a forged line: {log}");
    assert!(!log.contains("\u{1b}[2J") && !log.contains('\u{7}'), "terminal commands in the log: {log:?}");
}

#[test]
fn keys_and_timestamps_are_checked_where_the_topic_asks() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "compacted", 1, &[("cleanup.policy", "compact")]);
    let record = |key, timestamp| NewRecord { timestamp, key, value: Some(b"value"), headers: &[] };
    let batch = |records: &[NewRecord<'_>]| {
        let mut builder = BatchBuilder::new();
        for record in records {
            builder.add(record).expect("a small record");
        }
        Some(builder.build(Compression::None, ProducerStamp::NONE).expect("a small batch"))
    };
    let past = sample_batches::TIMESTAMP_MS;
    let keyless = batch(&[record(Some(b"key"), past), record(None, past), record(None, past)]);
    for version in [7, 8, 12] {
        let answered = answer(&mut client, version, "compacted", keyless.clone());
        assert_eq!(answered.error_code, ErrorCode::InvalidRecord.code());
        let named: Vec<_> = answered.record_errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(named, if version < 8 { vec![] } else { vec![1, 2] }, "version {version}");
    }
    // A record from the year 2100; message.timestamp.after.max.ms is an hour.
    let untimely = batch(&[record(Some(b"key"), 4_102_444_800_000)]);
    let answered = answer(&mut client, 12, "compacted", untimely);
    assert_eq!(answered.error_code, ErrorCode::InvalidTimestamp.code());
    assert_eq!(answered.record_errors.len(), 1);
    assert_eq!(answer(&mut client, 12, "compacted", batch(&[record(Some(b"key"), past)])).error_code, 0);
}

#[test]
fn topic_names_stay_in_the_data_directory() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    let long = "n".repeat(250);
    let names = [
        "../evil",
        "..",
        ".",
        "",
        "a/b",
        "/etc/evil",
        "a/../../evil",
        "nul\0",
        "tab\t",
        "line\nbreak",
        "new topic",
        "h\u{e4}",
        "\u{202e}live",
        "c:\\evil",
        "%2e%2e",
        "$HOME",
        "*",
        &long,
        &"../".repeat(40),
    ];
    let folder = |path: &std::path::Path| {
        let mut names: Vec<_> =
            fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let above = broker.data_dir().parent().expect("it is in a temporary directory").to_owned();
    let before = (folder(&above), folder(broker.data_dir()));
    for name in names {
        let request = wire_requests::create_topic_request(name, 1, &[]);
        let created = client.call(CREATE_TOPICS_VERSION, &request).topics.remove(0);
        assert_eq!(created.error_code, ErrorCode::InvalidTopicException.code(), "create {name:?}");
        let wanted = MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![wanted]), ..MetadataRequest::default() };
        for version in [1, 8, 12] {
            let topic = client.call(version, &request).topics.remove(0);
            assert_eq!(topic.error_code, ErrorCode::InvalidTopicException.code(), "metadata {name:?}");
        }
        let batch = sample_batches::small(Compression::None);
        let answered = answer(&mut client, 9, name, Some(batch));
        let refused = [ErrorCode::UnknownTopicOrPartition.code(), ErrorCode::InvalidTopicException.code()];
        assert!(refused.contains(&answered.error_code), "produce {name:?}");
    }
    assert_eq!((folder(&above), folder(broker.data_dir())), before, "files appeared");
    let longest = "n".repeat(249);
    for name in ["a.b_c-D9", "...", &longest] {
        wire_requests::create_topic(&mut client, name, 1, &[]);
        let batch = sample_batches::small(Compression::None);
        wire_requests::append(&mut client, name, 0, &[batch]);
    }
    canary.expect_unharmed(&broker);
}
