//! The time by which records are old enough to be deleted: no jump of the machine's clock reaches it.
//!
//! A clock that is set to the year 2100 by mistake makes every record old. So beside the wall clock there is a *line*,
//! which moves on by the time that has passed, as the kernel counts it since the machine started; the decision takes the
//! earlier of the two. Where the wall clock differs from the line, the line takes the difference over once the broker has
//! run beside it for as long as the difference is, or for `sendlog.clock.jump.wait.ms`, a day, if that is less. A
//! correction by seconds is believed after seconds, a machine that was off over night costs a night, a century costs a day in
//! which somebody may read the warning.
//!
//! The line is kept in a state file, so that neither a restart nor a reboot is a way around it. It decides about deletion
//! only; a record's own timestamps, and everything that waits, know nothing of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::storage::files::FileSystem;
use crate::storage::state_file::{self, StateFileError, StateKind};

/// Name of the state file in the data directory.
pub(crate) const FILE_NAME: &str = "clock.state";

pub(crate) const KIND: StateKind = StateKind { tag: *b"TIME", version: 1 };

/// The file is saved when it is older than this. An older line believes less, never more.
const SAVE_INTERVAL_MS: i64 = 60_000;

/// Smaller jumps are nobody's concern.
const WORTH_A_WARNING_MS: i64 = 60_000;

/// Tells the time for decisions about deletion.
#[derive(Debug)]
pub struct RetentionClock {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    jump_wait_ms: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    line: Line,
    /// Time since the machine's start when the file was saved.
    saved_at_ms: Option<i64>,
}

/// What the two clocks say.
struct Times {
    wall_ms: i64,
    believed_ms: i64,
}

/// What is believed, and what is not yet. As in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The time that is believed, ms since 1970.
    believed_ms: i64,
    /// When that was, in ms since the machine's start.
    uptime_ms: i64,
    /// Which start of the machine.
    boot_id: [u8; 16],
    /// The wall clock was ahead of the line, or behind it if negative, by at least this much...
    ahead_ms: i64,
    /// ...for so long, counted while a broker ran.
    waited_ms: i64,
}

impl RetentionClock {
    /// Goes on from the state file in `data_dir`. Only an `is_new` directory believes the wall clock from the start; where
    /// the file is missing or damaged, the clock counts as one that has jumped. Differences are believed after `jump_wait_ms`
    /// at most.
    pub fn open(
        files: &Arc<dyn FileSystem>,
        data_dir: &Path,
        is_new: bool,
        clock: Arc<dyn Clock>,
        jump_wait_ms: i64,
    ) -> Self {
        let path = data_dir.join(FILE_NAME);
        let line = match state_file::load::<Line>(files.as_ref(), &path, KIND) {
            Ok(Some(line)) => line,
            Ok(None) => Line::starting_at(if is_new { clock.now_ms() } else { 0 }, &*clock),
            Err(error) => {
                tracing::warn!(%error, "the clock counts as one that has jumped");
                Line::starting_at(0, &*clock)
            }
        };
        let state = Mutex::new(State { line, saved_at_ms: None });
        let this = Self { files: Arc::clone(files), path, clock, jump_wait_ms, state };
        this.now_ms();
        this
    }

    /// The time by which records may be deleted, ms since 1970. To be asked often: what is not seen is not waited for.
    /// May write to the disk.
    pub fn now_ms(&self) -> i64 {
        let Times { wall_ms, believed_ms } = self.look();
        wall_ms.min(believed_ms)
    }

    /// The latest time that it may be: what is to be kept for a while from now on is kept from then. In all else as
    /// [`RetentionClock::now_ms`].
    pub fn latest_ms(&self) -> i64 {
        let Times { wall_ms, believed_ms } = self.look();
        wall_ms.max(believed_ms)
    }

    fn look(&self) -> Times {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall_ms, uptime_ms) = (self.clock.now_ms(), self.clock.uptime_ms());
        let before = state.line.ahead_ms;
        let has_believed = state.line.look(wall_ms, uptime_ms, self.clock.boot_id(), self.jump_wait_ms);
        let ahead_ms = state.line.ahead_ms;
        if has_believed && WORTH_A_WARNING_MS <= before.saturating_abs() {
            tracing::info!(jump_ms = before, "the clock's jump is believed: retention goes by it");
        } else if before.signum() != ahead_ms.signum() && WORTH_A_WARNING_MS <= ahead_ms.saturating_abs() {
            let wait_ms = ahead_ms.saturating_abs().min(self.jump_wait_ms);
            tracing::warn!(
                jump_ms = ahead_ms,
                wait_ms,
                "the machine's clock differs from the time that has passed; nothing is deleted by the new time \
                 for now. Is it right? See sendlog.clock.jump.wait.ms"
            );
        }
        let is_due = state.saved_at_ms.is_none_or(|saved| SAVE_INTERVAL_MS <= uptime_ms - saved);
        if is_due || has_believed {
            state.saved_at_ms = Some(uptime_ms);
            if let Err(error) = self.save(&state.line) {
                tracing::warn!(%error, "the clock's state was not saved");
            }
        }
        Times { wall_ms, believed_ms: state.line.believed_ms }
    }

    /// Saves what is believed, at the broker's end.
    ///
    /// # Errors
    /// [`StateFileError`]; the next start believes what was saved before.
    pub fn finish(&self) -> Result<(), StateFileError> {
        self.now_ms();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.save(&state.line)
    }

    fn save(&self, line: &Line) -> Result<(), StateFileError> {
        state_file::save(self.files.as_ref(), &self.path, KIND, line)
    }
}

