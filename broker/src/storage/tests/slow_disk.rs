//! While a sync takes its time, readers read and the writer writes; nobody waits who need not.

use std::sync::Arc;

use super::fixture::{Expected, Fixture, fill, small};
use crate::storage::flush::Flusher;
use crate::storage::log::{Log, Resume};
use crate::storage::summary::LogConfig;
use crate::storage::testing::FaultyFs;

fn fixture(config: LogConfig) -> (Fixture, FaultyFs) {
    let fs = FaultyFs::new();
    (Fixture::with_fs(Arc::new(fs.clone()), config), fs)
}

#[test]
fn appends_and_reads_go_on_beside_a_slow_sync() {
    let (fixture, fs) = fixture(LogConfig { index_interval_bytes: 300, ..LogConfig::default() });
    let mut log = fixture.open(Resume::Fresh);
    let mut expected = Expected::of(fill(&mut log, 10));
    let dirty = log.take_dirty();
    let end = log.end();
    let held = fs.hold_syncs();
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| dirty.sync());
        held.until_waiting(1);
        expected.batches.extend(fill(&mut log, 10));
        expected.check_all(&log);
        assert!(!sync.is_finished());
        drop(held);
        sync.join().unwrap().unwrap();
    });
    assert_eq!(dirty.end, end, "what came later is not in this sync");
    assert!(!log.take_dirty().is_empty());
}

/// The new segment waits until the one before it is durable; readers do not.
#[test]
fn readers_do_not_wait_for_a_roll() {
    let (fixture, fs) = fixture(small());
    let mut log: Log = fixture.open(Resume::Fresh);
    let expected = Expected::of(fill(&mut log, 10));
    let (reader, end) = (log.reader(), log.end());
    let held = fs.hold_syncs();
    std::thread::scope(|scope| {
        let roll = scope.spawn(|| log.roll(0).map(|segment| segment.base_offset()));
        held.until_waiting(1);
        for batch in &expected.batches {
            let io = crate::storage::files::IoMode::Blocking;
            let slice = reader.view().read(batch.parsed.base_offset, &end, 1, true, io).unwrap().unwrap();
            assert_eq!(super::fixture::bytes_of(&slice), batch.bytes);
        }
        drop(held);
        assert_eq!(roll.join().unwrap().unwrap(), expected.end_offset());
    });
}

/// One slow sync after the other would take as long as all of them.
#[test]
fn the_files_of_a_round_are_synced_side_by_side() {
    let fs = FaultyFs::new();
    let fixtures: Vec<Fixture> = (0..4).map(|_| Fixture::with_fs(Arc::new(fs.clone()), small())).collect();
    let dirty: Vec<_> = fixtures
        .iter()
        .map(|fixture| {
            let mut log = fixture.open(Resume::Fresh);
            fill(&mut log, 1);
            log.take_dirty()
        })
        .collect();
    let files: usize = dirty.iter().map(|dirty| dirty.files.len()).sum();
    let flusher = Flusher::new(16);
    let held = fs.hold_syncs();
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| flusher.sync(&dirty));
        held.until_waiting(files);
        drop(held);
        sync.join().unwrap().unwrap();
    });
}
