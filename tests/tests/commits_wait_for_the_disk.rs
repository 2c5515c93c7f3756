//! A commit is answered when it is on disk and not before; commits of many groups share what that takes. A full disk
//! refuses commits and leaves nothing of them behind.

use std::fs;
use std::thread;

use sendlog_tests::scratch_disk::ScratchDisk;
use sendlog_tests::strace::{self, Event, SYNCS, Strace, WRITES};
use sendlog_tests::{Broker, BrokerOptions, Kafka};

const TOPIC: &str = "t";
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const TRACED: &str = "trace=fdatasync,fsync,write,pwrite64,pwritev,pwritev2,sendto,sendmsg,writev";
/// What the broker sends answers with.
const SENDS: &[&str] = &["sendto", "sendmsg", "write", "writev"];

fn without_journal() -> Broker {
    let broker = Broker::start(BrokerOptions::without_journal());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    // The topic of the groups and its first segment are there from now on.
    kafka.commit("g", TOPIC, 0, 0);
    broker
}

fn is_answer(event: &Event) -> bool {
    event.result.is_none() && SENDS.contains(&event.call.as_str()) && event.is_socket()
}

#[test]
fn an_answer_follows_the_sync_of_its_commit() {
    if !strace::is_usable() {
        return;
    }
    let broker = without_journal();
    let mut kafka = Kafka::open(broker.address());
    let strace = Strace::attach(&broker, ["-e", TRACED]);
    let count = 30;
    for offset in 1..=count {
        kafka.commit("g", TOPIC, 0, offset);
    }
    let trace = strace.detach();
    let (mut is_synced, mut answers) = (true, 0);
    for event in &trace.events {
        if event.begins(WRITES, ".log") {
            is_synced = false;
        } else if event.returns(SYNCS, ".log") {
            is_synced = true;
        } else if is_answer(event) {
            assert!(is_synced, "an answer to what was not yet durable");
            answers += 1;
        }
    }
    assert_eq!(answers, count);
}

/// The sync is slowed down, so that all groups commit while one runs. What is on its way is not seen by readers.
#[test]
fn commits_of_many_groups_share_a_sync_and_are_seen_after_it() {
    const CONNECTIONS: usize = 32;
    const ROUNDS: i64 = 5;
    if !strace::is_usable() {
        return;
    }
    let broker = Broker::start(BrokerOptions {
        // One file to sync, whichever group commits.
        ..BrokerOptions::with_args([
            "--set",
            "sendlog.journal.bytes=0",
            "--set",
            "offsets.topic.num.partitions=1",
        ])
    });
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    kafka.commit("g", TOPIC, 0, 0);
    let strace = Strace::attach(&broker, ["-e", TRACED, "-e", "inject=fdatasync:delay_enter=50000"]);
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let address = broker.address();
            scope.spawn(move || {
                let mut kafka = Kafka::open(address);
                for offset in 1..=ROUNDS {
                    kafka.commit(&format!("g{number}"), TOPIC, 0, offset);
                    assert_eq!(kafka.committed(&format!("g{number}"), TOPIC, &[0]), [offset]);
                }
            });
        }
    });
    let trace = strace.detach();
    let (commits, syncs) = (CONNECTIONS * usize::try_from(ROUNDS).expect("few"), trace.count(SYNCS, ".log"));
    assert!(syncs * 4 < commits, "{syncs} syncs for {commits} commits");
}

#[test]
fn a_full_disk_refuses_commits_and_keeps_what_was_there() {
    const MIB: u64 = 1 << 20;
    let Some(disk) = ScratchDisk::in_memory(48 * MIB) else { return };
    let mut broker = Broker::start(BrokerOptions {
        data_dir: Some(disk.path().join("data")),
        ..BrokerOptions::with_args([
            "--set",
            "sendlog.min.free.bytes=8388608",
            "--set",
            "sendlog.journal.bytes=0",
        ])
    });
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 2, &[]);
    kafka.commit("g", TOPIC, 0, 1);
    let free = rustix::fs::statvfs(disk.path()).expect("a file system");
    let filler = disk.path().join("filler");
    let bytes = usize::try_from(free.f_bavail * free.f_frsize - 7 * MIB).expect("a small disk");
    fs::write(&filler, vec![0x5a; bytes]).expect("there is room");
    // What was granted before would do for these few commits.
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    assert_eq!(kafka.committed("g", TOPIC, &[0, 1]), [1, -1]);
    let refusals: Vec<i16> = (0..20)
        .map(|index| kafka.try_commit("g", TOPIC, index % 2, 100).expect("a full disk closes no connection"))
        .collect();
    assert_eq!(refusals, [COORDINATOR_NOT_AVAILABLE; 20]);
    let new = kafka.try_commit("new group", TOPIC, 0, 100).expect("a full disk closes no connection");
    assert_eq!(new, COORDINATOR_NOT_AVAILABLE);
    assert_eq!(kafka.committed("g", TOPIC, &[0, 1]), [1, -1]);
    // A crash while the disk is full.
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    assert_eq!(kafka.committed("g", TOPIC, &[0, 1]), [1, -1]);
    assert_eq!(kafka.committed("new group", TOPIC, &[0, 1]), [-1, -1]);
    fs::remove_file(&filler).expect("it is there");
    while kafka.try_commit("g", TOPIC, 1, 2).expect("an answer") != 0 {
        thread::yield_now();
    }
    assert_eq!(kafka.committed("g", TOPIC, &[0, 1]), [1, 2]);
    assert_eq!(broker.terminate().code(), Some(0));
    broker.restart();
    assert_eq!(Kafka::open(broker.address()).committed("g", TOPIC, &[0, 1]), [1, 2]);
}
