//! SIGTERM and SIGINT: what is in flight is answered, the exit code is 0, nothing is lost, and the next start has
//! nothing to recover.

use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use rustix::process::Signal;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{JoinGroupRequest, JoinGroupRequestProtocol, ListGroupsRequest};
use sendlog_tests::kafka::{Produce, ProduceFailure};
use sendlog_tests::ledger::{Ledger, Shipper, lock};
use sendlog_tests::strace::{self, Strace};
use sendlog_tests::wire_client::WireClient;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};

const TOPIC: &str = "t";

#[test]
fn a_signal_under_load_loses_nothing_and_exits_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut broker = Broker::start(BrokerOptions::default());
        let mut kafka = Kafka::open(broker.address());
        kafka.create_topic(TOPIC, 1, &[]);
        let producer = kafka.init_producer();
        let ledger = Mutex::<Ledger>::default();
        let (acked, acks) = mpsc::channel();
        let status = thread::scope(|scope| {
            for (name, identity) in [("plain", None), ("idempotent", Some(producer))] {
                let (kafka, acked) = (Kafka::open(broker.address()), acked.clone());
                let mut shipper = Shipper::new(name.to_owned(), Produce::to(TOPIC), identity);
                let ledger = &ledger;
                // Nobody counts them after the signal.
                let tell = move || _ = acked.send(());
                scope.spawn(move || shipper.ship(kafka, ledger, tell));
            }
            acks.iter().take(50).for_each(drop);
            broker.stop_with(signal)
        });
        assert_eq!(status.code(), Some(0), "{signal:?}: {}", broker.stderr().text());
        broker.restart();
        lock(&ledger).check(&Kafka::open(broker.address()).read_all(TOPIC, 0));
    }
}

/// The sync is slowed down, so that the signal finds batches that are written and not yet acknowledged.
#[test]
fn acks_that_are_due_arrive_before_the_end() {
    if !strace::is_usable() {
        return;
    }
    let mut broker = Broker::start(BrokerOptions::default());
    let mut connections: Vec<Kafka> = (0..3).map(|_| Kafka::open(broker.address())).collect();
    connections[0].create_topic(TOPIC, 1, &[]);
    connections[0].produce(TOPIC, &batches::of(&["first"]));
    let options = ["-e", "trace=fdatasync,pwritev,pwrite64", "-e", "inject=fdatasync:delay_enter=300000"];
    let mut strace = Strace::attach(&broker, options);
    let mut sent: Vec<Vec<Bytes>> = Vec::new();
    for (number, kafka) in connections.iter_mut().enumerate() {
        let batches = [0, 1, 2, 3].map(|index| batches::of(&[format!("{number} {index}")]));
        batches.iter().for_each(|batch| kafka.send_batch(Produce::to(TOPIC), batch).expect("it is taken"));
        sent.push(batches.to_vec());
    }
    let bytes: usize = sent.iter().flatten().map(Bytes::len).sum();
    strace.wait_until(|trace| bytes <= trace.bytes_written(".log"));
    broker.signal(Signal::TERM);
    let mut acknowledged = Vec::new();
    for (kafka, batches) in connections.iter_mut().zip(&sent) {
        for batch in batches {
            acknowledged
                .push((kafka.receive_ack().expect("what was written is acknowledged"), batch.clone()));
        }
        assert!(kafka.raw().is_closed_by_broker().expect("it ends"));
    }
    assert_eq!(broker.wait_for_exit().code(), Some(0), "{}", broker.stderr().text());
    strace.finish();
    broker.restart();
    acknowledged.sort_by_key(|(offset, _)| *offset);
    let log = Kafka::open(broker.address()).read_from(TOPIC, 0, 1);
    let found = log.iter().map(|stored| (batches::header(stored).base_offset, batches::as_sent(stored)));
    let found: Vec<_> = found.collect();
    assert_eq!(found, acknowledged);
}

/// Neither waiting fetches nor idle nor half-sent connections hold it up: were it not so, the time-out of the shutdown,
/// which is longer than this test may last, would.
#[test]
fn who_waits_for_records_does_not_hold_up_the_end() {
    let timeout = "sendlog.shutdown.timeout.ms=3600000";
    let mut broker = Broker::start(BrokerOptions::with_args(["--set", timeout]));
    let mut waiting = Kafka::open(broker.address());
    waiting.create_topic(TOPIC, 1, &[]);
    let end = waiting.produce(TOPIC, &batches::of(&["x"])) + 1;
    waiting.send_waiting_fetch(TOPIC, 0, end).expect("it is taken");
    let _idle = Kafka::open(broker.address());
    let mut half_sent = Kafka::open(broker.address());
    half_sent.raw().send_bytes(&[0, 0, 1, 0, 7]).expect("it is taken");
    // A request on another connection was served after them.
    let mut probe = Kafka::open(broker.address());
    assert_eq!(probe.offset(TOPIC, -1), end);
    assert_eq!(broker.terminate().code(), Some(0));
    assert!(broker.stderr().text().contains("needs no recovery"), "{}", broker.stderr().text());
}

