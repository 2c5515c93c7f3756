//! A full disk: appends are refused with KAFKA_STORAGE_ERROR and leave no trace, everything else goes on, and once there
//! is room appends work again without a restart.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_tests::kafka::{Produce, ProduceFailure, Producer};
use sendlog_tests::ledger::Ledger;
use sendlog_tests::scratch_disk::ScratchDisk;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches};

const TOPIC: &str = "t";
const KAFKA_STORAGE_ERROR: i16 = 56;
const MIB: u64 = 1 << 20;
/// More batches than the disk has room for.
const BATCHES_MAX: usize = 2_000;
/// Ends a test whose broker goes on refusing.
const LIMIT: Duration = Duration::from_secs(60);

/// The reserve (`sendlog.min.free.bytes`) is kept: the disk is never quite full.
#[test]
fn appends_stop_at_the_reserve() {
    let Some(disk) = ScratchDisk::in_memory(48 * MIB) else { return };
    fills_up_and_recovers(&disk, 8 * MIB);
}

/// Without a reserve the file system itself refuses, in the midst of a batch.
#[test]
fn appends_stop_when_memory_disk_is_full() {
    let Some(disk) = ScratchDisk::in_memory(24 * MIB) else { return };
    fills_up_and_recovers(&disk, 0);
}

#[test]
fn appends_stop_when_ext4_is_full() {
    let Some(disk) = ScratchDisk::ext4(32 * MIB) else { return };
    fills_up_and_recovers(&disk, 0);
}

fn fills_up_and_recovers(disk: &ScratchDisk, reserve: u64) {
    let reserve = format!("sendlog.min.free.bytes={reserve}");
    let mut broker = Broker::start(BrokerOptions {
        data_dir: Some(disk.path().join("data")),
        ..BrokerOptions::with_args(["--set", &reserve])
    });
    let filler = Filler::on(disk, 10 * MIB);
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[("segment.bytes", "1048576")]);
    let mut appends = Appends { producer: kafka.init_producer(), count: 0, ledger: Ledger::default() };

    assert_eq!(appends.until_refused(&mut kafka), KAFKA_STORAGE_ERROR);
    assert_eq!(appends.one(&mut kafka).err(), Some(KAFKA_STORAGE_ERROR), "and it stays so");
    let log = kafka.read_all(TOPIC, 0);
    appends.ledger.check(&log);
    assert_eq!(log.len(), appends.ledger.acknowledged(), "what was refused is not there");
    assert_eq!(kafka.describe_topic(TOPIC).error_code, 0);

    // A crash while the disk is full: the start needs no room that is not there.
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    appends.ledger.check(&kafka.read_all(TOPIC, 0));

    filler.remove();
    let deadline = Instant::now() + LIMIT;
    while let Err(code) = appends.one(&mut kafka) {
        assert_eq!(code, KAFKA_STORAGE_ERROR);
        assert!(Instant::now() < deadline, "there is room again, and appends are refused still");
    }
    for _ in 0..20 {
        appends.one(&mut kafka).expect("there is room");
    }
    let log = kafka.read_all(TOPIC, 0);
    appends.ledger.check(&log);
    assert_eq!(log.len(), appends.ledger.acknowledged());
    assert_eq!(broker.terminate().code(), Some(0));
    broker.restart();
    assert_eq!(Kafka::open(broker.address()).read_all(TOPIC, 0), log);
    assert_eq!(broker.terminate().code(), Some(0));
}

/// A disk that runs full and gets room again under the same broker, several times over.
#[test]
fn a_disk_can_run_full_again_and_again() {
    let Some(disk) = ScratchDisk::in_memory(24 * MIB) else { return };
    let broker = Broker::start(BrokerOptions {
        data_dir: Some(disk.path().join("data")),
        ..BrokerOptions::with_args(["--set", "sendlog.min.free.bytes=0"])
    });
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[("segment.bytes", "1048576")]);
    let mut appends = Appends { producer: kafka.init_producer(), count: 0, ledger: Ledger::default() };
    for _ in 0..4 {
        let filler = Filler::all_but(&disk, MIB / 2);
        assert_eq!(appends.until_refused(&mut kafka), KAFKA_STORAGE_ERROR);
        filler.remove();
        appends.one(&mut kafka).expect("there is room, and nothing of a reserve to be looked at");
        let log = kafka.read_all(TOPIC, 0);
        appends.ledger.check(&log);
        assert_eq!(log.len(), appends.ledger.acknowledged());
    }
}

/// An idempotent producer that repeats a refused batch until it is taken.
struct Appends {
    producer: Producer,
    count: usize,
    ledger: Ledger,
}

impl Appends {
    fn one(&mut self, kafka: &mut Kafka) -> Result<(), i16> {
        let batch = self.batch();
        self.ledger.send(&batch);
        match kafka.try_produce(Produce::to(TOPIC), &batch) {
            Ok(offset) => {
                self.ledger.acknowledge(&batch, offset);
                self.count += 1;
                Ok(())
            }
            Err(ProduceFailure::Refused(code)) => Err(code),
            Err(ProduceFailure::Closed(error)) => panic!("a full disk closes no connection: {error}"),
        }
    }

    fn until_refused(&mut self, kafka: &mut Kafka) -> i16 {
        let refused = (0..BATCHES_MAX).find_map(|_| self.one(kafka).err());
        refused.expect("the disk runs full")
    }

    fn batch(&self) -> Bytes {
        let sequence = i32::try_from(self.count).expect("few batches");
        let value = batches::padded(&format!("batch {}", self.count), 50_000 + self.count * 631 % 30_000);
        batches::numbered(self.producer, sequence, &[value])
    }
}

/// A file that takes room away.
struct Filler {
    path: PathBuf,
}

impl Filler {
    fn on(disk: &ScratchDisk, bytes: u64) -> Self {
        let path = disk.path().join("filler");
        let mut file = File::create(&path).expect("a file can be made");
        let chunk = vec![0x5a; 64 << 10];
        let mut left = bytes;
        while 0 < left {
            let length = chunk.len().min(usize::try_from(left).expect("a small disk"));
            file.write_all(&chunk[..length]).expect("there is room");
            left -= length as u64;
        }
        file.sync_all().expect("it can be synced");
        Self { path }
    }

    fn all_but(disk: &ScratchDisk, bytes: u64) -> Self {
        let free = rustix::fs::statvfs(disk.path()).expect("a file system");
        Self::on(disk, (free.f_bavail * free.f_frsize).saturating_sub(bytes))
    }

    fn remove(self) {
        fs::remove_file(self.path).expect("it is there");
    }
}
