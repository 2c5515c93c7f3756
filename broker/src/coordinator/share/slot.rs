//! A share partition behind its lock, and its way to the disk.
//!
//! The order of the log is the order of the events, because records are queued under the lock. An answer leaves when its
//! record is durable, and what memory knows from earlier ones. An append that is refused (a full disk) leaves memory ahead of
//! the log: the next one is a snapshot then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::durable::StateBatch;
use super::error::ShareError;
use super::key::ShareKey;
use super::share_partition::SharePartition;
use super::state_record::{self, Stamp};
use super::written::{Fates, Queued, Written};
use crate::clock::Clock;
use crate::partition::{AckAt, Appender, Partition, Waiters};

/// The way to `__share_group_state`.
#[derive(Debug)]
pub(super) struct StateLog {
    pub(super) appender: Appender,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) updates_per_snapshot: u32,
}

/// A share partition that several requests may want at once.
#[derive(Debug)]
pub struct Slot {
    key: ShareKey,
    /// The partition of `__share_group_state` that its records are in.
    home: Arc<Partition>,
    log: Arc<StateLog>,
    /// Set once the start offset is known and durable.
    pub(super) begun: OnceCell<()>,
    state: Mutex<SlotState>,
    fates: Arc<Fates>,
    waiters: Waiters,
}

#[derive(Debug)]
struct SlotState {
    /// None until it is known where to begin.
    share: Option<SharePartition>,
    stamp: Stamp,
    /// The start offset that the log knows.
    written_start: i64,
    /// Updates since the last snapshot.
    updates: u32,
    /// The log lacks something: the next record is a snapshot.
    is_behind: bool,
    /// The state was deleted; another slot may have the key.
    is_gone: bool,
    /// Records that nobody awaits.
    unwatched: Vec<Queued>,
}

impl Slot {
    /// One of which nothing is known.
    pub(super) fn new(key: ShareKey, home: Arc<Partition>, log: Arc<StateLog>) -> Self {
        let stamp = Stamp { created_ms: log.clock.now_ms(), ..Stamp::default() };
        Self::with(key, home, log, None, stamp)
    }

    /// One as the log says.
    pub(super) fn loaded(
        key: ShareKey,
        home: Arc<Partition>,
        log: Arc<StateLog>,
        share: Option<SharePartition>,
        stamp: Stamp,
    ) -> Self {
        Self::with(key, home, log, share, stamp)
    }

    fn with(
        key: ShareKey,
        home: Arc<Partition>,
        log: Arc<StateLog>,
        share: Option<SharePartition>,
        stamp: Stamp,
    ) -> Self {
        let begun = if share.is_some() { OnceCell::new_with(Some(())) } else { OnceCell::new() };
        let written_start = share.as_ref().map_or(-1, SharePartition::start_offset);
        let state = SlotState {
            share,
            stamp,
            written_start,
            updates: 0,
            // How many updates there were since the last snapshot was not counted.
            is_behind: true,
            is_gone: false,
            unwatched: Vec::new(),
        };
        let state = Mutex::new(state);
        Self { key, home, log, begun, state, fates: Arc::default(), waiters: Waiters::default() }
    }

    /// Its name.
    pub fn key(&self) -> &ShareKey {
        &self.key
    }

    /// Fetches that wait for records to come back.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Looks at the partition; none before it is known where to begin, or once it is gone.
    pub fn look<R>(&self, look: impl FnOnce(&mut SharePartition) -> R) -> Option<R> {
        let mut state = self.lock();
        if state.is_gone { None } else { state.share.as_mut().map(look) }
    }

    /// Has something happen to the partition and queues what changed.
    ///
    /// # Errors
    /// [`ShareError::Gone`].
    pub(super) fn happen<R>(
        &self,
        event: impl FnOnce(&mut SharePartition) -> (R, Vec<StateBatch>),
    ) -> Result<(R, Written), ShareError> {
        let mut state = self.lock();
        if state.is_gone {
            return Err(ShareError::Gone);
        }
        let share = state.share.as_mut().ok_or(ShareError::Gone)?;
        let before = share.start_offset();
        let (result, changed) = event(share);
        let is_news = !changed.is_empty() || before != share.start_offset();
        let written = if is_news { self.write(&mut state, &changed) } else { None };
        drop(state);
        if is_news {
            self.waiters.wake_all();
        }
        Ok((result, written))
    }

    /// As [`Slot::happen`], where nobody waits for it to be durable.
    pub(super) fn happen_unwatched(&self, event: impl FnOnce(&mut SharePartition) -> Vec<StateBatch>) {
        // One that is gone has nothing to lose.
        if let Ok(((), Some(written))) = self.happen(|share| ((), event(share))) {
            self.lock().unwatched.push(written);
        }
    }

