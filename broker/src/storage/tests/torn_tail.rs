//! A crash leaves any prefix of the last bytes; a bad disk leaves anything.

use std::fs::OpenOptions;
use std::sync::Arc;

use super::fixture::{Expected, Fixture, dirty, fill, memory_dir, small};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::error::StorageError;
use crate::storage::files::RealFs;
use crate::storage::log::Resume;
use crate::storage::testing::{SimDisk, TestBatch};

/// A log of three segments whose last one has batches before and behind the checkpoint.
struct Crashed {
    fixture: Fixture,
    batches: Vec<TestBatch>,
    checkpoint: PartitionCheckpoint,
    /// Position of the checkpoint in the last segment, and of the batches behind it.
    checkpointed: u64,
    ends: Vec<u64>,
}

fn crashed() -> Crashed {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    let mut batches = fill(&mut log, 60);
    let checkpoint = log.checkpoint().unwrap();
    let checkpointed = log.end();
    let behind = fill(&mut log, 4);
    assert_eq!(log.end().segment_base, checkpointed.segment_base, "all in one segment");
    let mut position = checkpointed.position;
    let ends = behind
        .iter()
        .map(|batch| {
            position += batch.bytes.len() as u64;
            position
        })
        .collect();
    batches.extend(behind);
    Crashed { fixture, batches, checkpoint, checkpointed: checkpointed.position, ends }
}

impl Crashed {
    /// What is left if the last segment keeps `len` bytes.
    fn expected(&self, len: u64) -> Expected {
        let lost = self.ends.iter().filter(|end| len < **end).count();
        Expected::of(self.batches[..self.batches.len() - lost].to_vec())
    }

    fn checkpoints(&self) -> [Option<PartitionCheckpoint>; 2] {
        [None, Some(self.checkpoint.clone())]
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut() {
    let crashed = crashed();
    let end = *crashed.ends.last().unwrap();
    for len in crashed.checkpointed..=end {
        for checkpoint in crashed.checkpoints() {
            let torn = crashed.fixture.copy();
            let last = torn.files(&["log"]).pop().unwrap();
            OpenOptions::new().write(true).open(&last).unwrap().set_len(len).unwrap();
            let (mut log, report) = torn.try_open(dirty(checkpoint.clone())).unwrap();
            let mut expected = crashed.expected(len);
            let whole = crashed.ends.iter().filter(|end| **end <= len).max();
            let cut = len - whole.copied().unwrap_or(crashed.checkpointed);
            assert_eq!(report.cuts.iter().map(|cut| cut.bytes).sum::<u64>(), cut);
            assert_eq!(log.end_offset(), expected.end_offset());
            assert!(!log.take_dirty().is_empty() || len == crashed.checkpointed);
            expected.batches.extend(fill(&mut log, 3));
            drop(log);
            let (log, report) = torn.try_open(dirty(checkpoint)).unwrap();
            assert!(report.cuts.is_empty(), "recovery is done once");
            expected.check_read(&log, 0, usize::MAX, true);
            expected.check_read(&log, crashed.checkpoint.end_offset, usize::MAX, true);
            assert_eq!(log.end_offset(), expected.end_offset());
        }
    }
}

#[test]
fn zeros_and_noise_behind_the_end_are_cut() {
    let crashed = crashed();
    let noise: Vec<u8> = (0..3000u32).map(|at| u8::try_from(at * 7919 % 251).unwrap()).collect();
    for tail in [vec![0; 5000], noise] {
        for checkpoint in crashed.checkpoints() {
            let torn = crashed.fixture.copy();
            let last = torn.files(&["log"]).pop().unwrap();
            let mut bytes = std::fs::read(&last).unwrap();
            bytes.extend_from_slice(&tail);
            std::fs::write(&last, bytes).unwrap();
            let (log, report) = torn.try_open(dirty(checkpoint)).unwrap();
            assert_eq!(report.cuts[0].bytes, tail.len() as u64);
            Expected::of(crashed.batches.clone()).check_all(&log);
        }
    }
}

#[test]
fn a_flipped_bit_in_the_last_batch_cuts_it() {
    let crashed = crashed();
    let end = usize::try_from(*crashed.ends.last().unwrap()).unwrap();
    let start = usize::try_from(crashed.ends[crashed.ends.len() - 2]).unwrap();
    // The leader epoch is not in the checksum.
    for at in (start..end).filter(|at| !(12..16).contains(&(at - start))) {
        let torn = crashed.fixture.copy();
        let last = torn.files(&["log"]).pop().unwrap();
        let mut bytes = std::fs::read(&last).unwrap();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&last, bytes).unwrap();
        let (log, report) = torn.try_open(dirty(Some(crashed.checkpoint.clone()))).unwrap();
        assert_eq!(report.cuts.len(), 1, "byte {}", at - start);
        assert_eq!(log.end_offset(), crashed.expected(end as u64 - 1).end_offset());
    }
}

#[test]
fn damage_before_good_batches_is_set_aside_and_they_stay() {
    let crashed = crashed();
    let first = usize::try_from(crashed.checkpointed).unwrap();
    for at in [first, first + 8, first + 16, first + 17, first + 61] {
        for checkpoint in crashed.checkpoints() {
            let torn = crashed.fixture.copy();
            let last = torn.files(&["log"]).pop().unwrap();
            let mut bytes = std::fs::read(&last).unwrap();
            bytes[at] ^= 0x41;
            std::fs::write(&last, &bytes).unwrap();
            let (log, report) = torn.try_open(dirty(checkpoint.clone())).unwrap();
            let [hole] = &report.set_aside[..] else { panic!("byte {at}: {report:?}") };
            assert_eq!((&hole.path, hole.position), (&last, crashed.checkpointed));
            assert_eq!(hole.offset, crashed.checkpoint.end_offset);
            assert!(hole.offset < hole.next_offset);
            let kept = std::fs::read(&hole.kept).unwrap();
            assert_eq!(kept, bytes[first..first + kept.len()], "the damaged bytes are kept");
            let end = log.end_offset();
            drop(log);
            // The next start finds nothing amiss, whatever it knows.
            let (log, report) = torn.try_open(dirty(checkpoint)).unwrap();
            assert_eq!((log.end_offset(), report.set_aside.len(), report.cuts.len()), (end, 0, 0));
        }
    }
}

/// The sector with a batch's offset is lost, the next one, with all that its checksum covers, is there.
#[test]
fn a_batch_whose_offset_is_torn_off_is_no_batch_at_offset_0() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    let batches = fill(&mut log, 5);
    drop(log);
    let path = fixture.files(&["log"]).remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    let lost: usize = batches[..3].iter().map(|batch| batch.bytes.len()).sum();
    bytes[..lost + 8].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let (log, report) = fixture.try_open(dirty(None)).unwrap();
    let last = &batches[4];
    assert_eq!(report.set_aside[0].next_offset, last.parsed.base_offset);
    Expected::of(vec![last.clone()]).check_read(&log, last.parsed.base_offset, 1, true);
}

