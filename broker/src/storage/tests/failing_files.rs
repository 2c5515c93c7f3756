//! Every single operation fails once: nothing that was synced is lost, nothing else appears, nothing panics.

use std::sync::Arc;

use super::fixture::{Expected, Fixture, dirty, fill, small};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::error::{ReadError, StorageError};
use crate::storage::files::IoMode;
use crate::storage::log::{Log, Resume};
use crate::storage::testing::{Fault, FaultyFs, TestBatch, batch};
use sendlog_protocol::records::Compression;

/// What a run knows of the log when it breaks off.
#[derive(Default)]
struct Progress {
    /// Appended without an error.
    batches: Vec<TestBatch>,
    /// As many of them are known to be durable.
    synced: usize,
    checkpoint: Option<PartitionCheckpoint>,
}

/// A life of a log: appends with rolls, syncs, checkpoints, reads, a clean and a dirty restart.
fn live(fixture: &Fixture, progress: &mut Progress) -> Result<(), String> {
    let mut log = fixture.open(Resume::Fresh);
    append(&mut log, progress, 25)?;
    sync(&mut log, progress)?;
    read(&log, progress)?;
    let clean = log.clean_checkpoint().map_err(|error| error.to_string())?;
    progress.checkpoint = Some(clean.clone());
    drop(log);
    let (mut log, _) = fixture.try_open(Resume::Clean(clean)).map_err(|error| error.to_string())?;
    append(&mut log, progress, 15)?;
    sync(&mut log, progress)?;
    for segment in log.take_sealed() {
        segment.settle().map_err(|error| error.to_string())?;
    }
    append(&mut log, progress, 5)?;
    drop(log);
    let resume = dirty(progress.checkpoint.clone());
    let (mut log, _) = fixture.try_open(resume).map_err(|error| error.to_string())?;
    sync(&mut log, progress)?;
    append(&mut log, progress, 15)?;
    sync(&mut log, progress)?;
    read(&log, progress)
}

fn append(log: &mut Log, progress: &mut Progress, count: usize) -> Result<(), String> {
    for _ in 0..count {
        let base = log.end_offset();
        let next = batch(base, &[1000 + base * 5, 1000 + base * 7 % 90], 150, Compression::None);
        match log.append(&next.to_append(), 1) {
            Ok(_) => progress.batches.push(next),
            Err(StorageError::Full { .. }) => {
                assert_eq!(log.end_offset(), base, "the log is as it was");
                assert!(!log.is_poisoned());
                check_file_size(log);
                log.append(&next.to_append(), 1).map_err(|error| error.to_string())?;
                progress.batches.push(next);
            }
            Err(error) => {
                assert!(log.is_poisoned(), "{error}");
                let again = log.append(&next.to_append(), 1);
                assert!(matches!(again, Err(StorageError::Poisoned { .. })));
                return Err(error.to_string());
            }
        }
    }
    Ok(())
}

/// What a failed write has put into the file is taken back.
fn check_file_size(log: &Log) {
    let view = log.view();
    if let Some(last) = view.segments().last() {
        let size = std::fs::metadata(last.path()).unwrap().len();
        assert_eq!((last.base_offset(), size), (log.end().segment_base, log.end().position));
    }
}

fn sync(log: &mut Log, progress: &mut Progress) -> Result<(), String> {
    log.take_dirty().sync().map_err(|error| error.to_string())?;
    progress.synced = progress.batches.len();
    Ok(())
}

fn read(log: &Log, progress: &Progress) -> Result<(), String> {
    for wanted in &progress.batches {
        let slice = log.view().read(wanted.parsed.base_offset, &log.end(), 1, true, IoMode::Blocking);
        match slice {
            Ok(slice) => {
                let slice = slice.ok_or("nothing was read")?;
                let mut bytes = vec![0; slice.len()];
                slice.read_at(0, &mut bytes).map_err(|error| error.to_string())?;
                assert_eq!(bytes, wanted.bytes);
            }
            Err(ReadError::Io { .. }) => return Err("a read failed".to_owned()),
            Err(error) => panic!("{error}"),
        }
    }
    let found = log.view().offset_for_timestamp(1100, &log.end()).map_err(|error| error.to_string())?;
    assert_eq!(found.map(|found| found.offset), Some(20));
    Ok(())
}

fn every_operation_fails(fault: Fault, count: u64) {
    for at in 0.. {
        let fs = FaultyFs::new();
        let fixture = Fixture::with_fs(Arc::new(fs.clone()), small());
        let mut progress = Progress::default();
        fs.fail(fault, at, count);
        let outcome = live(&fixture, &mut progress);
        let faults = fs.faults();
        let operations = fs.operations();
        fs.heal();
        // A broker that broke off is started again; the page cache is intact, so nothing appended is lost either.
        let log = fixture.open(dirty(progress.checkpoint.clone()));
        let appended = progress.batches.len();
        let mut expected = Expected::of(progress.batches);
        let end = log.end_offset();
        assert!(
            expected.batches[..progress.synced].last().is_none_or(|last| last.parsed.next_offset() <= end)
        );
        assert_eq!(end, expected.end_offset(), "{fault:?} at {at}, {appended} appended: {outcome:?}");
        expected.check_all(&log);
        let mut log = log;
        expected.batches.extend(fill(&mut log, 2));
        expected.check_read(&log, end, usize::MAX, true);
        if operations <= at {
            assert_eq!((outcome, faults), (Ok(()), 0));
            assert!(100 < at, "the run is long enough to mean something");
            return;
        }
    }
}

#[test]
fn an_io_error_anywhere() {
    every_operation_fails(Fault::Eio, 1);
}

#[test]
fn a_full_disk_once_anywhere() {
    every_operation_fails(Fault::Enospc, 1);
}

#[test]
fn a_full_disk_twice_anywhere() {
    every_operation_fails(Fault::Enospc, 2);
}

#[test]
fn a_short_write_anywhere() {
    every_operation_fails(Fault::ShortWrite, 1);
}

#[test]
fn a_short_write_and_then_a_full_disk_anywhere() {
    every_operation_fails(Fault::ShortWrite, 2);
}
