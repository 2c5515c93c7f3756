//! kill -9 while topics come and go, and while a broker recovers from another one: what was answered is so.
//! `kill_at_any_moment` and `kill_at_every_call` do the same to records.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_tests::kafka::{Produce, ProduceFailure, error_name};
use sendlog_tests::ledger::{Ledger, lock};
use sendlog_tests::strace;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};
use uuid::Uuid;

/// So small that rolls, index files and checkpoints are hit too.
const SEGMENT_BYTES: &str = "32768";

/// Creating, changing and deleting topics is as safe as appending: what was answered is so after a kill.
#[test]
fn topics_survive_kill_after_kill() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut random = SmallRng::seed_from_u64(24);
    let mut topics: BTreeMap<String, TopicState> = BTreeMap::new();
    for kill in 0..12 {
        let mut kafka = Kafka::open(broker.address());
        let changes_until_kill = random.random_range(1..30);
        let (changed, changes) = mpsc::channel();
        thread::scope(|scope| {
            let topics = &mut topics;
            scope.spawn(move || {
                while change_topics(&mut kafka, topics, kill).is_ok() {
                    // The killer counts no further than it has to.
                    let _ = changed.send(());
                }
            });
            changes.iter().take(changes_until_kill).for_each(drop);
            broker.kill();
        });
        broker.restart();
        let mut kafka = Kafka::open(broker.address());
        for (name, state) in &topics {
            state.check(name, &mut kafka);
        }
    }
    assert!(20 < topics.len(), "{} topics", topics.len());
}

/// What the broker has answered about a topic.
#[derive(Debug)]
enum TopicState {
    /// It may be there or not: the answer did not come.
    Unknown,
    /// It is there with this id and retention.
    There(Uuid, &'static str),
    /// It was deleted.
    Gone,
}

impl TopicState {
    fn check(&self, name: &str, kafka: &mut Kafka) {
        let found = kafka.describe_topic(name);
        match self {
            Self::Unknown => {}
            Self::There(id, retention) => {
                assert_eq!((found.error_code, found.topic_id), (0, *id), "{name}");
                assert_eq!(found.partitions.len(), 2, "{name}");
                let [first, second] = [0, 1].map(|partition| kafka.read_all(name, partition).len());
                assert_eq!((first, second), (0, 1), "{name}");
                assert_eq!(kafka.topic_config(name, "retention.bytes"), *retention, "{name}");
            }
            Self::Gone => assert_eq!(found.error_code, 3, "{name}"),
        }
    }
}

/// Creates a topic, appends to it, changes it, and deletes every third.
fn change_topics(
    kafka: &mut Kafka,
    topics: &mut BTreeMap<String, TopicState>,
    kill: usize,
) -> io::Result<()> {
    let name = format!("topic-{kill}-{}", topics.len());
    topics.insert(name.clone(), TopicState::Unknown);
    let id = kafka.try_create_topics(&[&name], 2, &[("retention.bytes", "1000000")])?[0];
    let to = Produce { partition: 1, ..Produce::to(&name) };
    match kafka.try_produce(to, &batches::of(&["x"])) {
        Ok(offset) => assert_eq!(offset, 0),
        Err(ProduceFailure::Closed(error)) => return Err(error),
        Err(ProduceFailure::Refused(code)) => panic!("{name}: {}", error_name(code)),
    }
    topics.insert(name.clone(), TopicState::There(id, "1000000"));
    match topics.len() % 3 {
        0 => {
            topics.insert(name.clone(), TopicState::Unknown);
            kafka.try_delete_topic(&name)?;
            topics.insert(name, TopicState::Gone);
        }
        1 => {
            topics.insert(name.clone(), TopicState::Unknown);
            kafka.try_set_topic_config(&name, "retention.bytes", "2000000")?;
            topics.insert(name, TopicState::There(id, "2000000"));
        }
        _ => {}
    }
    Ok(())
}

/// The system calls that change files: the broker is killed at each of them while it starts.
const CHANGES: &str = "pwrite64,pwritev,pwritev2,ftruncate,fallocate,fdatasync,fsync,rename,renameat,renameat2,\
                       unlink,unlinkat,mkdir,mkdirat,copy_file_range";
/// More than a start makes.
const CHANGES_MAX: usize = 60;

#[test]
fn a_kill_during_recovery_is_recovered_from() {
    if !strace::is_usable() {
        return;
    }
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic("t", 1, &[("segment.bytes", SEGMENT_BYTES)]);
    let ledger = Mutex::<Ledger>::default();
    for index in 0..100 {
        let batch = batches::sized(&format!("batch {index}"), 900);
        lock(&ledger).send(&batch);
        let offset = kafka.produce("t", &batch);
        lock(&ledger).acknowledge(&batch, offset);
    }
    broker.kill();
    let mut kills = 0;
    for change in 1..=CHANGES_MAX {
        let active = data_files::segments(broker.data_dir(), "t-0").pop().expect("a segment");
        data_files::append(&active, b"torn");
        if start_and_kill_at(&broker, change).is_break() {
            break;
        }
        kills += 1;
    }
    assert!(0 < kills && kills < CHANGES_MAX, "{kills} kills before it was ready");
    broker.restart();
    lock(&ledger).check(&Kafka::open(broker.address()).read_all("t", 0));
}

/// Starts a broker on the directory that is killed at its nth change of a file; breaks if it becomes ready.
fn start_and_kill_at(broker: &Broker, change: usize) -> ControlFlow<()> {
    let inject = format!("inject={CHANGES}:signal=SIGKILL:when={change}");
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", &inject]);
    strace::run_broker(command, broker.data_dir())
}
