//! An index file of any bytes, for fuzzing.

use std::path::Path;

use crate::storage::files::{IoMode, RealFs};
use crate::storage::index_file::{IndexFile, IndexSum};

const WORDS: usize = 3;
const ENTRY_BYTES: usize = 4 * WORDS;

/// Loads an index of these bytes that claims so many entries, with a checksum that is right or not; looks all of them
/// up, appends to it and trims it.
///
/// # Panics
/// If it was loaded and then does not hold what the bytes say.
pub fn load_index(dir: &Path, bytes: &[u8], entries: u32, is_sum_right: bool) {
    let path = dir.join("0.timeindex");
    std::fs::write(&path, bytes).expect("a temporary file");
    let claimed = bytes.get(..entries as usize * ENTRY_BYTES);
    let crc = claimed.map_or(0, crc32fast::hash) ^ u32::from(!is_sum_right);
    let index = IndexFile::<WORDS>::new(path, Some([0x7fff_ffff; WORDS]));
    let is_loaded = index.load(&RealFs, IndexSum { entries, crc }).expect("a temporary file");
    assert_eq!(is_loaded, entries == 0 || (claimed.is_some() && is_sum_right), "believed without a reason");
    if !is_loaded {
        return;
    }
    let view = index.view(&RealFs, IoMode::Blocking).expect("a temporary file");
    for (number, entry) in claimed.unwrap_or_default().chunks_exact(ENTRY_BYTES).enumerate() {
        let found = view.get(number).expect("an entry that was loaded");
        assert_eq!(found.map(u32::to_be_bytes).as_flattened(), entry);
        // Whatever the order is, a look-up ends.
        let _ = view.last_before(|[first, ..]| first < found[0]);
    }
    assert_eq!(view.get(entries as usize), None);
    drop(view);
    let reserved = index.reserve(&RealFs, 1).expect("a temporary file");
    index.push(&reserved, [1; WORDS]);
    drop(reserved);
    assert!(index.trim(&RealFs).expect("a temporary file"), "a map is left");
    let view = index.view(&RealFs, IoMode::Blocking).expect("a temporary file");
    assert_eq!(view.get(entries as usize), Some([1; WORDS]));
}
