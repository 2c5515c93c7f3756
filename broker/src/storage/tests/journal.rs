//! The commit journal as a whole: what it made durable comes back, whatever is left of the segments and of itself.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::fixture::{Expected, Fixture, TOPIC, copy_dir, dirty, fill};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::commit::{Committer, JournalPlace, Pending, Round};
use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, RealFs};
use crate::storage::flush::Flusher;
use crate::storage::journal::block::{ALIGNMENT, Extent, ExtentBatch, ExtentPlace};
use crate::storage::journal::file_header::HEADER_BYTES;
use crate::storage::journal::replay::Replay;
use crate::storage::log::{Log, Resume};
use crate::storage::summary::LogConfig;
use crate::storage::testing::{Fault, FaultyFs, TestBatch};

const DIRECTORY: Uuid = Uuid::from_u128(11);
const JOURNAL_BYTES: u64 = 4 << 20;

/// A log whose rounds go through a journal.
struct Rig {
    fixture: Fixture,
    committer: Committer,
    log: Log,
    batches: Vec<TestBatch>,
}

impl Rig {
    fn new(fs: Arc<dyn FileSystem>, journal_bytes: u64) -> Self {
        let fixture = Fixture::with_fs(Arc::clone(&fs), LogConfig::default());
        let committer = committer(fs, &fixture, journal_bytes, 1);
        let log = fixture.open(Resume::Fresh);
        let mut rig = Self { fixture, committer, log, batches: Vec::new() };
        // The first round makes the folder durable, directly.
        rig.round(1).unwrap();
        rig
    }

    /// Appends and commits, as a partition does.
    fn round(&mut self, count: usize) -> Result<(), StorageError> {
        let added = fill(&mut self.log, count);
        let extent = extent(&self.log, &added);
        self.batches.extend(added);
        let dirty = self.log.take_dirty();
        let extent = dirty.is_append_only().then_some(extent);
        let mut round = Round::default();
        self.committer.stage(&mut round, vec![Pending { dirty, extent }]);
        self.committer.commit(round)
    }

    fn is_synced(&self) -> bool {
        self.log.synced().offset() == self.log.end_offset()
    }

    fn segment(&self) -> PathBuf {
        self.fixture.files(&["log"]).pop().unwrap()
    }

    /// The same files in another folder, as they are now.
    fn copy(&self) -> Fixture {
        let copy = self.fixture.copy();
        copy_dir(&self.fixture.dir.path().join("journal"), &copy.dir.path().join("journal"));
        copy
    }

    fn expected(&self) -> Expected {
        Expected::of(self.batches.clone())
    }
}

fn committer(fs: Arc<dyn FileSystem>, fixture: &Fixture, bytes: u64, filling: u64) -> Committer {
    let place = JournalPlace {
        fs,
        data_dir: fixture.dir.path(),
        directory: DIRECTORY,
        bytes,
        filling,
        files_max: 10,
    };
    let committer = Committer::new(Flusher::new(1), Some(place));
    committer.prepare(0, &|| true).unwrap();
    committer
}

fn extent(log: &Log, batches: &[TestBatch]) -> Extent {
    let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    let end = log.end();
    let place = ExtentPlace {
        topic_id: TOPIC,
        partition: 0,
        leader_epoch: 0,
        segment_base: end.segment_base,
        position: end.position - bytes as u64,
        base_offset: batches[0].parsed.base_offset,
        end_offset: end.offset,
    };
    let stored = |batch: &TestBatch| ExtentBatch { header: batch.head, records: batch.bytes.slice(61..) };
    Extent { place, batches: batches.iter().map(stored).collect(), len: u32::try_from(bytes).unwrap() }
}

fn recover(fixture: &Fixture, checkpoint: Option<PartitionCheckpoint>) -> Log {
    let replay = Replay::load(&RealFs, fixture.dir.path(), DIRECTORY, 0).unwrap();
    fixture.store.set_replay(Some(replay));
    fixture.open(dirty(checkpoint))
}

