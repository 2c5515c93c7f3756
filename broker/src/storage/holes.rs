//! Ranges of a segment that hold no readable batches: found by recovery, by a read, or by the scrub.
//!
//! A read never begins in one and never crosses one; walks jump over them. Whether there are any is one load of a flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::storage::quarantine::Hole;

/// Most holes of a segment that are told apart. What lies behind is then counted as damaged up to the segment's end.
pub(super) const HOLES_MAX: usize = 4096;

/// A range of a log whose records cannot be read: a fetch there is answered with an error, all around it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Base offset of the segment.
    pub segment_base: i64,
    /// Where it starts in the segment file.
    pub position: u64,
    /// Bytes that it has there. Where recovery has set damage aside, those of the empty batch in its place.
    pub bytes: u64,
    /// The first offset that cannot be read.
    pub offset: i64,
    /// The first offset behind it.
    pub next_offset: i64,
}

/// The holes of a segment, by position and so by offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holes(Vec<Hole>);

impl Holes {
    /// In any order; those that touch become one.
    pub(super) fn new(mut holes: Vec<Hole>) -> Self {
        holes.sort_unstable_by_key(|hole| (hole.position, hole.end));
        let mut merged: Vec<Hole> = Vec::with_capacity(holes.len());
        for hole in holes {
            match merged.last_mut() {
                Some(last) if hole.position <= last.end => {
                    last.end = last.end.max(hole.end);
                    last.next_offset = last.next_offset.max(hole.next_offset);
                }
                _ => merged.push(hole),
            }
        }
        Self(merged)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter()
    }

    /// The hole that a position lies in.
    pub(super) fn at_position(&self, position: u64) -> Option<&Hole> {
        let behind = self.0.partition_point(|hole| hole.end <= position);
        self.0.get(behind).filter(|hole| hole.position <= position)
    }

    /// The hole that an offset lies in.
    pub(super) fn at_offset(&self, offset: i64) -> Option<&Hole> {
        self.next_from(offset).filter(|hole| hole.offset <= offset)
    }

    /// The hole that an offset lies in, or the next one: where a read from that offset has to end.
    pub(super) fn next_from(&self, offset: i64) -> Option<&Hole> {
        let at = self.0.partition_point(|hole| hole.next_offset <= offset);
        self.0.get(at)
    }

    /// Whether there is a hole exactly like this.
    pub(super) fn contains(&self, hole: &Hole) -> bool {
        self.at_position(hole.position) == Some(hole)
    }
}

/// What is known of the holes of a segment; read without a lock.
#[derive(Debug, Default)]
pub(super) struct KnownHoles {
    /// False, for nearly every segment: all that a read has to look at.
    is_any: AtomicBool,
    holes: ArcSwapOption<Holes>,
    /// They were found in passing, and nobody was told.
    is_untold: AtomicBool,
}

impl KnownHoles {
    pub(super) fn load(&self) -> Option<Arc<Holes>> {
        if self.is_any.load(Ordering::Acquire) { self.holes.load_full() } else { None }
    }

    pub(super) fn store(&self, holes: Holes) {
        let is_any = !holes.is_empty();
        self.holes.store(is_any.then(|| Arc::new(holes)));
        self.is_any.store(is_any, Ordering::Release);
    }

    pub(super) fn store_untold(&self, holes: Holes) {
        self.is_untold.store(!holes.is_empty(), Ordering::Release);
        self.store(holes);
    }

    pub(super) fn is_untold(&self) -> bool {
        self.is_untold.load(Ordering::Acquire)
    }

    pub(super) fn take_untold(&self) -> bool {
        self.is_untold.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(position: u64, end: u64, offset: i64, next_offset: i64) -> Hole {
        Hole { position, end, offset, next_offset }
    }

    #[test]
    fn an_offset_and_a_position_find_their_hole() {
        let holes = Holes::new(vec![hole(500, 600, 50, 60), hole(100, 200, 10, 20), hole(200, 300, 20, 30)]);
        assert_eq!(
            holes.iter().copied().collect::<Vec<_>>(),
            [hole(100, 300, 10, 30), hole(500, 600, 50, 60)]
        );
        let at = |offset| holes.at_offset(offset).map(|hole| hole.position);
        assert_eq!(
            [at(9), at(10), at(29), at(30), at(59), at(60)],
            [None, Some(100), Some(100), None, Some(500), None]
        );
        let from = |offset| holes.next_from(offset).map(|hole| hole.position);
        assert_eq!([from(0), from(29), from(30), from(60)], [Some(100), Some(100), Some(500), None]);
        let within = |position| holes.at_position(position).map(|hole| hole.position);
        assert_eq!([within(99), within(100), within(299), within(300)], [None, Some(100), Some(100), None]);
        assert!(holes.contains(&hole(500, 600, 50, 60)) && !holes.contains(&hole(500, 601, 50, 60)));
    }
}
