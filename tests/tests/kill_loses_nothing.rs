//! kill -9 at any moment, also while recovering from another one: every acknowledged batch is at its offset with its
//! bytes, once, with nothing between that was never sent, and what was read stays as it was read.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_tests::kafka::{Produce, ProduceFailure, error_name};
use sendlog_tests::ledger::{Ledger, ShipEnd, Shipper, lock};
use sendlog_tests::strace::{self, Strace};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};
use uuid::Uuid;

const TOPIC: &str = "shipped";
const PARTITIONS: i32 = 2;
const KILLS: usize = 36;
/// So small that rolls, index files and checkpoints are hit too.
const SEGMENT_BYTES: &str = "32768";
const CHECKPOINT_INTERVAL: &str = "sendlog.checkpoint.interval.ms=100";

#[test]
fn acknowledged_records_survive_kill_after_kill() {
    let mut broker = Broker::start(BrokerOptions::with_args(["--set", CHECKPOINT_INTERVAL]));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, PARTITIONS, &[("segment.bytes", SEGMENT_BYTES)]);
    let mut shippers = shippers(&mut kafka);
    let ledgers: Vec<Mutex<Ledger>> = (0..PARTITIONS).map(|_| Mutex::default()).collect();
    let mut read: Vec<Vec<Bytes>> = vec![Vec::new(); ledgers.len()];
    let mut random = SmallRng::seed_from_u64(20_261_123);
    for kill in 0..KILLS {
        let acks_until_kill = random.random_range(1..120);
        ship_until_killed(&mut broker, &mut shippers, &ledgers, &mut read, acks_until_kill);
        broker.restart();
        let mut kafka = Kafka::open(broker.address());
        for ((partition, ledger), read) in (0..).zip(&ledgers).zip(&read) {
            let log = kafka.read_all(TOPIC, partition);
            lock(ledger).check(&log);
            assert!(log.starts_with(read), "kill {kill}: what was read once is read again");
        }
    }
    let acknowledged: usize = ledgers.iter().map(|ledger| lock(ledger).acknowledged()).sum();
    assert!(KILLS < acknowledged, "a test without acknowledgements shows nothing");
    assert!(
        1 < data_files::segments(broker.data_dir(), "shipped-0").len(),
        "segments were rolled on the way"
    );
}

/// Two for every partition: one idempotent, one not.
fn shippers(kafka: &mut Kafka) -> Vec<Shipper> {
    let to = |partition| Produce { partition, ..Produce::to(TOPIC) };
    let mut shippers = Vec::new();
    for partition in 0..PARTITIONS {
        let identity = Some(kafka.init_producer());
        shippers.push(Shipper::new(format!("idempotent {partition}"), to(partition), identity));
        shippers.push(Shipper::new(format!("plain {partition}"), to(partition), None));
    }
    shippers
}

/// Lets all producers and a reader of every partition work until so many batches were acknowledged, then kills the
/// broker in the midst of it.
fn ship_until_killed(
    broker: &mut Broker,
    shippers: &mut [Shipper],
    ledgers: &[Mutex<Ledger>],
    read: &mut [Vec<Bytes>],
    acks_until_kill: usize,
) {
    let (acked, acks) = mpsc::channel();
    thread::scope(|scope| {
        for shipper in shippers {
            let (kafka, acked) = (Kafka::open(broker.address()), acked.clone());
            let ledger = &ledgers[usize::try_from(shipper.to.partition).expect("not negative")];
            // The killer counts no further than it has to.
            let tell = move || _ = acked.send(());
            scope.spawn(move || shipper.ship(kafka, ledger, tell));
        }
        for (partition, read) in (0..).zip(read) {
            let kafka = Kafka::open(broker.address());
            scope.spawn(move || read_until_killed(kafka, partition, read));
        }
        acks.iter().take(acks_until_kill).for_each(drop);
        broker.kill();
    });
}

fn read_until_killed(mut kafka: Kafka, partition: i32, read: &mut Vec<Bytes>) {
    let mut next = read.last().map_or(0, |last| batches::header(last).next_offset());
    while let Ok(fetched) = kafka.fetch_when_there(TOPIC, partition, next) {
        assert_eq!(fetched.error_code, 0);
        if let Some(last) = fetched.batches.last() {
            next = batches::header(last).next_offset();
            assert!(next <= fetched.high_watermark);
        }
        read.extend(fetched.batches);
    }
}

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

/// Kills at the very calls that create, extend, sync, rename and remove files, while segments roll, checkpoints are
/// written and retention removes what is old.
#[test]
fn a_kill_at_every_kind_of_change_is_recovered_from() {
    if !strace::is_usable() {
        return;
    }
    let options = ["--set", CHECKPOINT_INTERVAL, "--set", "sendlog.sync.threads=1"];
    let mut broker = Broker::start(BrokerOptions::with_args(options));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[("segment.bytes", "4096")]);
    let mut shipper = Shipper::new("idempotent".to_owned(), Produce::to(TOPIC), Some(kafka.init_producer()));
    shipper.batches_max = 0;
    let ledger = Mutex::<Ledger>::default();
    let mut kills = 0;
    for call in
        ["pwritev,pwrite64", "fdatasync", "fsync", "fallocate", "ftruncate", "rename,renameat", "openat"]
    {
        for when in [1, 2, 5] {
            let inject = format!("inject={call}:signal=SIGKILL:when={when}");
            let strace = Strace::attach(&broker, ["-e", &inject]);
            shipper.batches_max += 60;
            let end = shipper.ship(Kafka::open(broker.address()), &ledger, || {});
            kills += usize::from(end == ShipEnd::ConnectionLost);
            drop(strace);
            broker.restart();
            lock(&ledger).check(&Kafka::open(broker.address()).read_all(TOPIC, 0));
        }
    }
    assert!(10 < kills, "{kills} kills");
}

/// Starts a broker on the directory that is killed at its nth change of a file; breaks if it becomes ready.
fn start_and_kill_at(broker: &Broker, change: usize) -> ControlFlow<()> {
    let inject = format!("inject={CHANGES}:signal=SIGKILL:when={change}");
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", &inject]);
    strace::run_broker(command, broker.data_dir())
}
