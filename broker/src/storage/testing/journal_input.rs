//! A journal file of any bytes, for fuzzing.

use std::path::Path;

use uuid::Uuid;

use crate::storage::files::RealFs;
use crate::storage::journal::block::{ALIGNMENT, claimed_length, decode, seal};
use crate::storage::journal::file_header::{FileHeader, HEADER_BYTES};
use crate::storage::journal::replay::Replay;
use crate::storage::journal::ring::FOLDER;

const DIRECTORY: Uuid = Uuid::from_u128(1);
const KEY: Uuid = Uuid::from_u128(2);

/// Reads a journal whose one file has these bytes, behind a right header if `has_header`, the first block with the right key,
/// length and checksum if `is_sealed`. Everything that is found lies within the file.
///
/// # Panics
/// If something does not, or without a folder.
pub fn load_journal(dir: &Path, bytes: &[u8], has_header: bool, is_sealed: bool) {
    let mut content = Vec::new();
    if has_header {
        content.resize(HEADER_BYTES, 0);
        FileHeader { directory: DIRECTORY, key: KEY }.encode(&mut content);
    }
    let mut block = bytes.to_vec();
    if is_sealed {
        seal(&mut block, KEY);
    }
    content.extend_from_slice(&block);
    content.resize(content.len().next_multiple_of(ALIGNMENT), 0);
    let folder = dir.join(FOLDER);
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    std::fs::write(folder.join("0.journal"), &content).expect("a temporary file");
    let Ok(replay) = Replay::load(&RealFs, dir, DIRECTORY, 0) else { return };
    let found = claimed_length(&block, KEY).and_then(|length| decode(block.get(..length)?));
    for extent in found.iter().flat_map(|block| &block.extents) {
        assert!(extent.at + extent.len <= block.len(), "an extent goes beyond its block");
        let place = extent.place;
        let log = (place.topic_id, place.partition);
        let batches = replay.batches(log, place.segment_base, place.base_offset, place.position);
        let batches = batches.expect("the file can be read").unwrap_or_default();
        assert!(batches.len() <= extent.len.max(block.len()));
    }
}
