//! What a model knows of its run beside the code under test: what was written, synced and answered, and whether that was
//! right. None of it is a scheduling point.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) producer: usize,
    pub(crate) number: usize,
    pub(crate) partition: usize,
}

/// The truth of one run.
#[derive(Debug)]
pub(crate) struct Ghost {
    truth: Mutex<Truth>,
}

#[derive(Debug, Default)]
struct Truth {
    /// Per partition, what was written, in order, and how much of it was synced.
    logs: Vec<Vec<Ticket>>,
    synced: Vec<usize>,
    answered: Vec<Ticket>,
    is_writing: bool,
    is_syncing: bool,
    syncs: usize,
    failed_sync: Option<usize>,
    is_closing: bool,
    /// Producers that are in the midst of a push.
    pushing: Vec<usize>,
    is_breaking: bool,
    is_failed: bool,
}

/// How far the interesting parts were reached, over all runs: a model that does not get there shows nothing.
static ROUNDS: AtomicUsize = AtomicUsize::new(0);
static WRITES_BESIDE_A_SYNC: AtomicUsize = AtomicUsize::new(0);
static LAST_LOOKS: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);
static WAITS: AtomicUsize = AtomicUsize::new(0);

/// The counts since the last call, in words.
pub(crate) fn reached() -> String {
    let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
    format!(
        "{} rounds, {} writes beside a sync, {} last looks with finds, {} appends dropped by a closed queue, {} fetches that waited",
        take(&ROUNDS),
        take(&WRITES_BESIDE_A_SYNC),
        take(&LAST_LOOKS),
        take(&DROPPED),
        take(&WAITS)
    )
}

/// A fetch found too little and waits.
pub(crate) fn count_wait() {
    WAITS.fetch_add(1, Ordering::Relaxed);
}

/// The last look at the queue before a sync found something.
pub(crate) fn count_last_look() {
    LAST_LOOKS.fetch_add(1, Ordering::Relaxed);
}

impl Ghost {
    pub(crate) fn new(partitions: usize) -> Self {
        let truth =
            Truth { logs: vec![Vec::new(); partitions], synced: vec![0; partitions], ..Truth::default() };
        Self { truth: Mutex::new(truth) }
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin_push(&self, producer: usize) {
        self.truth().pushing.push(producer);
    }

    pub(crate) fn end_push(&self, producer: usize) {
        self.truth().pushing.retain(|pushing| *pushing != producer);
    }

    pub(crate) fn begin_close(&self) {
        self.truth().is_closing = true;
    }

    /// A thread breaks off, and what it has in hand goes unanswered.
    pub(crate) fn break_off(&self, drop_all: impl FnOnce()) {
        self.truth().is_breaking = true;
        drop_all();
        let mut truth = self.truth();
        truth.is_breaking = false;
        truth.is_failed = true;
    }

    /// A job went without an answer: only a closed queue may do that, at once, or a thread that broke off.
    pub(crate) fn dropped(&self, ticket: Ticket) {
        let truth = self.truth();
        let is_refused = truth.is_closing && truth.pushing.contains(&ticket.producer);
        assert!(is_refused || truth.is_breaking, "{ticket:?} was never answered");
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn begin_write(&self) {
        let mut truth = self.truth();
        assert!(!truth.is_writing, "two threads are in the write stage");
        truth.is_writing = true;
        ROUNDS.fetch_add(1, Ordering::Relaxed);
        if truth.is_syncing {
            WRITES_BESIDE_A_SYNC.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes; returns the offset.
    pub(crate) fn write(&self, ticket: Ticket) -> usize {
        let mut truth = self.truth();
        let log = &mut truth.logs[ticket.partition];
        let before = log.iter().filter(|one| one.producer == ticket.producer).map(|one| one.number).max();
        assert!(before < Some(ticket.number) || before.is_none(), "{ticket:?} was written out of order");
        log.push(ticket);
        log.len() - 1
    }

    pub(crate) fn end_write(&self) {
        self.truth().is_writing = false;
    }

    /// How far a partition is written.
    pub(crate) fn end(&self, partition: usize) -> usize {
        self.truth().logs[partition].len()
    }

    /// Returns the number of the sync.
    pub(crate) fn begin_sync(&self) -> usize {
        let mut truth = self.truth();
        assert!(!truth.is_syncing, "two threads are in the sync stage");
        truth.is_syncing = true;
        truth.syncs += 1;
        truth.syncs
    }

    /// All below these ends is durable; or nothing is known any more.
    pub(crate) fn end_sync(&self, number: usize, outcome: Result<&[(usize, usize)], ()>) {
        let mut truth = self.truth();
        truth.is_syncing = false;
        match outcome {
            Ok(ends) => {
                for &(partition, end) in ends {
                    let before = truth.synced[partition];
                    assert_eq!(before + 1, end, "a round went ahead of one that was written before it");
                    truth.synced[partition] = end;
                }
            }
            Err(()) => {
                truth.is_failed = true;
                truth.failed_sync = truth.failed_sync.or(Some(number));
            }
        }
    }

    /// The high watermark of a partition is at `offset`.
    pub(crate) fn check_watermark(&self, partition: usize, offset: i64) {
        let synced = self.truth().synced[partition];
        assert!(
            usize::try_from(offset).is_ok_and(|offset| offset <= synced),
            "the watermark passed the sync"
        );
    }

    /// Somebody is told that an append is at `offset`, by the round of this sync.
    pub(crate) fn acknowledged(&self, ticket: Ticket, offset: usize, sync: usize) {
        let mut truth = self.truth();
        assert!(offset < truth.synced[ticket.partition], "{ticket:?} was acknowledged before its sync");
        assert_eq!(truth.logs[ticket.partition][offset], ticket, "acknowledged at the wrong offset");
        assert!(truth.failed_sync.is_none_or(|failed| sync < failed), "acknowledged after a failure");
        truth.answer(ticket);
    }

    pub(crate) fn refused(&self, ticket: Ticket) {
        let mut truth = self.truth();
        assert!(truth.is_failed, "{ticket:?} was refused without a reason");
        truth.answer(ticket);
    }
}

impl Truth {
    fn answer(&mut self, ticket: Ticket) {
        assert!(!self.answered.contains(&ticket), "{ticket:?} was answered twice");
        self.answered.push(ticket);
    }
}
