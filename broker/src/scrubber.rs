//! The scrub: all closed segments are read from time to time, slowly, before somebody needs what has gone bad in them.
//!
//! One thread. It keeps to a rate, gives way to the broker's end, and sleeps between its passes. How far it has got and what
//! the last pass came to is in `scrub.state`, so that a broker that is started every morning does not begin anew every
//! morning; and in the broker's configuration as clients see it. How a segment is verified is the storage's affair.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::checkpoint::Checkpointer;
use crate::clock::Clock;
use crate::config::Config;
use crate::partition::{Appender, Partition};
use crate::storage::files::FileSystem;
use crate::storage::scrub::{Pace, ScrubError};
use crate::storage::segment::Segment;
use crate::storage::state_file::{self, StateKind};
use crate::throttle::{Throttle, is_stopped};

/// Name of the file in the data directory.
pub(crate) const FILE_NAME: &str = "scrub.state";
pub(crate) const KIND: StateKind = StateKind { tag: *b"SCRB", version: 1 };

/// A start has enough to do.
const FIRST_WAIT_MAX: Duration = Duration::from_secs(60);
/// A laptop sleeps, and its clock for waiting with it.
const LOOK_AT_CLOCK_EVERY: Duration = Duration::from_secs(60 * 60);
/// How much of a pass a crash may repeat.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// A segment's place in the order of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    topic_id: [u8; 16],
    index: i32,
    base_offset: i64,
}

/// What was done in a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    started_ms: i64,
    segments: u64,
    bytes: u64,
    /// Damaged ranges that were not known before.
    found: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Finished {
    tally: Tally,
    ended_ms: i64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Unfinished {
    tally: Tally,
    /// The last segment that was verified.
    after: Place,
}

/// What is in the file.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    passes: u64,
    last: Option<Finished>,
    current: Option<Unfinished>,
}

/// The scrub of a broker.
#[derive(Debug)]
pub struct Scrubber {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    bytes_per_second: u64,
    interval: Duration,
    progress: Mutex<Progress>,
}

/// What a pass works on.
#[derive(Debug)]
pub struct ScrubParts {
    /// The topics.
    pub catalog: Arc<Catalog>,
    /// Saves what was found.
    pub checkpointer: Arc<Checkpointer>,
    /// The way to the commit threads, for checkpoints.
    pub appender: Appender,
}

/// The broker stops.
struct Stopped;

impl Scrubber {
    /// With the progress of the last run. A file that cannot be read means a pass too many, and no more.
    pub fn open(files: Arc<dyn FileSystem>, config: &Config, clock: Arc<dyn Clock>) -> Self {
        let path = config.data_dir.join(FILE_NAME);
        let progress = state_file::load::<Progress>(files.as_ref(), &path, KIND).unwrap_or_else(|error| {
            tracing::warn!(%error, "the scrub begins anew");
            None
        });
        Self {
            files,
            path,
            clock,
            bytes_per_second: config.scrub_bytes_per_second,
            interval: Duration::from_millis(config.scrub_interval_ms),
            progress: Mutex::new(progress.unwrap_or_default()),
        }
    }

    /// Whether there is a scrub at all.
    pub fn is_on(&self) -> bool {
        0 < self.bytes_per_second
    }

    /// Makes passes until the sender of `stop` is dropped.
    pub fn run(&self, parts: &ScrubParts, stop: &Receiver<()>) {
        let mut wait = self.interval.min(FIRST_WAIT_MAX).max(self.until_due());
        loop {
            if is_stopped(stop, wait.min(LOOK_AT_CLOCK_EVERY)) {
                return;
            }
            wait = self.until_due();
            if !wait.is_zero() {
                continue;
            }
            if let Err(Stopped) = self.pass(parts, stop) {
                self.save();
                return;
            }
            wait = self.interval;
        }
    }

    /// How it stands, as `key=value` words.
    pub fn status(&self) -> String {
        let Progress { passes, last, current } = *self.lock();
        let state = match (self.is_on(), &current) {
            (false, _) => "off",
            (true, Some(_)) => "running",
            (true, None) => "waiting",
        };
        let mut text = format!("state={state} passes={passes}");
        let words = |name: &str, tally: Tally| {
            let Tally { started_ms, segments, bytes, found } = tally;
            format!(
                " {name}.started.ms={started_ms} {name}.segments={segments} {name}.bytes={bytes} {name}.found={found}"
            )
        };
        if let Some(Unfinished { tally, .. }) = current {
            text += &words("current", tally);
        }
        if let Some(Finished { tally, ended_ms }) = last {
            text += &words("last", tally);
            text += &format!(" last.ended.ms={ended_ms}");
        }
        text
    }

    /// Until the next pass begins, or one that was interrupted goes on.
    fn until_due(&self) -> Duration {
        let progress = self.lock();
        let (None, Some(last)) = (progress.current, progress.last) else { return Duration::ZERO };
        let since_ms = self.clock.now_ms().saturating_sub(last.ended_ms);
        // A clock that was set back makes for a pass too many.
        let since = u64::try_from(since_ms).map_or(Duration::MAX, Duration::from_millis);
        self.interval.saturating_sub(since)
    }

