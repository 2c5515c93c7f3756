//! State and index files that are missing or damaged: a start either finds all data, ids and answers as they were, or is
//! refused with the file's name. Segment files are never touched.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};
use tempfile::TempDir;
use uuid::Uuid;

const TOPIC: &str = "t";
const RECORDS: i64 = 300;

/// What clients see.
#[derive(Debug, PartialEq)]
struct Picture {
    ids: [Uuid; 2],
    log: Vec<Bytes>,
    /// First offset at or after a time, for many times.
    offsets_by_time: Vec<i64>,
    start: i64,
}

impl Picture {
    fn of(broker: &Broker) -> Self {
        let mut kafka = Kafka::open(broker.address());
        let times = (0..RECORDS + 2).step_by(7).map(|after| batches::EPOCH_MS + after * 1_000 - 1);
        Self {
            ids: [kafka.topic_id(TOPIC), kafka.topic_id("other")],
            log: kafka.read_all(TOPIC, 0),
            offsets_by_time: times.map(|time| kafka.offset(TOPIC, time)).collect(),
            start: kafka.offset(TOPIC, -2),
        }
    }
}

/// A data directory with several segments, at rest.
struct Original {
    folder: TempDir,
    picture: Picture,
    /// The last batch of an idempotent producer, and its offset.
    numbered: (Bytes, i64),
}

impl Original {
    fn after(end: End) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let mut broker = Broker::start(on(folder.path(), "original"));
        let mut kafka = Kafka::open(broker.address());
        let settings = [("segment.bytes", "20000"), ("index.interval.bytes", "1000"), ("retention.ms", "-1")];
        kafka.create_topic(TOPIC, 1, &settings);
        kafka.create_topic("other", 2, &[]);
        let producer = kafka.init_producer();
        for index in 0..RECORDS {
            let value = batches::padded(&format!("record {index}"), 300);
            kafka.produce(TOPIC, &batches::at(batches::EPOCH_MS + index * 1_000, &[value]));
            if index == RECORDS / 2 {
                // A checkpoint with half of it.
                broker.terminate();
                broker.restart();
                kafka = Kafka::open(broker.address());
            }
        }
        let numbered = [0, 1, 2].map(|sequence| batches::numbered(producer, sequence, &["x"]));
        let numbered = numbered.map(|batch| (kafka.produce("other", &batch), batch));
        let picture = Picture::of(&broker);
        match end {
            End::Killed => broker.kill(),
            End::Stopped => _ = broker.terminate(),
        }
        let [_, _, (offset, last)] = numbered;
        Self { folder, picture, numbered: (last, offset) }
    }

    /// All files but the segments themselves, relative to the data directory.
    fn state_files(&self) -> Vec<PathBuf> {
        let root = self.folder.path().join("original");
        let files = data_files::all(&root).into_iter().filter(|path| !data_files::has_extension(path, "log"));
        files.map(|path| path.strip_prefix(&root).expect("below it").to_path_buf()).collect()
    }

    /// Damages a file of a copy, starts a broker on it, and looks whether all is there or the file is named.
    fn survives(&self, damaged: &Path, how: &str, damage: impl FnOnce(&Path)) -> Outcome {
        let name = "copy";
        let copy = self.folder.path().join(name);
        fs::remove_dir_all(&copy).or_else(ignore_missing).expect("a folder can be removed");
        data_files::copy(&self.folder.path().join("original"), &copy);
        damage(&copy.join(damaged));
        let segments = data_files::segments(&copy, "t-0");
        let outcome = match Broker::try_start(on(self.folder.path(), name)) {
            Ok(broker) => {
                let name = format!("{} {how}", damaged.display());
                assert_eq!(Picture::of(&broker), self.picture, "{name}");
                self.producers_are_known(&broker, &name);
                Outcome::AllThere
            }
            Err(refusal) => {
                let path = copy.join(damaged).display().to_string();
                let stderr = &refusal.stderr;
                assert!(!stderr.contains("panicked"), "{path} {how}:\n{stderr}");
                assert!(stderr.contains(&path), "{path} {how}: it should be named in:\n{stderr}");
                Outcome::Refused
            }
        };
        assert_eq!(data_files::segments(&copy, "t-0"), segments, "{} {how}", damaged.display());
        outcome
    }
}

impl Original {
    /// A retry gets the offset it had; and a new producer is a new one: with an id that is given out twice its records
    /// would pass for duplicates of the other's, acknowledged and not there.
    fn producers_are_known(&self, broker: &Broker, name: &str) {
        let mut kafka = Kafka::open(broker.address());
        let end = kafka.offset("other", -1);
        let (batch, offset) = &self.numbered;
        assert_eq!(kafka.produce("other", batch), *offset, "{name}: a retry is a duplicate");
        let first = batches::numbered(kafka.init_producer(), 0, &["of a new producer"]);
        assert_eq!(kafka.produce("other", &first), end, "{name}: a new producer's record is appended");
    }
}

#[derive(Clone, Copy, Debug)]
enum End {
    Killed,
    Stopped,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    AllThere,
    Refused,
}