/// A member that waits for others is told to try again.
#[test]
fn who_waits_for_a_group_is_answered_and_does_not_hold_up_the_end() {
    const JOIN_VERSION: i16 = 3;
    let settings = ["sendlog.shutdown.timeout.ms=3600000", "group.initial.rebalance.delay.ms=3600000"];
    let [timeout, delay] = settings;
    let mut broker = Broker::start(BrokerOptions::with_args(["--set", timeout, "--set", delay]));
    let mut waiting = WireClient::connect(broker.address());
    let protocol = JoinGroupRequestProtocol { name: "range".to_owned(), metadata: Bytes::new() };
    let join = JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 3_600_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let due = waiting.send(JOIN_VERSION, &join);
    // It is parked when the group is there.
    let mut probe = Kafka::open(broker.address());
    while probe.ask(5, &ListGroupsRequest::default()).groups.is_empty() {
        thread::yield_now();
    }
    broker.signal(Signal::TERM);
    let answer = waiting.receive(&due);
    assert_eq!(answer.error_code, ErrorCode::CoordinatorNotAvailable.code());
    assert_eq!(broker.wait_for_exit().code(), Some(0), "{}", broker.stderr().text());
    assert!(broker.stderr().text().contains("needs no recovery"), "{}", broker.stderr().text());
}

#[test]
fn a_clean_restart_keeps_everything_and_scans_nothing() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    let ids = [
        kafka.create_topic(TOPIC, 1, &[("retention.ms", "-1"), ("segment.bytes", "1048576")]),
        kafka.create_topic("empty", 3, &[("cleanup.policy", "compact")]),
    ];
    let producer = kafka.init_producer();
    for index in 0..48 {
        kafka.produce(TOPIC, &batches::sized(&format!("filler {index}"), 128 << 10));
    }
    let numbered =
        [0, 1, 2, 3, 4, 5].map(|sequence| batches::numbered(producer, sequence, &[sequence.to_string()]));
    let offsets = numbered.each_ref().map(|batch| kafka.produce(TOPIC, batch));
    kafka.delete_records(TOPIC, 2);
    let before = picture(&mut kafka);
    assert_eq!(broker.terminate().code(), Some(0));
    let log_bytes = data_files::segment_bytes(broker.data_dir(), "t-0");

    broker.restart();
    let read = strace::bytes_read(&broker);
    assert!(read * 10 < log_bytes, "{read} bytes were read for a log of {log_bytes}");
    assert!(!broker.stderr().text().contains("recover"), "{}", broker.stderr().text());
    let mut kafka = Kafka::open(broker.address());
    assert_eq!(picture(&mut kafka), before);
    assert_eq!([kafka.topic_id(TOPIC), kafka.topic_id("empty")], ids);
    assert_eq!(kafka.topic_config(TOPIC, "segment.bytes"), "1048576");
    assert_eq!(kafka.topic_config("empty", "cleanup.policy"), "compact");
    assert_eq!(kafka.offset(TOPIC, -2), 2);
    for (batch, offset) in numbered.iter().zip(offsets).skip(1) {
        assert_eq!(kafka.produce(TOPIC, batch), offset, "a duplicate gets the offset it had");
    }
    let next = batches::numbered(producer, 6, &["6"]);
    assert_eq!(kafka.produce(TOPIC, &next), offsets[5] + 1, "and the sequence goes on");
    let gap = batches::numbered(producer, 9, &["9"]);
    let refused = kafka.try_produce(Produce::to(TOPIC), &gap);
    assert!(matches!(refused, Err(ProduceFailure::Refused(45))), "a gap is out of order: {refused:?}");
    assert_ne!(kafka.init_producer().id, producer.id, "an id is given once");
}

/// What clients can see of topics and records.
fn picture(kafka: &mut Kafka) -> (String, i64, Vec<Bytes>) {
    let topics = format!("{:?}", kafka.all_topics());
    (topics, kafka.offset(TOPIC, -2), kafka.read_all(TOPIC, 0))
}
