//! A write or sync that fails: nothing that waits is acknowledged, the broker ends with exit code 1 and says what
//! happened and what to do, and the next start has everything that was ever acknowledged.

use bytes::Bytes;
use sendlog_tests::kafka::{Produce, ProduceFailure};
use sendlog_tests::strace::{self, SYNCS, Strace};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};

const TOPIC: &str = "t";
const KAFKA_STORAGE_ERROR: i16 = 56;

#[test]
fn a_failed_sync_acknowledges_nothing() {
    fails_at("fdatasync", "EIO");
}

#[test]
fn a_failed_write_acknowledges_nothing() {
    fails_at("pwritev,pwrite64,pwritev2", "EIO");
}

/// A disk that has no room left may also say so when it syncs. Then it is too late to refuse.
#[test]
fn a_sync_without_room_acknowledges_nothing() {
    fails_at("fdatasync", "ENOSPC");
}

/// Nothing sensible returns 0 for a write of some bytes; to try again would be to try for ever.
#[test]
fn a_write_of_nothing_acknowledges_nothing() {
    fails_with("pwritev,pwrite64,pwritev2", "retval=0");
}

fn fails_at(calls: &str, error: &str) {
    fails_with(calls, &format!("error={error}"));
}

fn fails_with(calls: &str, fault: &str) {
    if !strace::is_usable() {
        return;
    }
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    kafka.create_topic("other", 1, &[]);
    let producer = kafka.init_producer();
    let acknowledged: Vec<Bytes> = (0..20)
        .map(|sequence| batches::numbered(producer, sequence, &[format!("safe {sequence}")]))
        .collect();
    for (expected, batch) in (0..).zip(&acknowledged) {
        assert_eq!(kafka.produce(TOPIC, batch), expected);
    }
    kafka.produce("other", &batches::of(&["safe too"]));

    let inject = format!("inject={calls}:{fault}");
    let mut strace =
        Strace::attach(&broker, ["-e", "trace=fdatasync,pwritev,pwrite64,pwritev2", "-e", &inject]);
    let mut others: Vec<Kafka> = (0..3).map(|_| Kafka::open(broker.address())).collect();
    let waiting = batches::numbered(producer, 20, &["unlucky"]);
    send(&mut kafka, TOPIC, &waiting);
    for (number, other) in others.iter_mut().enumerate() {
        send(other, "other", &batches::of(&[format!("unlucky {number}")]));
    }
    for kafka in others.iter_mut().chain([&mut kafka]) {
        let answer = kafka.receive_ack();
        let is_told = match &answer {
            Err(ProduceFailure::Closed(_)) => true,
            Err(ProduceFailure::Refused(code)) => *code == KAFKA_STORAGE_ERROR,
            Ok(_) => false,
        };
        assert!(is_told, "{calls} {fault}: {answer:?}");
    }
    assert_eq!(broker.wait_for_exit().code(), Some(1));
    strace.finish();
    says_what_happened_and_what_to_do(&broker);
    goes_on_after_a_restart(&mut broker, &acknowledged, &waiting);
}

/// The broker may be gone already: then there is no answer to it either.
fn send(kafka: &mut Kafka, topic: &'static str, batch: &Bytes) {
    let _ = kafka.send_batch(Produce::to(topic), batch);
}

fn says_what_happened_and_what_to_do(broker: &Broker) {
    let log = broker.stderr().text();
    let data_dir = broker.data_dir().display().to_string();
    for word in ["failed", &data_dir, ".log", "start the broker again"] {
        assert!(log.contains(word), "{word:?} should be in:\n{log}");
    }
    assert!(!log.contains("panicked"), "{log}");
}

fn goes_on_after_a_restart(broker: &mut Broker, acknowledged: &[Bytes], waiting: &Bytes) {
    let segments = data_files::segments(broker.data_dir(), "t-0").len();
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    let log = kafka.read_all(TOPIC, 0);
    let found: Vec<Bytes> = log.iter().map(batches::as_sent).collect();
    assert!(found.starts_with(acknowledged), "nothing that was acknowledged is lost");
    assert!(found.len() <= acknowledged.len() + 1, "and nothing came from nowhere");
    // The producer repeats what it has no answer for: it is there once, and the sequence goes on.
    assert_eq!(kafka.produce(TOPIC, waiting), 20);
    let found: Vec<Bytes> = kafka.read_all(TOPIC, 0).iter().map(batches::as_sent).collect();
    assert_eq!(found.len(), acknowledged.len() + 1);
    assert_eq!(found.last(), Some(waiting));
    assert!(segments < data_files::segments(broker.data_dir(), "t-0").len(), "it goes on in a new segment");
    let other = kafka.read_all("other", 0);
    batches::assert_dense(&other, 0);
    assert_eq!(batches::values(&other[0]), ["safe too"]);
    broker.terminate();
    broker.restart();
    assert_eq!(Kafka::open(broker.address()).read_all(TOPIC, 0).len(), acknowledged.len() + 1);
}

/// A sync in the background fails when nobody waits for it: what was acknowledged under a relaxed policy may be lost in
/// a crash of the machine, but the broker must not go on as if nothing had happened.
#[test]
fn a_failed_sync_in_the_background_stops_it_too() {
    if !strace::is_usable() {
        return;
    }
    let mut broker = Broker::start(BrokerOptions::with_args(["--flush", "interval:10"]));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    let synced = Strace::attach(&broker, ["-e", "trace=fdatasync"]);
    kafka.produce(TOPIC, &batches::of(&["synced in the background"]));
    synced.wait_until(|trace| 0 < trace.count(SYNCS, ".log"));
    synced.detach();
    let mut strace = Strace::attach(&broker, ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"]);
    send(&mut kafka, TOPIC, &batches::of(&["acknowledged from memory"]));
    assert_eq!(broker.wait_for_exit().code(), Some(1));
    strace.finish();
    says_what_happened_and_what_to_do(&broker);
    assert!(!broker.stderr().text().contains("Nothing that was acknowledged is lost"), "it may be, here");
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    let log = kafka.read_all(TOPIC, 0);
    assert_eq!(batches::values(&log[0]), ["synced in the background"]);
    assert_eq!(kafka.produce(TOPIC, &batches::of(&["next"])), batches::assert_dense(&log, 0));
}

/// A write that the kernel does in part is not one that failed.
#[test]
fn a_short_write_is_completed() {
    if !strace::is_usable() {
        return;
    }
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    kafka.produce(TOPIC, &batches::of(&["first"]));
    // EINTR before a byte was written: the call is made again.
    let inject = "inject=pwritev,pwrite64,pwritev2,fdatasync:error=EINTR:when=1";
    let strace = Strace::attach(&broker, ["-e", "trace=fdatasync,pwritev,pwrite64,pwritev2", "-e", inject]);
    assert_eq!(kafka.produce(TOPIC, &batches::of(&["second"])), 1);
    let trace = strace.detach();
    assert!(trace.events.iter().any(|event| event.result.as_deref().is_some_and(|r| r.contains("EINTR"))));
    broker.kill();
    broker.restart();
    let log = Kafka::open(broker.address()).read_all(TOPIC, 0);
    assert_eq!(log.iter().flat_map(batches::values).collect::<Vec<_>>(), ["first", "second"]);
}
