//! The offset index (`.index`): where in a segment file an offset is, about every 4096 bytes.
//!
//! An entry is a batch's last offset less the segment's base offset, and the position of the batch, 4 bytes each, both
//! rising. Format: `docs/storage-format.md`, "Offset index".

use std::io;
use std::path::PathBuf;

use crate::storage::files::{FileSystem, IoMode};
use crate::storage::index_file::{IndexFile, IndexView};

/// Words of an entry.
pub(super) const WORDS: usize = 2;
/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: u64 = 8;

/// An entry with its offset made absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    /// Last offset of the batch.
    pub(super) offset: i64,
    /// Where the batch starts in the segment file.
    pub(super) position: u64,
}

/// The file of entries; see [`IndexFile`] for how it is written.
pub(super) type OffsetIndex = IndexFile<WORDS>;

/// The entries that a reader sees.
pub(super) struct OffsetLookup {
    base_offset: i64,
    view: IndexView<WORDS>,
}

/// Touches no file.
pub(super) fn new(path: PathBuf) -> OffsetIndex {
    IndexFile::new(path, None)
}

impl OffsetLookup {
    /// An index without entries: look-ups walk the log.
    pub(super) fn empty(base_offset: i64) -> Self {
        Self { base_offset, view: IndexView::empty() }
    }

    /// # Errors
    /// Those of [`IndexFile::view`].
    pub(super) fn new(
        index: &OffsetIndex,
        base_offset: i64,
        fs: &dyn FileSystem,
        io: IoMode,
    ) -> io::Result<Self> {
        Ok(Self { base_offset, view: index.view(fs, io)? })
    }

    /// The last entry whose offset is at most `offset`.
    pub(super) fn at_offset(&self, offset: i64) -> Option<OffsetEntry> {
        let relative = offset.saturating_sub(self.base_offset);
        self.view.last_before(|[entry, _]| i64::from(entry) <= relative).map(|entry| self.absolute(entry))
    }

    /// The last entry whose position is at most `position`.
    pub(super) fn at_position(&self, position: u64) -> Option<OffsetEntry> {
        self.view.last_before(|[_, entry]| u64::from(entry) <= position).map(|entry| self.absolute(entry))
    }

    fn absolute(&self, [offset, position]: [u32; WORDS]) -> OffsetEntry {
        OffsetEntry {
            offset: self.base_offset.saturating_add(i64::from(offset)),
            position: u64::from(position),
        }
    }
}
