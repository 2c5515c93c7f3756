//! A share partition behind its lock, and its way to the disk.
//!
//! The order of the log is the order of the events, because records are queued under the lock. An answer leaves when its
//! record is durable. An append that is refused (a full disk) leaves memory ahead of the log: the next one is a snapshot then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OnceCell, oneshot};

use super::durable::StateBatch;
use super::error::ShareError;
use super::key::ShareKey;
use super::share_partition::SharePartition;
use super::state_record::{self, Stamp};
use crate::clock::Clock;
use crate::partition::{AckAt, AppendResult, Appender, Partition, Waiters};

/// What is on its way to the disk; none if nothing had to be written.
pub(super) type Written = Option<oneshot::Receiver<AppendResult>>;

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
    unwatched: Vec<oneshot::Receiver<AppendResult>>,
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
        Self { key, home, log, begun, state: Mutex::new(state), waiters: Waiters::default() }
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

    /// Begins anew at `start`: as a whole, under a state epoch of its own.
    ///
    /// # Errors
    /// [`ShareError::Gone`].
    pub(super) fn begin(&self, start: i64, state_epoch: i32) -> Result<Written, ShareError> {
        let mut state = self.lock();
        if state.is_gone {
            return Err(ShareError::Gone);
        }
        state.share = Some(SharePartition::new(start));
        state.stamp.state_epoch = state_epoch;
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
        let mut state = self.lock();
        state.is_behind = true;
        if state.is_gone { None } else { self.write(&mut state, &[]) }
    }

    /// Waits until a record is durable.
    ///
    /// # Errors
    /// [`ShareError::Append`]: memory is ahead of the log then, and the next record makes up for it.
    pub(super) async fn stored(&self, written: Written) -> Result<Option<i64>, ShareError> {
        let Some(written) = written else { return Ok(None) };
        match written.await {
            Ok(Ok(appended)) => Ok(Some(appended.base_offset)),
            Ok(Err(error)) => {
                self.lock().is_behind = true;
                Err(error.into())
            }
            Err(_) => Err(ShareError::Stopping),
        }
    }

    fn write(&self, state: &mut SlotState, changed: &[StateBatch]) -> Written {
        state.unwatched.retain_mut(|written| match written.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => true,
            Ok(Ok(_)) => false,
            Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => {
                state.is_behind = true;
                false
            }
        });
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
            Ok(batch) => Some(self.log.appender.append(Arc::clone(&self.home), batch, AckAt::Durable)),
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
