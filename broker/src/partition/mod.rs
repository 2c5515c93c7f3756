//! A partition: append, read, offsets. All that `api` sees of a log.
//!
//! Two sides that do not wait for each other. Writers hold the writer's side (one at a time, on a
//! commit thread); readers take the published `LogView` and the high watermark.

mod appender;
mod background;
mod commit_queue;
mod compaction;
mod damage;
mod error;
mod flush_timer;
mod offsets;
mod producer_state;
mod read;
mod room;
mod settler;
mod upkeep;
mod waiters;
mod write;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::TopicConfig;
use crate::storage::dirty::Dirty;
use crate::storage::error::StorageError;
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::log::{Log, LogPlace, LogReader, Resume};
use crate::storage::quarantine::is_placeholder;
use crate::storage::recovery::RecoveryReport;
use crate::storage::segment::Segment;
use crate::storage::store::Store;
use crate::storage::summary::LogConfig;

pub use appender::{AckAt, AppendResult, Appender, AppenderParts, CommitThreads};
pub use background::BackgroundSync;
pub use compaction::{Compacted, CompactionTask};
pub use error::{AppendError, ReadError};
pub use flush_timer::FlushTimer;
pub use offsets::OffsetsView;
pub use producer_state::{BatchSeen, NO_PRODUCER_ID, ProducerEntry, ProducerStates, SequenceError};
pub use read::{EpochEnd, FoundOffset, Read, ReadRequest};
pub use room::Room;
pub use settler::Settler;
pub use upkeep::{Checkpoint, DeleteRecordsError, RetentionError};
pub use waiters::{Waiter, Waiters};
pub use write::{Appended, ProducedBatch};

use offsets::Offsets;

/// The epoch of a log that was never cut.
const FIRST_LEADER_EPOCH: i32 = 0;

/// What partitions share.
#[derive(Debug)]
pub struct PartitionEnv {
    /// The file system, and the budget of open segments.
    pub store: Arc<Store>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Producers remembered per partition.
    pub producers_max: usize,
}

/// One partition of a topic.
#[derive(Debug)]
pub struct Partition {
    topic: Arc<str>,
    topic_id: Uuid,
    index: i32,
    producers_max: usize,
    store: Arc<Store>,
    /// Changes only when the log is opened: no lock.
    epochs: LeaderEpochs,
    writer: Mutex<Writer>,
    reader: LogReader,
    offsets: Offsets,
    waiters: Waiters,
    config: ArcSwap<TopicConfig>,
    is_deleted: AtomicBool,
    /// Held while segments are exchanged or taken out, or the folder is removed; before the writer's lock.
    rearranging: Mutex<()>,
    /// Base offset of the last segment in the checkpoint that was saved last: recovery takes what lies before it as it is.
    checkpointed: AtomicI64,
}

/// The writer's side.
#[derive(Debug)]
struct Writer {
    log: Log,
    producers: ProducerStates,
    /// Records written since the last sync, for `flush.messages`.
    unsynced_records: u64,
    /// Everything below was handed to a commit round.
    handed_end: i64,
    /// A sync by `flush.ms` is scheduled.
    is_sync_scheduled: bool,
    /// Segments below the log start, whose files go with the next checkpoint.
    doomed: Vec<Arc<Segment>>,
}

/// Which partition to open, and how.
#[derive(Debug)]
pub struct OpenPartition {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Id of the topic.
    pub topic_id: Uuid,
    /// Number of the partition in the topic.
    pub index: i32,
    /// The topic's configuration.
    pub config: Arc<TopicConfig>,
    /// What is known of the log.
    pub resume: Resume,
    /// Producers at the checkpoint.
    pub producers: Vec<(i64, ProducerEntry)>,
    /// Leader epochs at the checkpoint.
    pub epochs: LeaderEpochs,
}

/// A partition whose log was opened.
#[derive(Debug)]
pub struct Recovered {
    /// The partition. Nobody may see it before `dirty` is synced.
    pub partition: Arc<Partition>,
    /// What was met on the way.
    pub report: RecoveryReport,
    /// What was found and may never have been synced.
    pub dirty: Dirty,
}

impl Partition {
    /// Opens the log, recovering it if it was not closed cleanly. A partition that was never
    /// written to has no files yet.
    ///
    /// # Errors
    /// [`StorageError`] when the log cannot be read, or is damaged where it must not be cut.
    pub fn open(
        env: &PartitionEnv,
        open: OpenPartition,
    ) -> Result<(Arc<Self>, RecoveryReport), StorageError> {
        let Recovered { partition, report, dirty } = Self::recover(env, open)?;
        dirty.sync()?;
        Ok((partition, report))
    }

