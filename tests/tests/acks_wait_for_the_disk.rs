//! An acknowledgement follows the sync of what it acknowledges, or its write to the commit journal, which is durable on
//! return; one serves all that waits for it. acks=1 is as acks=all, acks=0 has no answer.

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_tests::kafka::{Produce, ProduceFailure};
use sendlog_tests::strace::{self, Event, SYNCS, Strace, Trace, WRITES};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches};

const TOPIC: &str = "t";
/// What the broker sends answers with.
const SENDS: &[&str] = &["sendto", "sendmsg", "write", "writev"];
const TRACED: &str = "trace=fdatasync,fsync,write,pwrite64,pwritev,pwritev2,sendto,sendmsg,writev";
/// Ends a test whose broker makes no journal.
const LIMIT: Duration = Duration::from_secs(60);

/// How the broker makes a small round durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durable {
    SegmentSync,
    Journal,
}

impl Durable {
    const BOTH: [Self; 2] = [Self::SegmentSync, Self::Journal];

    fn start(self) -> Broker {
        let bytes = if self == Self::Journal { 8 << 20 } else { 0 };
        Broker::start(BrokerOptions::with_args(["--set", &format!("sendlog.journal.bytes={bytes}")]))
    }

    /// Waits until rounds go where they should.
    fn wait_until_ready(self, broker: &Broker) {
        let last = broker.data_dir().join("journal/3.journal");
        let deadline = Instant::now() + LIMIT;
        while self == Self::Journal && !last.exists() {
            assert!(Instant::now() < deadline, "the journal is not there");
            thread::yield_now();
        }
    }

    /// Slow enough for all connections to send while one runs, even under a tracer on a busy machine.
    fn slow(self) -> &'static str {
        match self {
            Self::SegmentSync => "inject=fdatasync:delay_enter=50000",
            Self::Journal => "inject=pwritev:delay_enter=25000",
        }
    }

    fn begins(self, event: &Event) -> bool {
        match self {
            Self::SegmentSync => event.begins(SYNCS, ".log"),
            Self::Journal => event.begins(WRITES, ".journal"),
        }
    }

    fn returns(self, event: &Event) -> bool {
        match self {
            Self::SegmentSync => event.returns(SYNCS, ".log"),
            Self::Journal => event.returns(WRITES, ".journal"),
        }
    }

    fn count(self, trace: &Trace) -> usize {
        match self {
            Self::SegmentSync => trace.count(SYNCS, ".log"),
            Self::Journal => trace.count(WRITES, ".journal"),
        }
    }
}

#[test]
fn a_lone_ack_follows_the_sync_of_its_batch() {
    if !strace::is_usable() {
        return;
    }
    for (acks, durable) in
        [(-1, Durable::SegmentSync), (1, Durable::SegmentSync), (-1, Durable::Journal), (1, Durable::Journal)]
    {
        let broker = durable.start();
        let mut kafka = topic_with_a_record(&broker);
        durable.wait_until_ready(&broker);
        let strace = Strace::attach(&broker, ["-e", TRACED]);
        let count = 30;
        for index in 0..count {
            let batch = batches::of(&[format!("lone {index}")]);
            kafka.try_produce(Produce { acks, ..Produce::to(TOPIC) }, &batch).expect("it is acknowledged");
        }
        let trace = strace.detach();
        let early = acks_before_their_sync(&trace, durable);
        assert_eq!(early, 0, "{durable:?}, acks={acks}: answers to what was not yet durable");
        assert_eq!(answers(&trace), count);
        assert_eq!(durable.count(&trace), count, "{durable:?}, acks={acks}: one a batch, no more");
    }
}

/// Walks through the calls: with one batch at a time, an answer must find what was written to the log synced.
fn acks_before_their_sync(trace: &Trace, durable: Durable) -> usize {
    let mut is_synced = true;
    let mut early = 0;
    for event in &trace.events {
        if event.begins(WRITES, ".log") {
            is_synced = false;
        } else if durable.returns(event)
            && event.result.as_deref().is_some_and(|result| !result.starts_with('-'))
        {
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
    for durable in Durable::BOTH {
        let broker = durable.start();
        let mut kafka = topic_with_a_record(&broker);
        durable.wait_until_ready(&broker);
        let mut connections: Vec<Kafka> = (0..CONNECTIONS).map(|_| Kafka::open(broker.address())).collect();
        let strace = Strace::attach(&broker, ["-e", TRACED, "-e", durable.slow()]);
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
        let (batches, syncs) = (CONNECTIONS * ROUNDS, durable.count(&trace));
        assert!(ROUNDS <= syncs && syncs * 4 < batches, "{durable:?}: {syncs} for {batches} batches");
        assert_eq!(answered_ahead_of_the_sync(&trace, durable), 0, "{durable:?}");
        assert_eq!(kafka.read_all(TOPIC, 0).len(), 1 + batches);
    }
}

/// However answers and syncs overlap: there are never more answers than batches that were written before the beginning
/// of a sync that has returned.
fn answered_ahead_of_the_sync(trace: &Trace, durable: Durable) -> usize {
    let batch_bytes = batches::of(&["00 in 0"]).len();
    let (mut written, mut syncing, mut synced, mut answered_bytes, mut ahead) = (0, Vec::new(), 0, 0, 0);
    for event in &trace.events {
        if event.returns(WRITES, ".log") {
            written += returned(event);
        } else if durable.begins(event) {
            syncing.push(written);
        } else if durable.returns(event) {
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
    for durable in Durable::BOTH {
        let broker = durable.start();
        let mut kafka = topic_with_a_record(&broker);
        durable.wait_until_ready(&broker);
        let strace = Strace::attach(&broker, ["-e", TRACED, "-e", durable.slow()]);
        for index in 0..BATCHES {
            kafka.send_batch(Produce::to(TOPIC), &batches::of(&[format!("{index}")])).expect("it is taken");
        }
        let offsets: Vec<i64> =
            (0..BATCHES).map(|_| kafka.receive_ack().expect("it is acknowledged")).collect();
        assert!(offsets.is_sorted());
        assert_eq!(offsets.len(), BATCHES);
        let syncs = durable.count(&strace.detach());
        assert!(syncs * 4 < BATCHES, "{durable:?}: {syncs} for {BATCHES} batches");
        let values: Vec<Bytes> = kafka.read_from(TOPIC, 0, 1).iter().flat_map(batches::values).collect();
        let expected: Vec<Bytes> = (0..BATCHES).map(|index| Bytes::from(index.to_string())).collect();
        assert_eq!(values, expected);
    }
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