fn truncate(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[test]
fn a_round_is_durable_before_its_segment_is_synced() {
    let mut rig = Rig::new(Arc::new(RealFs), JOURNAL_BYTES);
    assert!(rig.is_synced(), "a new folder goes to the disk directly");
    rig.round(3).unwrap();
    assert!(!rig.is_synced());
    let copy = rig.copy();
    truncate(&copy.files(&["log"])[0], 0);
    let log = recover(&copy, None);
    let lost = rig.batches.remove(0);
    assert_eq!(log.end_offset(), 0, "the first round was not the journal's: {lost:?}");
}

#[test]
fn whatever_the_segment_lacks_comes_from_the_journal() {
    let mut rig = Rig::new(Arc::new(RealFs), JOURNAL_BYTES);
    let checkpoint = rig.log.checkpoint().unwrap();
    let synced = rig.log.end().position;
    for count in [1, 3, 1, 2] {
        rig.round(count).unwrap();
    }
    let end = rig.log.end().position;
    for len in synced..=end {
        let copy = rig.copy();
        truncate(&copy.files(&["log"])[0], len);
        let log = recover(&copy, Some(checkpoint.clone()));
        rig.expected().check_read(&log, 0, usize::MAX, false);
        assert_eq!(log.end(), rig.log.end(), "{len} bytes were left");
        assert!(copy.files(&["torn-0"]).is_empty());
    }
    // The checksum leaves the leader epochs out.
    let mut start = 0;
    let epochs: Vec<u64> = rig
        .batches
        .iter()
        .flat_map(|batch| {
            let epoch = start + 12..start + 16;
            start += batch.bytes.len() as u64;
            epoch
        })
        .collect();
    for position in (synced..end).filter(|position| !epochs.contains(position)) {
        let copy = rig.copy();
        let path = &copy.files(&["log"])[0];
        OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[0xa5; 1], position).unwrap();
        let log = recover(&copy, Some(checkpoint.clone()));
        assert!(fs::read(path).unwrap() == fs::read(rig.segment()).unwrap(), "byte {position}");
        assert_eq!(log.end(), rig.log.end());
    }
}

/// A round that was never acknowledged is in the journal, and what comes before it nowhere: a start gives its offsets to others.
#[test]
fn offsets_that_were_given_anew_are_those_of_the_later_filling() {
    let mut rig = Rig::new(Arc::new(RealFs), JOURNAL_BYTES);
    for _ in 0..3 {
        rig.round(1).unwrap();
    }
    let (checkpoint, end) = (rig.log.checkpoint().unwrap(), rig.log.end());
    let kept = rig.batches.clone();
    let (missing, more) = (fill(&mut rig.log, 1).len(), 3);
    rig.log.take_dirty();
    rig.round(more).unwrap();

    let fixture = rig.copy();
    truncate(&fixture.files(&["log"])[0], end.position);
    let filling = Replay::load(&RealFs, fixture.dir.path(), DIRECTORY, 0).unwrap().next_filling();
    let log = recover(&fixture, Some(checkpoint.clone()));
    assert_eq!(log.end(), end, "it ends before what is missing");
    let committer = committer(Arc::new(RealFs), &fixture, JOURNAL_BYTES, filling);
    let mut again = Rig { fixture, committer, log, batches: kept };
    again.round(missing).unwrap();
    again.round(1).unwrap();
    assert!(again.log.end_offset() < rig.log.end_offset());

    // Also if the checkpoint that tells of the later filling could not be written.
    for live_from in [0, filling] {
        let copy = again.copy();
        truncate(&copy.files(&["log"])[0], end.position);
        let replay = Replay::load(&RealFs, copy.dir.path(), DIRECTORY, live_from).unwrap();
        copy.store.set_replay(Some(replay));
        let log = copy.open(dirty(Some(checkpoint.clone())));
        assert_eq!(log.end(), again.log.end(), "from {live_from}");
        again.expected().check_read(&log, 0, usize::MAX, false);
    }
}

