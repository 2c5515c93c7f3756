//! A start after a kill reads what was written since the last checkpoint, not the log.

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files, strace};

const TOPIC: &str = "t";
/// Of half a MiB: the log has to outweigh what is searched of the commit journal, however little that holds.
const BATCHES: usize = 240;
/// Ends a test whose broker writes no checkpoint.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_checkpoint_of_an_orderly_stop_is_begun_from() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    let filler = batches::sized("filler", 512 << 10);
    (0..BATCHES).for_each(|_| _ = kafka.produce(TOPIC, &filler));
    assert_eq!(broker.terminate().code(), Some(0));
    broker.restart();
    let tail = tail(&mut Kafka::open(broker.address()));
    reads_the_tail_only(&mut broker, &tail);
}

#[test]
fn a_checkpoint_while_running_is_begun_from() {
    let mut broker = Broker::start(BrokerOptions::with_args(["--set", "sendlog.checkpoint.interval.ms=100"]));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    let filler = batches::sized("filler", 512 << 10);
    (0..BATCHES).for_each(|_| _ = kafka.produce(TOPIC, &filler));
    // The next one may have been begun before the last of it; the one after that was not.
    for _ in 0..2 {
        wait_for_checkpoint(&broker, &mut kafka);
    }
    let tail = tail(&mut kafka);
    reads_the_tail_only(&mut broker, &tail);
}

/// Waits for one that is not there yet. Small appends see to it that one is due.
fn wait_for_checkpoint(broker: &Broker, kafka: &mut Kafka) {
    let file = broker.data_dir().join("checkpoint.state");
    let before = fs::read(&file).unwrap_or_default();
    let deadline = Instant::now() + LIMIT;
    while fs::read(&file).unwrap_or_default() == before {
        assert!(Instant::now() < deadline, "no checkpoint was written");
        kafka.produce(TOPIC, &batches::of(&["small"]));
    }
}

/// Batches that no checkpoint covers.
fn tail(kafka: &mut Kafka) -> Vec<Bytes> {
    let tail = [0, 1, 2, 3, 4].map(|index| batches::sized(&format!("tail {index}"), 20_000));
    tail.iter().for_each(|batch| _ = kafka.produce(TOPIC, batch));
    tail.to_vec()
}

fn reads_the_tail_only(broker: &mut Broker, tail: &[Bytes]) {
    let log_bytes = data_files::segment_bytes(broker.data_dir(), "t-0");
    broker.restart();
    let read = strace::bytes_read(broker);
    assert!(read * 8 < log_bytes, "{read} bytes read for a log of {log_bytes}");
    let mut kafka = Kafka::open(broker.address());
    let end = kafka.offset(TOPIC, -1);
    let last = end - i64::try_from(tail.len()).expect("a few");
    let found: Vec<Bytes> = kafka.read_from(TOPIC, 0, last).iter().map(batches::as_sent).collect();
    assert_eq!(found, tail);
    batches::assert_dense(&kafka.read_all(TOPIC, 0), 0);
}
