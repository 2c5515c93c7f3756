//! Whatever happens to an index file while the log is closed, reads stay the same.

use std::path::Path;

use super::fixture::{Expected, Fixture, dirty, fill, small};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::log::Resume;

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
            for offset in (0..=self.expected.end_offset()).step_by(7) {
                self.expected.check_read(&log, offset, 700, true);
            }
            for timestamp in (900..2300).step_by(113) {
                self.expected.check_time(&log, timestamp);
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
            if at % 5 == 0 {
                closed.with(&path, &good[..at]);
            }
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

/// The checksum of a seal holds, but it is not this segment's: a restored backup, say.
#[test]
fn hits_are_compared_with_the_log() {
    let closed = closed();
    // Another log with the same base offsets would do this; here its segments are written by hand.
    let other = Fixture::new(small());
    let mut log = other.open(Resume::Fresh);
    let batches = fill(&mut log, 62);
    drop(log);
    assert_eq!(Expected::of(batches).end_offset(), closed.expected.end_offset());
    let path = &closed.fixture.files(&["index"])[0];
    let mut entries = std::fs::read(path).unwrap();
    // Positions a little off, and a checksum to match.
    for position in entries.chunks_exact_mut(8) {
        position[7] ^= 1;
    }
    std::fs::write(path, &entries).unwrap();
    let seal = closed.fixture.files(&["seal"]).remove(0);
    let kind = crate::storage::state_file::StateKind { tag: *b"SEAL", version: 1 };
    let fs = crate::storage::files::RealFs;
    let mut summary: crate::storage::summary::SegmentSummary =
        crate::storage::state_file::load(&fs, &seal, kind).unwrap().unwrap();
    summary.offset_index.crc = crc32fast::hash(&entries);
    crate::storage::state_file::save(&fs, &seal, kind, &summary).unwrap();
    closed.check();
    let log = closed.fixture.open(Resume::Clean(closed.clean.clone()));
    closed.expected.check_all(&log);
}
