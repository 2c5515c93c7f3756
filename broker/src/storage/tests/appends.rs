//! What an append promises: to its caller, and to the one who syncs.

use std::path::Path;
use std::sync::Arc;

use sendlog_protocol::records::Compression;

use super::fixture::{Expected, Fixture, fill, small};
use crate::storage::dirty::Dirty;
use crate::storage::error::StorageError;
use crate::storage::log::{AppendBatch, Resume};
use crate::storage::summary::LogConfig;
use crate::storage::testing::{Fault, FaultyFs, TestBatch, batch};

fn names(dirty: &Dirty) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files = dirty.files.iter().map(|file| name(&file.path));
    files.chain(dirty.directories.iter().map(|dir| name(dir) + "/")).collect()
}

#[test]
fn new_files_and_their_folders_are_handed_out_for_syncing_once() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    assert!(log.take_dirty().is_empty());
    fill(&mut log, 2);
    let parent = fixture.dir.path().file_name().unwrap().to_str().unwrap().to_owned() + "/";
    let dirty = log.take_dirty();
    assert_eq!(names(&dirty), ["partition.metadata", "00000000000000000000.log", &parent, "t-0/"]);
    assert_eq!(dirty.end, log.end());
    fill(&mut log, 3);
    assert_eq!(names(&log.take_dirty()), ["00000000000000000000.log"]);
    assert!(log.take_dirty().is_empty());
    fill(&mut log, 1);
    let end = log.end_offset();
    log.roll(0).unwrap();
    fill(&mut log, 1);
    let rolled = format!("{end:020}.log");
    assert_eq!(names(&log.take_dirty()), ["00000000000000000000.log", &rolled, "t-0/"]);
}

#[test]
fn batches_of_one_call_go_into_as_few_writes_as_segments() {
    let fs = FaultyFs::new();
    let config = LogConfig { segment_bytes: 1000, ..LogConfig::default() };
    let fixture = Fixture::with_fs(Arc::new(fs.clone()), config);
    let mut log = fixture.open(Resume::Fresh);
    let batches: Vec<TestBatch> =
        (0..12).map(|offset| batch(offset, &[offset], 300 - 80, Compression::None)).collect();
    let to_append: Vec<AppendBatch<'_>> = batches.iter().map(TestBatch::to_append).collect();
    log.append(&to_append[0], 0).unwrap();
    let before = fs.operations();
    log.append_many(&to_append[1..3], 0);
    assert_eq!(fs.operations() - before, 1, "one write and nothing else");
    // Disk full at the write into the third of the segments to come.
    fs.fail(Fault::Enospc, 0, u64::MAX);
    let refused = log.append_many(&to_append[3..], 0);
    assert_eq!(refused.count, 0);
    fs.heal();
    let appended = log.append_many(&to_append[3..], 0);
    assert!(appended.error.is_none());
    assert_eq!((appended.count, appended.end), (9, log.end()));
    assert_eq!(log.view().segments().len(), 4);
    Expected::of(batches).check_all(&log);
}

#[test]
fn what_fits_is_appended_before_the_disk_is_full() {
    let fs = FaultyFs::new();
    let config = LogConfig { segment_bytes: 1000, ..LogConfig::default() };
    let fixture = Fixture::with_fs(Arc::new(fs.clone()), config);
    let mut log = fixture.open(Resume::Fresh);
    let batches: Vec<TestBatch> =
        (0..6).map(|offset| batch(offset, &[offset], 220, Compression::None)).collect();
    let to_append: Vec<AppendBatch<'_>> = batches.iter().map(TestBatch::to_append).collect();
    log.append(&to_append[0], 0).unwrap();
    // The write of the rest of this segment works; what a new one needs does not.
    fs.fail(Fault::Enospc, 1, u64::MAX);
    let appended = log.append_many(&to_append[1..], 0);
    assert_eq!(appended.count, 2);
    assert!(matches!(appended.error, Some(StorageError::Full { .. })));
    fs.heal();
    assert_eq!((log.end_offset(), log.is_poisoned()), (3, false));
    assert_eq!(fixture.files(&["log"]).len(), 1, "the new segment is taken back");
    Expected::of(batches[..3].to_vec()).check_all(&log);
    assert_eq!(log.append_many(&to_append[3..], 0).count, 3);
    Expected::of(batches.clone()).check_all(&log);
}

#[test]
fn after_a_clean_start_a_file_of_another_length_is_not_overwritten() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    fill(&mut log, 3);
    let clean = log.clean_checkpoint().unwrap();
    drop(log);
    let path = fixture.files(&["log"]).remove(0);
    let bytes = std::fs::read(&path).unwrap();
    for changed in [&bytes[..bytes.len() - 1], &[&bytes[..], b"more"].concat()] {
        std::fs::write(&path, changed).unwrap();
        let mut log = fixture.open(Resume::Clean(clean.clone()));
        let next = batch(log.end_offset(), &[1], 1, Compression::None);
        let error = log.append(&next.to_append(), 0).unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), changed);
    }
}

#[test]
fn a_poisoned_log_takes_nothing_and_is_read_on() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    let batches = fill(&mut log, 20);
    log.poison();
    let next = batch(log.end_offset(), &[1], 1, Compression::None);
    assert!(matches!(log.append(&next.to_append(), 0), Err(StorageError::Poisoned { .. })));
    Expected::of(batches).check_all(&log);
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_of_its_own() {
    let fixture = Fixture::new(LogConfig { segment_bytes: 500, ..small() });
    let mut log = fixture.open(Resume::Fresh);
    let mut expected = Expected::default();
    for (offset, bytes) in [(0, 10), (1, 2000), (2, 2000), (3, 10), (4, 10)] {
        let next = batch(offset, &[offset], bytes, Compression::None);
        log.append(&next.to_append(), 0).unwrap();
        expected.batches.push(next);
    }
    let bases: Vec<i64> = log.view().segments().iter().map(|segment| segment.base_offset()).collect();
    assert_eq!(bases, [0, 1, 2, 3]);
    expected.check_all(&log);
}
