//! What else happens to a log while it is compacted.

use std::cell::Cell;

use tempfile::TempDir;

use super::*;
use crate::storage::files::RealFs;

/// Does something before the second read: then the first segment is open and the others are not.
struct Meanwhile<'a> {
    reads: Cell<usize>,
    deed: &'a dyn Fn(),
}

impl Pace for Meanwhile<'_> {
    fn step(&self, _bytes: usize) -> bool {
        self.reads.set(self.reads.get() + 1);
        if self.reads.get() == 2 {
            (self.deed)();
        }
        true
    }

    fn leaves_cache_as_it_was(&self) -> bool {
        false
    }
}

fn filled(root: &TempDir) -> Life {
    let mut life = Life::new(Arc::new(RealFs), root.path(), settings(&["log.cleanup.policy=compact,delete"]));
    ["abcabcabc", "abcabcabc", "abcabcabc", "abcabcabc", "zzzz"]
        .iter()
        .for_each(|keys| life.append(keys).unwrap());
    life.checkpoint(false).unwrap();
    life
}

/// A log that only changed is looked at again in the next round; one that cannot be read is left alone until the next start.
#[test]
fn segments_that_are_deleted_while_they_are_read_are_no_failure() {
    let root = tempfile::tempdir().unwrap();
    let mut life = filled(&root);
    let partition = Arc::clone(&life.partition);
    let delete = || {
        partition.delete_records(36).unwrap();
        let checkpoint = partition.checkpoint(false).unwrap().unwrap();
        partition.checkpoint_saved(&checkpoint).unwrap();
    };
    let compacted = life.compact_with(1 << 20, &Meanwhile { reads: Cell::new(0), deed: &delete });
    assert!(matches!(compacted, Err(CompactionError::Gone)), "{compacted:?}");
    assert_eq!(life.read().len(), 4);
}

#[test]
fn a_topic_that_is_deleted_while_it_is_compacted_is_no_failure() {
    let root = tempfile::tempdir().unwrap();
    let mut life = filled(&root);
    let partition = Arc::clone(&life.partition);
    let delete = || partition.delete().unwrap();
    let compacted = life.compact_with(1 << 20, &Meanwhile { reads: Cell::new(0), deed: &delete });
    assert!(matches!(compacted, Err(CompactionError::Gone)), "{compacted:?}");
}

#[test]
fn nothing_is_read_while_there_is_no_room_to_write() {
    let root = tempfile::tempdir().unwrap();
    let mut life = filled(&root);
    life.free_bytes_min = u64::MAX;
    let pace = Meanwhile { reads: Cell::new(0), deed: &|| {} };
    let compacted = life.compact_with(1 << 20, &pace);
    assert!(matches!(compacted, Err(CompactionError::Full(_))), "{compacted:?}");
    assert_eq!(pace.reads.get(), 0);
}
