//! What a segment knows of its damaged ranges.

use std::sync::Arc;

use sendlog_protocol::records::BatchHeader;

use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::error::{ReadError, StorageError};
use crate::storage::examine::{Extent, examine};
use crate::storage::files::StoredFile;
use crate::storage::holes::{Holes, Quarantined};
use crate::storage::quarantine::{self, Hole};
use crate::storage::scrub::Paced;
use crate::storage::segment::Segment;

/// What a segment looks like from outside.
#[derive(Debug, Clone, Copy)]
pub struct Glance {
    /// The file is as long as it was.
    pub is_as_it_was: bool,
    /// Offset behind the last batch, if that is known.
    pub next_offset: Option<i64>,
}

/// How the known holes of a segment have changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) new: Vec<Quarantined>,
    pub(super) gone: Vec<Quarantined>,
}

impl Segment {
    /// Adds a range to the known ones, if the batch is one that stands for it.
    pub(super) fn note_placeholder(&self, header: &BatchHeader, position: u64) {
        if !quarantine::is_marked(header) {
            return;
        }
        let (offset, next_offset) = (header.base_offset, header.next_offset());
        self.add_hole(Hole { position, end: position + header.size() as u64, offset, next_offset });
    }

    /// Takes the result of an examination for all that there is.
    pub(super) fn replace_holes(&self, found: Vec<Hole>) -> Changed {
        let before = self.known_holes().load();
        let found = Holes::new(found);
        let is_untold = self.known_holes().take_untold();
        let is_known =
            |hole: &&Hole| !is_untold && before.as_ref().is_some_and(|before| before.contains(hole));
        let new = found.iter().filter(|hole| !is_known(hole)).map(|hole| self.quarantined(hole)).collect();
        let known = before.iter().flat_map(|before| before.iter());
        let is_gone = |hole: &&Hole| found.at_position(hole.position).is_none();
        let gone = known.filter(is_gone).map(|hole| self.quarantined(hole)).collect();
        let changed = Changed { new, gone };
        if !changed.new.is_empty() || !changed.gone.is_empty() {
            self.known_holes().store(found);
        }
        changed
    }

    /// For an index that must be built now: looks for the holes at once, and leaves it to a later verification to tell.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub(super) fn find_holes(&self, file: &dyn StoredFile, end_offset: i64) -> Result<(), ReadError> {
        let failed = |source| ReadError::io(self.path(), source);
        let extent = Extent { base_offset: self.base_offset(), size: self.size(), end_offset };
        let file_bytes = file.size().map_err(failed)?;
        let examined = examine(&Paced::at_once(file), file_bytes, extent).map_err(failed)?;
        self.known_holes().store_untold(Holes::new(examined.holes));
        Ok(())
    }

    /// Adds what a checkpoint knows, as far as it fits the file.
    pub(super) fn restore_holes(&self, checkpoint: Option<&PartitionCheckpoint>) {
        let ranges = checkpoint.map_or(&[][..], |checkpoint| &checkpoint.quarantined);
        for range in ranges.iter().filter(|range| range.segment_base == self.base_offset()) {
            let Quarantined { position, bytes, offset, next_offset, .. } = *range;
            let end = position.saturating_add(bytes);
            if end <= self.size() && offset <= next_offset {
                self.add_hole(Hole { position, end, offset, next_offset });
            }
        }
    }

    fn add_hole(&self, hole: Hole) {
        let known = self.known_holes().load();
        let known = known.iter().flat_map(|holes| holes.iter().copied());
        self.known_holes().store(Holes::new(known.chain([hole]).collect()));
    }

    /// Whether ranges of it cannot be read, as far as that is known.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.known_holes().load().is_some_and(|holes| !holes.is_empty())
    }

    /// The parts of the file from `position` on that are not known to be damaged.
    pub(super) fn readable_ranges(&self, mut position: u64) -> Vec<std::ops::Range<u64>> {
        let holes = self.known_holes().load();
        let mut ranges = Vec::new();
        for hole in holes.iter().flat_map(|holes| holes.iter()) {
            if position < hole.position {
                ranges.push(position..hole.position);
            }
            position = position.max(hole.end);
        }
        if position < self.size() {
            ranges.push(position..self.size());
        }
        ranges
    }

    /// All ranges, as positions of the log.
    pub(super) fn quarantined_ranges(&self) -> Vec<Quarantined> {
        let holes = self.known_holes().load();
        holes.iter().flat_map(|holes| holes.iter()).map(|hole| self.quarantined(hole)).collect()
    }

    /// The answer to a read in a hole.
    pub(super) fn unreadable(&self, hole: &Hole) -> ReadError {
        ReadError::Quarantined {
            path: self.path().to_path_buf(),
            position: hole.position,
            offset: hole.offset,
            next_offset: hole.next_offset,
        }
    }

    /// The first offset from `offset` on that lies in no hole.
    pub(super) fn past_holes(&self, offset: i64) -> i64 {
        let holes = self.known_holes().load();
        holes.as_ref().and_then(|holes| holes.at_offset(offset)).map_or(offset, |hole| hole.next_offset)
    }

    fn quarantined(&self, hole: &Hole) -> Quarantined {
        Quarantined {
            segment_base: self.base_offset(),
            position: hole.position,
            bytes: hole.end - hole.position,
            offset: hole.offset,
            next_offset: hole.next_offset,
        }
    }

    /// Where recovery has put the bytes of a range, if it was recovery that found it.
    #[must_use]
    pub fn kept_bytes_of(&self, range: &Quarantined) -> Option<std::path::PathBuf> {
        let kept = quarantine::kept_path(self.path(), range.position);
        self.store().fs().file_len(&kept).is_ok().then_some(kept)
    }

    /// Builds indexes and seal of a closed segment anew from its batch headers, whatever they are now, and makes them durable.
    ///
    /// # Errors
    /// As [`Segment::settle`].
    pub(crate) fn rebuild_files(self: &Arc<Self>) -> Result<(), StorageError> {
        self.set_sealed();
        self.rebuild(&mut self.state()).map_err(|error| self.unready(error))?;
        self.settle().map(drop)
    }

    /// A look at the file and the seal, not at any batch.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn glance(&self) -> Result<Glance, ReadError> {
        let file_bytes = self.store().fs().file_len(self.path());
        let file_bytes = file_bytes.map_err(|source| ReadError::io(self.path(), source))?;
        let seal = self.seal();
        let is_as_it_was = file_bytes == self.size() && seal.is_none_or(|seal| seal.size == file_bytes);
        Ok(Glance { is_as_it_was, next_offset: seal.map(|seal| seal.next_offset) })
    }

    /// Whether there are holes that nobody was told of.
    #[must_use]
    pub fn is_untold(&self) -> bool {
        self.known_holes().is_untold()
    }
}