fn on(folder: &Path, name: &str) -> BrokerOptions {
    BrokerOptions { data_dir: Some(folder.join(name)), ..BrokerOptions::without_journal() }
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn is_index(path: &Path) -> bool {
    data_files::has_extension(path, "index") || data_files::has_extension(path, "timeindex")
}

#[test]
fn state_files_may_be_lost_or_damaged_after_a_kill() {
    every_state_file(End::Killed);
}

#[test]
fn state_files_may_be_lost_or_damaged_after_a_stop() {
    every_state_file(End::Stopped);
}

fn every_state_file(end: End) {
    let original = Original::after(end);
    let files: Vec<PathBuf> = original.state_files().into_iter().filter(|path| !is_index(path)).collect();
    assert!(2 < files.len(), "{files:?}");
    for file in files {
        let lost = original.survives(&file, "lost", |path| fs::remove_file(path).expect("it is there"));
        eprintln!("{end:?} {}: lost {lost:?}", file.display());
        let length = data_files::length(&original.folder.path().join("original").join(&file));
        if length == 0 {
            continue;
        }
        for position in [0, length / 2, length - 1] {
            let how = format!("changed at {position}");
            let changed = original.survives(&file, &how, |path| data_files::flip(path, position));
            eprintln!("{end:?} {}: {how} {changed:?}", file.display());
        }
        original.survives(&file, "empty", |path| data_files::truncate(path, 0));
        original.survives(&file, "cut", |path| data_files::truncate(path, length - 1));
    }
}

/// Something that happens to a file.
type Damage = (&'static str, fn(&Path));

const INDEX_DAMAGES: [Damage; 5] = [
    ("lost", |path| fs::remove_file(path).expect("it is there")),
    ("empty", |path| data_files::truncate(path, 0)),
    ("zeros", |path| fs::write(path, vec![0; 4096]).expect("it can be written")),
    ("ones", |path| fs::write(path, vec![0xff; 4095]).expect("it can be written")),
    ("plausible and wrong", |path| fs::write(path, plausible()).expect("it can be written")),
];

/// Index files are a cache: whatever is in them, the answers are the same, and no start is refused.
#[test]
fn index_files_may_hold_anything() {
    for end in [End::Killed, End::Stopped] {
        let original = Original::after(end);
        let files = original.state_files();
        let indexes: Vec<&PathBuf> =
            files.iter().filter(|path| path.starts_with("t-0") && is_index(path)).collect();
        assert!(6 < indexes.len(), "{indexes:?}");
        // Both of the first, a middle and the last segment.
        let segments: Vec<_> = indexes.chunks(2).collect();
        for index in [0, segments.len() / 2, segments.len() - 1].iter().flat_map(|at| segments[*at]) {
            for (how, damage) in INDEX_DAMAGES {
                let outcome = original.survives(index, how, damage);
                assert_eq!(outcome, Outcome::AllThere, "{end:?} {} {how}", index.display());
            }
        }
    }
}

/// Ascending numbers, as an index has them, that point nowhere in particular.
fn plausible() -> Vec<u8> {
    (1_u32..300).flat_map(|number| (number * 3).to_be_bytes()).collect()
}

/// All of them at once: nothing but the segments and what names the topics is left.
#[test]
fn all_indexes_may_be_lost_at_once() {
    for end in [End::Killed, End::Stopped] {
        let original = Original::after(end);
        let indexes: Vec<PathBuf> =
            original.state_files().into_iter().filter(|path| is_index(path)).collect();
        let outcome = original.survives(Path::new(""), "all indexes lost", |root| {
            indexes.iter().for_each(|index| fs::remove_file(root.join(index)).expect("it is there"));
        });
        assert_eq!(outcome, Outcome::AllThere, "{end:?}");
    }
}

/// A segment that is gone takes no other with it: all the rest keeps its offsets, or the start is refused with the name of
/// what is missing.
#[test]
fn a_lost_segment_takes_no_other_with_it() {
    for end in [End::Killed, End::Stopped] {
        let original = Original::after(end);
        let root = original.folder.path().join("copy");
        data_files::copy(&original.folder.path().join("original"), &root);
        let segments = data_files::segments(&root, "t-0");
        let lost = &segments[segments.len() / 3];
        fs::remove_file(lost).expect("it is there");
        match Broker::try_start(on(original.folder.path(), "copy")) {
            Ok(broker) => everything_else_is_readable(&broker, &original.picture.log, lost),
            Err(refusal) => {
                let path = lost.display().to_string();
                assert!(refusal.stderr.contains(&path), "{path} should be in:\n{}", refusal.stderr);
            }
        }
    }
}

fn everything_else_is_readable(broker: &Broker, log: &[Bytes], lost: &Path) {
    let mut kafka = Kafka::open(broker.address());
    let base = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()?.parse::<i64>().ok());
    let lost = base(lost).expect("it is named after its base offset");
    let segments = data_files::segments(broker.data_dir(), "t-0");
    let next = segments.iter().filter_map(|path| base(path)).find(|base| lost < *base).expect("a later one");
    let header = |batch: &Bytes| batches::header(batch).base_offset;
    let behind: Vec<Bytes> = log.iter().filter(|batch| next <= header(batch)).cloned().collect();
    assert_eq!(kafka.read_from(TOPIC, 0, next), behind);
    let before = kafka.fetch(TOPIC, 0, lost - 1).expect("it is answered");
    assert_eq!(
        (before.error_code, before.batches),
        (0, vec![log[usize::try_from(lost - 1).expect("an offset")].clone()])
    );
    assert_eq!(kafka.produce(TOPIC, &batches::of(&["next"])), RECORDS, "nothing is renumbered");
}

/// Files that are not the broker's are no reason to stop, and are not removed.
#[test]
fn files_of_others_are_left_alone() {
    let original = Original::after(End::Killed);
    let names =
        ["lost+found", "t-0/notes.txt", "t-0/00000000000000000000.log.bak", "t-0/.swp", "t-/x", "-0/x"];
    let outcome = original.survives(Path::new(""), "files of others", |root| {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
            fs::write(path, "mine").expect("a file can be written");
        }
    });
    assert_eq!(outcome, Outcome::AllThere);
    for name in names {
        assert!(original.folder.path().join("copy").join(name).exists(), "{name}");
    }
}
