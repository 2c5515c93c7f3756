//! The rules, one by one, on directories made for them. `tests/tests/check_*.rs` has the program on real ones.

mod known;

use std::fs;
use std::path::{Path, PathBuf};

use sendlog_protocol::records::{BATCH_HEADER_SIZE, BatchHeader, Compression, crc32c};
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::catalog::state::{FILE_NAME, KIND, StoredCatalog, StoredTopic};
use crate::checkpoint::offline::StoredCheckpoint;
use crate::storage::checkpoint::{PartitionCheckpoint, SealedSegment};
use crate::storage::data_dir::DataDir;
use crate::storage::log::{Log, LogPlace, Resume};
use crate::storage::partition_metadata;
use crate::storage::segment::{Segment, SegmentPlace};
use crate::storage::state_file::{self, StateKind};
use crate::storage::store::Store;
use crate::storage::summary::{LogConfig, SegmentSummary};
use crate::storage::testing::{Fault, FaultyFs, batch};

const TOPIC: Uuid = Uuid::from_u128(7);
const DIRECTORY: Uuid = Uuid::from_u128(1);
const DAMAGED_AT: usize = 70;

/// A data directory with the topic `t` of one partition.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new(overrides: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let fs: Arc<dyn FileSystem> = Arc::new(RealFs);
        DataDir::open(Arc::clone(&fs), dir.path(), DIRECTORY).unwrap();
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let topic = StoredTopic {
            name: "t".to_owned(),
            id: TOPIC.into_bytes(),
            partitions: 1,
            overrides: overrides.collect(),
        };
        let catalog = StoredCatalog { topics: vec![topic], deleting: Vec::new() };
        state_file::save(&RealFs, &dir.path().join(FILE_NAME), KIND, &catalog).unwrap();
        fs::create_dir(dir.path().join("t-0")).unwrap();
        let id = format!("version: 0\ntopic_id: {}", partition_metadata::encode(TOPIC));
        fs::write(dir.path().join("t-0/partition.metadata"), id).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("t-0").join(name)
    }

    fn write(&self, base: i64, batches: &[Vec<u8>]) -> &Self {
        fs::write(self.path(&format!("{base:020}.log")), batches.concat()).unwrap();
        self
    }

    /// Builds indexes and seal of a segment.
    fn seal(&self, base: i64) -> &Self {
        let store = Store::new(Arc::new(RealFs), 4);
        let folder = self.dir.path().join("t-0");
        let place = SegmentPlace { store: &store, dir: &folder, index_interval_bytes: 300 };
        let size = fs::metadata(self.path(&format!("{base:020}.log"))).unwrap().len();
        Arc::new(Segment::with_size(place, base, size)).rebuild_files().unwrap();
        self
    }

    fn checkpoint(&self, log: PartitionCheckpoint) -> &Self {
        StoredCheckpoint::of(TOPIC, 0, log).save(&RealFs, self.dir.path()).unwrap();
        self
    }

    fn clean(&self) -> &Self {
        fs::write(self.dir.path().join("clean-shutdown"), "").unwrap();
        self
    }

    fn args(&self) -> CheckArgs {
        CheckArgs {
            data_dir: self.dir.path().to_path_buf(),
            records: false,
            repair: false,
            apply: false,
            dry_run: false,
            format: Format::Json,
        }
    }

    fn run_with(&self, args: &CheckArgs) -> Found {
        Found::of(&(Arc::new(RealFs) as Arc<dyn FileSystem>), args).unwrap()
    }

    fn run(&self) -> Found {
        self.run_with(&self.args())
    }

    fn repair(&self) -> Found {
        self.run_with(&CheckArgs { repair: true, apply: true, ..self.args() })
    }

    fn copy(&self) -> Self {
        let copy = Self::new(&[]);
        copy_all(self.dir.path(), copy.dir.path());
        copy
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in listing::list(from).unwrap() {
        let target = to.join(&entry.name);
        match entry.kind {
            listing::EntryKind::Folder => {
                fs::create_dir_all(&target).unwrap();
                copy_all(&entry.path, &target);
            }
            _ => drop(fs::copy(&entry.path, &target).unwrap()),
        }
    }
}

struct Found {
    code: u8,
    findings: Vec<Value>,
}

impl Found {
    fn of(fs: &Arc<dyn FileSystem>, args: &CheckArgs) -> Result<Self, CheckError> {
        let mut out = Vec::new();
        let code = run_on(fs, args, &mut out)?;
        let lines = String::from_utf8(out).unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let findings = lines.into_iter().filter(|line| line["type"] == "finding").collect();
        Ok(Self { code, findings })
    }

