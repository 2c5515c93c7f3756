//! A process may have few descriptors left. Clients that take them all keep others out, but stop neither appends nor the
//! broker, and nothing that was acknowledged is lost.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sendlog_tests::kafka::{Produce, ProduceFailure};
use sendlog_tests::ledger::Ledger;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches};

const TOPICS: usize = 30;
const DESCRIPTORS: u64 = 64;

#[test]
fn a_lack_of_descriptors_is_survived() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    let names: Vec<String> = (0..TOPICS).map(|number| format!("topic-{number}")).collect();
    let name_refs: Vec<&str> = names.iter().map(String::as_str).collect();
    kafka.create_topics(&name_refs, 1, &[("segment.bytes", "2048"), ("retention.ms", "-1")]);
    limit_descriptors(&broker);
    let crowd: Vec<_> = (0..100).map(|_| Kafka::open(broker.address())).collect();

    let mut ledgers: Vec<Ledger> = names.iter().map(|_| Ledger::default()).collect();
    let mut refused = 0;
    for round in 0..10 {
        for (name, ledger) in names.iter().zip(&mut ledgers) {
            let batch = batches::sized(&format!("{name} {round}"), 900);
            ledger.send(&batch);
            match kafka.try_produce(Produce::to(name), &batch) {
                Ok(offset) => ledger.acknowledge(&batch, offset),
                Err(ProduceFailure::Refused(_)) => refused += 1,
                Err(ProduceFailure::Closed(error)) => panic!("an open connection stays: {error}"),
            }
        }
    }
    drop(crowd);
    eprintln!("{refused} batches were refused");
    let check = |kafka: &mut Kafka| {
        for (name, ledger) in names.iter().zip(&ledgers) {
            ledger.check(&kafka.read_all(name, 0));
        }
    };
    check(&mut kafka);
    for name in &names {
        let end = kafka.offset(name, -1);
        assert_eq!(kafka.produce(name, &batches::of(&["after the crowd"])), end);
        kafka.delete_records(name, 0);
    }
    assert_eq!(broker.terminate().code(), Some(0));
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    for (name, ledger) in names.iter().zip(&ledgers) {
        let mut log = kafka.read_all(name, 0);
        assert_eq!(batches::values(&log.pop().expect("it is not empty")), ["after the crowd"]);
        ledger.check(&log);
    }
}

fn limit_descriptors(broker: &Broker) {
    let process = i32::try_from(broker.process_id()).ok().and_then(Pid::from_raw);
    let limit = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    prlimit(process, Resource::Nofile, limit).expect("a child's limit can be lowered");
}
