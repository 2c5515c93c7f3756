//! A data directory with a little of everything, copies of it that are damaged, and what has to be so all the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::TempDir;
use uuid::Uuid;

use crate::embedded::Embedded;
use crate::{Kafka, batches, data_files};

/// The topic with several segments and two partitions.
pub const TOPIC: &str = "t";
/// Another one.
pub const OTHER: &str = "other";
/// Partitions of both, by topic and number.
const PARTITIONS: [(&str, i32); 3] = [(TOPIC, 0), (TOPIC, 1), (OTHER, 0)];

/// How the broker that made a directory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All at once.
    Killed,
    /// As it should.
    Stopped,
}

/// What a start on a damaged directory came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All records are there, and all ids are what they were.
    AllThere,
    /// Somewhat else is there.
    Changed,
    /// The start was refused, with this message.
    Refused(String),
}

/// What clients see.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    ids: Vec<Uuid>,
    /// None where the broker says that it cannot read.
    logs: Vec<Option<Vec<Bytes>>>,
}

/// The directory.
#[derive(Debug)]
pub struct Directory {
    folder: TempDir,
    picture: Picture,
}

impl Picture {
    fn of(broker: &Embedded) -> Self {
        let mut kafka = Kafka::open(broker.address());
        let ids = [TOPIC, OTHER].map(|topic| kafka.topic_id(topic)).to_vec();
        let logs = PARTITIONS.iter().map(|(topic, index)| read_all(broker, topic, *index)).collect();
        Self { ids, logs }
    }
}

/// In memory where that is to be had: thousands of starts sync, and pull no plug.
fn memory_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

impl Directory {
    /// Made by a broker that was stopped once in between, so that there is a checkpoint with half of it.
    ///
    /// # Panics
    /// When the broker does not do as it should.
    #[must_use]
    pub fn after(end: End) -> Self {
        let folder = memory_dir();
        let live = folder.path().join("live");
        let broker = Embedded::start(&live).expect("an empty directory is taken");
        let mut kafka = Kafka::open(broker.address());
        let settings = [("segment.bytes", "1500"), ("index.interval.bytes", "300"), ("retention.ms", "-1")];
        kafka.create_topic(TOPIC, 2, &settings);
        kafka.create_topic(OTHER, 1, &[]);
        fill(&mut kafka, 0..12);
        drop(kafka);
        broker.stop().expect("it stops");
        let broker = Embedded::start(&live).expect("it starts again");
        let mut kafka = Kafka::open(broker.address());
        fill(&mut kafka, 12..16);
        drop(kafka);
        let picture = Picture::of(&broker);
        let original = folder.path().join("original");
        match end {
            // What a kill leaves is what others see of the files at that moment.
            End::Killed => data_files::copy(&live, &original),
            End::Stopped => {
                broker.stop().expect("it stops");
                data_files::copy(&live, &original);
            }
        }
        Self { folder, picture }
    }

    /// The directory as it is, not to be changed.
    #[must_use]
    pub fn original(&self) -> PathBuf {
        self.folder.path().join("original")
    }

    /// The copy that the last damage was done to.
    #[must_use]
    pub fn copy(&self) -> PathBuf {
        self.folder.path().join("copy")
    }

    /// Damages a copy and starts a broker on it. No segment file may lose a byte, whatever happens.
    ///
    /// # Panics
    /// When one does, or the broker panics.
    pub fn start_damaged(&self, damage: impl FnOnce(&Path)) -> Outcome {
        let copy = self.copy();
        if copy.exists() {
            fs::remove_dir_all(&copy).expect("a folder can be removed");
        }
        data_files::copy(&self.original(), &copy);
        damage(&copy);
        let before = segments(&copy);
        let outcome = match Embedded::start(&copy) {
            Ok(broker) if Picture::of(&broker) == self.picture => Outcome::AllThere,
            Ok(_) => Outcome::Changed,
            Err(refusal) => Outcome::Refused(refusal.to_string()),
        };
        assert_eq!(segments(&copy), before, "segment files were changed: {outcome:?}");
        outcome
    }
}

impl Outcome {
    /// All is there, or the refusal names the file and says what to do.
    ///
    /// # Panics
    /// When it is not so.
    pub fn check(&self, path: &Path, how: &str) {
        let message = match self {
            Self::AllThere => return,
            Self::Changed => panic!("{} {how}: records or ids are not what they were", path.display()),
            Self::Refused(message) => message,
        };
        let is_named = message.contains(&path.display().to_string());
        assert!(is_named, "{} {how}: it should be named in: {message}", path.display());
        self.check_way_out();
    }

    /// A refusal says what to do.
    ///
    /// # Panics
    /// When it does not.
    pub fn check_way_out(&self) {
        let Self::Refused(message) = self else { return };
        let ways = ["restore", "move", "backup", "give another"];
        assert!(ways.iter().any(|way| message.contains(way)), "no way out: {message}");
    }
}

fn read_all(broker: &Embedded, topic: &str, partition: i32) -> Option<Vec<Bytes>> {
    let mut kafka = Kafka::open(broker.address());
    let mut next = kafka.offset_in(topic, partition, -2);
    let mut all = Vec::new();
    loop {
        // The connection ends when less is in a file than was promised.
        let fetched = kafka.fetch(topic, partition, next).ok()?;
        if fetched.error_code != 0 {
            return None;
        }
        let Some(last) = fetched.batches.last() else { return Some(all) };
        next = batches::header(last).next_offset();
        all.extend(fetched.batches);
    }
}

fn fill(kafka: &mut Kafka, rounds: std::ops::Range<i64>) {
    let producer = kafka.init_producer();
    for round in rounds {
        for (at, (topic, partition)) in PARTITIONS.into_iter().enumerate() {
            // Unlike each other in number and content.
            for index in 0..=at {
                let value = batches::padded(&format!("{topic} {partition} {round} {index}"), 200);
                let batch = batches::at(batches::EPOCH_MS + round * 1_000, &[value]);
                let to = crate::kafka::Produce { partition, ..crate::kafka::Produce::to(topic) };
                kafka.try_produce(to, &batch).expect("it is acknowledged");
            }
        }
    }
    kafka.produce(OTHER, &batches::numbered(producer, 0, &["numbered"]));
}

/// Every segment file below a folder and its bytes.
fn segments(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = data_files::all(folder).into_iter().filter(|path| data_files::has_extension(path, "log"));
    files.map(|path| (path.clone(), fs::read(path).expect("it can be read"))).collect()
}
