//! A process may have few descriptors left. Who takes them keeps others out, but stops neither the broker nor what it
//! has open, and nothing that was acknowledged is lost.

use bytes::Bytes;
use rustix::process::{Pid, Resource, getrlimit, prlimit};
use sendlog_tests::kafka::{Produce, ProduceFailure};
use sendlog_tests::ledger::Ledger;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, vitals};

/// More than a topic's first append, or a roll, opens.
const SPARE_MAX: u64 = 16;

/// Leaves so many descriptors free, from none to enough, and appends to a new topic and to a full segment.
#[test]
fn appends_with_few_descriptors_are_made_or_refused() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic("rolled", 1, &[("segment.bytes", "2048"), ("retention.ms", "-1")]);
    let mut rolled = Ledger::default();
    let mut made = 0;
    for spare in 0..=SPARE_MAX {
        let name = format!("new-{spare}");
        kafka.create_topic(&name, 1, &[]);
        let mut new = Ledger::default();
        limit_descriptors(&broker, Some(spare));
        for index in 0..3 {
            append(&mut kafka, "rolled", &mut rolled, &batches::sized(&format!("{spare} {index}"), 900));
        }
        append(&mut kafka, &name, &mut new, &batches::of(&[&name]));
        made += new.acknowledged();
        limit_descriptors(&broker, None);

        new.check(&kafka.read_all(&name, 0));
        rolled.check(&kafka.read_all("rolled", 0));
        let end = kafka.offset(&name, -1);
        assert_eq!(kafka.produce(&name, &batches::of(&["enough again"])), end, "with {spare} spare ones");
    }
    assert!(0 < made, "{SPARE_MAX} descriptors are enough for a new topic");
    let log = kafka.read_all("rolled", 0);
    assert_eq!(broker.terminate().code(), Some(0), "{}", broker.stderr().text());
    broker.restart();
    assert_eq!(Kafka::open(broker.address()).read_all("rolled", 0), log);
}

/// Clients that take all there are.
#[test]
fn a_crowd_of_clients_stops_no_one_who_is_connected() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    let names = ["one", "two", "three", "four", "five", "six"];
    kafka.create_topics(&names, 1, &[("segment.bytes", "2048"), ("retention.ms", "-1")]);
    limit_descriptors(&broker, Some(30));
    let crowd: Vec<_> = (0..100).map(|_| Kafka::open(broker.address())).collect();
    let mut ledgers = names.map(|_| Ledger::default());
    for round in 0..10 {
        for (name, ledger) in names.iter().zip(&mut ledgers) {
            append(&mut kafka, name, ledger, &batches::sized(&format!("{name} {round}"), 900));
        }
    }
    drop(crowd);
    limit_descriptors(&broker, None);
    for (name, ledger) in names.iter().zip(&ledgers) {
        ledger.check(&kafka.read_all(name, 0));
        let end = kafka.offset(name, -1);
        assert_eq!(kafka.produce(name, &batches::of(&["after the crowd"])), end);
    }
    assert_eq!(broker.terminate().code(), Some(0), "{}", broker.stderr().text());
}

/// The batch is acknowledged or refused; the connection stays.
fn append(kafka: &mut Kafka, topic: &str, ledger: &mut Ledger, batch: &Bytes) {
    ledger.send(batch);
    match kafka.try_produce(Produce::to(topic), batch) {
        Ok(offset) => ledger.acknowledge(batch, offset),
        Err(ProduceFailure::Refused(_)) => {}
        Err(ProduceFailure::Closed(error)) => panic!("{topic}: an open connection stays: {error}"),
    }
}

/// Lets the broker open so many descriptors beside those that it has; without a number, as many as this process may.
fn limit_descriptors(broker: &Broker, spare: Option<u64>) {
    let process = i32::try_from(broker.process_id()).ok().and_then(Pid::from_raw);
    let mut limit = getrlimit(Resource::Nofile);
    // Every descriptor below the highest one is in use, or nearly.
    limit.current =
        spare.map_or(limit.maximum, |spare| Some(vitals::descriptors(broker.process_id()) as u64 + spare));
    prlimit(process, Resource::Nofile, limit).expect("a child's limit can be lowered and raised");
}
