//! The output of a process as it arrives: collected by a thread, readable at any time, awaitable by content.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// All that a process has written to one of its streams so far.
#[derive(Clone, Debug, Default)]
pub struct Output {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    closed: bool,
}

impl Output {
    /// Starts a thread that reads `source` to its end.
    pub fn collect(mut source: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let collected = output.clone();
        thread::spawn(move || {
            let mut chunk = [0; 8192];
            loop {
                // A read error means that nothing more can come, as the end of the stream does.
                let read = source.read(&mut chunk).unwrap_or(0);
                let mut state = collected.lock();
                state.bytes.extend_from_slice(&chunk[..read]);
                state.closed = read == 0;
                collected.shared.changed.notify_all();
                if state.closed {
                    return;
                }
            }
        });
        output
    }

    /// The text so far; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Waits until `find` finds something in the text, and returns it; `None` once the stream has ended without it or
    /// `timeout` has passed.
    pub fn wait_for<T>(&self, timeout: Duration, mut find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if let Some(found) = find(&String::from_utf8_lossy(&state.bytes)) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return None;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the stream has ended, so that [`text`](Self::text) is complete. False when `timeout` has passed.
    pub fn wait_for_end(&self, timeout: Duration) -> bool {
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(self.lock(), timeout, |state| !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
