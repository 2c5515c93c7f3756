//! What a crash leaves half-written at the end of a log is cut at the next start, and nothing else: all whole batches
//! stay, and a leader epoch tells consumers where the cut was.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};
use tempfile::TempDir;

const TOPIC: &str = "t";
const BATCHES: i64 = 10;

/// A killed broker's data directory, to be damaged in many ways.
struct Crashed {
    folder: TempDir,
    log: Vec<Bytes>,
    leader_epoch: i32,
}

impl Crashed {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let mut broker = Broker::start(on(&folder, "original"));
        let mut kafka = Kafka::open(broker.address());
        kafka.create_topic(TOPIC, 1, &[]);
        for index in 0..BATCHES {
            kafka.produce(TOPIC, &batches::sized(&format!("batch {index}"), 200));
        }
        let log = kafka.read_all(TOPIC, 0);
        let leader_epoch = kafka.describe_topic(TOPIC).partitions[0].leader_epoch;
        broker.kill();
        Self { folder, log, leader_epoch }
    }

    /// Starts a broker on a copy whose active segment was changed.
    fn start_after(&self, name: &str, damage: impl FnOnce(&Path)) -> Broker {
        self.copy(name, damage);
        Broker::start(on(&self.folder, name))
    }

    /// A copy whose active segment was changed.
    fn copy(&self, name: &str, damage: impl FnOnce(&Path)) -> PathBuf {
        let copy = self.folder.path().join(name);
        data_files::copy(&self.folder.path().join("original"), &copy);
        let segments = data_files::segments(&copy, "t-0");
        damage(segments.last().expect("a segment"));
        copy
    }
}

fn on(folder: &TempDir, name: &str) -> BrokerOptions {
    BrokerOptions { data_dir: Some(folder.path().join(name)), ..BrokerOptions::without_journal() }
}

