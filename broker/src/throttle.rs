//! How a background thread keeps to a rate, and how the broker's end finds it while it waits.
//!
//! What a step costs is the thread's own affair.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Steps that each begin when the one before is paid for. Time that was not used is never made up for.
pub(crate) struct Throttle<'a> {
    stop: &'a Receiver<()>,
    /// When the next step may begin.
    due: Cell<Instant>,
}

impl<'a> Throttle<'a> {
    /// The first step is free; `stop` is closed when the broker stops.
    pub(crate) fn new(stop: &'a Receiver<()>) -> Self {
        Self { stop, due: Cell::new(Instant::now()) }
    }

    /// Waits until a step of this cost may begin; false if the broker stops.
    pub(crate) fn step(&self, cost: Duration) -> bool {
        let now = Instant::now();
        let due = self.due.get();
        if is_stopped(self.stop, due.saturating_duration_since(now)) {
            return false;
        }
        self.due.set(due.max(now) + cost);
        true
    }

    /// When the next step may begin.
    #[cfg(test)]
    pub(crate) fn due(&self) -> Instant {
        self.due.get()
    }
}

/// Waits; whether the broker stops.
pub(crate) fn is_stopped(stop: &Receiver<()>, wait: Duration) -> bool {
    stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout)
}
