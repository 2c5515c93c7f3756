//! What is known of one log.

use std::collections::{BTreeMap, HashMap};

use super::floor::{Cause, Floor, Step};
use super::producer_state::BatchRef;

/// What is at an offset, from acknowledgements and from fetches. Event 0 means never.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub count: u32,
    pub digest: u32,
    /// `None` as long as it was not read.
    pub epoch: Option<i32>,
    pub batch: BatchRef,
    /// Of the acknowledgement, and of the sending that it acknowledges.
    pub acked: u64,
    pub sent: u64,
    /// Of the first and the last fetch that returned it.
    pub read: u64,
    pub seen: u64,
}

impl Slot {
    /// The first event that shows that it is there.
    pub fn known(&self) -> u64 {
        match (self.acked, self.read) {
            (0, event) | (event, 0) => event,
            (acked, read) => acked.min(read),
        }
    }
}

/// A commit of a group's offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commit {
    pub requested: u64,
    pub answered: Option<u64>,
    pub offset: i64,
}

/// One log.
#[derive(Clone, Debug)]
pub(super) struct LogState {
    /// `TOPIC-PARTITION`.
    pub name: String,
    /// Its start may move by itself.
    pub retention: bool,
    /// Its deletion was asked for, and answered.
    pub deletion_requested: u64,
    pub deleted: Option<u64>,
    /// By base offset; they do not overlap.
    pub slots: BTreeMap<i64, Slot>,
    /// High watermark or more.
    pub end: Floor,
    pub start: Floor,
    /// The log start that deletions were answered with.
    pub start_answered: i64,
    /// Leader epoch.
    pub epoch: Floor,
    /// The highest offset below which anybody asked to delete.
    pub deletion_max: i64,
    /// By group.
    pub commits: HashMap<u32, Vec<Commit>>,
    /// Answers to OffsetForLeaderEpoch: event, event before the request, epoch, end.
    pub epoch_ends: Vec<(u64, u64, i32, i64)>,
}

impl LogState {
    pub fn new(name: String, retention: bool) -> Self {
        Self {
            name,
            retention,
            deletion_requested: 0,
            deleted: None,
            slots: BTreeMap::new(),
            end: Floor::default(),
            start: Floor::default(),
            start_answered: 0,
            epoch: Floor::default(),
            deletion_max: 0,
            commits: HashMap::new(),
            epoch_ends: Vec::new(),
        }
    }

    /// The slots that share an offset with `base..base + count`, by base.
    pub fn overlapping(&self, base: i64, count: u32) -> Vec<i64> {
        let end = base.saturating_add(i64::from(count));
        let before = self.slots.range(..base).next_back();
        let before = before.filter(|(start, slot)| base < **start + i64::from(slot.count));
        let within = self.slots.range(base..end.max(base));
        before.into_iter().chain(within).map(|(start, _)| *start).collect()
    }

    /// A crash: what was deleted without an answer, as by retention, may be there again.
    pub fn start_after_crash(&mut self, event: u64) {
        if self.start_answered < self.start_now() {
            self.start.set(Step { event, value: self.start_answered, cause: Cause::Told });
        }
    }

    /// The log start, as far as known.
    pub fn start_now(&self) -> i64 {
        self.start.now().map_or(0, |step| step.value)
    }
}
