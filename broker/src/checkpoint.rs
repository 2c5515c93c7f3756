//! The checkpoint: where recovery begins, for every partition, in one file.
//!
//! Written at intervals, by bytes appended, and at a clean stop. It is advisory: a missing one
//! makes recovery read more, never less. See docs/decisions/0005.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::partition::{BatchSeen, Partition, ProducerEntry};
use crate::storage::state_file::{self, StateKind};
use crate::storage::{FileSystem, PartitionCheckpoint, Resume, StorageError};

/// Name of the file in the data directory.
const FILE_NAME: &str = "checkpoint.state";

const KIND: StateKind = StateKind { tag: *b"CKPT", version: 1 };

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    topic_id: [u8; 16],
    index: i32,
    log: PartitionCheckpoint,
    producers: Vec<Producer>,
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
#[derive(Debug, Default)]
pub struct Restored {
    is_clean: bool,
    entries: HashMap<(Uuid, i32), Entry>,
}

impl Restored {
    /// How to open a partition, and its producers. Each is taken once.
    pub fn take(&mut self, topic_id: Uuid, index: i32) -> (Resume, Vec<(i64, ProducerEntry)>) {
        match (self.entries.remove(&(topic_id, index)), self.is_clean) {
            (Some(entry), true) => (Resume::Clean(entry.log), restore(entry.producers)),
            (Some(entry), false) => (Resume::Dirty(Some(entry.log)), restore(entry.producers)),
            (None, true) => (Resume::Fresh, Vec::new()),
            (None, false) => (Resume::Dirty(None), Vec::new()),
        }
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
    /// A checkpointer for a data directory, and what the last run left in it. `is_clean` says that
    /// the last run ended in order.
    ///
    /// A checkpoint that cannot be read counts as missing: everything is scanned then.
    ///
    /// # Errors
    /// [`StorageError`] if the file system fails.
    pub fn open(
        files: &Arc<dyn FileSystem>,
        data_dir: &std::path::Path,
        is_clean: bool,
    ) -> Result<(Self, Restored), StorageError> {
        let path = data_dir.join(FILE_NAME);
        let restored = match state_file::load::<Vec<Entry>>(files.as_ref(), &path, KIND) {
            Ok(Some(entries)) => {
                let keyed = entries.into_iter().map(|e| ((Uuid::from_bytes(e.topic_id), e.index), e));
                Restored { is_clean, entries: keyed.collect() }
            }
            Ok(None) => Restored::default(),
            Err(error) if error.is_damaged() => {
                tracing::warn!(%error, "the checkpoint is not used: all logs are scanned");
                Restored::default()
            }
            Err(error) => return Err(error.into()),
        };
        let files = Arc::clone(files);
        Ok((Self { files, path, writing: Mutex::new(()) }, restored))
    }

    /// Writes the state of `partitions`, which must be all there are; durable on return.
    ///
    /// # Errors
    /// [`StorageError`] if the file could not be replaced; the one before is still there then.
    pub fn write(&self, partitions: impl Iterator<Item = Arc<Partition>>) -> Result<(), StorageError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let entries: Vec<Entry> = partitions.filter_map(|partition| entry(&partition)).collect();
        Ok(state_file::save(self.files.as_ref(), &self.path, KIND, &entries)?)
    }
}

fn entry(partition: &Partition) -> Option<Entry> {
    let checkpoint = partition.checkpoint()?;
    let producers = checkpoint.producers.into_iter().map(|(id, entry)| Producer {
        id,
        epoch: entry.epoch,
        last_append_ms: entry.last_append_ms,
        batches: entry.batches.iter().map(batch).collect(),
    });
    Some(Entry {
        topic_id: *partition.topic_id().as_bytes(),
        index: partition.index(),
        producers: producers.collect(),
        log: checkpoint.log,
    })
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
