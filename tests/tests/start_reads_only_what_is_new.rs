//! A start after a kill reads what was written since the last checkpoint, not the log.

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files, strace};

const TOPIC: &str = "t";
/// Ends a test whose broker writes no checkpoint.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_checkpoint_of_an_orderly_stop_is_begun_from() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    let filler = batches::sized("filler", 512 << 10);
    (0..48).for_each(|_| _ = kafka.produce(TOPIC, &filler));
    assert_eq!(broker.terminate().code(), Some(0));
    broker.restart();
    let tail = tail(&mut Kafka::open(broker.address()));
    reads_the_tail_only(&mut broker, &tail);
}

#[test]
fn a_checkpoint_while_running_is_begun_from() {
    let interval = "sendlog.checkpoint.interval.bytes=8388608";
    let mut broker = Broker::start(BrokerOptions::with_args(["--set", interval]));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    let filler = batches::sized("filler", 512 << 10);
    let checkpoint = broker.data_dir().join("checkpoint.state");
    let mut seen = fs::read(&checkpoint).unwrap_or_default();
    let mut checkpoints = 0;
    let deadline = Instant::now() + LIMIT;
    // Small appends go on until one has been written, for its time is the broker's affair.
    for index in 0.. {
        let batch = if index < 48 { filler.clone() } else { batches::of(&["small"]) };
        kafka.produce(TOPIC, &batch);
        let now = fs::read(&checkpoint).unwrap_or_default();
        if index <= 48 || now == seen {
            assert!(Instant::now() < deadline, "no checkpoint was written");
            seen = now;
            checkpoints += 1;
            continue;
        }
        break;
    }
    assert!(0 < checkpoints);
    let tail = tail(&mut kafka);
    reads_the_tail_only(&mut broker, &tail);
}

/// Batches that no checkpoint covers.
fn tail(kafka: &mut Kafka) -> Vec<Bytes> {
    let tail = [0, 1, 2, 3, 4].map(|index| batches::sized(&format!("tail {index}"), 20_000));
    tail.iter().for_each(|batch| _ = kafka.produce(TOPIC, batch));
    tail.to_vec()
}

fn reads_the_tail_only(broker: &mut Broker, tail: &[Bytes]) {
    let log_bytes: u64 = data_files::segments(broker.data_dir(), "t-0").iter().map(|path| data_files::length(path)).sum();
    let tail_bytes: usize = tail.iter().map(Bytes::len).sum();
    broker.restart();
    let read = strace::bytes_read(broker);
    assert!(tail_bytes as u64 <= read, "{read} bytes read: the tail of {tail_bytes} must be checked");
    assert!(read * 8 < log_bytes, "{read} bytes read for a log of {log_bytes}");
    let mut kafka = Kafka::open(broker.address());
    let end = kafka.offset(TOPIC, -1);
    let last = end - i64::try_from(tail.len()).expect("a few");
    let found: Vec<Bytes> = kafka.read_from(TOPIC, 0, last).iter().map(batches::as_sent).collect();
    assert_eq!(found, tail);
    batches::assert_dense(&kafka.read_all(TOPIC, 0), 0);
}
