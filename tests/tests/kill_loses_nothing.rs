//! kill -9 at any moment, also while recovering from another one: every acknowledged batch is at its offset with its
//! bytes, once, with nothing between that was never sent, and what was read stays as it was read.

use std::ops::ControlFlow;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_tests::kafka::Produce;
use sendlog_tests::ledger::{Ledger, Shipper, lock};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files, strace};

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
    assert!(1 < data_files::segments(broker.data_dir(), "shipped-0").len(), "segments were rolled on the way");
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
