//! The offsets of a partition, in one object that asserts their order.
//!
//! `log start <= last stable <= high watermark <= log end`, always. The high watermark is the
//! durable end, unless the topic's flush policy was relaxed: then it is the log end, and the
//! durable end follows behind. Both move here and nowhere else, and only the commit path calls
//! this. Replication and transactions plug in here.

use crate::storage::view::Bound;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The four offsets at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetsView {
    /// The first offset that can be read.
    pub log_start: i64,
    /// The first offset that a `read_committed` consumer may not read.
    pub last_stable: i64,
    /// The first offset that no consumer may read: the durable end.
    pub high_watermark: i64,
    /// The offset that the next record will get.
    pub log_end: i64,
}

/// The offsets, and the place in the log where the high watermark lies.
#[derive(Debug)]
pub struct Offsets {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    log_start: i64,
    high_watermark: Bound,
    durable: Bound,
    log_end: i64,
}

impl State {
    fn assert_order(&self) {
        assert!(
            self.log_start <= self.high_watermark.offset
                && self.durable.offset <= self.high_watermark.offset
                && self.high_watermark.offset <= self.log_end,
            "offsets out of order: {self:?}"
        );
    }
}

impl Offsets {
    /// Offsets of a log just opened: all that is in it is durable.
    pub fn opened(log_start: i64, end: Bound) -> Self {
        let state = State { log_start, high_watermark: end, durable: end, log_end: end.offset };
        state.assert_order();
        Self { state: Mutex::new(state) }
    }

    /// All offsets at one moment.
    pub fn view(&self) -> OffsetsView {
        let state = self.lock();
        let high_watermark = state.high_watermark.offset;
        OffsetsView {
            log_start: state.log_start,
            last_stable: high_watermark,
            high_watermark,
            log_end: state.log_end,
        }
    }

    /// The high watermark with its place in the log: readers may read below it.
    pub fn high_watermark(&self) -> Bound {
        self.lock().high_watermark
    }

    /// Records were appended up to `log_end`; they are not visible yet.
    pub fn advance_log_end(&self, log_end: i64) {
        let mut state = self.lock();
        assert!(state.log_end <= log_end, "the log end never goes back");
        state.log_end = log_end;
    }

    /// The durable end: what a crash cannot take back.
    pub fn durable(&self) -> Bound {
        self.lock().durable
    }

    /// All below `end` is on disk, and may be read. An older bound than the present one changes
    /// nothing: two rounds may finish in either order. Returns whether the watermark moved.
    pub fn advance_durable(&self, end: Bound) -> bool {
        let mut state = self.lock();
        if state.durable.offset < end.offset {
            state.durable = end;
        }
        let moves = state.high_watermark.offset < end.offset;
        if moves {
            state.high_watermark = end;
        }
        state.assert_order();
        moves
    }

    /// All below `end` may be read although it is not on disk: the topic's flush policy says so.
    pub fn advance_undurable(&self, end: Bound) -> bool {
        let mut state = self.lock();
        let moves = state.high_watermark.offset < end.offset;
        if moves {
            state.high_watermark = end;
        }
        state.assert_order();
        moves
    }

    /// Records below `log_start` are gone. Going back, or past the high watermark, is our own fault.
    pub fn advance_log_start(&self, log_start: i64) {
        let mut state = self.lock();
        assert!(state.log_start <= log_start, "the log start never goes back");
        state.log_start = log_start;
        state.assert_order();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(offset: i64) -> Bound {
        Bound { offset, segment_base: 0, position: offset.unsigned_abs() * 100 }
    }

    #[test]
    fn an_older_round_does_not_move_the_watermark_back() {
        let offsets = Offsets::opened(0, bound(0));
        offsets.advance_log_end(10);
        assert!(offsets.advance_durable(bound(10)));
        assert!(!offsets.advance_durable(bound(5)));
        assert_eq!(offsets.view().high_watermark, 10);
    }

    #[test]
    #[should_panic(expected = "out of order")]
    fn the_watermark_cannot_pass_the_log_end() {
        let offsets = Offsets::opened(0, bound(0));
        offsets.advance_durable(bound(1));
    }
}
