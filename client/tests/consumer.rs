//! The consumer returns every record once and in order, from where it was told to begin, whatever happens to its requests.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod fake;

use std::sync::atomic::Ordering;
use std::time::Duration;

use fake::{FakeCluster, Fault, State};
use sendlog_client::{
    Assignment, ClientConfig, ClientError, Compression, Consumer, ConsumerConfig, OutOfRange, Record, Start,
};
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::records::{
    Attributes, BatchBuilder, NewRecord, ProducerStamp, crc32c, stamp_log_append_time,
};

const WAIT: Duration = Duration::from_secs(20);

fn client(cluster: &FakeCluster) -> ClientConfig {
    ClientConfig {
        request_timeout: Duration::from_millis(500),
        retry_backoff: Duration::from_millis(1),
        retry_backoff_max: Duration::from_millis(5),
        ..ClientConfig::new(cluster.address())
    }
}

fn config() -> ConsumerConfig {
    ConsumerConfig { fetch_wait: Duration::from_millis(50), ..ConsumerConfig::default() }
}

async fn consumer(cluster: &FakeCluster, config: ConsumerConfig, start: Start) -> Consumer {
    let mut consumer = Consumer::connect(client(cluster), config).await.unwrap();
    consumer.assign([Assignment::new("t", 0, start)]);
    consumer
}

fn batch(values: std::ops::Range<i64>, compression: Compression, attributes: Attributes) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for number in values {
        let value = number.to_string();
        // A record each ten milliseconds.
        let record =
            NewRecord { timestamp: number * 10, value: Some(value.as_bytes()), ..NewRecord::default() };
        builder.add(&record).unwrap();
    }
    builder.build_with(compression, ProducerStamp::NONE, attributes).unwrap().to_vec()
}

/// Batches of ten numbers, with all codecs in turn.
fn fill(cluster: &FakeCluster, partition: usize, batches: i64) {
    for index in 0..batches {
        let compression = Compression::ALL[usize::try_from(index).unwrap() % 5];
        let batch = batch(index * 10..index * 10 + 10, compression, Attributes::default());
        cluster.with_log("t", partition, |log| log.push(&batch));
    }
}

fn number(record: &Record) -> i64 {
    std::str::from_utf8(record.value.as_ref().unwrap()).unwrap().parse().unwrap()
}

/// Polls until the end of the log, and checks that numbers run on with the offsets.
async fn read_to(consumer: &mut Consumer, from: i64, end: i64) {
    let mut next = from;
    while next < end {
        let polled = consumer.poll(WAIT).await.unwrap();
        assert_eq!((&*polled.topic, polled.partition), ("t", 0));
        assert!(!polled.records.is_empty(), "nothing came; next {next}");
        for record in &polled.records {
            assert_eq!((record.offset, number(record), record.timestamp), (next, next, next * 10));
            next += 1;
        }
        assert_eq!(consumer.position("t", 0), Some(next));
    }
    assert!(consumer.is_at_end("t", 0));
    assert_eq!(consumer.high_watermark("t", 0), Some(end));
    assert!(consumer.poll(Duration::from_millis(20)).await.unwrap().records.is_empty());
}

#[tokio::test]
async fn every_record_is_returned_once_and_in_order() {
    for poll_records_max in [1, 7, 10_000] {
        let cluster = FakeCluster::start("t", 1).await;
        fill(&cluster, 0, 100);
        let config = ConsumerConfig { poll_records_max, partition_bytes_max: 700, ..config() };
        let mut consumer = consumer(&cluster, config, Start::Earliest).await;
        read_to(&mut consumer, 0, 1000).await;
    }
}

#[tokio::test]
async fn it_begins_where_it_is_told() {
    let cluster = FakeCluster::start("t", 1).await;
    fill(&cluster, 0, 20);
    for (start, from) in [
        (Start::Earliest, 0),
        (Start::Offset(0), 0),
        (Start::Offset(57), 57),
        (Start::Offset(60), 60),
        (Start::Offset(200), 200),
        (Start::Latest, 200),
        (Start::Timestamp(0), 0),
        (Start::Timestamp(571), 58),
        (Start::Timestamp(1990), 199),
        (Start::Timestamp(1991), 200),
    ] {
        let mut consumer = consumer(&cluster, config(), start).await;
        if from == 200 {
            assert!(consumer.poll(Duration::from_millis(150)).await.unwrap().records.is_empty(), "{start:?}");
        }
        read_to(&mut consumer, from, 200).await;
    }
}

