//! Data directories in which damage is planted, and the whole way of `broker check` with it: found, planned, repaired, found no
//! more, served.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use tempfile::TempDir;

use crate::data_check::{CheckFinding, CheckRun};
use crate::{Broker, BrokerOptions, Kafka, batches, data_files};

/// The topic.
pub const TOPIC: &str = "t";
/// Batches of partition 0.
pub const BATCHES: usize = 60;
/// Records, and so offsets, of a batch.
pub const WIDTH: i64 = 2;

/// How the broker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Stopped,
    /// After a checkpoint in the middle of the log.
    Killed,
}

/// A data directory at rest.
#[derive(Debug)]
pub struct Original {
    folder: TempDir,
    /// How it ended.
    pub end: End,
    /// Every batch as it is stored.
    pub log: Vec<Bytes>,
    /// Where: base offset of the segment and position, for each.
    pub places: Vec<(i64, u64)>,
    /// Segment files, oldest first.
    pub segments: Vec<PathBuf>,
}

impl Original {
    fn new(end: End) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let mut broker = Broker::start(on(&folder, "original"));
        let mut kafka = Kafka::open(broker.address());
        let settings = [("segment.bytes", "4096"), ("index.interval.bytes", "300"), ("retention.ms", "-1")];
        kafka.create_topic(TOPIC, 1, &settings);
        kafka.create_topic("other", 1, &[]);
        let producer = kafka.init_producer();
        kafka.produce("other", &batches::numbered(producer, 0, &["x"]));
        for index in 0..BATCHES {
            if index == BATCHES / 2 + 3 {
                broker.terminate();
                broker.restart();
                kafka = Kafka::open(broker.address());
            }
            let values = [batches::padded(&format!("batch {index}"), 150 + index * 37 % 113), vec![b'x'; 90]];
            let time = batches::EPOCH_MS + 10 * i64::try_from(index).expect("a small number");
            kafka.produce(TOPIC, &batches::at(time, &values));
        }
        let log = kafka.read_all(TOPIC, 0);
        match end {
            End::Stopped => _ = broker.terminate(),
            End::Killed => broker.kill(),
        }
        let segments: Vec<PathBuf> = data_files::segments(&folder.path().join("original"), "t-0");
        let places = places(&segments, &log);
        assert_eq!((log.len(), places.len()), (BATCHES, BATCHES));
        assert!(5 < segments.len(), "{segments:?}");
        Self { folder, end, log, places, segments }
    }

    /// The directory itself; not to be changed.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("original")
    }

    /// A copy of the directory.
    pub fn copy(&self, name: &str) -> PathBuf {
        let copy = self.folder.path().join(name);
        data_files::copy(&self.folder.path().join("original"), &copy);
        copy
    }

    /// The base offset of a segment.
    pub fn base(&self, segment: usize) -> i64 {
        base_of(&self.segments[segment])
    }

    /// The number of a batch in the middle of a segment.
    pub fn middle_of(&self, segment: usize) -> usize {
        let base = self.base(segment);
        let first = self.places.iter().position(|(found, _)| *found == base).expect("a batch");
        let count = self.places.iter().filter(|(found, _)| *found == base).count();
        first + count / 2
    }

    /// The first offset of a batch.
    pub fn offset(batch: usize) -> i64 {
        i64::try_from(batch).expect("a small number") * WIDTH
    }

    /// The range of offsets of a segment.
    pub fn range(&self, segment: usize) -> Range<i64> {
        let end = self.segments.get(segment + 1).map_or(Self::offset(BATCHES), |next| base_of(next));
        self.base(segment)..end
    }

    /// The name of a file of a segment.
    pub fn file(base: i64, extension: &str) -> String {
        format!("t-0/{base:020}.{extension}")
    }
}

fn on(folder: &TempDir, name: &str) -> BrokerOptions {
    // With a commit journal nothing is repaired after a crash before the next start.
    let options = BrokerOptions::with_args(["--set", "sendlog.journal.bytes=0"]);
    BrokerOptions { data_dir: Some(folder.path().join(name)), ..options }
}

fn base_of(segment: &Path) -> i64 {
    segment.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("a base offset")
}

fn places(segments: &[PathBuf], log: &[Bytes]) -> Vec<(i64, u64)> {
    let mut places = Vec::new();
    for segment in segments {
        let mut position = 0;
        while position < data_files::length(segment) {
            places.push((base_of(segment), position));
            position += log[places.len() - 1].len() as u64;
        }
    }
    places
}

/// Content of all files.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a readable file");
        (path, bytes)
    };
    data_files::all(folder).into_iter().map(read).collect()
}

/// What a check must say of planted damage.
#[derive(Debug)]
pub struct Expected {
    /// How bad.
    pub severity: &'static str,
    /// What.
    pub kind: &'static str,
    /// Below the data directory.
    pub file: String,
    /// Where in the file, if that matters.
    pub position: Option<u64>,
    /// The offsets, if they matter.
    pub offsets: Option<Range<i64>>,
}

