//! The checkpoint: where recovery begins, for every partition, in one file.
//!
//! Written at intervals, by bytes appended, and at a clean stop. It is advisory: a missing one
//! makes recovery read more, never less. See docs/decisions/0005.

pub(crate) mod offline;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::partition::{Appender, BatchSeen, Checkpoint, Partition, ProducerEntry};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::data_dir::LastEnd;
use crate::storage::error::StorageError;
use crate::storage::files::FileSystem;
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::log::Resume;
use crate::storage::state_file::{self, StateFileError, StateKind};

/// Name of the file in the data directory.
pub(crate) const FILE_NAME: &str = "checkpoint.state";

const KIND: StateKind = StateKind { tag: *b"CKPT", version: 2 };

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    /// The first filling of the commit journal that may hold what the segments lack.
    journal_live_from: u64,
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    topic_id: [u8; 16],
    index: i32,
    log: PartitionCheckpoint,
    producers: Vec<Producer>,
    epochs: LeaderEpochs,
}

#[derive(Debug, Serialize, Deserialize)]
struct Producer {
    id: i64,
    epoch: i16,
    last_append_ms: i64,
    batches: Vec<Batch>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Batch {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
    timestamp_ms: i64,
}

/// What the checkpoint of the last run says, to open partitions with.
#[derive(Debug)]
pub struct Restored {
    last_end: LastEnd,
    now_ms: i64,
    journal_live_from: u64,
    entries: HashMap<(Uuid, i32), Entry>,
}

/// What one partition is opened with.
#[derive(Debug)]
pub struct RestoredPartition {
    /// How far its log can be believed.
    pub resume: Resume,
    /// Producers as of the checkpoint.
    pub producers: Vec<(i64, ProducerEntry)>,
    /// Leader epochs as of the checkpoint.
    pub epochs: LeaderEpochs,
}

impl Restored {
    /// How to open a partition. Each is taken once.
    pub fn take(&mut self, topic_id: Uuid, index: i32) -> RestoredPartition {
        let entry = self.entries.remove(&(topic_id, index));
        let (log, producers, epochs) = match entry {
            Some(entry) => (Some(entry.log), restore(entry.producers), entry.epochs),
            None => (None, Vec::new(), LeaderEpochs::default()),
        };
        let resume = match (self.last_end, log) {
            (LastEnd::Clean, Some(log)) => Resume::Clean(log),
            (LastEnd::New, None) => Resume::Fresh,
            // Without an entry, also after a clean end, a log is looked at: the checkpoint may be another directory's.
            (end, checkpoint) => {
                let distrust_cache = end == LastEnd::WriteFailed;
                Resume::Dirty { checkpoint, distrust_cache, now_ms: self.now_ms }
            }
        };
        RestoredPartition { resume, producers, epochs }
    }

    fn scan_all(last_end: LastEnd, now_ms: i64, reason: &str) -> Self {
        tracing::warn!(reason, "every log is scanned from its start");
        let last_end = if last_end == LastEnd::WriteFailed { last_end } else { LastEnd::Crash };
        Self { last_end, now_ms, journal_live_from: 0, entries: HashMap::new() }
    }

    /// The first filling of the commit journal that may hold what the segments lack.
    pub fn journal_live_from(&self) -> u64 {
        self.journal_live_from
    }

    /// Whether logs are walked, so that a checkpoint is due when they are open.
    pub fn needs_recovery(&self) -> bool {
        !matches!(self.last_end, LastEnd::Clean | LastEnd::New)
    }
}

/// Writes checkpoints.
#[derive(Debug)]
pub struct Checkpointer {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    /// One writer at a time: an older checkpoint must not replace a newer one.
    writing: Mutex<()>,
}

impl Checkpointer {
    /// A checkpointer for a data directory, and what the last run left in it.
    ///
    /// A checkpoint that cannot be read counts as missing: everything is scanned then.
    ///
    /// # Errors
    /// [`StorageError`] if the file system fails.
    pub fn open(
        files: &Arc<dyn FileSystem>,
        data_dir: &std::path::Path,
        last_end: LastEnd,
        now_ms: i64,
    ) -> Result<(Self, Restored), StorageError> {
        let path = data_dir.join(FILE_NAME);
        let restored = match state_file::load::<Saved>(files.as_ref(), &path, KIND) {
            Ok(Some(saved)) => {
                let keyed = saved.entries.into_iter().map(|e| ((Uuid::from_bytes(e.topic_id), e.index), e));
                let journal_live_from = saved.journal_live_from;
                Restored { last_end, now_ms, journal_live_from, entries: keyed.collect() }
            }
            Ok(None) if last_end == LastEnd::New => {
                Restored { last_end, now_ms, journal_live_from: 0, entries: HashMap::new() }
            }
            Ok(None) => Restored::scan_all(last_end, now_ms, "there is no checkpoint"),
            Err(StateFileError::Io { path, op, source }) => {
                return Err(StorageError::Io { path, op, source });
            }
            Err(error) => Restored::scan_all(last_end, now_ms, &error.to_string()),
        };
        let files = Arc::clone(files);
        Ok((Self { files, path, writing: Mutex::new(()) }, restored))
    }

    /// Saves the state of `partitions`, which must be all there are, once it is durable; and deletes
    /// the segments that are below their logs' starts then. Waits for the disk.
    ///
    /// # Errors
    /// [`StorageError`] if the file could not be replaced, or a write failed before: the checkpoint
    /// before this one stays then.
    pub fn write(
        &self,
        partitions: impl Iterator<Item = Arc<Partition>>,
        appender: &Appender,
    ) -> Result<(), StorageError> {
        self.save(partitions, Some(appender), appender.journal_filling())
    }