    /// The same, leaving it to the caller to sync what recovery found.
    ///
    /// # Errors
    /// As [`Partition::open`].
    pub fn recover(env: &PartitionEnv, open: OpenPartition) -> Result<Recovered, StorageError> {
        let directory = env.data_dir.join(format!("{}-{}", open.topic, open.index));
        let mut producers = ProducerStates::restore(open.producers);
        let mut epochs = open.epochs;
        let known = epochs.latest();
        let now_ms = env.clock.now_ms();
        let checkpointed = checkpointed(&open.resume);
        let (mut log, report) = Log::open(
            &env.store,
            LogPlace { dir: directory, topic_id: open.topic_id, partition: open.index },
            log_config(&open.config),
            open.resume,
            &mut |header| {
                producers.replay(header, now_ms);
                // What stands in for damage was written in no epoch.
                if !is_placeholder(header) {
                    epochs.assign(header.leader_epoch, header.base_offset);
                }
            },
        )?;
        let dirty = log.take_dirty();
        producers.shrink_to(env.producers_max);
        if let Some(known) = known
            && epochs.latest().is_none_or(|latest| latest.epoch < known.epoch)
        {
            // The log was scanned from further back, and that epoch has no records yet.
            epochs.assign(known.epoch, known.start_offset);
        }
        let current = epochs.latest().map_or(FIRST_LEADER_EPOCH, |latest| latest.epoch);
        if !report.cuts.is_empty() {
            // What was cut may have been seen by a client of a broker without the sync before the
            // ack: it learns from the epoch that the log is another one now.
            epochs.assign(current + 1, log.end_offset());
        } else if epochs.latest().is_none() {
            epochs.assign(current, log.start_offset());
        }
        let partition = Self {
            topic: open.topic,
            topic_id: open.topic_id,
            index: open.index,
            producers_max: env.producers_max,
            store: Arc::clone(&env.store),
            reader: log.reader(),
            offsets: Offsets::opened(log.start_offset(), log.end()),
            waiters: Waiters::default(),
            epochs,
            config: ArcSwap::new(open.config),
            is_deleted: AtomicBool::new(false),
            rearranging: Mutex::default(),
            checkpointed: AtomicI64::new(checkpointed),
            writer: Mutex::new(Writer {
                handed_end: log.end_offset(),
                log,
                producers,
                unsynced_records: 0,
                is_sync_scheduled: false,
                doomed: Vec::new(),
            }),
        };
        partition.tell_of_known_damage();
        Ok(Recovered { partition: Arc::new(partition), report, dirty })
    }

    /// Name of the topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Id of the topic.
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// Number of the partition in its topic.
    pub fn index(&self) -> i32 {
        self.index
    }

    /// All offsets at one moment.
    pub fn offsets(&self) -> OffsetsView {
        self.offsets.view()
    }

    /// Where fetches park that wait for this partition to grow.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// The leader epoch that new batches get.
    pub fn leader_epoch(&self) -> i32 {
        self.epochs.latest().map_or(FIRST_LEADER_EPOCH, |latest| latest.epoch)
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.reader.view().size()
    }

    /// The topic's configuration.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    /// Takes over a changed configuration; it counts from the next append on.
    pub fn set_config(&self, config: Arc<TopicConfig>) {
        let mut writer = self.lock_writer();
        writer.log.set_config(log_config(&config));
        // A sync that is due by the old flush.ms may come too late for the new one.
        writer.is_sync_scheduled = false;
        self.config.store(config);
    }

    /// Every remembered producer.
    pub fn producers(&self) -> Vec<(i64, ProducerEntry)> {
        self.lock_writer().producers.entries().map(|(id, entry)| (id, entry.clone())).collect()
    }

    /// The largest producer id that is remembered.
    pub fn last_producer_id(&self) -> Option<i64> {
        self.lock_writer().producers.entries().map(|(id, _)| id).max()
    }

    /// Whether the topic was deleted.
    pub fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Acquire)
    }

    fn lock_rearranging(&self) -> MutexGuard<'_, ()> {
        self.rearranging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Base offset of the last segment that the checkpoint on the disk knows; below every other if there is none.
fn checkpointed(resume: &Resume) -> i64 {
    let checkpoint = match resume {
        Resume::Fresh => None,
        Resume::Clean(checkpoint) => Some(checkpoint),
        Resume::Dirty { checkpoint, .. } => checkpoint.as_ref(),
    };
    checkpoint.and_then(|checkpoint| checkpoint.active).map_or(i64::MIN, |active| active.base_offset)
}

fn log_config(config: &TopicConfig) -> LogConfig {
    // As in Kafka: a record that must not wait longer to be compacted has to be in a closed segment by then.
    let lag_max_ms = if config.cleanup.compact { config.max_compaction_lag_ms } else { i64::MAX };
    LogConfig {
        segment_bytes: config.segment_bytes,
        segment_ms: config.segment_ms.min(lag_max_ms),
        index_interval_bytes: config.index_interval_bytes,
        segment_index_bytes: config.segment_index_bytes,
        sync_before_roll: config.syncs_before_ack(),
        is_compacted: config.cleanup.compact,
    }
}

#[cfg(test)]
mod tests;