#[tokio::test]
async fn it_waits_for_what_is_yet_to_come() {
    let cluster = FakeCluster::start("t", 1).await;
    let mut consumer = consumer(&cluster, config(), Start::Latest).await;
    assert!(consumer.poll(Duration::from_millis(100)).await.unwrap().records.is_empty());
    for round in 0..5 {
        let (first, end) = (round * 10, round * 10 + 10);
        let batch = batch(first..end, Compression::None, Attributes::default());
        cluster.with_log("t", 0, |log| log.push(&batch));
        read_to(&mut consumer, first, end).await;
    }
}

#[tokio::test]
async fn seeking_goes_anywhere_at_any_time() {
    let cluster = FakeCluster::start("t", 1).await;
    fill(&cluster, 0, 50);
    let config = ConsumerConfig { poll_records_max: 3, partition_bytes_max: 1000, ..config() };
    let mut consumer = consumer(&cluster, config, Start::Earliest).await;
    for offset in [400, 3, 499, 0, 250, 250, 10, 500, 77] {
        consumer.seek("t", 0, Start::Offset(offset)).unwrap();
        let records =
            consumer.poll(Duration::from_millis(if offset == 500 { 50 } else { 20_000 })).await.unwrap();
        assert_eq!(records.records.first().map(number), (offset < 500).then_some(offset));
        // What is buffered and under way belongs to the place before.
        consumer.poll(Duration::from_millis(1)).await.unwrap();
    }
    consumer.seek("t", 0, Start::Timestamp(4321)).unwrap();
    assert_eq!(number(&consumer.poll(WAIT).await.unwrap().records[0]), 433);
    let error = consumer.seek("t", 1, Start::Earliest).unwrap_err();
    assert!(matches!(error, ClientError::NotAssigned { .. }), "{error}");
    consumer.assign([Assignment::new("t", 0, Start::Offset(490))]);
    read_to(&mut consumer, 490, 500).await;
}

#[tokio::test]
async fn faults_neither_lose_nor_repeat() {
    let cluster = FakeCluster::start("t", 1).await;
    fill(&cluster, 0, 200);
    let faults = [
        Fault::CloseBefore,
        Fault::None,
        Fault::Error(ErrorCode::NotLeaderOrFollower),
        Fault::Error(ErrorCode::FencedLeaderEpoch),
        Fault::Delay(Duration::from_millis(3)),
        Fault::None,
        Fault::Error(ErrorCode::UnknownServerError),
    ];
    cluster.fail_fetch(faults.into_iter().cycle().take(60));
    let config = ConsumerConfig { partition_bytes_max: 500, ..config() };
    let mut consumer = consumer(&cluster, config, Start::Earliest).await;
    let (mut next, mut errors) = (0, 0);
    while next < 2000 {
        match consumer.poll(WAIT).await {
            Ok(polled) => {
                for record in &polled.records {
                    assert_eq!((record.offset, number(record)), (next, next));
                    next += 1;
                }
            }
            Err(error) => {
                // What is no matter of trying again is told, and tried again all the same.
                assert!(error.to_string().contains("UNKNOWN_SERVER_ERROR"), "{error}");
                errors += 1;
            }
        }
    }
    assert!(0 < errors);
}

#[tokio::test]
async fn a_silent_broker_is_left_and_asked_again() {
    let cluster = FakeCluster::start("t", 1).await;
    fill(&cluster, 0, 10);
    cluster.fail_fetch([Fault::Silence]);
    let mut consumer = consumer(&cluster, config(), Start::Earliest).await;
    read_to(&mut consumer, 0, 100).await;
}

#[tokio::test]
async fn leaders_are_followed() {
    let cluster = FakeCluster::with(State::default(), 3, "t", 1).await;
    fill(&cluster, 0, 100);
    let config = ConsumerConfig { partition_bytes_max: 500, prefetch_bytes: 1000, ..config() };
    let mut consumer = consumer(&cluster, config, Start::Earliest).await;
    let mut next = 0;
    for leader in [1, 2, 0].into_iter().cycle() {
        cluster.move_leader("t", 0, leader);
        for record in consumer.poll(WAIT).await.unwrap().records {
            assert_eq!(number(&record), next);
            next += 1;
        }
        if next == 1000 {
            break;
        }
    }
}