impl Expected {
    fn agrees(&self, finding: &CheckFinding) -> bool {
        let offsets = self.offsets.as_ref().map(|offsets| (offsets.start, offsets.end));
        (self.severity, self.kind, &self.file) == (&finding.severity, &finding.kind, &finding.file)
            && (self.position.is_none() || self.position == finding.position)
            && (offsets.is_none() || offsets == finding.offsets)
    }
}

/// Damage at a place.
pub fn damage(kind: &'static str, file: String, position: u64, offsets: Range<i64>) -> Expected {
    Expected { severity: "damage", kind, file, position: Some(position), offsets: Some(offsets) }
}

/// A warning about a file.
pub fn warning(kind: &'static str, file: String) -> Expected {
    Expected { severity: "warning", kind, file, position: None, offsets: None }
}

/// Plants damage, and goes the whole way: found, planned, repaired, found no more, served.
pub fn goes_the_whole_way(
    original: &Original,
    name: &str,
    plant: impl FnOnce(&Path),
    expected: &[Expected],
    lost: Range<i64>,
) {
    let name = format!("{:?} {name}", original.end);
    let dir = original.copy(&name);
    plant(&dir);
    found_exactly(&dir, expected, &name);

    let before = snapshot(&dir);
    let planned = CheckRun::on(&dir, &["--repair"]);
    assert_eq!(snapshot(&dir), before, "{name}: a plan changes nothing");
    assert!(!planned.steps.is_empty() && planned.done.is_empty(), "{name}: {planned:?}");
    let applied = CheckRun::on(&dir, &["--repair", "--apply"]);
    assert_eq!((applied.code, &applied.steps), (1, &planned.steps), "{name}: {applied:?}");
    assert!(!applied.done.is_empty(), "{name}: {applied:?}");
    nothing_is_gone(&before, &dir, &name);

    let again = CheckRun::on(&dir, &[]);
    assert_eq!((again.code, again.bad()), (0, vec![]), "{name}");
    let set_aside = again.findings.iter().filter(|finding| finding.kind == "quarantined");
    let ranges: Vec<_> = set_aside.filter_map(|finding| finding.offsets).collect();
    let is_known = lost.is_empty() || lost.start == 0 || ranges == [(lost.start, lost.end)];
    assert!(is_known, "{name}: {lost:?} is known as set aside: {ranges:?}");
    serves(original, &dir, &lost, &name);
}

/// A check finds this and nothing else.
pub fn found_exactly(dir: &Path, expected: &[Expected], name: &str) {
    let found = CheckRun::on(dir, &[]);
    let bad = found.bad();
    let is_it = bad.len() == expected.len()
        && expected.iter().all(|expected| bad.iter().any(|finding| expected.agrees(finding)));
    assert!(is_it, "{name}: found\n{bad:#?}");
    assert_eq!(found.code, i32::from(!expected.is_empty()), "{name}");
    let damage = expected.iter().filter(|expected| expected.severity == "damage").count();
    assert_eq!(found.summary["damage"], damage, "{name}");
}

/// Every byte that a segment file had is in some file still.
fn nothing_is_gone(before: &BTreeMap<PathBuf, Vec<u8>>, dir: &Path, name: &str) {
    let after = snapshot(dir);
    let logs = before.iter().filter(|(path, _)| data_files::has_extension(path, "log"));
    for (path, old) in logs {
        let new = &after[path];
        let kept = after
            .iter()
            .filter(|(kept, _)| kept.to_string_lossy().starts_with(&format!("{}.damaged-", path.display())));
        let kept: usize = kept.map(|(_, bytes)| bytes.len()).sum();
        let placeholders = (new.len() + kept).checked_sub(old.len()).expect("no byte is gone");
        assert!(placeholders.is_multiple_of(61), "{name}: {} {placeholders}", path.display());
    }
}

/// The broker starts, all but the lost batches are at their offsets, and new ones go behind the old end; then a check is content.
fn serves(original: &Original, dir: &Path, lost: &Range<i64>, name: &str) {
    let options = BrokerOptions { data_dir: Some(dir.to_path_buf()), ..BrokerOptions::default() };
    let mut broker = Broker::start(options);
    let mut kafka = Kafka::open(broker.address());
    for (index, batch) in original.log.iter().enumerate() {
        let offset = Original::offset(index);
        if !lost.contains(&offset) {
            let fetched = kafka.fetch(TOPIC, 0, offset).expect("it is answered");
            assert_eq!((fetched.error_code, fetched.batches.first()), (0, Some(batch)), "{name}: {offset}");
        }
    }
    let offset = kafka.produce(TOPIC, &batches::of(&["next"]));
    assert_eq!(offset, Original::offset(BATCHES), "{name}: offsets are not given out again");
    broker.terminate();
    let last = CheckRun::on(dir, &["--records"]);
    assert_eq!((last.code, last.bad()), (0, vec![]), "{name}: after the broker has run");
}

/// Made once for all tests.
pub fn original(end: End) -> &'static Original {
    static MADE: [OnceLock<Original>; 2] = [OnceLock::new(), OnceLock::new()];
    MADE[usize::from(end == End::Killed)].get_or_init(|| Original::new(end))
}

/// Both.
pub fn originals() -> [&'static Original; 2] {
    [original(End::Stopped), original(End::Killed)]
}