#[test]
fn recovery_from_the_journal_can_be_interrupted_and_repeated() {
    let mut rig = Rig::new(Arc::new(RealFs), JOURNAL_BYTES);
    let checkpoint = Some(rig.log.checkpoint().unwrap());
    let synced = rig.log.end().position;
    rig.round(5).unwrap();
    let faulty = FaultyFs::new();
    let mut operations = 0;
    loop {
        let copy = rig.copy();
        let mut once = Fixture::with_fs(Arc::new(faulty.clone()), LogConfig::default());
        once.dir = copy.dir;
        truncate(&once.files(&["log"])[0], synced + 30);
        faulty.heal();
        let replay = Replay::load(&RealFs, once.dir.path(), DIRECTORY, 0).unwrap();
        once.store.set_replay(Some(replay));
        faulty.fail(Fault::Eio, operations, 1);
        let is_whole = once.try_open(dirty(checkpoint.clone())).is_ok() && faulty.faults() == 0;
        faulty.heal();
        let log = recover(&once, checkpoint.clone());
        rig.expected().check_read(&log, 0, usize::MAX, false);
        if is_whole {
            break;
        }
        operations += 1;
    }
    assert!(3 < operations, "{operations} operations failed in turn");
}

#[test]
fn a_damaged_journal_takes_nothing_with_it_but_what_is_damaged() {
    let mut rig = Rig::new(Arc::new(RealFs), JOURNAL_BYTES);
    let synced = rig.log.end().position;
    for _ in 0..4 {
        rig.round(1).unwrap();
    }
    let journal = Path::new("journal/0.journal");
    for block in 0..4_u64 {
        let copy = rig.copy();
        let file = OpenOptions::new().write(true).open(copy.dir.path().join(journal)).unwrap();
        file.write_all_at(&[0xff], (HEADER_BYTES + ALIGNMENT) as u64 * block.min(1) + 100).unwrap();
        file.write_all_at(&[0xff; 8], HEADER_BYTES as u64 + block * ALIGNMENT as u64 + 50).unwrap();
        drop(file);
        // With the segment whole, the journal is not needed at all.
        let log = recover(&copy, None);
        assert_eq!(log.end(), rig.log.end());
        drop(log);
        truncate(&copy.files(&["log"])[0], synced);
        let log = recover(&copy, None);
        let kept = 1 + usize::try_from(block).unwrap().min(if block == 0 { 0 } else { 1 });
        assert_eq!(log.end_offset(), rig.batches[kept - 1].parsed.next_offset(), "block {block}");
    }
}

#[test]
fn a_journal_from_elsewhere_is_left_alone() {
    let mut rig = Rig::new(Arc::new(RealFs), JOURNAL_BYTES);
    rig.round(2).unwrap();
    let replay = Replay::load(&RealFs, rig.fixture.dir.path(), Uuid::from_u128(12), 0).unwrap();
    assert_eq!((replay.extents(), replay.foreign().len()), (0, 4));
    let place = JournalPlace {
        fs: Arc::new(RealFs),
        data_dir: rig.fixture.dir.path(),
        directory: Uuid::from_u128(12),
        bytes: JOURNAL_BYTES,
        filling: 1,
        files_max: 10,
    };
    Committer::new(Flusher::new(1), Some(place)).prepare(0, &|| true).unwrap();
    let names: Vec<String> = RealFs.list(&rig.fixture.dir.path().join("journal")).unwrap();
    let aside = names.iter().filter(|name| name.contains(".of-")).count();
    assert_eq!((aside, names.len()), (4, 8), "{names:?}");
}

