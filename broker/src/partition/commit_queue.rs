//! How the commit threads share the work: a queue, a write stage and a sync stage. Knows nothing of files.
//!
//! ```text
//! take -> write stage (one thread at a time) -> sync stage (one at a time; take_more) -> end of the turn -> take
//! ```
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

/// A thread's work on a round. Whoever drops it without [`Turn::end`] breaks off (a panic), and others take over.
#[derive(Debug)]
pub(super) struct Turn<'a, J> {
    queue: &'a CommitQueue<J>,
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

    /// Waits for jobs and enters the write stage; `None` when there will be no more.
    pub(super) fn take(&self) -> Option<(Vec<J>, Turn<'_, J>)> {
        let mut state = self.lock();
        loop {
            if !state.is_writing && !state.jobs.is_empty() {
                state.busy += 1;
                return Some((state.take(), Turn { queue: self, is_writing: true, is_ended: false }));
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

    /// Waits for the sync stage; it ends with the guard.
    pub(super) fn enter_sync_stage(&self) -> MutexGuard<'_, ()> {
        self.sync_stage.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Enters the write stage again if there is something to write and nobody else does.
    pub(super) fn take_more(&mut self) -> Option<Vec<J>> {
        let mut state = self.queue.lock();
        if state.is_writing || state.jobs.is_empty() {
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
