//! Where the sync before the acknowledgement is relaxed, acknowledgements do not wait, the sync comes when it was
//! promised, and the broker says what it does. A kill of the broker loses nothing all the same.

use sendlog_tests::strace::{self, SYNCS, Strace};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches};

const TOPIC: &str = "t";
const TRACED: &str = "trace=fdatasync,fsync,pwrite64,pwritev,pwritev2";
/// Longer than any test takes.
const LONG_MS: &str = "3600000";

#[test]
fn flush_messages_syncs_when_so_many_wait() {
    if !strace::is_usable() {
        return;
    }
    let broker = Broker::start(BrokerOptions::default());
    let mut kafka = topic(&broker, &[("flush.messages", "20")]);
    assert_eq!(kafka.topic_config(TOPIC, "flush.messages"), "20");
    let strace = Strace::attach(&broker, ["-e", TRACED]);
    produce(&mut kafka, 100);
    let syncs = strace.detach().count(SYNCS, ".log");
    assert_eq!(syncs, 5, "one for every 20 records");
    survives_a_kill(broker, 101);
}

#[test]
fn flush_ms_syncs_in_the_background() {
    if !strace::is_usable() {
        return;
    }
    // A checkpoint would sync too.
    let rarely = format!("sendlog.checkpoint.interval.ms={LONG_MS}");
    let broker = Broker::start(BrokerOptions::with_args(["--set", &rarely]));
    let mut kafka = topic(&broker, &[("flush.ms", LONG_MS)]);
    assert_eq!(kafka.topic_config(TOPIC, "flush.ms"), LONG_MS);
    let strace = Strace::attach(&broker, ["-e", TRACED]);
    produce(&mut kafka, 50);
    assert_eq!(strace.detach().count(SYNCS, ".log"), 0, "no acknowledgement waits for a sync");

    kafka.set_topic_config(TOPIC, "flush.ms", "20");
    let strace = Strace::attach(&broker, ["-e", TRACED]);
    produce(&mut kafka, 1);
    strace.wait_until(|trace| 0 < trace.count(SYNCS, ".log"));
    drop(strace);
    survives_a_kill(broker, 52);
}

/// Back to a sync before every acknowledgement, what was appended before included.
#[test]
fn a_topic_can_be_made_strict_again() {
    if !strace::is_usable() {
        return;
    }
    let broker = Broker::start(BrokerOptions::with_args(["--flush", "os"]));
    let mut kafka = topic(&broker, &[]);
    kafka.set_topic_config(TOPIC, "flush.messages", "1");
    let strace = Strace::attach(&broker, ["-e", TRACED]);
    produce(&mut kafka, 7);
    assert_eq!(strace.detach().count(SYNCS, ".log"), 7);
}

#[test]
fn the_broker_wide_policy_is_obeyed_and_told() {
    if !strace::is_usable() {
        return;
    }
    let long = format!("interval:{LONG_MS}");
    for policy in ["os", &long] {
        let broker = Broker::start(BrokerOptions::with_args(["--flush", policy]));
        let durability = durability_line(&broker);
        assert!(!durability.contains("every acknowledged record"), "{durability}");
        assert!(broker.stderr().text().contains("WARN"), "{policy} is worth a warning");
        let mut kafka = topic(&broker, &[]);
        assert_ne!(kafka.topic_config(TOPIC, "flush.messages"), "1");
        let strace = Strace::attach(&broker, ["-e", TRACED]);
        produce(&mut kafka, 50);
        assert_eq!(strace.detach().count(SYNCS, ".log"), 0, "{policy}");
        survives_a_kill(broker, 51);
    }
}

#[test]
fn an_interval_syncs_in_the_background_and_is_told() {
    if !strace::is_usable() {
        return;
    }
    let broker = Broker::start(BrokerOptions::with_args(["--flush", "interval:50"]));
    assert!(durability_line(&broker).contains("50 ms"), "{}", durability_line(&broker));
    let mut kafka = topic(&broker, &[]);
    assert_eq!(kafka.topic_config(TOPIC, "flush.ms"), "50");
    let strace = Strace::attach(&broker, ["-e", TRACED]);
    produce(&mut kafka, 3);
    strace.wait_until(|trace| 0 < trace.count(SYNCS, ".log"));
}

#[test]
fn the_default_is_told_too() {
    let broker = Broker::start(BrokerOptions::default());
    assert!(durability_line(&broker).contains("every acknowledged record is on disk"));
    let mut kafka = topic(&broker, &[]);
    assert_eq!(kafka.topic_config(TOPIC, "flush.messages"), "1");
}

/// A relaxed policy ends with an orderly stop: everything is on disk then.
#[test]
fn an_orderly_stop_syncs_what_was_not_yet() {
    if !strace::is_usable() {
        return;
    }
    let mut broker = Broker::start(BrokerOptions::with_args(["--flush", "os"]));
    let mut kafka = topic(&broker, &[]);
    produce(&mut kafka, 5);
    let mut strace = Strace::attach(&broker, ["-e", TRACED]);
    assert_eq!(broker.terminate().code(), Some(0));
    assert_eq!(strace.finish().count(SYNCS, ".log"), 1);
    broker.restart();
    assert_eq!(Kafka::open(broker.address()).offset(TOPIC, -1), 6);
}

fn topic(broker: &Broker, configs: &[(&str, &str)]) -> Kafka {
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, configs);
    kafka.produce(TOPIC, &batches::of(&["first"]));
    kafka
}

/// So many batches of one record; each can be read once it is acknowledged.
fn produce(kafka: &mut Kafka, count: usize) {
    for index in 0..count {
        let offset = kafka.produce(TOPIC, &batches::of(&[format!("value {index}")]));
        assert_eq!(kafka.offset(TOPIC, -1), offset + 1);
    }
}

fn survives_a_kill(mut broker: Broker, records: i64) {
    broker.kill();
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    assert_eq!(kafka.offset(TOPIC, -1), records);
    assert_eq!(batches::assert_dense(&kafka.read_all(TOPIC, 0), 0), records);
}

fn durability_line(broker: &Broker) -> String {
    let stdout = broker.stdout();
    let line = |text: &str| {
        let (complete, _) = text.rsplit_once('\n')?;
        complete.lines().find(|line| line.contains("durability")).map(str::to_owned)
    };
    stdout.wait_for(std::time::Duration::from_secs(30), line).expect("it is printed at the start")
}