impl Line {
    fn starting_at(believed_ms: i64, clock: &dyn Clock) -> Self {
        let (uptime_ms, boot_id) = (clock.uptime_ms(), clock.boot_id());
        Self { believed_ms, uptime_ms, boot_id, ahead_ms: 0, waited_ms: 0 }
    }

    /// Moves on to now; whether a difference was taken over.
    fn look(&mut self, wall_ms: i64, uptime_ms: i64, boot_id: [u8; 16], wait_ms_max: i64) -> bool {
        // How long a machine was off, nobody knows but the clock that is in question.
        let passed_ms = if self.boot_id == boot_id { (uptime_ms - self.uptime_ms).max(0) } else { 0 };
        (self.uptime_ms, self.boot_id) = (uptime_ms, boot_id);
        self.believed_ms = self.believed_ms.saturating_add(passed_ms);
        let ahead_ms = wall_ms.saturating_sub(self.believed_ms);
        if ahead_ms.signum() == self.ahead_ms.signum() {
            // The smallest of the differences seen: a second jump waits for itself.
            self.ahead_ms =
                if 0 < ahead_ms { ahead_ms.min(self.ahead_ms) } else { ahead_ms.max(self.ahead_ms) };
            self.waited_ms = self.waited_ms.saturating_add(passed_ms);
        } else {
            (self.ahead_ms, self.waited_ms) = (ahead_ms, 0);
        }
        if self.ahead_ms == 0 || self.waited_ms < self.ahead_ms.saturating_abs().min(wait_ms_max) {
            return false;
        }
        self.believed_ms = self.believed_ms.saturating_add(self.ahead_ms);
        (self.ahead_ms, self.waited_ms) = (wall_ms.saturating_sub(self.believed_ms), 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::storage::files::RealFs;
    use tempfile::TempDir;

    const START_MS: i64 = 1_750_000_000_000;
    const MINUTE_MS: i64 = 60_000;
    const HOUR_MS: i64 = 60 * MINUTE_MS;
    const DAY_MS: i64 = 24 * HOUR_MS;
    const YEAR_2100_MS: i64 = 4_102_444_800_000;

    struct Fixture {
        dir: TempDir,
        clock: ManualClock,
        is_new: bool,
    }

    impl Fixture {
        fn new() -> Self {
            Self { dir: TempDir::new().unwrap(), clock: ManualClock::at(START_MS), is_new: true }
        }

        fn open(&mut self) -> RetentionClock {
            self.open_with(DAY_MS)
        }

        fn open_with(&mut self, wait_ms: i64) -> RetentionClock {
            let files: Arc<dyn FileSystem> = Arc::new(RealFs);
            let is_new = std::mem::take(&mut self.is_new);
            RetentionClock::open(&files, self.dir.path(), is_new, Arc::new(self.clock.clone()), wait_ms)
        }

        /// Lets time pass, looking from time to time as retention does.
        fn run(&self, clock: &RetentionClock, ms: i64) -> i64 {
            let step_ms = (ms / 12).max(5 * MINUTE_MS);
            for _ in 0..ms / step_ms {
                self.clock.pass(step_ms);
                clock.now_ms();
            }
            clock.now_ms()
        }
    }

    #[test]
    fn a_clock_that_runs_is_followed() {
        let mut fixture = Fixture::new();
        let clock = fixture.open();
        assert_eq!(clock.now_ms(), START_MS);
        assert_eq!(fixture.run(&clock, 30 * DAY_MS), START_MS + 30 * DAY_MS);
        // By two seconds an hour too fast, and corrected: never more than that behind.
        for hour in 1..100 {
            fixture.clock.pass(HOUR_MS);
            fixture.clock.set(fixture.clock.now_ms() + 2_000);
            let behind = fixture.clock.now_ms() - clock.now_ms();
            assert!((0..=2_000).contains(&behind), "{behind} ms in hour {hour}");
        }
    }

    #[test]
    fn a_century_ahead_reaches_nothing_for_a_day() {
        let mut fixture = Fixture::new();
        let clock = fixture.open();
        fixture.clock.set(YEAR_2100_MS);
        assert_eq!((clock.now_ms(), clock.latest_ms()), (START_MS, YEAR_2100_MS));
        assert_eq!(fixture.run(&clock, 23 * HOUR_MS), START_MS + 23 * HOUR_MS);
        // Set right in time: nothing has happened.
        fixture.clock.set(START_MS + 23 * HOUR_MS);
        assert_eq!(fixture.run(&clock, 2 * DAY_MS), START_MS + 2 * DAY_MS + 23 * HOUR_MS);
        // Left alone, it is the time.
        fixture.clock.set(YEAR_2100_MS);
        clock.now_ms();
        let now_ms = fixture.run(&clock, DAY_MS);
        assert_eq!(now_ms, YEAR_2100_MS + DAY_MS);
    }

    #[test]
    fn a_jump_is_believed_after_as_long_as_it_is() {
        let mut fixture = Fixture::new();
        let clock = fixture.open();
        fixture.clock.set(START_MS + HOUR_MS);
        clock.now_ms();
        assert_eq!(fixture.run(&clock, 55 * MINUTE_MS), START_MS + 55 * MINUTE_MS);
        assert_eq!(fixture.run(&clock, 5 * MINUTE_MS), START_MS + 2 * HOUR_MS);
    }

    #[test]
    fn a_second_jump_waits_for_itself() {
        let mut fixture = Fixture::new();
        let clock = fixture.open();
        fixture.clock.set(START_MS + HOUR_MS);
        clock.now_ms();
        fixture.run(&clock, 30 * MINUTE_MS);
        fixture.clock.set(YEAR_2100_MS);
        let now_ms = fixture.run(&clock, 23 * HOUR_MS);
        assert_eq!(now_ms, START_MS + HOUR_MS + 23 * HOUR_MS + 30 * MINUTE_MS, "the first one is believed");
    }

    #[test]
    fn a_clock_set_back_counts_at_once() {
        let mut fixture = Fixture::new();
        let clock = fixture.open();
        fixture.clock.set(0);
        assert_eq!(clock.now_ms(), 0, "nothing is older than 1970");
        assert_eq!(clock.latest_ms(), START_MS, "and nothing is kept until then only");
        assert_eq!(fixture.run(&clock, HOUR_MS), HOUR_MS);
        // And set right again: what was known before is not doubted.
        fixture.clock.set(START_MS + HOUR_MS);
        assert_eq!(clock.now_ms(), START_MS + HOUR_MS);
    }

    #[test]
    fn a_restart_is_no_way_around_it() {
        let mut fixture = Fixture::new();
        drop(fixture.open());
        fixture.clock.set(YEAR_2100_MS);
        for _ in 0..3 {
            assert_eq!(fixture.open().now_ms(), START_MS);
        }
        // A stop of the broker alone is time that has passed, and known to be so.
        fixture.clock.pass(DAY_MS);
        fixture.clock.set(START_MS + DAY_MS);
        assert_eq!(fixture.open().now_ms(), START_MS + DAY_MS);
    }

    #[test]
    fn the_night_that_a_machine_was_off_is_believed_after_a_night() {
        let mut fixture = Fixture::new();
        fixture.open().finish().unwrap();
        fixture.clock.reboot();
        fixture.clock.set(START_MS + 8 * HOUR_MS);
        let clock = fixture.open();
        assert_eq!(clock.now_ms(), START_MS);
        assert_eq!(fixture.run(&clock, 5 * HOUR_MS), START_MS + 5 * HOUR_MS);
        clock.finish().unwrap();
        // Off again: the five hours of waiting count, so that a machine that is off every night gets there.
        fixture.clock.reboot();
        fixture.clock.set(START_MS + 21 * HOUR_MS);
        let clock = fixture.open();
        assert_eq!(fixture.run(&clock, 3 * HOUR_MS), START_MS + 16 * HOUR_MS);
    }

    #[test]
    fn without_a_state_the_clock_waits_unless_the_directory_is_new() {
        let mut fixture = Fixture::new();
        fixture.open().finish().unwrap();
        let path = fixture.dir.path().join(FILE_NAME);
        let good = std::fs::read(&path).unwrap();
        for bytes in [&b""[..], &good[..good.len() - 1], b"garbage"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(fixture.open().now_ms() < DAY_MS);
        }
        std::fs::remove_file(&path).unwrap();
        let clock = fixture.open();
        assert!(clock.now_ms() < DAY_MS);
        assert_eq!(fixture.run(&clock, DAY_MS), START_MS + DAY_MS);
    }

    #[test]
    fn whoever_wants_believes_at_once() {
        let mut fixture = Fixture::new();
        let clock = fixture.open_with(0);
        fixture.clock.set(YEAR_2100_MS);
        assert_eq!(clock.now_ms(), YEAR_2100_MS);
        fixture.clock.set(START_MS);
        assert_eq!(clock.now_ms(), START_MS);
    }
}
