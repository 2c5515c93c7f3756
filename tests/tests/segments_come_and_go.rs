//! Segments: a log of many reads like one, the oldest go by retention and by DeleteRecords, a deleted topic leaves
//! nothing behind.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_protocol::messages::{FetchPartition, FetchRequest, FetchTopic};
use sendlog_tests::kafka::{Produce, ProduceFailure};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};

const TOPIC: &str = "t";
const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const UNKNOWN_TOPIC_ID: i16 = 100;
/// Retention is looked at so often.
const CHECK_INTERVAL: &str = "log.retention.check.interval.ms=20";
/// Ends a test whose segments stay.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_log_of_many_segments_reads_like_one() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[("segment.bytes", "4096"), ("retention.ms", "-1")]);
    let sent = fill(&mut kafka, 120);
    for is_restarted in [false, true] {
        if is_restarted {
            broker.restart();
            kafka = Kafka::open(broker.address());
        }
        assert!(20 < data_files::segments(broker.data_dir(), "t-0").len());
        let log = kafka.read_all(TOPIC, 0);
        assert_eq!(batches::assert_dense(&log, 0), 120 * 2);
        assert_eq!(log.iter().map(batches::as_sent).collect::<Vec<_>>(), sent);
        for offset in 0..240 {
            let fetched = kafka.fetch(TOPIC, 0, offset).expect("it is answered");
            let header = batches::header(&fetched.batches[0]);
            assert!((header.base_offset..=header.last_offset()).contains(&offset), "{offset}: {header:?}");
            assert_eq!(kafka.offset(TOPIC, time_of(offset)), offset);
        }
    }
}

#[test]
fn retention_by_size_removes_the_oldest() {
    let mut broker = Broker::start(BrokerOptions::with_args(["--set", CHECK_INTERVAL]));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(
        TOPIC,
        1,
        &[("segment.bytes", "4096"), ("retention.ms", "-1"), ("retention.bytes", "20000")],
    );
    let sent = fill(&mut kafka, 120);
    let bytes = |broker: &Broker| data_files::segment_bytes(broker.data_dir(), "t-0");
    // Kafka's rule: a segment goes when without it there is still as much as the limit.
    wait_until(|| bytes(&broker) < 20_000 + 4096 + 1);
    assert!(20_000 <= bytes(&broker), "and no segment more: {}", bytes(&broker));
    only_the_oldest_are_gone(&mut kafka, &sent);
    broker.restart();
    only_the_oldest_are_gone(&mut Kafka::open(broker.address()), &sent);
}

#[test]
fn retention_by_time_removes_the_oldest() {
    let mut broker = Broker::start(BrokerOptions::with_args(["--set", CHECK_INTERVAL]));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[("segment.bytes", "4096"), ("retention.ms", "-1")]);
    // Old records, then records of the broker's own time.
    let old = fill(&mut kafka, 60);
    kafka.set_topic_config(TOPIC, "message.timestamp.type", "LogAppendTime");
    fill_named(&mut kafka, "new", 60);
    kafka.set_topic_config(TOPIC, "retention.ms", "3600000");
    wait_until(|| 0 < kafka.offset(TOPIC, -2));
    let start = kafka.offset(TOPIC, -2);
    let log = kafka.read_all(TOPIC, 0);
    assert_eq!(batches::assert_dense(&log, start), 240);
    let new = log.iter().filter(|batch| batches::values(batch)[0].starts_with(b"new")).count();
    assert_eq!(new, 60, "what is not old stays");
    assert!(log.len() - new < 30, "of {} old batches at most one segment's is left", old.len());
    // Files go once it is on disk where the log starts.
    let first = format!("{start:020}.log");
    wait_until(|| data_files::segments(broker.data_dir(), "t-0")[0].ends_with(&first));
    broker.restart();
    assert_eq!(Kafka::open(broker.address()).offset(TOPIC, -2), start);
}

fn only_the_oldest_are_gone(kafka: &mut Kafka, sent: &[Bytes]) {
    let start = kafka.offset(TOPIC, -2);
    assert!(0 < start, "the log start moves");
    let log = kafka.read_all(TOPIC, 0);
    assert_eq!(batches::assert_dense(&log, start), 240);
    let found: Vec<Bytes> = log.iter().map(batches::as_sent).collect();
    assert!(sent.ends_with(&found) && !found.is_empty());
    let fetched = kafka.fetch(TOPIC, 0, start - 1).expect("it is answered");
    assert_eq!(fetched.error_code, OFFSET_OUT_OF_RANGE);
}

#[test]
fn delete_records_moves_the_start_for_good() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[("segment.bytes", "4096"), ("retention.ms", "-1")]);
    fill(&mut kafka, 60);
    let segments = data_files::segments(broker.data_dir(), "t-0").len();
    assert_eq!(kafka.delete_records(TOPIC, 51), 51);
    assert_eq!(kafka.delete_records(TOPIC, 20), 51, "it never moves back");
    assert!(data_files::segments(broker.data_dir(), "t-0").len() < segments, "whole segments go at once");
    for is_clean in [None, Some(true), Some(false)] {
        if is_clean == Some(true) {
            broker.terminate();
        }
        if is_clean.is_some() {
            broker.restart();
            kafka = Kafka::open(broker.address());
        }
        assert_eq!(kafka.offset(TOPIC, -2), 51, "restart: {is_clean:?}");
        assert_eq!(kafka.fetch(TOPIC, 0, 50).expect("it is answered").error_code, OFFSET_OUT_OF_RANGE);
        let first = &kafka.fetch(TOPIC, 0, 51).expect("it is answered").batches[0];
        assert_eq!(batches::header(first).last_offset(), 51, "the batch with the start is whole");
    }
    assert_eq!(kafka.delete_records(TOPIC, -1), 120, "-1 is all of it");
    assert_eq!(kafka.produce(TOPIC, &batches::of(&["next"])), 120);
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    assert_eq!((kafka.offset(TOPIC, -2), kafka.offset(TOPIC, -1)), (120, 121));
}