    fn pass(&self, parts: &ScrubParts, stop: &Receiver<()>) -> Result<(), Stopped> {
        let resumed = self.lock().current;
        let segments = segments_behind(parts, resumed.map(|current| current.after));
        let started_ms = self.clock.now_ms();
        let mut tally = resumed.map_or(Tally { started_ms, ..Tally::default() }, |current| current.tally);
        let bytes: u64 = segments.iter().map(|(_, _, segment)| segment.size()).sum();
        if !segments.is_empty() {
            tracing::info!(segments = segments.len(), bytes, "the scrub has begun a pass");
        }
        let pace = Limited { bytes_per_second: self.bytes_per_second, throttle: Throttle::new(stop) };
        let mut saved = Instant::now();
        for (place, partition, segment) in segments {
            tally.found += verify(parts, &partition, &segment, &pace)?;
            tally.segments += 1;
            tally.bytes += segment.size();
            self.lock().current = Some(Unfinished { tally, after: place });
            if SAVE_EVERY <= saved.elapsed() {
                self.save();
                saved = Instant::now();
            }
        }
        self.finish(tally);
        Ok(())
    }

    fn finish(&self, tally: Tally) {
        let ended_ms = self.clock.now_ms();
        {
            let mut progress = self.lock();
            progress.passes += 1;
            progress.current = None;
            progress.last = Some(Finished { tally, ended_ms });
        }
        self.save();
        let Tally { started_ms, segments, bytes, found } = tally;
        if 0 < segments {
            let took_ms = ended_ms.saturating_sub(started_ms);
            tracing::info!(segments, bytes, found, took_ms, "the scrub has ended a pass");
        }
    }

    fn save(&self) {
        let progress = *self.lock();
        if let Err(error) = state_file::save(self.files.as_ref(), &self.path, KIND, &progress) {
            tracing::warn!(%error, "the progress of the scrub was not saved");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All closed segments, in the order of a pass, behind the one that was verified last.
fn segments_behind(parts: &ScrubParts, after: Option<Place>) -> Vec<(Place, Arc<Partition>, Arc<Segment>)> {
    let of_partition = |partition: Arc<Partition>| {
        let (topic_id, index) = (*partition.topic_id().as_bytes(), partition.index());
        partition.sealed_segments().into_iter().map(move |segment| {
            let place = Place { topic_id, index, base_offset: segment.base_offset() };
            (place, Arc::clone(&partition), segment)
        })
    };
    let mut segments: Vec<_> = parts.catalog.partitions().flat_map(of_partition).collect();
    segments.retain(|(place, ..)| after.is_none_or(|after| after < *place));
    segments.sort_unstable_by_key(|(place, ..)| *place);
    segments
}

/// Verifies one segment and saves what was found; how many ranges that are.
fn verify(
    parts: &ScrubParts,
    partition: &Partition,
    segment: &Arc<Segment>,
    pace: &Limited<'_>,
) -> Result<u64, Stopped> {
    let findings = match partition.verify(segment, pace) {
        Ok(Some(findings)) => findings,
        Ok(None) => return Ok(0),
        Err(ScrubError::Stopped) => return Err(Stopped),
        Err(error) => {
            tracing::error!(path = %segment.path().display(), %error, "the scrub could not read a segment");
            return Ok(0);
        }
    };
    if !findings.new.is_empty() || !findings.readable_again.is_empty() {
        let saved = parts.checkpointer.write(parts.catalog.partitions(), &parts.appender);
        if let Err(error) = saved {
            tracing::warn!(%error, "what the scrub has found is saved with the next checkpoint");
        }
    }
    Ok(findings.new.len() as u64)
}

/// So many bytes a second.
struct Limited<'a> {
    bytes_per_second: u64,
    throttle: Throttle<'a>,
}

impl Pace for Limited<'_> {
    fn step(&self, bytes: usize) -> bool {
        self.throttle.step(cost(bytes, self.bytes_per_second))
    }

    fn leaves_cache_as_it_was(&self) -> bool {
        true
    }
}

/// How long a step of so many bytes takes at this rate.
fn cost(bytes: usize, bytes_per_second: u64) -> Duration {
    let nanoseconds = (bytes as u128 * 1_000_000_000).checked_div(bytes_per_second.into()).unwrap_or(0);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::scrub::STEP_BYTES;

    #[test]
    fn steps_cost_what_the_rate_says_and_are_never_made_up_for() {
        assert_eq!(cost(STEP_BYTES, STEP_BYTES as u64), Duration::from_secs(1));
        assert_eq!(cost(STEP_BYTES, 4 * STEP_BYTES as u64), Duration::from_millis(250));
        assert_eq!(cost(1, u64::MAX), Duration::ZERO);
        assert_eq!(cost(usize::MAX, 1), Duration::from_nanos(u64::MAX));
        let (sender, stop) = std::sync::mpsc::channel();
        let long_ago = Instant::now();
        let pace = Limited { bytes_per_second: 1, throttle: Throttle::new(&stop) };
        assert!(pace.step(1000), "the first step is free");
        assert!(long_ago + Duration::from_secs(1000) <= pace.throttle.due(), "the next one waits its time");
        drop(sender);
        assert!(!pace.step(1000), "and the broker's end ends that");
    }
}
