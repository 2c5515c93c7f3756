//! How the commit threads share the work: a queue, a write stage and a sync stage. Knows nothing of files.
//!
//! ```text
//! take -> write stage (one thread at a time) -> sync stage (one at a time; try_take) -> finish_round -> take
//! ```
//!
//! A thread that is through with a round looks at the queue again, so a push wakes nobody while one is busy, unless it
//! is worth a second thread. No job is left behind with all threads asleep.

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that are worth a second thread while the first one syncs.
pub(super) const OVERLAP_BYTES_MIN: usize = 256 << 10;

/// The queue of jobs, and who works on them.
#[derive(Debug)]
pub(super) struct CommitQueue<J> {
    state: Mutex<State<J>>,
    arrived: Condvar,
    sync_stage: Mutex<()>,
}

#[derive(Debug)]
struct State<J> {
    jobs: Vec<J>,
    /// Bytes of the batches among them.
    bytes: usize,
    /// A thread is in the write stage; what is queued meanwhile is its to take when it looks again.
    is_writing: bool,
    /// Threads that write, sync or acknowledge: each looks at the queue when it is through.
    busy: usize,
    /// Threads that sleep, and whether one of them was called.
    sleeping: usize,
    is_called: bool,
    is_closed: bool,
}

impl<J> CommitQueue<J> {
    pub(super) fn new() -> Self {
        let state = State {
            jobs: Vec::new(),
            bytes: 0,
            is_writing: false,
            busy: 0,
            sleeping: 0,
            is_called: false,
            is_closed: false,
        };
        Self { state: Mutex::new(state), arrived: Condvar::new(), sync_stage: Mutex::new(()) }
    }

    /// Queues a job of so many bytes; drops it if the queue is closed.
    pub(super) fn push(&self, job: J, bytes: usize) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        state.bytes += bytes;
        state.jobs.push(job);
        self.call(&mut state);
    }

    /// Takes no more jobs; threads leave when what is queued is done.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// Waits for jobs and enters the write stage; `None` when there will be no more. The thread is busy until it calls
    /// [`CommitQueue::finish_round`].
    pub(super) fn take(&self) -> Option<Vec<J>> {
        let mut state = self.lock();
        loop {
            if !state.is_writing && !state.jobs.is_empty() {
                state.busy += 1;
                return Some(state.take());
            }
            if state.is_closed && state.jobs.is_empty() {
                return None;
            }
            state.sleeping += 1;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
            state.is_called = false;
        }
    }

    /// Enters the write stage if there is something to write and nobody else does.
    pub(super) fn try_take(&self) -> Option<Vec<J>> {
        let mut state = self.lock();
        if state.is_writing || state.jobs.is_empty() {
            return None;
        }
        Some(state.take())
    }

    /// What was taken is written.
    pub(super) fn leave_write_stage(&self) {
        let mut state = self.lock();
        state.is_writing = false;
        if state.is_closed {
            self.arrived.notify_all();
        }
        self.call(&mut state);
    }

    /// Waits for the sync stage; it ends with the guard.
    pub(super) fn enter_sync_stage(&self) -> MutexGuard<'_, ()> {
        self.sync_stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread is through with what it took.
    pub(super) fn finish_round(&self) {
        self.lock().busy -= 1;
    }

    /// Wakes a thread if the queue needs one.
    fn call(&self, state: &mut State<J>) {
        if state.needs_call() {
            state.is_called = true;
            self.arrived.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> State<J> {
    /// Whether a sleeping thread should be woken for what is queued. While another is busy that is
    /// worth it only for so much data that writing it beside the sync saves more than the wake costs.
    fn needs_call(&self) -> bool {
        let is_due = self.busy == 0 || OVERLAP_BYTES_MIN <= self.bytes;
        is_due && !self.jobs.is_empty() && !self.is_writing && !self.is_called && 0 < self.sleeping
    }

    fn take(&mut self) -> Vec<J> {
        self.is_writing = true;
        self.bytes = 0;
        std::mem::take(&mut self.jobs)
    }
}
