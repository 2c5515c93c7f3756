//! A share partition as it is on disk: a snapshot, and updates of it.
//!
//! Only what has ended is written: that a member has a record at the moment is lost with the broker, and the record is
//! available again. So a record that was accepted never comes back, and one that was not always does.

use super::delivery::{Delivery, DurableState};
use super::share_partition::SharePartition;
use super::spans::Span;

/// Records with the same history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateBatch {
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
    /// What is known of them.
    pub state: DurableState,
}

impl StateBatch {
    /// Adds a batch behind others, as a part of the last one if it goes on in the same state.
    pub fn push(batches: &mut Vec<Self>, batch: Self) {
        match batches.last_mut() {
            Some(last) if last.state == batch.state && last.last + 1 == batch.first => last.last = batch.last,
            _ => batches.push(batch),
        }
    }
}

impl SharePartition {
    /// As a snapshot says.
    pub fn restored(start: i64, batches: &[StateBatch]) -> Self {
        let mut partition = Self::new(start);
        partition.replay(start, batches);
        partition
    }

    /// Takes an update over: `start` is the start offset after it, -1 if it says nothing of that.
    pub fn replay(&mut self, start: i64, batches: &[StateBatch]) {
        for batch in batches {
            let first = batch.first.max(self.start);
            // Nothing was written that would not be so; a file can say anything.
            if batch.last < first || batch.last == i64::MAX {
                continue;
            }
            self.extend(batch.last + 1);
            self.put(Span { first, last: batch.last, value: Delivery::restored(batch.state) });
        }
        if self.start < start {
            self.drop_below(start);
        }
        self.advance_start();
    }

    /// All that a crash must not forget, beside the start offset.
    pub fn snapshot(&self) -> Vec<StateBatch> {
        let mut batches = Vec::new();
        for span in self.in_flight.iter() {
            if let Some(state) = span.value.durable() {
                StateBatch::push(&mut batches, StateBatch { first: span.first, last: span.last, state });
            }
        }
        batches
    }
}
