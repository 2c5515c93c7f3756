//! The simulated disk itself: what was synced is there, what was not may be there in every shape, and in no other.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::path::Path;

use super::fixture::memory_dir;
use crate::storage::files::{FileSystem, OpenMode, StoredFile, write_all_at};
use crate::storage::testing::SimDisk;

const SEEDS: u64 = 400;

fn write(file: &dyn StoredFile, position: u64, bytes: &[u8]) {
    write_all_at(file, &mut [IoSlice::new(bytes)], position).unwrap();
}

/// Every content that a file has after one of the crashes; none where it is not there.
fn crashes(disk: &SimDisk, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    let after = |seed| {
        let dir = memory_dir();
        disk.crash(seed, dir.path()).unwrap();
        std::fs::read(dir.path().join(name)).ok()
    };
    (0..SEEDS).inspect(|seed| assert_eq!(after(*seed), after(*seed))).map(after).collect()
}

fn disk_with(root: &Path, name: &str, content: &[u8]) -> SimDisk {
    std::fs::write(root.join(name), content).unwrap();
    SimDisk::new(root).unwrap()
}

#[test]
fn what_is_synced_is_there() {
    let root = memory_dir();
    let disk = SimDisk::new(root.path()).unwrap();
    let file = disk.open(&root.path().join("f"), OpenMode::Create).unwrap();
    write(&*file, 0, &[1; 2000]);
    file.sync_data().unwrap();
    let with_name = BTreeSet::from([None, Some(vec![1; 2000])]);
    assert_eq!(crashes(&disk, "f"), with_name, "the name is not yet");
    disk.sync_dir(root.path()).unwrap();
    assert_eq!(crashes(&disk, "f"), BTreeSet::from([Some(vec![1; 2000])]));
}

#[test]
fn what_is_not_synced_is_torn_at_sectors() {
    let root = memory_dir();
    let disk = disk_with(root.path(), "f", &[1; 1024]);
    let file = disk.open(&root.path().join("f"), OpenMode::Write).unwrap();
    write(&*file, 0, &[2; 1024]);
    write(&*file, 512, &[3; 100]);
    let sector = |first: u8, rest: u8| [vec![first; 100], vec![rest; 412]].concat();
    let mut wanted = BTreeSet::new();
    for first in [[1; 512], [2; 512]] {
        for second in [sector(1, 1), sector(2, 2), sector(3, 2)] {
            wanted.insert(Some([&first[..], &second].concat()));
        }
    }
    assert_eq!(crashes(&disk, "f"), wanted, "every sector is as it was at one time");
}

#[test]
fn length_and_content_reach_the_disk_apart() {
    let root = memory_dir();
    let disk = disk_with(root.path(), "f", &[]);
    let file = disk.open(&root.path().join("f"), OpenMode::Write).unwrap();
    write(&*file, 0, &[5; 100]);
    assert_eq!(crashes(&disk, "f"), BTreeSet::from([vec![], vec![0; 100], vec![5; 100]].map(Some)));
}

#[test]
fn a_rename_is_before_or_after() {
    let root = memory_dir();
    let disk = disk_with(root.path(), "f", b"old");
    let (new, old) = (root.path().join("f.tmp"), root.path().join("f"));
    let file = disk.open(&new, OpenMode::Replace).unwrap();
    write(&*file, 0, b"new");
    file.sync_data().unwrap();
    disk.rename(&new, &old).unwrap();
    let both = BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]);
    assert_eq!(crashes(&disk, "f"), both);
    disk.sync_dir(root.path()).unwrap();
    assert_eq!(crashes(&disk, "f"), BTreeSet::from([Some(b"new".to_vec())]));
    disk.remove(&old).unwrap();
    assert_eq!(crashes(&disk, "f"), BTreeSet::from([None, Some(b"new".to_vec())]));
}

#[test]
fn nothing_happens_without_power_and_the_last_operation_in_part() {
    let root = memory_dir();
    let disk = disk_with(root.path(), "f", &[1; 1024]);
    let file = disk.open(&root.path().join("f"), OpenMode::Write).unwrap();
    disk.power_off_after(0);
    assert!(!disk.is_off());
    file.write_at(&[IoSlice::new(&[2; 1024])], 0).unwrap_err();
    assert!(disk.is_off());
    file.write_at(&[IoSlice::new(&[3; 1024])], 0).unwrap_err();
    file.sync_data().unwrap_err();
    file.read_at(&mut [0], 0).unwrap_err();
    let halves: BTreeSet<_> =
        [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(a, b)| Some([vec![a; 512], vec![b; 512]].concat())).into();
    assert_eq!(crashes(&disk, "f"), halves);
}

/// As Linux does it: the second sync succeeds, memory shows what is not on the disk, and shows the truth when it is dropped.
#[test]
fn what_a_failed_sync_has_lost_stays_lost() {
    let mut is_lost_once = false;
    for seed in 0..20 {
        let root = memory_dir();
        let disk = disk_with(root.path(), "f", &[1; 512]);
        let file = disk.open(&root.path().join("f"), OpenMode::Write).unwrap();
        write(&*file, 0, &[2; 512]);
        disk.fail_sync_after(0, seed);
        file.sync_data().unwrap_err();
        assert!(disk.take_failed_sync() && !disk.take_failed_sync());
        file.sync_data().unwrap();
        let mut seen = [0; 512];
        file.read_at(&mut seen, 0).unwrap();
        assert_eq!(seen, [2; 512]);
        file.drop_cache(0).unwrap();
        file.read_at(&mut seen, 0).unwrap();
        assert_eq!(crashes(&disk, "f"), BTreeSet::from([Some(seen.to_vec())]));
        is_lost_once |= seen == [1; 512];
    }
    assert!(is_lost_once);
}