#[test]
fn bytes_below_the_checkpoint_are_missed() {
    let crashed = crashed();
    let last = crashed.fixture.files(&["log"]).pop().unwrap();
    for len in [0, 1, crashed.checkpointed - 1] {
        let torn = crashed.fixture.copy();
        let file = torn.partition_dir().join(last.file_name().unwrap());
        OpenOptions::new().write(true).open(&file).unwrap().set_len(len).unwrap();
        let error = torn.try_open(dirty(Some(crashed.checkpoint.clone()))).unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { position, .. } if position == len), "{error}");
        assert_eq!(std::fs::metadata(&file).unwrap().len(), len);
    }
    std::fs::remove_dir_all(crashed.fixture.partition_dir()).unwrap();
    let error = crashed.fixture.try_open(dirty(Some(crashed.checkpoint))).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
}

/// A roll, a kill before anything was synced, a start that saves a checkpoint, and then the power goes: the name of the new
/// segment was never durable.
#[test]
fn a_blank_segment_that_the_checkpoint_knows_may_be_missing() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    let mut expected = Expected::of(fill(&mut log, 40));
    log.roll(1).unwrap();
    let checkpoint = log.checkpoint().unwrap();
    drop(log);
    let last = fixture.files(&["log"]).pop().unwrap();
    std::fs::remove_file(&last).unwrap();
    for _ in 0..2 {
        let (log, report) = fixture.try_open(dirty(Some(checkpoint.clone()))).unwrap();
        assert_eq!((&report.cuts[..], &report.gaps[..]), (&[][..], &[][..]));
        expected.check_all(&log);
    }
    let mut log = fixture.open(dirty(Some(checkpoint.clone())));
    expected.batches.extend(fill(&mut log, 3));
    expected.check_all(&log);
    std::fs::remove_file(last).unwrap();
    let full = log.checkpoint().unwrap();
    let error = fixture.try_open(dirty(Some(full))).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "one with bytes may not: {error}");
    std::fs::remove_dir_all(fixture.partition_dir()).unwrap();
    let error = fixture.try_open(dirty(Some(checkpoint))).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "those before it may not: {error}");
}