    /// Severity, kind, file, position and offsets of every finding.
    fn short(&self) -> Vec<String> {
        let short = |finding: &Value| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            let number =
                |name: &str| finding[name].as_i64().map_or("-".to_owned(), |number| number.to_string());
            let file = text("file").replace("00000000000000000", "");
            let (position, offset, next) = (number("position"), number("offset"), number("next_offset"));
            format!("{} {} {file} @{position} {offset}..{next}", text("severity"), text("kind"))
        };
        self.findings.iter().map(short).collect()
    }
}

/// Batches of three records from an offset on.
fn batches(offset: i64, count: i64) -> Vec<Vec<u8>> {
    let one = |number: i64| {
        let time = 1_000 + offset + 3 * number;
        batch(offset + 3 * number, &[time, time, time], 20, Compression::None).bytes.to_vec()
    };
    (0..count).map(one).collect()
}

fn size() -> usize {
    batches(0, 1)[0].len()
}

fn change(batch: &mut [u8], change: impl FnOnce(&mut BatchHeader)) {
    let mut header = BatchHeader::read(batch).unwrap();
    change(&mut header);
    let mut head = [0; BATCH_HEADER_SIZE];
    header.write(&mut head);
    batch[..BATCH_HEADER_SIZE].copy_from_slice(&head);
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Three segments of four batches, sealed, and a checkpoint of a clean stop.
fn three_segments() -> Fixture {
    let fixture = Fixture::new(&[("index.interval.bytes", "300")]);
    for base in [0, 12, 24] {
        fixture.write(base, &batches(base, 4));
    }
    fixture.seal(0).seal(12);
    let bytes = 4 * size() as u64;
    let active = SegmentSummary { size: bytes, next_offset: 36, ..SegmentSummary::new(24, 0) };
    let sealed = [0, 12].map(|base_offset| SealedSegment { base_offset, size: bytes });
    fixture.checkpoint(PartitionCheckpoint {
        start_offset: 0,
        end_offset: 36,
        active: Some(active),
        sealed: Some(sealed.to_vec()),
        quarantined: Vec::new(),
    });
    fixture.clean();
    fixture
}

const NONE: [&str; 0] = [];

#[test]
fn a_good_directory_has_no_findings() {
    let found = three_segments().run();
    assert_eq!((found.short(), found.code), (vec![], EXIT_GOOD));
}

#[test]
fn the_batch_with_the_wrong_leader_epoch_is_told() {
    for (wrong, epoch) in [(1, 9), (2, 1)] {
        let fixture = Fixture::new(&[]);
        let mut all = batches(0, 4);
        for (number, batch) in all.iter_mut().enumerate() {
            change(batch, |header| header.leader_epoch = if number == wrong { epoch } else { 5 });
        }
        let found = fixture.write(0, &all).run();
        let (position, offset) = (wrong * size(), 3 * wrong);
        let expected = format!("warning leader-epoch t-0/000.log @{position} {offset}..{}", offset + 3);
        assert_eq!((found.short(), found.code), (vec![expected], EXIT_FINDINGS));
    }
    // A rise stays.
    let fixture = Fixture::new(&[]);
    let mut all = batches(0, 4);
    all.iter_mut()
        .zip([0, 0, 3, 3])
        .for_each(|(batch, epoch)| change(batch, |header| header.leader_epoch = epoch));
    assert_eq!(fixture.write(0, &all).run().short(), NONE);
}

#[test]
fn record_counts_and_gaps_are_judged_by_the_topics_policy() {
    for (policy, is_compacted) in [("delete", false), ("compact,delete", true)] {
        let fixture = Fixture::new(&[("cleanup.policy", policy)]);
        let mut all = batches(0, 2);
        change(&mut all[0], |header| header.record_count = 2);
        all.extend(batches(30, 1));
        all.extend(batches(33, 1));
        change(&mut all[3], |header| header.record_count = 4);
        fixture.write(0, &all).write(60, &batches(60, 1)).seal(0);
        let at = 2 * size();
        let end = 4 * size();
        let too_many = format!("damage record-count t-0/000.log @{} 33..36", 3 * size());
        let expected = [
            too_many.clone(),
            "warning record-count t-0/000.log @0 0..3".to_owned(),
            format!("warning missing-offsets t-0/000.log @{at} 6..30"),
            format!("damage missing-offsets t-0/000.log @{end} 36..60"),
        ];
        let mut found = fixture.run().short();
        found.sort();
        let mut expected = if is_compacted { vec![too_many] } else { expected.to_vec() };
        expected.sort();
        assert_eq!(found, expected, "{policy}");
    }
}

#[test]
fn a_whole_batch_behind_a_gap_is_not_taken_for_damage() {
    let fixture = Fixture::new(&[]);
    let mut all = batches(0, 1);
    all.extend(batches(9, 2));
    let before = all.concat();
    fixture.write(0, &all).repair();
    assert_eq!(fs::read(fixture.path("00000000000000000000.log")).unwrap(), before);
}

#[test]
fn records_are_looked_at_on_demand() {
    let fixture = Fixture::new(&[]);
    let mut all = batches(0, 3);
    all[1][BATCH_HEADER_SIZE] ^= 2;
    change(&mut all[1], |_| {});
    fixture.write(0, &all);
    assert_eq!(fixture.run().short(), NONE);
    let found = fixture.run_with(&CheckArgs { records: true, repair: true, apply: true, ..fixture.args() });
    assert_eq!(found.short(), [format!("damage records t-0/000.log @{} 3..6", size())]);
    assert_eq!(
        fs::read(fixture.path("00000000000000000000.log")).unwrap(),
        all.concat(),
        "and left as they are"
    );
}

#[test]
fn segments_with_the_same_offsets_are_left_to_a_person() {
    let fixture = Fixture::new(&[]);
    fixture.write(0, &batches(0, 4)).write(9, &batches(9, 4)).seal(0);
    let found = fixture.repair();
    assert_eq!(found.short(), ["damage overlap t-0/009.log @0 9..12"]);
    assert_eq!(found.findings[0]["remedy"], "by-hand");
}

#[test]
fn a_torn_tail_is_a_crashs_or_damage() {
    let fixture = three_segments();
    let last = fixture.path("00000000000000000024.log");
    let whole = fs::read(&last).unwrap();
    fs::write(&last, [&whole[..], &[7; 100]].concat()).unwrap();
    let at = whole.len();
    assert_eq!(fixture.run().short(), [format!("damage batch t-0/024.log @{at} 36..36")]);
    fs::remove_file(fixture.dir.path().join("clean-shutdown")).unwrap();
    let found = fixture.run();
    assert_eq!(found.short(), [format!("unfinished torn-tail t-0/024.log @{at} 36..36")]);
    assert_eq!(found.code, EXIT_GOOD);
    fs::write(&last, &whole[..at - 10]).unwrap();
    let at = at - size();
    assert_eq!(fixture.run().short(), [format!("damage batch t-0/024.log @{at} 33..36")], "it was durable");
}

#[test]
fn leavings_are_no_damage() {
    let fixture = three_segments();
    fs::remove_file(fixture.dir.path().join("clean-shutdown")).unwrap();
    fs::write(fixture.path("00000000000000000018.log"), "").unwrap();
    fs::write(fixture.path("00000000000000000012.index.tmp"), "x").unwrap();
    fs::write(fixture.path("00000000000000000012.log.damaged-7"), "x").unwrap();
    fs::write(fixture.path("00000000000000000099.index"), "x").unwrap();
    fs::remove_file(fixture.path("00000000000000000000.seal")).unwrap();
    fs::write(fixture.dir.path().join("catalog.state.tmp"), "x").unwrap();
    let found = fixture.repair();
    let mut short = found.short();
    short.sort();
    assert_eq!(
        short,
        [
            "info leftover t-0/099.* @- 99..99",
            "info set-aside t-0/012.log.damaged-7 @0 -..-",
            "unfinished empty-segment t-0/018.log @0 -..-",
            "unfinished leftover catalog.state.tmp @0 -..-",
            "unfinished leftover t-0/012.index.tmp @0 -..-",
            "unfinished seal t-0/000.seal @- 0..12",
        ]
    );
    assert_eq!(found.code, EXIT_GOOD);
}

#[test]
fn the_list_of_a_clean_shutdown_is_compared() {
    let fixture = three_segments();
    let mut checkpoint = StoredCheckpoint::load(&RealFs, fixture.dir.path()).unwrap().unwrap();
    let good = checkpoint.log(TOPIC, 0).unwrap().clone();
    let with = |sealed: &[(i64, u64)]| {
        let sealed =
            sealed.iter().map(|(base_offset, size)| SealedSegment { base_offset: *base_offset, size: *size });
        fixture.checkpoint(PartitionCheckpoint { sealed: Some(sealed.collect()), ..good.clone() });
        fixture.run().short()
    };
    let bytes = 4 * size() as u64;
    assert_eq!(with(&[(0, bytes)]), ["damage checkpoint t-0/012.log @0 -..-"]);
    assert_eq!(with(&[(0, bytes), (12, 7)]), ["damage checkpoint t-0/012.log @0 -..-"]);
    assert_eq!(with(&[(0, bytes), (12, bytes)]), NONE);
    checkpoint = StoredCheckpoint::of(Uuid::from_u128(8), 0, good);
    checkpoint.save(&RealFs, fixture.dir.path()).unwrap();
    assert_eq!(fixture.run().short(), ["damage checkpoint t-0 @- -..-"], "a log that it does not know");
    fixture.repair();
    assert_eq!(fixture.run().short(), NONE);
}

#[test]
fn a_state_file_of_another_version_is_left_alone() {
    let fixture = three_segments();
    let kind = StateKind { tag: *b"CKPT", version: 77 };
    state_file::save(&RealFs, &fixture.dir.path().join("checkpoint.state"), kind, &1_u64).unwrap();
    let mut bytes = fs::read(fixture.path("00000000000000000000.log")).unwrap();
    bytes[DAMAGED_AT] ^= 1;
    fs::write(fixture.path("00000000000000000000.log"), &bytes).unwrap();
    let found = fixture.repair();
    assert_eq!(
        found.short(),
        ["damage state-file checkpoint.state @- -..-", "damage batch t-0/000.log @0 0..3"]
    );
    assert_eq!(fs::read(fixture.path("00000000000000000000.log")).unwrap(), bytes, "no repair without it");
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_checked() {
    let fixture = three_segments();
    for at in 0..60 {
        let fs = FaultyFs::new();
        fs.fail(Fault::Eio, at, 1);
        let Ok(found) = Found::of(&(Arc::new(fs.clone()) as Arc<dyn FileSystem>), &fixture.args()) else {
            continue;
        };
        if fs.faults() == 0 {
            assert!(10 < at, "the faults reached the files");
            assert_eq!(found.code, EXIT_GOOD);
            return;
        }
        let codes = found.findings.iter().map(|finding| finding["severity"].as_str().unwrap_or_default());
        let is_told = codes.clone().any(|severity| severity == "unreadable" || severity == "warning");
        assert!(is_told && found.code != EXIT_GOOD, "operation {at}: {:?}", found.short());
        assert!(codes.clone().all(|severity| severity != "damage"), "operation {at}: {:?}", found.short());
    }
    panic!("a check of so little takes fewer operations");
}

/// Whatever operation of a repair is the last: the next start finds every whole batch, after a clean end and after a crash, and
/// the next repair ends well.
#[test]
fn an_interrupted_repair_costs_nothing() {
    let original = three_segments();
    for base in ["00", "12", "24"] {
        let path = original.path(&format!("000000000000000000{base}.log"));
        let mut bytes = fs::read(&path).unwrap();
        bytes[DAMAGED_AT] ^= 1;
        bytes[2 * size() + DAMAGED_AT] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let mut is_through = false;
    for fail_at in 0.. {
        let fixture = original.copy();
        let files = FaultyFs::new();
        files.fail(Fault::Eio, fail_at, u64::MAX);
        let args = CheckArgs { repair: true, apply: true, ..fixture.args() };
        let repaired = Found::of(&(Arc::new(files.clone()) as Arc<dyn FileSystem>), &args);
        for is_clean in [true, false] {
            starts_with_all(&fixture.copy(), is_clean, fail_at);
        }
        fixture.repair();
        let again = fixture.run();
        assert_eq!(again.code, EXIT_GOOD, "after {fail_at}: {:?}", again.short());
        for is_clean in [true, false] {
            starts_with_all(&fixture.copy(), is_clean, fail_at);
        }
        if files.faults() == 0 {
            assert!(repaired.is_ok());
            is_through = true;
            break;
        }
    }
    assert!(is_through);
}

/// Opens the log as a start does.
fn starts_with_all(fixture: &Fixture, is_clean: bool, fail_at: u64) {
    let checkpoint = StoredCheckpoint::load(&RealFs, fixture.dir.path()).unwrap().unwrap();
    let log = checkpoint.log(TOPIC, 0).cloned().expect("it is known");
    if is_clean && log.is_complete() {
        // Nothing has begun: the positions are those of before.
        let bytes = fs::metadata(fixture.path("00000000000000000024.log")).unwrap().len();
        assert_eq!(bytes, 4 * size() as u64, "after {fail_at}");
        return;
    }
    let is_told_all = log.active.is_some_and(|active| active.base_offset == 0);
    let resume = match is_clean {
        true => Resume::Clean(log),
        false => Resume::Dirty { checkpoint: Some(log), distrust_cache: false, now_ms: 0 },
    };
    let store = Store::new(Arc::new(RealFs), 4);
    let place = LogPlace { dir: fixture.dir.path().join("t-0"), topic_id: TOPIC, partition: 0 };
    let mut seen = Vec::new();
    let mut visit = |header: &BatchHeader| seen.push((header.base_offset, header.record_count));
    let (log, _) = Log::open(&store, place, LogConfig::default(), resume, &mut visit).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (0, 36), "after {fail_at}");
    if is_told_all {
        let damaged = [0, 6, 12, 18, 24, 30];
        let wanted = (0..12).map(|number| 3 * number);
        let wanted: Vec<_> =
            wanted.map(|offset| (offset, if damaged.contains(&offset) { 0 } else { 3 })).collect();
        assert_eq!(seen, wanted, "after {fail_at}");
    }
}