#[test]
fn a_deleted_topic_leaves_nothing_behind() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    let settings = [("segment.bytes", "4096"), ("retention.ms", "-1")];
    let old_id = kafka.create_topic(TOPIC, 1, &settings);
    fill(&mut kafka, 60);
    kafka.create_topic("neighbour", 1, &[]);
    kafka.produce("neighbour", &batches::of(&["stays"]));
    kafka.delete_topic(TOPIC);
    assert_eq!(kafka.describe_topic(TOPIC).error_code, UNKNOWN_TOPIC_OR_PARTITION);
    let refused = kafka.try_produce(Produce::to(TOPIC), &batches::of(&["late"]));
    assert!(matches!(refused, Err(ProduceFailure::Refused(UNKNOWN_TOPIC_OR_PARTITION))), "{refused:?}");
    wait_until(|| {
        data_files::all(broker.data_dir()).iter().all(|path| !path.to_string_lossy().contains("/t-0"))
    });

    let new_id = kafka.create_topic(TOPIC, 1, &[]);
    assert_ne!(new_id, old_id);
    assert_eq!((kafka.offset(TOPIC, -2), kafka.offset(TOPIC, -1)), (0, 0), "it is empty");
    assert_eq!(kafka.produce(TOPIC, &batches::of(&["anew"])), 0);
    assert_eq!(fetch_error_by_id(&mut kafka, old_id), UNKNOWN_TOPIC_ID, "the old id is nobody's");
    assert_eq!(fetch_error_by_id(&mut kafka, new_id), 0);
    for is_clean in [true, false] {
        if is_clean {
            broker.terminate();
        }
        broker.restart();
        let mut kafka = Kafka::open(broker.address());
        assert_eq!(kafka.topic_id(TOPIC), new_id);
        assert_eq!(kafka.topic_config(TOPIC, "segment.bytes"), "1073741824");
        let values = |log: Vec<Bytes>| log.iter().flat_map(batches::values).collect::<Vec<_>>();
        assert_eq!(values(kafka.read_all(TOPIC, 0)), ["anew"]);
        assert_eq!(values(kafka.read_all("neighbour", 0)), ["stays"]);
    }
}

/// A reader in the midst of a topic that is deleted gets an answer, not silence.
#[test]
fn a_waiting_fetch_learns_of_the_deletion() {
    let broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    kafka.produce(TOPIC, &batches::of(&["x"]));
    let mut waiting = Kafka::open(broker.address());
    waiting.send_waiting_fetch(TOPIC, 0, 1).expect("it is taken");
    kafka.delete_topic(TOPIC);
    let fetched = waiting.receive_fetched().expect("it is answered");
    assert_eq!(fetched.error_code, UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn five_hundred_topics_are_created_kept_and_used() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    let names: Vec<String> = (0..500).map(|number| format!("topic.{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut ids = kafka.create_topics(&names[..400], 2, &[]);
    ids.extend(names[400..].iter().map(|name| kafka.create_topic(name, 2, &[])));
    let files = data_files::all(broker.data_dir()).len();
    assert!(files < 50, "a topic without records costs no files: {files}");
    for name in names.iter().step_by(25) {
        let offset = kafka.try_produce(Produce { partition: 1, ..Produce::to(name) }, &batches::of(&[name]));
        assert!(matches!(offset, Ok(0)), "{offset:?}");
    }
    for is_clean in [true, false] {
        if is_clean {
            broker.terminate();
        }
        broker.restart();
        let mut kafka = Kafka::open(broker.address());
        let topics = kafka.all_topics();
        let found: Vec<_> = topics.iter().map(|topic| (topic.name.as_deref(), topic.topic_id)).collect();
        let expected: Vec<_> = names.iter().map(|name| Some(*name)).zip(ids.iter().copied()).collect();
        assert_eq!(found, expected);
        assert!(topics.iter().all(|topic| topic.partitions.len() == 2));
        for name in names.iter().step_by(25) {
            assert_eq!(batches::values(&kafka.read_all(name, 1)[0]), [*name]);
        }
    }
}

fn fetch_error_by_id(kafka: &mut Kafka, topic_id: uuid::Uuid) -> i16 {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topics = vec![FetchTopic { topic_id, partitions: vec![partition], ..FetchTopic::default() }];
    let answer = kafka.ask(17, &FetchRequest { max_bytes: 1 << 20, topics, ..FetchRequest::default() });
    answer.responses[0].partitions[0].error_code
}

/// So many batches of two records, a second apart, and some hundred bytes each.
fn fill(kafka: &mut Kafka, count: usize) -> Vec<Bytes> {
    fill_named(kafka, "record", count)
}

fn fill_named(kafka: &mut Kafka, name: &str, count: usize) -> Vec<Bytes> {
    let mut sent = Vec::new();
    for index in 0..count {
        let values = [0, 1].map(|half| batches::padded(&format!("{name} {index} {half}"), 350));
        let timestamp = batches::EPOCH_MS + i64::try_from(index).expect("few") * 2;
        let batch = batches::at(timestamp, &values);
        kafka.produce(TOPIC, &batch);
        sent.push(batch);
    }
    sent
}

/// The time of the record at an offset of a log made by [`fill`].
fn time_of(offset: i64) -> i64 {
    batches::EPOCH_MS + offset
}

/// Asks again and again, for what the broker does by its own clock.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come about");
        std::thread::yield_now();
    }
}