#[tokio::test]
async fn many_partitions_all_come_through() {
    let cluster = FakeCluster::with(State::default(), 2, "t", 20).await;
    for partition in 0..20 {
        fill(&cluster, partition, 10);
        cluster.move_leader("t", partition, i32::try_from(partition % 2).unwrap());
    }
    let config = ConsumerConfig { partition_bytes_max: 300, prefetch_bytes: 2000, ..config() };
    let mut consumer = Consumer::connect(client(&cluster), config).await.unwrap();
    consumer.assign((0..20).map(|partition| Assignment::new("t", partition, Start::Earliest)));
    let mut next = [0; 20];
    while next.iter().any(|next| *next < 100) {
        let polled = consumer.poll(WAIT).await.unwrap();
        let next = &mut next[usize::try_from(polled.partition).unwrap()];
        for record in &polled.records {
            assert_eq!(number(record), *next);
            *next += 1;
        }
    }
}

#[tokio::test]
async fn fetching_ahead_is_bounded() {
    let cluster = FakeCluster::start("t", 1).await;
    let large = "x".repeat(10_000);
    for _ in 0..100 {
        let mut builder = BatchBuilder::new();
        builder.add(&NewRecord { value: Some(large.as_bytes()), ..NewRecord::default() }).unwrap();
        let batch = builder.build(Compression::None, ProducerStamp::NONE).unwrap();
        cluster.with_log("t", 0, |log| log.push(&batch));
    }
    let config = ConsumerConfig { partition_bytes_max: 20_160, prefetch_bytes: 50_000, ..config() };
    let mut consumer = consumer(&cluster, config, Start::Earliest).await;
    let mut taken = 0;
    while taken < 100 {
        taken += consumer.poll(WAIT).await.unwrap().records.len();
        // Time to fetch more, if it would.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let ahead = cluster.state.fetched_bytes.load(Ordering::SeqCst).saturating_sub(taken * 10_000);
        assert!(ahead < 50_000 + 2 * 20_160 + 10_000, "{ahead} bytes ahead");
    }
}

#[tokio::test]
async fn an_offset_that_is_not_there_follows_the_policy() {
    let cluster = FakeCluster::start("t", 1).await;
    fill(&cluster, 0, 20);
    cluster.with_log("t", 0, |log| {
        log.batches.drain(..5);
        log.start = 50;
    });
    for offset in [10, 1000] {
        let mut strict = consumer(&cluster, config(), Start::Offset(offset)).await;
        for _ in 0..2 {
            let error = strict.poll(WAIT).await.unwrap_err();
            assert!(matches!(error, ClientError::OffsetOutOfRange { offset: found, .. } if found == offset));
        }
        strict.seek("t", 0, Start::Earliest).unwrap();
        read_to(&mut strict, 50, 200).await;

        let earliest = ConsumerConfig { out_of_range: OutOfRange::Earliest, ..config() };
        let mut earliest = consumer(&cluster, earliest, Start::Offset(offset)).await;
        read_to(&mut earliest, 50, 200).await;

        let latest = ConsumerConfig { out_of_range: OutOfRange::Latest, ..config() };
        let mut latest = consumer(&cluster, latest, Start::Offset(offset)).await;
        assert!(latest.poll(Duration::from_millis(200)).await.unwrap().records.is_empty());
        assert_eq!(latest.position("t", 0), Some(200));
    }
}

#[tokio::test]
async fn damage_is_told_with_its_offset_and_can_be_passed() {
    let cluster = FakeCluster::start("t", 1).await;
    fill(&cluster, 0, 10);
    cluster.with_log("t", 0, |log| {
        let mut bytes = log.batches[5].bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        log.batches[5].bytes = bytes.into();
    });
    let mut consumer = consumer(&cluster, config(), Start::Earliest).await;
    let mut seen = 0;
    while seen < 50 {
        seen += consumer.poll(WAIT).await.unwrap().records.len();
    }
    for _ in 0..3 {
        let error = consumer.poll(WAIT).await.unwrap_err();
        assert!(matches!(error, ClientError::Batch { offset: 50, .. }), "{error}");
        assert_eq!(consumer.position("t", 0), Some(50));
    }
    consumer.seek("t", 0, Start::Offset(60)).unwrap();
    read_to(&mut consumer, 60, 100).await;
}