    /// The same when no append can come any more and all segments are synced; the journal is not needed before
    /// `journal_live_from`; with `is_final` segments are listed, so
    /// that the next start need not look at them.
    ///
    /// # Errors
    /// As [`Checkpointer::write`].
    pub fn write_quiet(
        &self,
        partitions: impl Iterator<Item = Arc<Partition>>,
        journal_live_from: u64,
    ) -> Result<(), StorageError> {
        self.save(partitions, None, journal_live_from)
    }

    fn save(
        &self,
        partitions: impl Iterator<Item = Arc<Partition>>,
        appender: Option<&Appender>,
        journal_live_from: u64,
    ) -> Result<(), StorageError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut entries, mut saved) = (Vec::new(), Vec::new());
        for partition in partitions {
            if let Some(mut checkpoint) = partition.checkpoint(appender.is_none())? {
                entries.push(entry(&partition, &mut checkpoint));
                saved.push((partition, checkpoint));
            }
        }
        if let Some(appender) = appender {
            let undurable = saved
                .iter()
                .filter(|(partition, checkpoint)| !partition.is_durable(checkpoint.log.end_offset));
            let syncs: Vec<_> =
                undurable.map(|(partition, _)| appender.sync(Arc::clone(partition))).collect();
            for sync in syncs {
                // A sync that was dropped or refused is a broker that stops: nothing is saved.
                let refused = || StorageError::Poisoned { dir: self.path.clone() };
                sync.blocking_recv().map_err(|_| refused())?.map_err(|_| refused())?;
            }
            // What is durable in the commit journal alone is not covered by a checkpoint yet.
            if !appender.drain() {
                return Err(StorageError::Poisoned { dir: self.path.clone() });
            }
            let is_synced = |(partition, checkpoint): &(Arc<Partition>, Checkpoint)| {
                partition.is_synced(checkpoint.log.end_offset) || partition.is_deleted()
            };
            assert!(saved.iter().all(is_synced), "a checkpoint covers what is synced");
        }
        let to_save = Saved { journal_live_from, entries };
        state_file::save(self.files.as_ref(), &self.path, KIND, &to_save)?;
        for (partition, checkpoint) in saved {
            partition.checkpoint_saved(&checkpoint)?;
        }
        Ok(())
    }
}

/// A partition that was put in place while no broker ran.
#[derive(Debug)]
pub struct AddedPartition {
    /// Id of the topic.
    pub topic_id: Uuid,
    /// Number of the partition.
    pub index: i32,
    /// Its log; durable, with the list of segments.
    pub log: PartitionCheckpoint,
    /// Its producers.
    pub producers: Vec<(i64, ProducerEntry)>,
    /// Its leader epochs.
    pub epochs: LeaderEpochs,
}

/// Adds partitions to the checkpoint of a data directory that no broker has open. Returns whether there was a readable one:
/// without it, the other logs must be scanned at the next start.
///
/// # Errors
/// [`StorageError`]; the file is the old one or the new one.
pub fn add_partitions(
    files: &dyn FileSystem,
    data_dir: &std::path::Path,
    added: Vec<AddedPartition>,
) -> Result<bool, StorageError> {
    let path = data_dir.join(FILE_NAME);
    let (mut saved, was_there) = match state_file::load::<Saved>(files, &path, KIND) {
        Ok(Some(saved)) => (saved, true),
        Err(StateFileError::Io { path, op, source }) => return Err(StorageError::Io { path, op, source }),
        Ok(None) | Err(_) => (Saved { journal_live_from: 0, entries: Vec::new() }, false),
    };
    let key = |entry: &Entry| (entry.topic_id, entry.index);
    let added: Vec<Entry> = added.into_iter().map(added_entry).collect();
    let keys: std::collections::HashSet<_> = added.iter().map(key).collect();
    // An earlier attempt may have come this far.
    saved.entries.retain(|entry| !keys.contains(&key(entry)));
    saved.entries.extend(added);
    state_file::save(files, &path, KIND, &saved)?;
    Ok(was_there)
}

fn added_entry(added: AddedPartition) -> Entry {
    let AddedPartition { topic_id, index, log, producers, epochs } = added;
    Entry { topic_id: topic_id.into_bytes(), index, log, producers: stored_producers(producers), epochs }
}

fn entry(partition: &Partition, checkpoint: &mut Checkpoint) -> Entry {
    Entry {
        topic_id: *partition.topic_id().as_bytes(),
        index: partition.index(),
        producers: stored_producers(std::mem::take(&mut checkpoint.producers)),
        log: checkpoint.log.clone(),
        epochs: std::mem::take(&mut checkpoint.epochs),
    }
}

fn stored_producers(producers: Vec<(i64, ProducerEntry)>) -> Vec<Producer> {
    let stored = producers.into_iter().map(|(id, entry)| Producer {
        id,
        epoch: entry.epoch,
        last_append_ms: entry.last_append_ms,
        batches: entry.batches.iter().map(batch).collect(),
    });
    stored.collect()
}

fn batch(seen: &BatchSeen) -> Batch {
    Batch {
        first_sequence: seen.first_sequence,
        last_sequence: seen.last_sequence,
        base_offset: seen.base_offset,
        last_offset: seen.last_offset,
        timestamp_ms: seen.timestamp_ms,
    }
}

fn restore(producers: Vec<Producer>) -> Vec<(i64, ProducerEntry)> {
    let entry = |producer: Producer| {
        let batches = producer.batches.into_iter().map(|batch| BatchSeen {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence,
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            timestamp_ms: batch.timestamp_ms,
        });
        let entry = ProducerEntry {
            epoch: producer.epoch,
            last_append_ms: producer.last_append_ms,
            batches: batches.collect(),
        };
        (producer.id, entry)
    };
    producers.into_iter().map(entry).collect()
}
