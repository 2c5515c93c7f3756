//! A real file system of 1 MiB, where mounting one is allowed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::fixture::{Expected, TOPIC, dirty};
use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, RealFs};
use crate::storage::log::{Log, LogPlace, Resume};
use crate::storage::store::Store;
use crate::storage::summary::LogConfig;
use crate::storage::testing::batch;
use sendlog_protocol::records::Compression;

struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn open(dir: &Path, resume: Resume) -> Log {
    let store = Store::new(Arc::new(RealFs), 10);
    let config = LogConfig { segment_bytes: 100_000, index_interval_bytes: 100, ..LogConfig::default() };
    let place = LogPlace { dir: dir.join("t-0"), topic_id: TOPIC, partition: 0 };
    Log::open(&store, place, config, resume, &mut |_| {}).unwrap().0
}

/// Without the right to mount, the failing files of `failing_files` have to do.
#[test]
fn a_full_disk_is_survived_and_left_behind() {
    let Some(disk) = Mounted::new() else { return };
    let dir = disk.0.path();
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![0; 300_000]).unwrap();
    let mut log = open(dir, Resume::Fresh);
    let mut expected = Expected::default();
    let mut refused = 0;
    let mut size = 5000;
    while 10 < size {
        let next = batch(log.end_offset(), &[1, 2], size, Compression::None);
        match log.append(&next.to_append(), 0) {
            Ok(_) => expected.batches.push(next),
            Err(StorageError::Full { .. }) => {
                assert!(!log.is_poisoned());
                refused += 1;
                // Smaller ones may still fit.
                size /= 2;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(3 < refused);
    assert!(RealFs.free_bytes(dir).unwrap() < 8192);
    expected.check_all(&log);
    std::fs::remove_file(&ballast).unwrap();
    for _ in 0..20 {
        let next = batch(log.end_offset(), &[3], 5000, Compression::None);
        log.append(&next.to_append(), 0).unwrap();
        expected.batches.push(next);
    }
    log.take_dirty().sync().unwrap();
    expected.check_all(&log);
    drop(log);
    expected.check_all(&open(dir, dirty(None)));
}
