//! Who may use a data directory, and what the last user has left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::storage::data_dir::{DataDir, DataDirError, LastEnd};
use crate::storage::files::{FileSystem, RealFs};
use crate::storage::testing::{Fault, FaultyFs};

const ID: Uuid = Uuid::from_u128(1);

fn open(path: &Path) -> Result<DataDir, DataDirError> {
    DataDir::open(Arc::new(RealFs), path, ID)
}

#[test]
fn a_directory_is_created_taken_over_and_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/data");
    let data = open(&path).unwrap();
    assert_eq!((data.last_end(), data.cluster_id()), (LastEnd::New, ID));
    drop(data);
    let data = DataDir::open(Arc::new(RealFs), &path, Uuid::from_u128(2)).unwrap();
    assert_eq!((data.last_end(), data.cluster_id()), (LastEnd::Crash, ID));
    data.mark_clean().unwrap();
    drop(data);
    assert_eq!(open(&path).unwrap().last_end(), LastEnd::Clean);
    let data = open(&path).unwrap();
    assert_eq!(data.last_end(), LastEnd::Crash, "the marker holds once");
    data.failure_note().put().unwrap();
    data.mark_clean().unwrap();
    drop(data);
    assert_eq!(open(&path).unwrap().last_end(), LastEnd::WriteFailed);
}

#[test]
fn a_failed_write_is_known_until_a_start_has_checked_everything() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let note = open(dir.path()).unwrap().failure_note();
    note.put().unwrap();
    note.put().unwrap();
    // A start that is killed, or breaks off, hands it on.
    for _ in 0..3 {
        assert_eq!(open(dir.path()).unwrap().last_end(), LastEnd::WriteFailed);
    }
    let data = open(dir.path()).unwrap();
    data.mark_recovered().unwrap();
    data.mark_recovered().unwrap();
    drop(data);
    assert_eq!(open(dir.path()).unwrap().last_end(), LastEnd::Crash);
}

#[test]
fn a_second_broker_is_refused_even_without_the_lock_file() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path()).unwrap();
    let message = open(dir.path()).unwrap_err().to_string();
    assert!(message.contains(&format!("process id {}", std::process::id())), "{message}");
    std::fs::remove_file(dir.path().join("lock")).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, DataDirError::Locked { pid: None, .. }), "{error}");
}

#[test]
fn foreign_places_are_refused_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        assert!(matches!(open(&path), Err(DataDirError::NotADirectory { .. })), "{}", path.display());
    }
    let message = open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("holds \"file\"") && message.contains("--data-dir"), "{message}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was left behind");
    std::fs::write(dir.path().join("meta.properties"), "").unwrap();
    let message = open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("Apache Kafka"), "{message}");
}

#[test]
fn a_fresh_file_system_counts_as_empty() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lost+found")).unwrap();
    assert_eq!(open(dir.path()).unwrap().last_end(), LastEnd::New);
}

#[test]
fn a_directory_that_must_be_there_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let existing = |path: &Path| DataDir::open_existing(Arc::new(RealFs), path);
    assert!(matches!(existing(&path), Err(DataDirError::Absent { .. })));
    assert!(!path.exists());
    // What is seen where a disk is not mounted, and on one that was just formatted.
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(existing(&path), Err(DataDirError::Absent { .. })));
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "nothing was left behind");
    std::fs::create_dir(path.join("lost+found")).unwrap();
    let message = existing(&path).unwrap_err().to_string();
    assert!(message.contains("mounted?") && message.contains("sendlog.data.dir.create=true"), "{message}");
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    drop(open(&path).unwrap());
    let data = existing(&path).unwrap();
    assert_eq!((data.last_end(), data.cluster_id()), (LastEnd::Crash, ID));
    drop(data);
    std::fs::write(dir.path().join("file"), "x").unwrap();
    assert!(matches!(existing(&dir.path().join("file")), Err(DataDirError::NotADirectory { .. })));
    assert!(matches!(existing(dir.path()), Err(DataDirError::Foreign { .. })));
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    drop(open(&path).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o500)).unwrap();
    std::fs::remove_file(path.join("lock")).ok();
    // Root may write everywhere.
    if let Err(error) = open(&path) {
        assert!(matches!(error, DataDirError::NotWritable { .. }), "{error}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_damaged_marker_file_is_no_reason_to_start_over() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let meta = dir.path().join("sendlog.meta");
    let good = std::fs::read(&meta).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&meta, bad).unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(matches!(error, DataDirError::Meta { .. }), "{error}");
        std::fs::write(&meta, &good[..at]).unwrap();
        assert!(open(dir.path()).is_err());
    }
    std::fs::write(&meta, &good).unwrap();
    assert_eq!(open(dir.path()).unwrap().cluster_id(), ID);
}

#[test]
fn an_io_error_anywhere_leaves_a_directory_that_opens_later() {
    for at in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let fs = FaultyFs::new();
        fs.fail(Fault::Eio, at, 1);
        let outcome = DataDir::open(Arc::new(fs.clone()), &path, ID).map(|data| data.mark_clean());
        let operations = fs.operations();
        fs.heal();
        let data = DataDir::open(Arc::new(fs.clone()), &path, ID).err();
        assert!(data.is_none(), "after a fault at {at}: {data:?}");
        if operations <= at {
            assert!(matches!(outcome, Ok(Ok(()))));
            return;
        }
    }
    let _: &dyn FileSystem = &RealFs;
}
