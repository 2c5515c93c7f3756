//! An acknowledgement follows the sync of what it acknowledges; one sync serves all that waits for it. acks=1 is as
//! acks=all, acks=0 has no answer.

use bytes::Bytes;
use sendlog_tests::kafka::{Produce, ProduceFailure};
use sendlog_tests::strace::{self, Event, SYNCS, Strace, Trace, WRITES};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches};

const TOPIC: &str = "t";
/// What the broker sends answers with.
const SENDS: &[&str] = &["sendto", "sendmsg", "write", "writev"];
/// Long enough for all connections to send while one sync runs, even under a tracer on a busy machine.
const SLOW_SYNC: &str = "inject=fdatasync:delay_enter=50000";
const TRACED: &str = "trace=fdatasync,fsync,write,pwrite64,pwritev,pwritev2,sendto,sendmsg,writev";

#[test]
fn a_lone_ack_follows_the_sync_of_its_batch() {
    if !strace::is_usable() {
        return;
    }
    for acks in [-1, 1] {
        let broker = Broker::start(BrokerOptions::default());
        let mut kafka = topic_with_a_record(&broker);
        let strace = Strace::attach(&broker, ["-e", TRACED]);
        let count = 30;
        for index in 0..count {
            let batch = batches::of(&[format!("lone {index}")]);
            kafka.try_produce(Produce { acks, ..Produce::to(TOPIC) }, &batch).expect("it is acknowledged");
        }
        let trace = strace.detach();
        assert_eq!(acks_before_their_sync(&trace), 0, "acks={acks}: answers that a sync had not yet covered");
        assert_eq!(answers(&trace), count);
        assert_eq!(trace.count(SYNCS, ".log"), count, "acks={acks}: one sync a batch, no more");
    }
}

/// Walks through the calls: with one batch at a time, an answer must find what was written to the log synced.
fn acks_before_their_sync(trace: &Trace) -> usize {
    let mut is_synced = true;
    let mut early = 0;
    for event in &trace.events {
        if event.begins(WRITES, ".log") {
            is_synced = false;
        } else if event.returns(SYNCS, ".log") && event.result.as_deref() == Some("0") {
            is_synced = true;
        } else if is_answer(event) && !is_synced {
            early += 1;
        }
    }
    early
}

fn is_answer(event: &Event) -> bool {
    event.result.is_none() && SENDS.contains(&event.call.as_str()) && event.is_socket()
}

fn answers(trace: &Trace) -> usize {
    trace.events.iter().filter(|event| is_answer(event)).count()
}

#[test]
fn one_sync_serves_many() {
    if !strace::is_usable() {
        return;
    }
    const CONNECTIONS: usize = 64;
    const ROUNDS: usize = 8;
    let broker = Broker::start(BrokerOptions::default());
    let mut kafka = topic_with_a_record(&broker);
    let mut connections: Vec<Kafka> = (0..CONNECTIONS).map(|_| Kafka::open(broker.address())).collect();
    let strace = Strace::attach(&broker, ["-e", TRACED, "-e", SLOW_SYNC]);
    for round in 0..ROUNDS {
        for (number, connection) in connections.iter_mut().enumerate() {
            let batch = batches::of(&[format!("{number:02} in {round}")]);
            connection.send_batch(Produce::to(TOPIC), &batch).expect("it is taken");
        }
        for connection in &mut connections {
            connection.receive_ack().expect("it is acknowledged");
        }
    }
    let trace = strace.detach();
    let (batches, syncs) = (CONNECTIONS * ROUNDS, trace.count(SYNCS, ".log"));
    assert!(ROUNDS <= syncs && syncs * 4 < batches, "{syncs} syncs for {batches} batches");
    assert_eq!(answered_ahead_of_the_sync(&trace), 0);
    assert_eq!(kafka.read_all(TOPIC, 0).len(), 1 + batches);
}

