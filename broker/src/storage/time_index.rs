//! The time index (`.timeindex`): the largest timestamp so far, and the offset where it came up.
//!
//! An entry is a timestamp (8 bytes, ms since 1970) and the last offset, less the segment's base offset (4 bytes), of the
//! batch that has it; no record up to that batch has a larger one. Timestamps rise. Format: `docs/storage-format.md`,
//! "Time index".

use std::io;
use std::path::PathBuf;

use crate::storage::files::{FileSystem, IoMode};
use crate::storage::index_file::{IndexFile, IndexView};

/// Words of an entry.
pub(super) const WORDS: usize = 3;
/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: u64 = 12;

/// Stands in the last slot of an index that still grows: Kafka's tools take the whole file for entries, and find a last
/// timestamp below the first, as unused zeros would give, corrupt.
const TERMINATOR: [u32; WORDS] = [0x7fff_ffff, 0xffff_ffff, 0];

/// An entry with its offset made absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeEntry {
    /// Largest timestamp of the batch and all before it, ms since 1970.
    pub(super) timestamp: i64,
    /// Last offset of the batch.
    pub(super) offset: i64,
}

/// The file of entries; see [`IndexFile`] for how it is written.
pub(super) type TimeIndex = IndexFile<WORDS>;

/// The entries that a reader sees.
pub(super) struct TimeLookup {
    base_offset: i64,
    view: IndexView<WORDS>,
}

/// Touches no file.
pub(super) fn new(path: PathBuf) -> TimeIndex {
    IndexFile::new(path, Some(TERMINATOR))
}

/// An entry as it is stored.
pub(super) fn words(timestamp: i64, relative_offset: u32) -> [u32; WORDS] {
    let [a, b, c, d, e, f, g, h] = timestamp.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]), relative_offset]
}

fn timestamp([high, low, _]: [u32; WORDS]) -> i64 {
    (i64::from(high.cast_signed()) << 32) | i64::from(low)
}

impl TimeLookup {
    /// An index without entries: look-ups walk the log.
    pub(super) fn empty(base_offset: i64) -> Self {
        Self { base_offset, view: IndexView::empty() }
    }

    /// # Errors
    /// Those of [`IndexFile::view`].
    pub(super) fn new(
        index: &TimeIndex,
        base_offset: i64,
        fs: &dyn FileSystem,
        io: IoMode,
    ) -> io::Result<Self> {
        Ok(Self { base_offset, view: index.view(fs, io)? })
    }

    /// The last entry whose timestamp is below `timestamp_ms`: what it asks for lies behind that entry's offset.
    pub(super) fn below_timestamp(&self, timestamp_ms: i64) -> Option<TimeEntry> {
        self.view.last_before(|entry| timestamp(entry) < timestamp_ms).map(|entry| self.absolute(entry))
    }

    /// The last entry whose offset is below `offset`.
    pub(super) fn below_offset(&self, offset: i64) -> Option<TimeEntry> {
        self.view.last_before(|entry| self.absolute(entry).offset < offset).map(|entry| self.absolute(entry))
    }

    fn absolute(&self, entry: [u32; WORDS]) -> TimeEntry {
        let offset = self.base_offset.saturating_add(i64::from(entry[2]));
        TimeEntry { timestamp: timestamp(entry), offset }
    }
}
