//! Compaction in the background: one thread takes the log that has the most to gain, compacts it, and looks for the next.
//!
//! Owns when which log is compacted, at what rate, and which ones are left alone after a failure. What compaction does is the
//! storage's affair, and how segments are exchanged the partition's. A failed write or sync ends the broker; a full disk, or a log
//! that cannot be read, does not.

pub(crate) mod progress;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::catalog::Catalog;
use crate::checkpoint::Checkpointer;
use crate::config::Config;
use crate::partition::{Appender, Compacted, CompactionTask, Partition};
use crate::retention_clock::RetentionClock;
use crate::storage::compaction::CompactionError;
use crate::storage::compaction::cleanable::Cleanable;
use crate::storage::files::FileSystem;
use crate::storage::scrub::{AtOnce, Pace};
use crate::throttle::{Throttle, is_stopped};

use progress::Progress;

/// What the cleaner works with.
#[derive(Debug)]
pub struct CleanerParts {
    /// Settings.
    pub config: Arc<Config>,
    /// The file system.
    pub files: Arc<dyn FileSystem>,
    /// The topics.
    pub catalog: Arc<Catalog>,
    /// Saves checkpoints: what lies behind the last one is not touched.
    pub checkpointer: Arc<Checkpointer>,
    /// The way to the commit threads, for checkpoints, and to end the broker.
    pub appender: Appender,
    /// The time by which tombstones are old.
    pub retention_clock: Arc<RetentionClock>,
}

/// The cleaner of a broker.
#[derive(Debug)]
pub struct Cleaner {
    parts: CleanerParts,
    progress: Progress,
    /// Left alone until the next start.
    uncleanable: HashSet<(Uuid, i32)>,
    /// Left alone until the next round.
    postponed: HashSet<(Uuid, i32)>,
}

/// The log that has the most to gain.
struct Filthiest {
    partition: Arc<Partition>,
    cleanable: Cleanable,
}

/// What to do after a compaction.
enum Next {
    GoOn,
    Stop,
}

impl Cleaner {
    /// With the progress of the last run.
    #[must_use]
    pub fn open(parts: CleanerParts) -> Self {
        let progress = Progress::open(Arc::clone(&parts.files), &parts.config.data_dir);
        Self { parts, progress, uncleanable: HashSet::new(), postponed: HashSet::new() }
    }

    /// Compacts until `stop` is closed.
    pub fn run(mut self, stop: &Receiver<()>) {
        loop {
            let backoff_ms = self.parts.catalog.live().config.cleaner.backoff_ms;
            let backoff = Duration::from_millis(backoff_ms.max(1));
            self.postponed.clear();
            while let Some(filthiest) = self.filthiest() {
                if matches!(self.clean(&filthiest, stop), Next::Stop) {
                    return;
                }
            }
            if is_stopped(stop, backoff) {
                return;
            }
        }
    }

    /// Kafka's choice: the largest dirty part, of those that are dirty enough.
    fn filthiest(&mut self) -> Option<Filthiest> {
        let now_ms = self.parts.retention_clock.now_ms();
        let mut best: Option<Filthiest> = None;
        let partitions: Vec<_> = self.parts.catalog.partitions().collect();
        for partition in partitions {
            let log = key(&partition);
            if self.uncleanable.contains(&log) || self.postponed.contains(&log) {
                continue;
            }
            let cleaned_to = self.progress.get(log, || partition.is_damaged());
            let cleanable = match partition.cleanable(cleaned_to, now_ms) {
                Ok(Some(cleanable)) => cleanable,
                Ok(None) => continue,
                Err(error) if error.is_full() => {
                    self.wait_for_room(&partition, &error);
                    continue;
                }
                Err(error) => {
                    self.leave_alone(&partition, &error);
                    continue;
                }
            };
            let is_filthier = |best: &Filthiest| best.cleanable.dirty_ratio() < cleanable.dirty_ratio();
            if cleanable.is_worth_it(&partition.compaction_policy()) && best.as_ref().is_none_or(is_filthier)
            {
                best = Some(Filthiest { partition, cleanable });
            }
        }
        best
    }

    fn clean(&mut self, filthiest: &Filthiest, stop: &Receiver<()>) -> Next {
        let Filthiest { partition, cleanable } = filthiest;
        let log = key(partition);
        if !partition.is_checkpointed(cleanable.end) && !self.save_checkpoint() {
            self.postponed.insert(log);
            return if is_stopped(stop, Duration::ZERO) { Next::Stop } else { Next::GoOn };
        }
        let started = Instant::now();
        let config = Arc::clone(&self.parts.catalog.live().config);
        let pace = Limited {
            bytes_per_second: config.cleaner.io_bytes_per_second_max,
            throttle: Throttle::new(stop),
        };
        let task = CompactionTask {
            cleaned_to: self.progress.get(log, || partition.is_damaged()),
            now_ms: self.parts.retention_clock.now_ms(),
            latest_ms: self.parts.retention_clock.latest_ms(),
            key_bytes_max: config.cleaner.dedupe_buffer_bytes,
            load_factor: config.cleaner.dedupe_load_factor,
            decompressed_max: config.decompressed_batch_bytes_max,
            free_bytes_min: config.free_bytes_min,
            pace: &pace,
        };
        match partition.compact(&task) {
            Ok(compacted) => {
                tell(partition, cleanable, &compacted, started.elapsed());
                self.save_progress(log, task.cleaned_to, &compacted);
                Next::GoOn
            }
            Err(error) => self.fail(partition, error),
        }
    }