    /// The whole state, if not all that memory knows is known to be durable: who says what another request has said before
    /// must not be answered earlier than that one could be.
    pub(super) fn catch_up(&self) -> Written {
        let mut state = self.lock();
        let is_pending = self.note_fates(&mut state);
        if is_pending || state.is_behind { self.snapshot(&mut state) } else { None }
    }

    /// Begins anew at `start`: as a whole, under a state epoch of its own.
    ///
    /// # Errors
    /// [`ShareError::Gone`].
    pub(super) fn begin(&self, start: i64, state_epoch: i32) -> Result<Written, ShareError> {
        self.begin_by(|state| {
            state.share = Some(SharePartition::new(start));
            state.stamp.state_epoch = state_epoch;
        })
    }

    /// Begins at `start` unless it has begun. That is written once more then: who had it begin may not have waited, or in
    /// vain.
    ///
    /// # Errors
    /// [`ShareError::Gone`].
    pub(super) fn begin_once(&self, start: i64) -> Result<Written, ShareError> {
        self.begin_by(|state| {
            state.share.get_or_insert_with(|| SharePartition::new(start));
        })
    }

    fn begin_by(&self, begin: impl FnOnce(&mut SlotState)) -> Result<Written, ShareError> {
        let mut state = self.lock();
        if state.is_gone {
            return Err(ShareError::Gone);
        }
        begin(&mut state);
        state.is_behind = true;
        let written = self.write(&mut state, &[]);
        drop(state);
        self.waiters.wake_all();
        Ok(written)
    }

    /// As [`Slot::happen_unwatched`], for what no update can say: the whole state is written.
    pub(super) fn restate(&self, event: impl FnOnce(&mut SharePartition)) {
        let mut state = self.lock();
        if state.is_gone {
            return;
        }
        let Some(share) = state.share.as_mut() else { return };
        event(share);
        state.is_behind = true;
        let written = self.write(&mut state, &[]);
        state.unwatched.extend(written);
        drop(state);
        self.waiters.wake_all();
    }

    /// Deletes the state. Whoever has the slot finds it gone.
    pub(super) fn delete(&self) -> Written {
        let mut state = self.lock();
        if std::mem::replace(&mut state.is_gone, true) {
            return None;
        }
        let written = self.append(&state_record::tombstone(&self.key));
        drop(state);
        self.waiters.wake_all();
        written
    }

    /// Writes the whole state, so that what came before it in the log is no longer needed.
    pub(super) fn write_snapshot(&self) -> Written {
        self.snapshot(&mut self.lock())
    }

    fn snapshot(&self, state: &mut SlotState) -> Written {
        state.is_behind = true;
        if state.is_gone { None } else { self.write(state, &[]) }
    }

    /// Finds out whether the log lacks something; returns whether that is still open for some record.
    fn note_fates(&self, state: &mut SlotState) -> bool {
        state.unwatched.retain_mut(|written| !written.is_settled());
        // Before the loss: see `Queued::settle`.
        let is_pending = self.fates.is_pending();
        state.is_behind |= self.fates.take_lost();
        is_pending
    }

    fn write(&self, state: &mut SlotState, changed: &[StateBatch]) -> Written {
        self.note_fates(state);
        let share = state.share.as_ref()?;
        state.stamp.written_ms = self.log.clock.now_ms();
        let record = if state.is_behind || self.log.updates_per_snapshot <= state.updates {
            state.stamp.snapshot_epoch = state.stamp.snapshot_epoch.wrapping_add(1);
            (state.is_behind, state.updates) = (false, 0);
            state_record::snapshot(&self.key, &state.stamp, share)
        } else {
            state.updates += 1;
            let start = Some(share.start_offset()).filter(|start| *start != state.written_start);
            state_record::update(&self.key, &state.stamp, share, start, changed)
        };
        state.written_start = share.start_offset();
        self.append(&record)
    }

    fn append(&self, record: &sendlog_protocol::share_state_records::ShareStateRecord) -> Written {
        match state_record::batch(record, self.log.clock.now_ms()) {
            Ok(batch) => {
                let answer = self.log.appender.append(Arc::clone(&self.home), batch, AckAt::Durable);
                Some(Queued::new(answer, &self.fates))
            }
            Err(error) => {
                // A window is bounded, and so is what is written of it.
                tracing::error!(key = %self.key.coordinator_key(), %error, "the state of a share partition cannot be written");
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
