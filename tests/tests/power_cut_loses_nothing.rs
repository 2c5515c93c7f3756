//! A power cut in the midst of writing: what was acknowledged was on the disk. And what was not made durable is gone,
//! which shows that the cut is one.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_tests::kafka::Produce;
use sendlog_tests::ledger::{Ledger, Shipper, lock};
use sendlog_tests::scratch_disk::{PowerSwitch, ScratchDisk};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches};
use uuid::Uuid;

const DISK_BYTES: u64 = 256 << 20;
const CUTS: usize = 8;
const TOPICS: [&str; 3] = ["one", "two", "three"];
/// What the cuts shall hit too.
const CHECKPOINT_INTERVAL: &str = "sendlog.checkpoint.interval.ms=100";

#[test]
fn acknowledged_records_survive_power_cuts() {
    let Some(disk) = ScratchDisk::ext4(DISK_BYTES) else { return };
    let mut broker = Broker::start(on(&disk, &["--set", CHECKPOINT_INTERVAL]));
    let mut kafka = Kafka::open(broker.address());
    let mut ids: BTreeMap<String, Uuid> = BTreeMap::new();
    for name in TOPICS {
        ids.insert(name.to_owned(), kafka.create_topic(name, 1, &[("segment.bytes", "16384")]));
    }
    let mut shippers = shippers(&mut kafka);
    let ledgers: [Mutex<Ledger>; 3] = Default::default();
    let mut random = SmallRng::seed_from_u64(7);
    for cut in 0..CUTS {
        let acks_until_cut = random.random_range(1..150);
        let Some(switch) = disk.power_switch() else { return };
        ship_until_cut(switch, &mut broker, &mut shippers, &ledgers, acks_until_cut);
        disk.restore_power();
        broker.restart();
        let mut kafka = Kafka::open(broker.address());
        for (topic, ledger) in TOPICS.iter().zip(&ledgers) {
            lock(ledger).check(&kafka.read_all(topic, 0));
        }
        for (name, id) in &ids {
            assert_eq!(kafka.topic_id(name), *id, "{name}");
        }
        let new = format!("created after {cut} cuts");
        let new = new.replace(' ', ".");
        ids.insert(new.clone(), kafka.create_topic(&new, 1, &[]));
    }
}

/// Two for every topic: an idempotent one, and one that goes on through the cut.
fn shippers(kafka: &mut Kafka) -> Vec<Shipper> {
    let mut shippers = Vec::new();
    for topic in TOPICS {
        let identity = Some(kafka.init_producer());
        shippers.push(Shipper::new(format!("idempotent to {topic}"), Produce::to(topic), identity));
        shippers.push(Shipper::new(format!("plain to {topic}"), Produce::to(topic), None));
    }
    shippers
}

/// Cuts the power once so many batches were acknowledged, with others on their way. An acknowledgement that comes after
/// that does not count: a file system that is being shut down may say of a sync under way that it went well.
fn ship_until_cut(
    switch: PowerSwitch,
    broker: &mut Broker,
    shippers: &mut [Shipper],
    ledgers: &[Mutex<Ledger>],
    acks_until_cut: usize,
) {
    let (acked, acks) = mpsc::channel();
    let has_power = AtomicBool::new(true);
    thread::scope(|scope| {
        for (shipper, ledger) in shippers.iter_mut().zip(ledgers.iter().flat_map(|ledger| [ledger; 2])) {
            let (kafka, acked) = (Kafka::open(broker.address()), acked.clone());
            let has_power = &has_power;
            let counts = move || acked.send(()).is_ok() && has_power.load(Ordering::SeqCst);
            scope.spawn(move || shipper.ship_while(kafka, ledger, counts));
        }
        acks.iter().take(acks_until_cut).for_each(drop);
        has_power.store(false, Ordering::SeqCst);
        switch.cut();
        broker.kill();
    });
}

/// Under a relaxed policy a cut may take what was acknowledged, and no more than that: the next start needs nobody, what
/// is there is what was sent, and readers get to the end.
#[test]
fn a_relaxed_policy_loses_the_end_only() {
    let Some(disk) = ScratchDisk::ext4(DISK_BYTES) else { return };
    let mut broker = Broker::start(on(&disk, &["--flush", "os", "--set", CHECKPOINT_INTERVAL]));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic("one", 1, &[("segment.bytes", "4096"), ("flush.messages", "17")]);
    let mut random = SmallRng::seed_from_u64(17);
    let mut sent = HashSet::new();
    for cut in 0..CUTS {
        for index in 0..random.random_range(1..150) {
            let batch = batches::sized(&format!("batch {index} of cut {cut}"), 400);
            kafka.produce("one", &batch);
            sent.insert(batch);
        }
        let Some(switch) = disk.power_switch() else { return };
        switch.cut();
        broker.kill();
        disk.restore_power();
        broker.restart();
        kafka = Kafka::open(broker.address());
        // The offsets at the end may be ones that were lost: as in Kafka's compacted logs, readers wait there for the next batch.
        let next = batches::sized(&format!("the next after cut {cut}"), 400);
        kafka.produce("one", &next);
        sent.insert(next);
        let log = kafka.read_all("one", 0);
        assert!(log.iter().map(batches::as_sent).all(|batch| sent.contains(&batch)), "nothing is invented");
        let offsets: Vec<i64> = log.iter().map(|batch| batches::header(batch).base_offset).collect();
        assert!(offsets.is_sorted_by(|one, next| one < next), "{offsets:?}");
    }
}

/// What is acknowledged from memory is gone after a cut: else none of this would have shown anything.
#[test]
fn a_power_cut_takes_what_was_not_synced() {
    let Some(disk) = ScratchDisk::ext4(DISK_BYTES) else { return };
    let mut broker = Broker::start(on(&disk, &["--flush", "os"]));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic("one", 1, &[("flush.messages", "1")]);
    kafka.produce("one", &batches::of(&["synced"]));
    kafka.set_topic_config("one", "flush.messages", "1000000");
    for index in 0..10 {
        kafka.produce("one", &batches::of(&[format!("not synced {index}")]));
    }
    let Some(switch) = disk.power_switch() else { return };
    switch.cut();
    broker.kill();
    disk.restore_power();
    broker.restart();
    let log = Kafka::open(broker.address()).read_all("one", 0);
    assert_eq!(log.iter().flat_map(batches::values).collect::<Vec<_>>(), ["synced"]);
}

fn on(disk: &ScratchDisk, args: &[&str]) -> BrokerOptions {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    BrokerOptions { data_dir: Some(disk.path().join("data")), args, ..BrokerOptions::default() }
}
