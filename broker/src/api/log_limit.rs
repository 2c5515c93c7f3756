//! Keeps a stranger from filling the disk with log lines.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lines in a window of time; what is beyond is counted.
#[derive(Debug)]
pub struct LogLimit {
    lines_max: u32,
    window: Duration,
    state: Mutex<Option<State>>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    began: Instant,
    lines: u32,
    left_out: u64,
}

/// Whether a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It is, and so many were left out before it.
    Write {
        /// Lines left out in the window before.
        left_out: u64,
    },
    /// It is not.
    LeaveOut,
}

impl LogLimit {
    /// At most `lines_max` lines in each `window`.
    pub const fn new(lines_max: u32, window: Duration) -> Self {
        Self { lines_max, window, state: Mutex::new(None) }
    }

    /// Asks for a line.
    pub fn line(&self) -> Line {
        self.line_at(Instant::now())
    }

    fn line_at(&self, now: Instant) -> Line {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let current = match *state {
            Some(current) if now.saturating_duration_since(current.began) < self.window => current,
            before => {
                let left_out = before.map_or(0, |before| before.left_out);
                *state = Some(State { began: now, lines: 1, left_out: 0 });
                return Line::Write { left_out };
            }
        };
        let is_written = current.lines < self.lines_max;
        *state = Some(match is_written {
            true => State { lines: current.lines + 1, ..current },
            false => State { left_out: current.left_out + 1, ..current },
        });
        if is_written { Line::Write { left_out: 0 } } else { Line::LeaveOut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_in_the_next_window() {
        let limit = LogLimit::new(2, Duration::from_secs(1));
        let start = Instant::now();
        assert_eq!(limit.line_at(start), Line::Write { left_out: 0 });
        assert_eq!(limit.line_at(start), Line::Write { left_out: 0 });
        assert_eq!(limit.line_at(start), Line::LeaveOut);
        assert_eq!(limit.line_at(start), Line::LeaveOut);
        let later = start + Duration::from_secs(1);
        assert_eq!(limit.line_at(later), Line::Write { left_out: 2 });
        assert_eq!(limit.line_at(later), Line::Write { left_out: 0 });
    }
}
