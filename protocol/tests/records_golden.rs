//! Batches that real clients wrote, as Apache Kafka 4.4 stored them: `records_golden/CLIENT-CODEC.batch`, made by
//! librdkafka 2.16 (confluent), kafka-python 3.0.12, aiokafka 0.14 and the Java client 4.4 from the same three records.

use bytes::Bytes;
use sendlog_protocol::records::{
    BatchHeader, Compression, ProduceLimits, Record, check_stored, first_record_at_or_after,
    max_timestamp_record, patch_offset_and_epoch, read_records, validate_produced,
};

const TIMESTAMP: i64 = 1_700_000_000_000;
const DECOMPRESSED_MAX: usize = 4096;

macro_rules! golden {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("records_golden/", $name, ".batch")).as_slice())),*]
    };
}

const GOLDEN: [(&str, &[u8]); 20] = golden![
    "aiokafka-gzip",
    "aiokafka-lz4",
    "aiokafka-none",
    "aiokafka-snappy",
    "aiokafka-zstd",
    "confluent-gzip",
    "confluent-lz4",
    "confluent-none",
    "confluent-snappy",
    "confluent-zstd",
    "java-gzip",
    "java-lz4",
    "java-none",
    "java-snappy",
    "java-zstd",
    "kafkapython-gzip",
    "kafkapython-lz4",
    "kafkapython-none",
    "kafkapython-snappy",
    "kafkapython-zstd",
];

fn headers(record: &Record) -> Vec<(&[u8], Option<&[u8]>)> {
    record.headers.iter().map(|header| (header.key.as_ref(), header.value.as_deref())).collect()
}

#[test]
fn every_client_and_codec_is_read() {
    for (name, bytes) in GOLDEN {
        let header = check_stored(bytes).expect(name);
        assert_eq!(header.size(), bytes.len(), "{name}");
        assert_eq!(header.max_timestamp, TIMESTAMP + 5, "{name}");
        let (client, codec) = name.split_once('-').expect("client-codec");
        assert_eq!(header.attributes.compression().map(Compression::name), Ok(codec), "{name}");

        let records = read_records(&Bytes::copy_from_slice(bytes), DECOMPRESSED_MAX).expect(name);
        let records: Vec<Record> = records.collect::<Result<_, _>>().expect(name);
        let [first, second, third] = records.as_slice() else { panic!("{name}: three records") };
        assert_eq!(first.key.as_deref(), Some(b"k1".as_slice()), "{name}");
        assert_eq!(first.value.as_deref(), Some(b"hello hello hello hello".as_slice()), "{name}");
        let mut wanted: Vec<(&[u8], Option<&[u8]>)> =
            vec![(b"a", Some(b"1")), (b"a", Some(b"2")), (b"n", None)];
        if client == "kafkapython" {
            // It cannot write a null header value, so it was given two headers.
            wanted.pop();
        }
        assert_eq!(headers(first), wanted, "{name}");
        assert_eq!((first.offset, first.timestamp), (0, TIMESTAMP), "{name}");

        assert_eq!(second.key, None, "{name}");
        assert_eq!(second.value.as_deref(), Some([b'x'; 200].as_slice()), "{name}");
        assert_eq!((second.offset, second.timestamp), (1, TIMESTAMP + 5), "{name}");

        assert_eq!(third.key.as_deref(), Some(b"".as_slice()), "{name}");
        assert_eq!(third.value, None, "{name}");
        assert_eq!(headers(third), [(b"".as_slice(), Some(b"".as_slice()))], "{name}");
        assert_eq!((third.offset, third.timestamp), (2, TIMESTAMP + 3), "{name}");
    }
}

#[test]
fn every_client_and_codec_is_accepted() {
    for (name, bytes) in GOLDEN {
        let mut batch = bytes.to_vec();
        // As the client had sent it.
        patch_offset_and_epoch(&mut batch, 0, -1);
        let header = validate_produced(&batch, &ProduceLimits::default()).expect(name);
        assert_eq!(Ok(header), BatchHeader::read(&batch), "{name}");
    }
}

#[test]
fn times_are_found_in_every_codec() {
    for (name, bytes) in GOLDEN {
        let find = |timestamp, min_offset| {
            let found = first_record_at_or_after(bytes, timestamp, min_offset, DECOMPRESSED_MAX).expect(name);
            found.map(|at| (at.offset, at.timestamp - TIMESTAMP))
        };
        assert_eq!(find(0, 0), Some((0, 0)), "{name}");
        assert_eq!(find(TIMESTAMP + 1, 0), Some((1, 5)), "{name}");
        assert_eq!(find(TIMESTAMP + 1, 2), Some((2, 3)), "{name}");
        assert_eq!(find(TIMESTAMP + 6, 0), None, "{name}");
        let max = max_timestamp_record(bytes, 0, DECOMPRESSED_MAX).expect(name).expect("not empty");
        assert_eq!((max.offset, max.timestamp), (1, TIMESTAMP + 5), "{name}");
    }
}