#[tokio::test]
async fn control_batches_and_gaps_are_passed_over() {
    let cluster = FakeCluster::start("t", 1).await;
    let control = batch(0..1, Compression::None, Attributes(1 << 5));
    let data = |numbers| batch(numbers, Compression::Zstd, Attributes::default());
    cluster.with_log("t", 0, |log| {
        log.push(&control);
        log.push(&data(1..5));
        log.push(&control);
        log.push(&control);
        log.push(&data(7..9));
        log.push(&control);
        // Compaction leaves batches with fewer records than offsets.
        let mut compacted = batch(10..11, Compression::None, Attributes::default());
        compacted[23..27].copy_from_slice(&4i32.to_be_bytes());
        let crc = crc32c(&compacted[21..]);
        compacted[17..21].copy_from_slice(&crc.to_be_bytes());
        log.push(&compacted);
    });
    let mut consumer = consumer(&cluster, config(), Start::Earliest).await;
    let mut numbers = Vec::new();
    while numbers.len() < 7 {
        numbers.extend(consumer.poll(WAIT).await.unwrap().records.iter().map(number));
    }
    assert_eq!(numbers, [1, 2, 3, 4, 7, 8, 10]);
    assert!(consumer.poll(Duration::from_millis(20)).await.unwrap().records.is_empty());
    assert_eq!(consumer.position("t", 0), Some(15));
    assert!(consumer.is_at_end("t", 0));
}

#[tokio::test]
async fn log_append_time_is_the_time_of_all_records() {
    let cluster = FakeCluster::start("t", 1).await;
    let mut stamped = batch(0..3, Compression::None, Attributes::default());
    let (head, records) = stamped.split_first_chunk_mut().unwrap();
    stamp_log_append_time(head, records, 777);
    cluster.with_log("t", 0, |log| log.push(&stamped));
    let mut consumer = consumer(&cluster, config(), Start::Earliest).await;
    let polled = consumer.poll(WAIT).await.unwrap();
    assert!(polled.records.iter().all(|record| record.timestamp == 777));
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_named() {
    let cluster = FakeCluster::start("t", 1).await;
    let mut consumer = Consumer::connect(client(&cluster), config()).await.unwrap();
    consumer.assign([Assignment::new("missing", 0, Start::Earliest)]);
    let error = consumer.poll(WAIT).await.unwrap_err();
    assert!(error.to_string().contains("missing") && error.to_string().contains("UNKNOWN_TOPIC"), "{error}");
    consumer.assign([Assignment::new("t", 3, Start::Earliest)]);
    let error = consumer.poll(WAIT).await.unwrap_err();
    assert!(matches!(error, ClientError::UnknownPartition { partition: 3, partitions: 1, .. }), "{error}");
    // Once it is there, it is read.
    consumer.assign([Assignment::new("later", 0, Start::Earliest)]);
    consumer.poll(WAIT).await.unwrap_err();
    cluster.create("later", 1);
    let later = batch(0..10, Compression::None, Attributes::default());
    cluster.with_log("later", 0, |log| log.push(&later));
    loop {
        if let Ok(polled) = consumer.poll(WAIT).await {
            assert_eq!(polled.records.len(), 10);
            break;
        }
    }
}

#[tokio::test]
async fn a_poll_that_is_dropped_loses_nothing() {
    let cluster = FakeCluster::start("t", 1).await;
    fill(&cluster, 0, 200);
    // Batches that are decompressed on the blocking pool, too.
    let noise: Vec<String> = (0..4000u32).map(|i| i.wrapping_mul(2_654_435_761).to_string()).collect();
    let mut builder = BatchBuilder::new();
    for value in &noise {
        builder.add(&NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() }).unwrap();
    }
    let large = builder.build(Compression::Gzip, ProducerStamp::NONE).unwrap();
    assert!(16 * 1024 < large.len());
    cluster.with_log("t", 0, |log| log.push(&large));
    let config = ConsumerConfig { poll_records_max: 50, partition_bytes_max: 500, ..config() };
    let mut consumer = consumer(&cluster, config, Start::Earliest).await;
    let mut next = 0;
    while next < 6000 {
        if let Ok(polled) = tokio::time::timeout(Duration::from_micros(200), consumer.poll(WAIT)).await {
            for record in polled.unwrap().records {
                assert_eq!(record.offset, next);
                next += 1;
            }
        }
    }
}