#[test]
fn what_follows_the_last_whole_batch_is_cut() {
    let crashed = Crashed::new();
    let next = batches::sized("torn", 300);
    let next = [&BATCHES.to_be_bytes()[..], &next[8..]].concat();
    let mut wrong_checksum = next.clone();
    *wrong_checksum.last_mut().expect("a batch has bytes") ^= 1;
    let tails: [(&str, &[u8]); 9] = [
        ("one byte", &[0]),
        ("a length only", &next[..12]),
        ("a header but its last byte", &next[..60]),
        ("a header", &next[..61]),
        ("all but the last byte", &next[..next.len() - 1]),
        ("a wrong checksum", &wrong_checksum),
        ("zeros", &[0; 4096]),
        ("ones", &[0xff; 333]),
        (
            "text",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
    ];
    for (name, tail) in tails {
        let broker = crashed.start_after(name, |active| data_files::append(active, tail));
        cut_at(&broker, &crashed, BATCHES, name);
    }
}

/// The last batches themselves may be incomplete on disk when the machine lost power before they were acknowledged.
#[test]
fn a_last_batch_without_its_end_is_cut() {
    let crashed = Crashed::new();
    let size = batches::header(&crashed.log[9]).size() as u64;
    for missing in [1, 61, size - 61, size - 1, size + 1, 2 * size + 30] {
        let name = format!("without {missing} bytes");
        let broker = crashed.start_after(&name, |active| {
            data_files::truncate(active, data_files::length(active) - missing);
        });
        let kept = BATCHES - i64::try_from(missing.div_ceil(size)).expect("a few batches");
        cut_at(&broker, &crashed, kept, &name);
    }
}

/// Garbage in the last batch, its length unchanged.
#[test]
fn a_damaged_last_batch_is_cut() {
    let crashed = Crashed::new();
    let size = batches::header(&crashed.log[9]).size() as u64;
    for from_end in [1, 100, size - 17, size - 9] {
        let name = format!("flipped {from_end} bytes before the end");
        let broker = crashed.start_after(&name, |active| {
            data_files::flip(active, data_files::length(active) - from_end);
        });
        cut_at(&broker, &crashed, BATCHES - 1, &name);
    }
}

fn cut_at(broker: &Broker, crashed: &Crashed, kept: i64, name: &str) {
    let mut kafka = Kafka::open(broker.address());
    let whole = usize::try_from(kept).expect("not negative");
    assert_eq!(kafka.read_all(TOPIC, 0), crashed.log[..whole], "{name}: whole batches stay");
    assert_eq!(kafka.offset(TOPIC, -1), kept, "{name}");

    let epoch = kafka.describe_topic(TOPIC).partitions[0].leader_epoch;
    assert!(crashed.leader_epoch < epoch, "{name}: the leader epoch rises from {}", crashed.leader_epoch);
    let end = kafka.epoch_end(TOPIC, crashed.leader_epoch);
    assert_eq!((end.leader_epoch, end.end_offset), (crashed.leader_epoch, kept), "{name}");
    let offset = kafka.produce(TOPIC, &batches::of(&["after the cut"]));
    assert_eq!(offset, kept, "{name}: offsets go on where the cut was");
    let end = kafka.epoch_end(TOPIC, epoch);
    assert_eq!((end.leader_epoch, end.end_offset), (epoch, kept + 1), "{name}");
    let stored = kafka.read_from(TOPIC, 0, kept);
    assert_eq!(batches::header(&stored[0]).leader_epoch, epoch, "{name}: and new batches carry it");
    let log = broker.stderr().text();
    assert!(log.contains("cut"), "{name}: a cut is worth a word:\n{log}");
}

/// The leader epoch outlives further restarts, clean ones and kills.
#[test]
fn leader_epochs_are_kept() {
    let crashed = Crashed::new();
    let mut broker = crashed.start_after("torn", |active| data_files::append(active, b"torn"));
    let mut kafka = Kafka::open(broker.address());
    let epoch = kafka.describe_topic(TOPIC).partitions[0].leader_epoch;
    kafka.produce(TOPIC, &batches::of(&["next"]));
    for is_clean in [true, false] {
        if is_clean {
            broker.terminate();
        }
        broker.restart();
        let mut kafka = Kafka::open(broker.address());
        assert_eq!(kafka.describe_topic(TOPIC).partitions[0].leader_epoch, epoch, "nothing was cut");
        assert_eq!(kafka.epoch_end(TOPIC, crashed.leader_epoch).end_offset, BATCHES);
        assert_eq!(kafka.epoch_end(TOPIC, epoch).end_offset, BATCHES + 1);
    }
}

/// Damage with whole batches behind it is no torn tail. To cut there would lose them: it is set aside and answers an error, and
/// they stay at their offsets.
#[test]
fn damage_in_the_middle_is_set_aside() {
    let crashed = Crashed::new();
    for damaged in [0, 4, 8] {
        let before: usize = crashed.log[..damaged].iter().map(Bytes::len).sum();
        let name = format!("damaged batch {damaged}");
        let mut broker = crashed.start_after(&name, |active| data_files::flip(active, before as u64 + 90));
        for is_restarted in [false, true] {
            if is_restarted {
                broker.restart();
            }
            let mut kafka = Kafka::open(broker.address());
            for (batch, offset) in crashed.log.iter().zip(0..) {
                let fetched = kafka.fetch_one(TOPIC, 0, offset).expect("a fetch is answered");
                if offset == i64::try_from(damaged).expect("a few") {
                    assert_eq!(fetched.error_code, ErrorCode::CorruptMessage.code(), "{name}: it is told");
                    continue;
                }
                assert_eq!((fetched.error_code, &fetched.batches[0]), (0, batch), "{name}: offset {offset}");
            }
        }
        let mut kafka = Kafka::open(broker.address());
        assert_eq!(kafka.produce(TOPIC, &batches::of(&["next"])), BATCHES, "{name}");
        let original = &crashed.log[damaged];
        let is_it = |bytes: &[u8]| bytes.len() == original.len() && bytes[91..] == original[91..];
        let files = data_files::all(&broker.data_dir().join("t-0"));
        let kept = files.iter().any(|path| is_it(&fs::read(path).expect("it is there")));
        assert!(kept, "{name}: its bytes are kept in a file of their own: {files:?}");
    }
}

/// A checkpoint says what was durable. When less is there, or something in the middle is damaged, cutting would throw
/// away what was acknowledged: a person has to decide.
#[test]
fn what_a_checkpoint_covers_is_never_cut() {
    let folder = TempDir::new().expect("a temporary directory");
    let mut broker = Broker::start(on(&folder, "original"));
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    (0..BATCHES).for_each(|index| _ = kafka.produce(TOPIC, &batches::sized(&format!("batch {index}"), 200)));
    let log = kafka.read_all(TOPIC, 0);
    broker.terminate();
    // The checkpoint of the orderly stop is there, and then the broker is killed.
    broker.restart();
    Kafka::open(broker.address()).produce(TOPIC, &batches::of(&["after the checkpoint"]));
    broker.kill();
    let segment = data_files::segments(&folder.path().join("original"), "t-0").pop().expect("a segment");
    let middle = data_files::length(&segment) / 2;
    data_files::truncate(&segment, middle);
    match Broker::try_start(on(&folder, "original")) {
        Ok(broker) => {
            let mut kafka = Kafka::open(broker.address());
            let kept = kafka.read_all(TOPIC, 0);
            assert!(log.starts_with(&kept), "whole batches stay");
            assert!(BATCHES < kafka.offset(TOPIC, -1), "lost offsets are not given again");
        }
        Err(refusal) => {
            let path = segment.display().to_string();
            assert!(refusal.stderr.contains(&path), "{path} should be in:\n{}", refusal.stderr);
        }
    }
    assert_eq!(data_files::length(&segment), middle, "and the file is as it was");
}
