//! A partition is deleted while somebody still works for it, and another topic may have its folder's name at once.

use std::collections::BTreeMap;

use super::*;
use crate::storage::commit::{Pending, Round};
use crate::storage::error::StorageError;
use crate::storage::segment::Segment;

const SMALL_SEGMENTS: &[&str] = &["log.segment.bytes=1024"];

/// Makes what was written durable, in one round.
fn commit(pending: impl IntoIterator<Item = Option<Pending>>) -> Result<(), StorageError> {
    let committer = Committer::new(Flusher::new(2), None);
    let mut round = Round::default();
    committer.stage(&mut round, pending.into_iter().flatten().collect());
    committer.commit(round)
}

/// Several closed segments, all durable.
fn write_segments(partition: &Partition) -> Vec<Arc<Segment>> {
    let batches: Vec<_> = (0..50).map(|_| plain(b"some value")).collect();
    let written = partition.write(batches.iter(), 1_000);
    partition.publish(written.end.expect("something was written"));
    written.sealed
}

/// The partition of another topic with the same name, and what is in its folder.
fn recreate(rig: &Rig) -> (Arc<Partition>, BTreeMap<String, Vec<u8>>) {
    let next = open(&rig.directory, &rig.files, SMALL_SEGMENTS, Resume::Fresh, Vec::new());
    write_segments(&next);
    let files = files(rig);
    (next, files)
}

fn files(rig: &Rig) -> BTreeMap<String, Vec<u8>> {
    let folder = std::fs::read_dir(rig.directory.path().join("t-0")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn appends_that_are_under_way_may_outlive_their_partition() {
    let rig = rig(&[]);
    let written = rig.partition.write([plain(b"x")].iter(), 1_000);
    rig.partition.delete().unwrap();
    commit([written.pending]).unwrap();
}

#[test]
fn a_folder_that_vanishes_under_a_partition_is_a_failure() {
    let rig = rig(&[]);
    let of_deleted = rig.partition.write([plain(b"x")].iter(), 1_000);
    rig.partition.delete().unwrap();
    let next = open(&rig.directory, &rig.files, &[], Resume::Fresh, Vec::new());
    let of_next = next.write([plain(b"x")].iter(), 1_000);
    std::fs::remove_dir_all(rig.directory.path().join("t-0")).unwrap();
    let failed = commit([of_deleted.pending, of_next.pending]);
    assert!(matches!(failed, Err(StorageError::Io { op: "sync", .. })), "{failed:?}");
}

#[test]
fn closed_segments_of_a_deleted_partition_are_not_finished_in_the_files_of_another() {
    let rig = rig(SMALL_SEGMENTS);
    let closed = write_segments(&rig.partition);
    rig.partition.delete_records(30).unwrap();
    // Some of the segments are only this one's by now.
    let checkpoint = rig.partition.checkpoint(false).unwrap();
    rig.partition.delete().unwrap();
    let (_next, before) = recreate(&rig);
    for segment in &closed {
        assert!(segment.settle().unwrap(), "there is nothing to come back for");
    }
    assert_eq!(files(&rig), before);
    drop(checkpoint);
}

#[test]
fn a_checkpoint_that_is_saved_after_the_deletion_deletes_nothing_of_another_topic() {
    let rig = rig(SMALL_SEGMENTS);
    write_segments(&rig.partition);
    rig.partition.delete_records(30).unwrap();
    let checkpoint = rig.partition.checkpoint(false).unwrap().expect("something was written");
    rig.partition.delete().unwrap();
    let (_next, before) = recreate(&rig);
    rig.partition.checkpoint_saved(&checkpoint).unwrap();
    assert_eq!(files(&rig), before);
}

#[test]
fn segments_go_with_the_next_checkpoint_if_one_is_not_saved() {
    let rig = rig(SMALL_SEGMENTS);
    write_segments(&rig.partition);
    rig.partition.delete_records(30).unwrap();
    let before = files(&rig).len();
    drop(rig.partition.checkpoint(false).unwrap());
    let checkpoint = rig.partition.checkpoint(false).unwrap().expect("something was written");
    rig.partition.checkpoint_saved(&checkpoint).unwrap();
    assert!(files(&rig).len() < before);
}