#[test]
fn a_file_without_a_header_stops_the_start_and_says_so() {
    let rig = Rig::new(Arc::new(RealFs), JOURNAL_BYTES);
    let path = rig.fixture.dir.path().join("journal/2.journal");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"x", 9).unwrap();
    assert!(Replay::load(&RealFs, rig.fixture.dir.path(), DIRECTORY, 0).is_ok(), "the other copy is there");
    file.write_all_at(b"x", ALIGNMENT as u64 + 9).unwrap();
    let error = Replay::load(&RealFs, rig.fixture.dir.path(), DIRECTORY, 0).unwrap_err().to_string();
    assert!(error.contains("2.journal") && error.contains("move it out"), "{error}");
    truncate(&path, 0);
    assert!(Replay::load(&RealFs, rig.fixture.dir.path(), DIRECTORY, 0).is_ok());
    fs::remove_file(&path).unwrap();
    assert!(Replay::load(&RealFs, rig.fixture.dir.path(), DIRECTORY, 0).is_ok());
}

#[test]
fn a_full_journal_leaves_rounds_to_their_segments_and_is_used_again() {
    let mut rig = Rig::new(Arc::new(RealFs), JOURNAL_BYTES);
    let mut rounds = 0;
    loop {
        rig.round(400).unwrap();
        rounds += 1;
        if rig.is_synced() {
            break;
        }
        assert!(rounds < 10_000, "the journal has an end");
    }
    assert!(10 < rounds, "{rounds} rounds fitted");
    // The sync of the segment has freed all of it.
    rig.round(1).unwrap();
    assert!(!rig.is_synced());
    let (committer, pauses) = (&rig.committer, std::cell::Cell::new(0));
    std::thread::scope(|scope| {
        let background = scope.spawn(|| committer.run(&|_| {}));
        assert!(committer.drain());
        committer.close();
        background.join().unwrap().unwrap();
        pauses.set(1);
    });
    assert!(rig.is_synced());
}

#[test]
fn a_failed_background_sync_ends_everything_and_loses_nothing() {
    let faulty = FaultyFs::new();
    let mut rig = Rig::new(Arc::new(faulty.clone()), JOURNAL_BYTES);
    rig.round(3).unwrap();
    faulty.fail(Fault::Eio, 0, 1);
    rig.committer.run(&|_| {}).unwrap_err();
    assert_eq!(faulty.faults(), 1);
    assert!(!rig.committer.drain(), "whoever waits for the sync is told");
    faulty.heal();
    let copy = rig.copy();
    truncate(&copy.files(&["log"])[0], rig.batches[0].bytes.len() as u64);
    let log = recover(&copy, None);
    rig.expected().check_read(&log, 0, usize::MAX, false);
}

#[test]
fn a_failed_write_of_the_journal_fails_the_round() {
    for fault in [Fault::Eio, Fault::Enospc, Fault::ShortWrite] {
        let faulty = FaultyFs::new();
        let mut rig = Rig::new(Arc::new(faulty.clone()), JOURNAL_BYTES);
        rig.round(1).unwrap();
        let added = fill(&mut rig.log, 1);
        let pending = Pending { extent: Some(extent(&rig.log, &added)), dirty: rig.log.take_dirty() };
        let mut round = Round::default();
        rig.committer.stage(&mut round, vec![pending]);
        faulty.fail(fault, 0, 9);
        assert!(rig.committer.commit(round).is_err(), "{fault:?}");
        assert!(!rig.committer.drain());
    }
}

/// Bytes that a client made to look like a block are no block: they do not have the file's key.
#[test]
fn records_cannot_pass_for_blocks() {
    let mut rig = Rig::new(Arc::new(RealFs), JOURNAL_BYTES);
    rig.round(2).unwrap();
    let stolen = {
        let bytes = fs::read(rig.fixture.dir.path().join("journal/0.journal")).unwrap();
        bytes[HEADER_BYTES..HEADER_BYTES + ALIGNMENT].to_vec()
    };
    // A block of another file of this journal, whole and with a right checksum.
    let other =
        OpenOptions::new().write(true).open(rig.fixture.dir.path().join("journal/1.journal")).unwrap();
    other.write_all_at(&stolen, 10 * ALIGNMENT as u64).unwrap();
    let replay = Replay::load(&RealFs, rig.fixture.dir.path(), DIRECTORY, 0).unwrap();
    assert_eq!(replay.extents(), 1);
}