/// A roll, a kill before anything was synced, a start, an append that is synced, and then the power goes: the name of the
/// segment that it went into must have been made durable too.
#[test]
fn a_segment_that_a_kill_left_blank_is_made_durable_with_its_name() {
    for with_checkpoint in [true, false] {
        for seed in 0..16 {
            let (root, after) = (memory_dir(), memory_dir());
            let disk = SimDisk::new(root.path()).unwrap();
            let fixture = Fixture::in_dir(root, Arc::new(disk.clone()), small());
            let mut log = fixture.open(Resume::Fresh);
            let mut expected = Expected::of(fill(&mut log, 10));
            log.take_dirty().sync().unwrap();
            let checkpoint = with_checkpoint.then(|| log.checkpoint().unwrap());
            log.roll(1).unwrap();
            drop(log);
            let mut log = fixture.open(dirty(checkpoint.clone()));
            expected.batches.extend(fill(&mut log, 2));
            log.take_dirty().sync().unwrap();
            disk.crash(seed, after.path()).unwrap();
            let crashed = Fixture::in_dir(after, Arc::new(RealFs), small());
            expected.check_all(&crashed.open(dirty(checkpoint)));
        }
    }
}

#[test]
fn work_is_proportional_to_what_the_checkpoint_does_not_cover() {
    let crashed = crashed();
    let mut visited = Vec::new();
    let checkpoint = Some(crashed.checkpoint.clone());
    let (_, report) =
        crashed.fixture.open_visiting(dirty(checkpoint), &mut |header| visited.push(*header)).unwrap();
    let behind: Vec<_> = crashed.batches[60..].iter().map(|batch| batch.parsed).collect();
    assert_eq!(visited, behind);
    assert_eq!(report.batches, 4);
    assert_eq!(report.bytes, crashed.ends.last().unwrap() - crashed.checkpointed);
    let (_, report) = crashed.fixture.try_open(dirty(None)).unwrap();
    assert_eq!(report.batches, 64);
}

#[test]
fn a_missing_segment_is_a_gap() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    fill(&mut log, 60);
    let end = log.end();
    let bases: Vec<i64> = log.view().segments().iter().map(|segment| segment.base_offset()).collect();
    drop(log);
    std::fs::remove_file(&fixture.files(&["log"])[1]).unwrap();
    let (log, report) = fixture.try_open(dirty(None)).unwrap();
    assert_eq!(report.gaps.len(), 1);
    assert_eq!((report.gaps[0].start, report.gaps[0].end), (bases[1], bases[2]));
    assert_eq!(log.end(), end);
    let slice = log
        .view()
        .read(bases[1], &log.end(), 1, true, crate::storage::files::IoMode::Blocking)
        .unwrap()
        .unwrap();
    assert_eq!(slice.position(), 0, "the next batch that is there");
}

#[test]
fn foreign_files_stay_and_our_leftovers_go() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    let batches = fill(&mut log, 30);
    drop(log);
    let foreign =
        ["notes.txt", "00000000000000000000.log.bak", "7.log", "00000000000000000099.snapshot", "x.tmp"];
    let leftovers = ["00000000000000000000.index.tmp", "00000000000000000003.log.deleted"];
    let empty = "00000000000000000004.log";
    for name in foreign.iter().chain(&leftovers) {
        std::fs::write(fixture.partition_dir().join(name), b"something").unwrap();
    }
    std::fs::write(fixture.partition_dir().join(empty), b"").unwrap();
    std::fs::create_dir(fixture.partition_dir().join("lost+found")).unwrap();
    let (log, report) = fixture.try_open(dirty(None)).unwrap();
    Expected::of(batches).check_all(&log);
    assert_eq!(report.removed.len(), 3);
    for name in foreign {
        assert!(fixture.partition_dir().join(name).exists(), "{name}");
    }
    for name in leftovers.iter().chain([&empty]) {
        assert!(!fixture.partition_dir().join(name).exists(), "{name}");
    }
}

#[test]
fn another_topics_folder_is_refused() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    fill(&mut log, 3);
    drop(log);
    let path = fixture.partition_dir().join("partition.metadata");
    std::fs::write(path, "version: 0\ntopic_id: EjRWeJq83vARIjNEVWZ3iA").unwrap();
    let error = fixture.try_open(dirty(None)).unwrap_err();
    assert!(matches!(error, StorageError::ForeignPartition { .. }), "{error}");
    let mut log = fixture.open(Resume::Fresh);
    let next = crate::storage::testing::batch(0, &[1], 1, sendlog_protocol::records::Compression::None);
    let error = log.append(&next.to_append(), 0).unwrap_err();
    assert!(matches!(error, StorageError::ForeignPartition { .. }), "{error}");
}

/// A checkpoint whose checksum is right may still say what cannot be.
#[test]
fn a_start_behind_the_end_is_not_believed() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    let batches = fill(&mut log, 10);
    let mut checkpoint = log.clean_checkpoint().unwrap();
    drop(log);
    checkpoint.start_offset = checkpoint.end_offset + 5;
    let log = fixture.open(Resume::Clean(checkpoint));
    let end = batches.last().unwrap().parsed.next_offset();
    assert_eq!((log.start_offset(), log.end_offset()), (end, end));
}
