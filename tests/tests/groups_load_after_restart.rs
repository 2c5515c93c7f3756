//! Groups are read in the background of a start: the broker is ready before, clients are told to wait, and damage costs what
//! it covers and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::thread;

use sendlog_protocol::group_records::GroupRecord;
use sendlog_protocol::messages::ListGroupsRequest;
use sendlog_protocol::records::read_records;
use sendlog_tests::offsets::LOADING;
use sendlog_tests::strace::{self, Strace};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};

const TOPIC: &str = "t";
const OFFSETS: &str = "__consumer_offsets";

fn one_partition() -> BrokerOptions {
    BrokerOptions::with_args([
        "--set",
        "offsets.topic.num.partitions=1",
        "--set",
        "sendlog.journal.bytes=0",
        "--set",
        "offsets.topic.segment.bytes=4096",
    ])
}

/// Commits of ten groups, one after the other; each group's last one is its number plus 1,000.
fn with_groups(options: BrokerOptions) -> Broker {
    let broker = Broker::start(options);
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    for offset in 0..20 {
        for group in 0..10 {
            let offset = if offset == 19 { 1000 + group } else { offset };
            kafka.commit(&format!("g{group}"), TOPIC, 0, offset);
        }
    }
    broker
}

#[test]
fn offsets_are_where_they_were_after_every_kind_of_restart() {
    let mut broker = with_groups(BrokerOptions::default());
    for is_clean in [true, false, true] {
        if is_clean {
            assert_eq!(broker.terminate().code(), Some(0));
        }
        broker.restart();
        let mut kafka = Kafka::open(broker.address());
        for group in 0..10 {
            assert_eq!(kafka.committed(&format!("g{group}"), TOPIC, &[0]), [1000 + group]);
        }
        assert_eq!(kafka.committed("nobody", TOPIC, &[0]), [-1]);
        let listed = kafka.ask(5, &ListGroupsRequest::default());
        let states: BTreeSet<_> = listed
            .groups
            .iter()
            .map(|group| (group.group_state.as_str(), group.group_type.as_str()))
            .collect();
        assert_eq!((listed.groups.len(), states), (10, BTreeSet::from([("Empty", "classic")])));
    }
}

/// Tools read the topic as any other: the records are Kafka's, each in the partition of its group.
#[test]
fn the_topic_can_be_read_and_holds_kafkas_records() {
    let broker = with_groups(one_partition());
    let mut kafka = Kafka::open(broker.address());
    let described = kafka.describe_topic(OFFSETS);
    assert!(described.is_internal);
    let mut last = BTreeMap::new();
    for batch in kafka.read_all(OFFSETS, 0) {
        for record in read_records(&batch, 1 << 20).expect("a batch") {
            let record = record.expect("a record");
            let key = record.key.expect("every record has a key");
            match GroupRecord::decode(key, record.value).expect("a record of groups") {
                Some(GroupRecord::OffsetCommit(key, Some(value))) => {
                    assert_eq!((key.topic.as_str(), key.partition), (TOPIC, 0));
                    last.insert(key.group, value.offset);
                }
                other => panic!("nobody wrote {other:?}"),
            }
        }
    }
    let expected = (0..10).map(|group| (format!("g{group}"), 1000 + group));
    assert_eq!(last, expected.collect());
}

/// Reading is slowed down, so that requests come before it is over.
#[test]
fn clients_are_told_to_wait_while_groups_are_loaded() {
    if !strace::is_usable() {
        return;
    }
    let mut broker = with_groups(one_partition());
    assert_eq!(broker.terminate().code(), Some(0));
    // A machine that is quick enough loads them before anybody asks, and before the tracer is there.
    for _ in 0..10 {
        broker.restart();
        let options = ["-e", "trace=pread64", "-e", "inject=pread64:delay_enter=20000"];
        let strace = Strace::attach(&broker, options);
        let mut kafka = Kafka::open(broker.address());
        let first = kafka.try_committed("g1", TOPIC, &[0]);
        if first == Err(LOADING) {
            let code = kafka.try_commit("g1", TOPIC, 0, 1001).expect("an answer");
            assert!([0, LOADING].contains(&code), "error {code}");
        } else {
            assert_eq!(first, Ok(vec![1001]));
        }
        drop(strace.detach());
        assert_eq!(kafka.committed("g1", TOPIC, &[0]), [1001]);
        if first == Err(LOADING) {
            break;
        }
    }
}

#[test]
fn damage_costs_what_it_covers_and_no_start() {
    let mut broker = with_groups(one_partition());
    assert_eq!(broker.terminate().code(), Some(0));
    let segments = data_files::segments(broker.data_dir(), &format!("{OFFSETS}-0"));
    assert!(3 < segments.len(), "{} segments", segments.len());
    // In the middle of closed segments: batches that later ones supersede.
    data_files::flip(&segments[1], data_files::length(&segments[1]) / 2);
    let damaged = OpenOptions::new().write(true).open(&segments[2]).expect("a segment");
    damaged.write_all_at(&[0x5a; 300], data_files::length(&segments[2]) / 2).expect("it is written to");
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    for group in 0..10 {
        assert_eq!(kafka.committed(&format!("g{group}"), TOPIC, &[0]), [1000 + group]);
    }
    broker.wait_for_log("records of groups cannot be read");
    // And groups go on from there.
    kafka.commit("g3", TOPIC, 0, 5000);
    broker.restart();
    assert_eq!(Kafka::open(broker.address()).committed("g3", TOPIC, &[0]), [5000]);
}

/// A client cannot write into the topic: what is in there is the broker's word.
#[test]
fn clients_do_not_write_into_the_topic() {
    let broker = with_groups(one_partition());
    let mut kafka = Kafka::open(broker.address());
    let to = sendlog_tests::kafka::Produce::to(OFFSETS);
    let refused = kafka.try_produce(to, &batches::of(&["x"]));
    assert!(matches!(refused, Err(sendlog_tests::kafka::ProduceFailure::Refused(17))), "{refused:?}");
}

/// Many commits of many groups at once, and a start that reads them all.
#[test]
fn a_thousand_groups_are_loaded() {
    let mut broker = Broker::start(BrokerOptions::default());
    Kafka::open(broker.address()).create_topic(TOPIC, 2, &[]);
    thread::scope(|scope| {
        for worker in 0..8 {
            let address = broker.address();
            scope.spawn(move || {
                let mut kafka = Kafka::open(address);
                for group in (worker..1000).step_by(8) {
                    kafka.commit(&format!("group-{group}"), TOPIC, 1, i64::from(group));
                }
            });
        }
    });
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    for group in 0..1000 {
        assert_eq!(kafka.committed(&format!("group-{group}"), TOPIC, &[0, 1]), [-1, i64::from(group)]);
    }
}
