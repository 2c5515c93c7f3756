//! Leader epochs of a partition: from which offset on each one holds (KIP-101).
//!
//! On one node an epoch ends when recovery has cut something; clients ask for its end to find out that records are gone. The
//! list goes into the broker's checkpoint.

use serde::{Deserialize, Serialize};

/// An epoch and its first offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStart {
    /// Leader epoch.
    pub epoch: i32,
    /// First offset that was, or will be, appended in it.
    pub start_offset: i64,
}

/// An epoch and where it ends: the answer to OffsetForLeaderEpoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest known epoch that is not above the requested one.
    pub epoch: i32,
    /// Offset after its last record.
    pub end_offset: i64,
}

/// All epochs of a partition; epochs and offsets rise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeaderEpochs {
    starts: Vec<EpochStart>,
}

impl LeaderEpochs {
    /// The last epoch; none if there was none yet.
    #[must_use]
    pub fn latest(&self) -> Option<EpochStart> {
        self.starts.last().copied()
    }

    /// All of them.
    #[must_use]
    pub fn starts(&self) -> &[EpochStart] {
        &self.starts
    }

    /// Notes that `epoch` holds from `start_offset` on; epochs that began there or later, or are not below it, are
    /// forgotten: they have no records. Returns whether anything changed.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        if self.latest().is_some_and(|last| last.epoch == epoch && last.start_offset <= start_offset) {
            return false;
        }
        self.starts.retain(|start| start.epoch < epoch && start.start_offset < start_offset);
        self.starts.push(EpochStart { epoch, start_offset });
        true
    }

    /// Where `epoch` ends, in a log that ends at `log_end`. None if it is unknown: above the last, or there is none.
    #[must_use]
    pub fn end_offset_for(&self, epoch: i32, log_end: i64) -> Option<EpochEnd> {
        let last = self.latest()?;
        if epoch < 0 || last.epoch < epoch {
            return None;
        }
        let next = self.starts.partition_point(|start| start.epoch <= epoch);
        let end_offset = self.starts.get(next).map_or(log_end, |start| start.start_offset);
        // Kafka answers for an epoch before the first with that epoch itself.
        let epoch = next.checked_sub(1).and_then(|at| self.starts.get(at)).map_or(epoch, |start| start.epoch);
        Some(EpochEnd { epoch, end_offset })
    }

    /// Forgets what lies below a new log start; the epoch that holds there stays.
    pub fn advance_start(&mut self, start_offset: i64) {
        let behind = self.starts.partition_point(|start| start.start_offset <= start_offset);
        let Some(first) = behind.checked_sub(1) else { return };
        self.starts.drain(..first);
        if let Some(start) = self.starts.first_mut() {
            start.start_offset = start_offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(starts: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start_offset) in starts {
            epochs.assign(*epoch, *start_offset);
        }
        epochs
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next() {
        let epochs = epochs(&[(0, 0), (3, 10), (5, 20)]);
        let end = |epoch| epochs.end_offset_for(epoch, 33).map(|end| (end.epoch, end.end_offset));
        assert_eq!(end(0), Some((0, 10)));
        assert_eq!(end(2), Some((0, 10)));
        assert_eq!(end(3), Some((3, 20)));
        assert_eq!(end(5), Some((5, 33)));
        assert_eq!(end(6), None);
        assert_eq!(end(-1), None);
        assert_eq!(LeaderEpochs::default().end_offset_for(0, 0), None);
    }

    #[test]
    fn an_epoch_without_records_is_forgotten() {
        let mut list = epochs(&[(0, 0), (1, 10)]);
        assert!(!list.assign(1, 12));
        assert!(list.assign(2, 10));
        assert_eq!(list, epochs(&[(0, 0), (2, 10)]));
        assert!(list.assign(3, 0));
        assert_eq!(list, epochs(&[(3, 0)]));
    }

    #[test]
    fn a_new_start_keeps_the_epoch_that_holds_there() {
        let mut list = epochs(&[(0, 0), (1, 10), (2, 20)]);
        list.advance_start(15);
        assert_eq!(list, epochs(&[(1, 15), (2, 20)]));
        list.advance_start(20);
        assert_eq!(list, epochs(&[(2, 20)]));
        assert_eq!(list.end_offset_for(1, 30), Some(EpochEnd { epoch: 1, end_offset: 20 }));
    }
}
