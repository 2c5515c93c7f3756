//! Whatever happens to an index file while the log is closed, reads stay the same.

use std::path::Path;

use sendlog_protocol::records::Compression;

use super::fixture::{Expected, Fixture, dirty, fill, small};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::files::RealFs;
use crate::storage::index_file::IndexSum;
use crate::storage::log::Resume;
use crate::storage::state_file::{self, StateKind};
use crate::storage::summary::{LogConfig, SegmentSummary};
use crate::storage::testing::batch;

const SEAL: StateKind = StateKind { tag: *b"SEAL", version: 1 };

struct Closed {
    fixture: Fixture,
    expected: Expected,
    clean: PartitionCheckpoint,
    middle: PartitionCheckpoint,
}

fn closed() -> Closed {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    let mut batches = fill(&mut log, 50);
    let middle = log.checkpoint().unwrap();
    batches.extend(fill(&mut log, 12));
    for segment in log.take_sealed() {
        assert!(segment.settle().unwrap());
    }
    let clean = log.clean_checkpoint().unwrap();
    Closed { fixture, expected: Expected::of(batches), clean, middle }
}

impl Closed {
    /// Opens the log every way, and compares a sample of everything that can be asked.
    fn check(&self) {
        for resume in [Resume::Clean(self.clean.clone()), dirty(Some(self.middle.clone())), dirty(None)] {
            let log = self.fixture.open(resume);
            // Times first: they ask the seals, before any read has found out that an index is wrong.
            for timestamp in (900..2300).step_by(113) {
                self.expected.check_time(&log, timestamp);
            }
            for offset in (0..=self.expected.end_offset()).step_by(7) {
                self.expected.check_read(&log, offset, 700, true);
            }
            self.expected.check_max_timestamp(&log);
        }
    }

    fn with(&self, path: &Path, bytes: &[u8]) {
        std::fs::write(path, bytes).unwrap();
        self.check();
    }
}

#[test]
fn any_flipped_or_missing_byte_changes_nothing() {
    let closed = closed();
    let paths = closed.fixture.files(&["index", "timeindex", "seal"]);
    assert!(6 < paths.len());
    for path in [&paths[..3], &paths[paths.len() - 2..]].concat() {
        let good = std::fs::read(&path).unwrap();
        for at in (0..good.len().min(150)).chain((150..good.len()).step_by(997)) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            closed.with(&path, &bad);
            closed.with(&path, &good[..at]);
        }
        closed.with(&path, &[]);
        closed.with(&path, &good.iter().chain(&[1; 100]).copied().collect::<Vec<u8>>());
        std::fs::remove_file(&path).unwrap();
        closed.check();
        std::fs::write(&path, &good).unwrap();
    }
}

#[test]
fn swapped_and_missing_indexes_change_nothing() {
    let closed = closed();
    let indexes = closed.fixture.files(&["index"]);
    let contents: Vec<Vec<u8>> = indexes.iter().map(|path| std::fs::read(path).unwrap()).collect();
    for (path, content) in indexes.iter().zip(contents.iter().cycle().skip(1)) {
        std::fs::write(path, content).unwrap();
    }
    closed.check();
    for path in closed.fixture.files(&["index", "timeindex", "seal"]) {
        std::fs::remove_file(path).unwrap();
    }
    closed.check();
}

#[test]
fn swapped_seals_change_nothing() {
    let closed = closed();
    let seals = closed.fixture.files(&["seal"]);
    let contents: Vec<Vec<u8>> = seals.iter().map(|path| std::fs::read(path).unwrap()).collect();
    for (path, content) in seals.iter().zip(contents.iter().rev()) {
        std::fs::write(path, content).unwrap();
    }
    closed.check();
}

/// Changes the first segment's offset index, and its seal so that the checksum holds.
fn falsify(fixture: &Fixture, change: impl Fn(&mut Vec<[u8; 8]>)) {
    let path = &fixture.files(&["index"])[0];
    let mut entries: Vec<[u8; 8]> =
        std::fs::read(path).unwrap().chunks_exact(8).map(|entry| entry.try_into().unwrap()).collect();
    change(&mut entries);
    let bytes = entries.concat();
    std::fs::write(path, &bytes).unwrap();
    let seal = &fixture.files(&["seal"])[0];
    let mut summary: SegmentSummary = state_file::load(&RealFs, seal, SEAL).unwrap().unwrap();
    summary.offset_index =
        IndexSum { entries: u32::try_from(entries.len()).unwrap(), crc: crc32fast::hash(&bytes) };
    state_file::save(&RealFs, seal, SEAL, &summary).unwrap();
}

#[test]
fn hits_are_compared_with_the_log() {
    let changes: [fn(&mut Vec<[u8; 8]>); 4] = [
        // Positions that are nothing, that are later batches', that lie behind the end.
        |entries| entries.iter_mut().for_each(|entry| entry[7] ^= 1),
        |entries| {
            for at in 1..entries.len() {
                let next = entries[at];
                entries[at - 1][4..].copy_from_slice(&next[4..]);
            }
        },
        |entries| entries.iter_mut().for_each(|entry| entry[4] = 1),
        |entries| entries.truncate(1),
    ];
    for change in changes {
        let closed = closed();
        falsify(&closed.fixture, change);
        let log = closed.fixture.open(Resume::Clean(closed.clean.clone()));
        closed.expected.check_all(&log);
        closed.check();
    }
}

#[test]
fn an_index_that_misses_entries_is_rebuilt() {
    let fixture = Fixture::new(LogConfig::default());
    let mut log = fixture.open(Resume::Fresh);
    let mut batches = Vec::new();
    for offset in 0..200 {
        let next = batch(offset, &[offset], 3000, Compression::None);
        log.append(&next.to_append(), 0).unwrap();
        batches.push(next);
    }
    log.roll(0).unwrap();
    assert!(log.take_sealed().remove(0).settle().unwrap());
    let clean = log.clean_checkpoint().unwrap();
    drop(log);
    let path = fixture.files(&["index"]).remove(0);
    let good = std::fs::read(&path).unwrap();
    falsify(&fixture, |entries| entries.truncate(3));
    let log = fixture.open(Resume::Clean(clean));
    let expected = Expected::of(batches);
    expected.check_read(&log, 10, 1, true);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 24, "nothing was missed so far");
    expected.check_read(&log, 180, 1, true);
    assert_eq!(std::fs::read(&path).unwrap(), good);
    expected.check_all(&log);
}
