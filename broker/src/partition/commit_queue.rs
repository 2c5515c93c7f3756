//! How the commit threads share the work: a queue, a write stage and a sync stage. Knows nothing of files.
//!
//! ```text
//! take -> write stage (one thread at a time) -> sync stage (one at a time; take_more) -> end of the turn -> take
//! ```
//!
//! Rounds go through the sync stage in the order in which they were written: one that went ahead would make durable, and
//! show, what stands behind batches that are not.
//!
//! A thread that is through with a round looks at the queue again, so a push wakes nobody while one is busy, unless it
//! is worth a second thread. No job is left behind with all threads asleep.

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that are worth a second thread while the first one syncs.
pub(super) const OVERLAP_BYTES_MIN: usize = 64 << 10;

/// The queue of jobs, and who works on them.
#[derive(Debug)]
pub(super) struct CommitQueue<J> {
    state: Mutex<State<J>>,
    arrived: Condvar,
    /// A turn has left the sync stage, or will not enter it.
    advanced: Condvar,
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
    /// Turns that have not been through the sync stage, in the order of their writing.
    open_turns: Vec<u64>,
    next_turn: u64,
}

/// A thread's work on a round. Whoever drops it without [`Turn::end`] breaks off (a panic), and others take over.
#[derive(Debug)]
pub(super) struct Turn<'a, J> {
    queue: &'a CommitQueue<J>,
    number: u64,
    is_writing: bool,
    is_ended: bool,
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
            open_turns: Vec::new(),
            next_turn: 0,
        };
        Self { state: Mutex::new(state), arrived: Condvar::new(), advanced: Condvar::new() }
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

    /// Waits for jobs and enters the write stage; `None` when there will be no more.
    pub(super) fn take(&self) -> Option<(Vec<J>, Turn<'_, J>)> {
        let mut state = self.lock();
        loop {
            if !state.is_writing && !state.jobs.is_empty() {
                state.busy += 1;
                let number = state.next_turn;
                state.next_turn += 1;
                state.open_turns.push(number);
                let turn = Turn { queue: self, number, is_writing: true, is_ended: false };
                return Some((state.take(), turn));
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

impl<J> Turn<'_, J> {
    /// What was taken is written: leaves the write stage.
    pub(super) fn written(&mut self) {
        let mut state = self.queue.lock();
        self.is_writing = false;
        state.is_writing = false;
        if state.is_closed {
            self.queue.arrived.notify_all();
        }
        self.queue.call(&mut state);
    }

    /// Waits for the sync stage, until all that was written before is through it. It ends with [`Turn::leave_sync_stage`], or
    /// with the turn: of one that breaks off others must know before they enter.
    pub(super) fn enter_sync_stage(&self) {
        let mut state = self.queue.lock();
        while state.open_turns.first() != Some(&self.number) {
            state = self.queue.advanced.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What was written is durable, or has failed and everybody knows.
    pub(super) fn leave_sync_stage(&self) {
        self.queue.lock().close_turn(self.number);
        self.queue.advanced.notify_all();
    }

    /// Enters the write stage again, from the sync stage, if there is something to write and nobody else does, or has: it
    /// would go ahead of that.
    pub(super) fn take_more(&mut self) -> Option<Vec<J>> {
        let mut state = self.queue.lock();
        if state.is_writing || state.jobs.is_empty() || state.open_turns.last() != Some(&self.number) {
            return None;
        }
        self.is_writing = true;
        Some(state.take())
    }

    /// The thread is through and will look at the queue again.
    pub(super) fn end(mut self) {
        self.is_ended = true;
    }
}

impl<J> Drop for Turn<'_, J> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.busy -= 1;
        state.close_turn(self.number);
        self.queue.advanced.notify_all();
        if self.is_ended {
            return;
        }
        if self.is_writing {
            state.is_writing = false;
        }
        if state.is_closed {
            self.queue.arrived.notify_all();
        }
        self.queue.call(&mut state);
    }
}

impl<J> State<J> {
    fn close_turn(&mut self, number: u64) {
        self.open_turns.retain(|open| *open != number);
    }

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
