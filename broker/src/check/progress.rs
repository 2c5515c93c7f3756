//! How far a long check is, on one line of a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// So often the line changes.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);

/// See the module; shows nothing if stderr is no terminal.
pub(super) struct Progress {
    total_bytes: u64,
    started: Instant,
    is_terminal: bool,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(total_bytes: u64) -> Self {
        Self {
            total_bytes,
            started: Instant::now(),
            is_terminal: io::stderr().is_terminal(),
            is_shown: false,
        }
    }

    pub(super) fn show(&mut self, bytes: u64) {
        if !self.is_terminal {
            return;
        }
        self.is_shown = true;
        let seconds = self.started.elapsed().as_secs().max(1);
        let percent = bytes.saturating_mul(100).checked_div(self.total_bytes).unwrap_or(100).min(100);
        let (done, total, speed) = (bytes >> 20, self.total_bytes >> 20, (bytes >> 20) / seconds);
        // What a terminal does not take is no loss.
        let _ = write!(io::stderr(), "\r\x1b[K{percent:3} %, {done} of {total} MiB, {speed} MiB/s");
    }

    /// Takes the line away before something else is printed.
    pub(super) fn clear_if(&mut self, is_due: bool) {
        if is_due && std::mem::take(&mut self.is_shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