/// However answers and syncs overlap: there are never more answers than batches that were written before the beginning
/// of a sync that has returned.
fn answered_ahead_of_the_sync(trace: &Trace) -> usize {
    let batch_bytes = batches::of(&["00 in 0"]).len();
    let (mut written, mut syncing, mut synced, mut answered_bytes, mut ahead) = (0, Vec::new(), 0, 0, 0);
    for event in &trace.events {
        if event.returns(WRITES, ".log") {
            written += returned(event);
        } else if event.begins(SYNCS, ".log") {
            syncing.push(written);
        } else if event.returns(SYNCS, ".log") {
            synced = synced.max(syncing.drain(..).next_back().unwrap_or_default());
        } else if is_answer(event) {
            answered_bytes += batch_bytes;
            ahead += usize::from(synced < answered_bytes);
        }
    }
    ahead
}

fn returned(event: &Event) -> usize {
    let number = event.result.as_deref().and_then(|result| result.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// One connection may have many batches on the way: they share syncs too, and their answers keep their order.
#[test]
fn batches_in_flight_on_one_connection_share_syncs() {
    if !strace::is_usable() {
        return;
    }
    const BATCHES: usize = 200;
    let broker = Broker::start(BrokerOptions::default());
    let mut kafka = topic_with_a_record(&broker);
    let strace = Strace::attach(&broker, ["-e", TRACED, "-e", SLOW_SYNC]);
    for index in 0..BATCHES {
        kafka.send_batch(Produce::to(TOPIC), &batches::of(&[format!("{index}")])).expect("it is taken");
    }
    let offsets: Vec<i64> = (0..BATCHES).map(|_| kafka.receive_ack().expect("it is acknowledged")).collect();
    assert!(offsets.is_sorted());
    assert_eq!(offsets.len(), BATCHES);
    let syncs = strace.detach().count(SYNCS, ".log");
    assert!(syncs * 4 < BATCHES, "{syncs} syncs for {BATCHES} batches");
    let values: Vec<Bytes> = kafka.read_from(TOPIC, 0, 1).iter().flat_map(batches::values).collect();
    let expected: Vec<Bytes> = (0..BATCHES).map(|index| Bytes::from(index.to_string())).collect();
    assert_eq!(values, expected);
}

#[test]
fn acks_0_has_no_answer_and_the_connection_goes_on() {
    let broker = Broker::start(BrokerOptions::default());
    let mut kafka = topic_with_a_record(&broker);
    let unanswered = Produce { acks: 0, ..Produce::to(TOPIC) };
    for index in 0..10 {
        kafka.send_batch(unanswered, &batches::of(&[format!("unanswered {index}")])).expect("it is taken");
    }
    // Were there an answer, this would receive it and find another request's number in it.
    assert_eq!(kafka.produce(TOPIC, &batches::of(&["answered"])), 11);
    assert_eq!(kafka.read_all(TOPIC, 0).len(), 12);
}

#[test]
fn acks_0_that_fails_closes_the_connection() {
    let broker = Broker::start(BrokerOptions::default());
    topic_with_a_record(&broker);
    let good = batches::of(&["good"]);
    let mut corrupt = good.to_vec();
    *corrupt.last_mut().expect("a batch has bytes") ^= 1;
    let to = Produce { acks: 0, ..Produce::to(TOPIC) };
    let failures = [(Produce { partition: 7, ..to }, good.clone()), (to, Bytes::from(corrupt))];
    for (to, batch) in failures {
        let mut kafka = Kafka::open(broker.address());
        kafka.send_batch(to, &batch).expect("it is taken");
        assert!(kafka.raw().is_closed_by_broker().expect("it ends"), "{to:?}");
    }
    let mut kafka = Kafka::open(broker.address());
    assert_eq!(kafka.produce(TOPIC, &good), 1, "and nothing was appended");
}

#[test]
fn other_acks_are_refused() {
    let broker = Broker::start(BrokerOptions::default());
    let mut kafka = topic_with_a_record(&broker);
    for acks in [2, -2, i16::MAX] {
        let refused = kafka.try_produce(Produce { acks, ..Produce::to(TOPIC) }, &batches::of(&["x"]));
        assert!(matches!(refused, Err(ProduceFailure::Refused(21))), "acks={acks}: {refused:?}");
    }
    assert_eq!(kafka.offset(TOPIC, -1), 1);
}

/// A topic whose folder and first segment are there, so that what follows is the usual case.
fn topic_with_a_record(broker: &Broker) -> Kafka {
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    assert_eq!(kafka.produce(TOPIC, &batches::of(&["first"])), 0);
    kafka
}