    fn save_checkpoint(&self) -> bool {
        let saved = self.parts.checkpointer.write(self.parts.catalog.partitions(), &self.parts.appender);
        if let Err(error) = &saved {
            tracing::warn!(%error, "nothing is compacted: that takes a checkpoint, which was not written");
        }
        saved.is_ok()
    }

    fn save_progress(&mut self, log: (Uuid, i32), from: Option<i64>, compacted: &Compacted) {
        let existing: HashSet<_> = self.parts.catalog.partitions().map(|partition| key(&partition)).collect();
        if let Err(error) = self.progress.set(log, from, compacted, |log| existing.contains(&log)) {
            tracing::warn!(%error, "how far logs are compacted was not saved: some may be compacted once more");
        }
    }

    fn fail(&mut self, partition: &Arc<Partition>, error: CompactionError) -> Next {
        let (topic, index) = (partition.topic(), partition.index());
        match error {
            CompactionError::Stopped => return Next::Stop,
            CompactionError::Gone => {
                tracing::debug!(%topic, index, "the log has changed while it was compacted");
                self.postponed.insert(key(partition));
            }
            CompactionError::Full(error) => self.wait_for_room(partition, &error),
            // An index had to be built, or a file opened, before anything could be read.
            CompactionError::Read(error) if error.is_full() => self.wait_for_room(partition, &error),
            CompactionError::Read(error) if error.is_damage() => {
                tracing::warn!(%topic, index, %error, "compaction has met damage; the segment is verified, and left as it is");
                let is_told = self.verify(partition, &error);
                if is_told {
                    self.postponed.insert(key(partition));
                } else {
                    self.leave_alone(partition, &error);
                }
            }
            CompactionError::Failed(error) => {
                self.parts.appender.fail(error);
                return Next::Stop;
            }
            error @ (CompactionError::Read(_)
            | CompactionError::KeysTooMany { .. }
            | CompactionError::Undecided { .. }
            | CompactionError::Undeleted(_)) => self.leave_alone(partition, &error),
        }
        Next::GoOn
    }

    /// Has the segment looked through that cannot be read; whether its damage is known now.
    fn verify(&self, partition: &Arc<Partition>, error: &crate::storage::error::ReadError) -> bool {
        let path = error.path();
        let segments = partition.sealed_segments();
        let segment = segments.iter().find(|segment| Some(segment.path()) == path);
        segment.is_some_and(|segment| partition.verify(segment, &AtOnce).is_ok() && segment.is_damaged())
    }

    /// Not again before the next round.
    fn wait_for_room(&mut self, partition: &Arc<Partition>, error: &dyn std::error::Error) {
        let (topic, index) = (partition.topic(), partition.index());
        tracing::warn!(%topic, index, %error, "the topic is not compacted for want of room");
        self.postponed.insert(key(partition));
    }

    /// Not again before the next start.
    fn leave_alone(&mut self, partition: &Arc<Partition>, error: &dyn std::error::Error) {
        let (topic, index) = (partition.topic(), partition.index());
        tracing::error!(
            %topic, index, %error,
            "the partition cannot be compacted, and is left alone until the next start; it is read and written as before"
        );
        self.uncleanable.insert(key(partition));
    }
}

fn key(partition: &Partition) -> (Uuid, i32) {
    (partition.topic_id(), partition.index())
}

fn tell(partition: &Partition, cleanable: &Cleanable, compacted: &Compacted, took: Duration) {
    let (topic, index) = (partition.topic(), partition.index());
    let mebibytes = |bytes: u64| bytes >> 20;
    let Compacted { segments_before, segments_after, segments_damaged, keys, undecodable, .. } = *compacted;
    tracing::info!(
        %topic, index,
        from = cleanable.first_dirty, to = compacted.cleaned_to, keys,
        segments_before, segments_after,
        mib_before = mebibytes(compacted.bytes_before), mib_after = mebibytes(compacted.bytes_after),
        mib_read = mebibytes(compacted.bytes_read), mib_written = mebibytes(compacted.bytes_written),
        seconds = format_args!("{:.3}", took.as_secs_f64()),
        "compacted"
    );
    if 0 < segments_damaged {
        tracing::warn!(%topic, index, segments_damaged, "segments with damaged ranges were left as they are");
    }
    if 0 < undecodable {
        tracing::warn!(%topic, index, undecodable, "batches that cannot be decoded were left as they are");
    }
}

/// So many bytes a second, read and written together.
struct Limited<'a> {
    bytes_per_second: f64,
    throttle: Throttle<'a>,
}

impl Pace for Limited<'_> {
    fn step(&self, bytes: usize) -> bool {
        self.throttle.step(cost(bytes, self.bytes_per_second))
    }

    fn leaves_cache_as_it_was(&self) -> bool {
        false
    }
}

/// How long a step of so many bytes takes at this rate.
fn cost(bytes: usize, bytes_per_second: f64) -> Duration {
    let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    // A day for one step is as good as for ever, and can be added to a time.
    Duration::try_from_secs_f64(bytes / bytes_per_second).map_or(DAY, |cost| cost.min(DAY))
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_cost_what_the_rate_says() {
        assert_eq!(cost(1 << 20, f64::from(1 << 20)), Duration::from_secs(1));
        assert_eq!(cost(1 << 20, f64::MAX), Duration::ZERO);
        assert_eq!(cost(usize::MAX, f64::MIN_POSITIVE), DAY);
        let (sender, stop) = std::sync::mpsc::channel();
        let pace = Limited { bytes_per_second: 1.0, throttle: Throttle::new(&stop) };
        assert!(pace.step(1000), "the first step is free");
        drop(sender);
        assert!(!pace.step(1000), "the next one waits, and the broker's end ends that");
    }
}
