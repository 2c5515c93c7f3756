//! A compacted partition over restarts, crashes and failing operations, against a list of what was appended to it.

mod crashes;
mod failing_files;
mod meanwhile;
mod rules;

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use sendlog_protocol::records::{
    BatchBuilder, BatchHeader, Compression, NewRecord, ProducerStamp, check_stored, check_stored_records,
    read_records,
};
use uuid::Uuid;

use super::*;
use crate::clock::ManualClock;
use crate::config::{Args, Config};
use crate::partition::{OpenPartition, PartitionEnv, ProducedBatch, ReadRequest};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::files::{FileSystem, IoMode};
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::log::Resume;
use crate::storage::scrub::AtOnce;
use crate::storage::store::Store;

/// A key has one letter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    offset: i64,
    key: u8,
    value: Option<Vec<u8>>,
    timestamp: i64,
}

/// What was saved last.
#[derive(Debug, Clone)]
struct Saved {
    log: PartitionCheckpoint,
    producers: Vec<(i64, ProducerEntry)>,
    epochs: LeaderEpochs,
}

/// A partition and what it must hold.
struct Life {
    fs: Arc<dyn FileSystem>,
    settings: Vec<String>,
    partition: Arc<Partition>,
    saved: Option<Saved>,
    cleaned_to: Option<i64>,
    now_ms: i64,
    /// How far the wall clock is ahead of that.
    clock_jump_ms: i64,
    free_bytes_min: u64,
    /// Everything that was appended and synced.
    appended: Vec<Entry>,
}

const DELETE_RETENTION_MS: i64 = 1000;

fn settings(more: &[&str]) -> Vec<String> {
    let retention = format!("log.cleaner.delete.retention.ms={DELETE_RETENTION_MS}");
    let fixed = ["log.cleanup.policy=compact", "log.segment.bytes=1024", "log.index.interval.bytes=128"];
    let all = fixed.iter().chain(more).map(|&setting| setting.to_owned());
    all.chain([retention]).collect()
}

fn open(
    fs: &Arc<dyn FileSystem>,
    root: &Path,
    settings: &[String],
    resume: Resume,
    saved: Option<&Saved>,
) -> Result<Arc<Partition>, StorageError> {
    let mut args = Args::for_data_dir(root);
    args.set = settings.to_vec();
    let config = Config::load(&args).unwrap().topic_defaults;
    let env = PartitionEnv {
        store: Store::new(Arc::clone(fs), 3),
        data_dir: root.to_owned(),
        clock: Arc::new(ManualClock::at(1_000)),
        producers_max: 100,
    };
    let open = OpenPartition {
        topic: "t".into(),
        topic_id: Uuid::from_u128(7),
        index: 0,
        config,
        resume,
        producers: saved.map_or_else(Vec::new, |saved| saved.producers.clone()),
        epochs: saved.map_or_else(LeaderEpochs::default, |saved| saved.epochs.clone()),
    };
    Partition::open(&env, open).map(|(partition, _)| partition)
}

fn dirty(saved: Option<&Saved>) -> Resume {
    Resume::Dirty { checkpoint: saved.map(|saved| saved.log.clone()), distrust_cache: false, now_ms: 0 }
}

/// What a batch is made of: letters are keys, capital ones tombstones.
fn build(keys: &str, timestamp: i64, compression: Compression, stamp: ProducerStamp) -> ProducedBatch {
    let mut builder = BatchBuilder::new();
    for (at, key) in (0_i64..).zip(keys.bytes()) {
        let value = format!("{} of {timestamp}, {at}; {}", char::from(key), "x".repeat(60));
        let value = key.is_ascii_lowercase().then_some(value.as_bytes());
        let lower = [key.to_ascii_lowercase()];
        builder
            .add(&NewRecord { timestamp: timestamp + at, key: Some(&lower), value, headers: &[] })
            .unwrap();
    }
    let bytes = builder.build(compression, stamp).unwrap();
    ProducedBatch { header: BatchHeader::read(&bytes).unwrap(), bytes }
}

impl Life {
    fn new(fs: Arc<dyn FileSystem>, root: &Path, settings: Vec<String>) -> Self {
        let partition = open(&fs, root, &settings, Resume::Fresh, None).unwrap();
        Self {
            fs,
            settings,
            partition,
            saved: None,
            cleaned_to: None,
            now_ms: 10_000,
            clock_jump_ms: 0,
            free_bytes_min: 0,
            appended: Vec::new(),
        }
    }

    fn append(&mut self, keys: &str) -> Result<(), StorageError> {
        self.append_batch(&build(keys, self.now_ms, Compression::None, ProducerStamp::NONE))
    }

    /// Appends a batch and syncs it, as a commit thread does.
    fn append_batch(&mut self, batch: &ProducedBatch) -> Result<(), StorageError> {
        let written = self.partition.write([batch].into_iter(), self.now_ms);
        let base = match written.results.first().expect("one result") {
            Ok(appended) => appended.base_offset,
            Err(error) => {
                return Err(StorageError::io(
                    Path::new(&error.to_string()),
                    "append",
                    std::io::Error::other("refused"),
                ));
            }
        };
        written.pending.expect("a strict topic syncs").dirty.sync()?;
        self.partition.publish(written.end.unwrap());
        for record in read_records(&batch.bytes, 1 << 20).unwrap() {
            let record = record.unwrap();
            self.appended.push(Entry {
                offset: base + record.offset,
                key: record.key.unwrap()[0],
                value: record.value.map(|value| value.to_vec()),
                timestamp: record.timestamp,
            });
        }
        Ok(())
    }

    fn checkpoint(&mut self, is_final: bool) -> Result<(), StorageError> {
        if let Some(checkpoint) = self.partition.checkpoint(is_final)? {
            let (log, producers, epochs) =
                (checkpoint.log.clone(), checkpoint.producers.clone(), checkpoint.epochs.clone());
            self.saved = Some(Saved { log, producers, epochs });
            self.partition.checkpoint_saved(&checkpoint)?;
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<Compacted, CompactionError> {
        self.compact_with(1 << 20, &AtOnce)
    }

    fn compact_with(&mut self, key_bytes_max: usize, pace: &dyn Pace) -> Result<Compacted, CompactionError> {
        let task = CompactionTask {
            cleaned_to: self.cleaned_to,
            now_ms: self.now_ms,
            latest_ms: self.now_ms + self.clock_jump_ms,
            key_bytes_max,
            load_factor: 0.9,
            decompressed_max: 1 << 20,
            free_bytes_min: self.free_bytes_min,
            pace,
        };
        let compacted = self.partition.compact(&task)?;
        self.cleaned_to = Some(compacted.cleaned_to);
        Ok(compacted)
    }

    /// All records as readers see them.
    fn read(&self) -> Vec<Entry> {
        self.batches().iter().flat_map(entries).collect()
    }

    /// All batches, each read on its own.
    fn batches(&self) -> Vec<Bytes> {
        let mut batches = Vec::new();
        let mut offset = self.partition.offsets().log_start;
        while let Some(batch) = self.batch_at(offset) {
            let header = check_stored(&batch).unwrap();
            check_stored_records(&batch, 1 << 20).unwrap();
            assert!(offset < header.next_offset(), "{offset}: {header:?}");
            offset = header.next_offset();
            batches.push(batch);
        }
        assert_eq!(offset, self.partition.offsets().high_watermark, "the end is where it was");
        batches
    }

    fn batch_at(&self, offset: i64) -> Option<Bytes> {
        let request = ReadRequest { offset, max_bytes: 1, min_one_batch: true, current_leader_epoch: -1 };
        let read =
            self.partition.read(&request, IoMode::Blocking).unwrap().expect("blocking reads do not give up");
        let slice = read.records?;
        let mut bytes = vec![0; slice.len()];
        assert_eq!(slice.read_at(0, &mut bytes).unwrap(), bytes.len());
        Some(bytes.into())
    }

    /// Nothing is lost, nothing comes back, and nothing is there that was not appended.
    fn check(&self) {
        let found = self.read();
        let start = self.partition.offsets().log_start;
        let mut all = self.appended.iter();
        for entry in &found {
            assert!(all.any(|one| one == entry), "{entry:?} was not appended, or comes out of order");
        }
        let mut latest: HashMap<u8, &Entry> = HashMap::new();
        for entry in self.appended.iter().filter(|entry| start <= entry.offset) {
            latest.insert(entry.key, entry);
        }
        for (key, last) in latest {
            let is_there = found.contains(last);
            assert!(is_there || last.value.is_none(), "the last value of {key} is lost: {last:?}");
            let older = found.iter().find(|entry| entry.key == key && entry.offset < last.offset);
            assert!(is_there || older.is_none(), "a deleted key has come back: {older:?}");
        }
    }

    /// Every offset leads to the next batch that there is, and every time to the next record.
    fn check_look_ups(&self) {
        let (batches, found) = (self.batches(), self.read());
        let offsets = self.partition.offsets();
        for offset in offsets.log_start..offsets.high_watermark {
            let is_next = |batch: &&Bytes| offset < BatchHeader::read(batch).unwrap().next_offset();
            assert_eq!(self.batch_at(offset).as_ref(), batches.iter().find(is_next), "at {offset}");
        }
        for time in found.iter().flat_map(|entry| [entry.timestamp, entry.timestamp + 1]) {
            let wanted = found.iter().find(|entry| time <= entry.timestamp).map(|entry| entry.offset);
            let answer = self.partition.offset_for_timestamp(time).unwrap();
            assert_eq!(answer.map(|found| found.offset), wanted, "at or after {time}");
        }
        let largest = found.iter().map(|entry| entry.timestamp).max();
        assert_eq!(self.partition.max_timestamp().unwrap().map(|found| found.timestamp_ms), largest);
    }

    fn restart(&mut self, root: &Path, resume: Resume) -> Result<(), StorageError> {
        self.partition = open(&self.fs, root, &self.settings, resume, self.saved.as_ref())?;
        Ok(())
    }

    fn segments(&self) -> Vec<(i64, u64)> {
        let view = self.partition.reader.view();
        view.segments().iter().map(|segment| (segment.base_offset(), segment.size())).collect()
    }
}

fn entries(batch: &Bytes) -> Vec<Entry> {
    let records = read_records(batch, 1 << 20).unwrap().map(|record| record.unwrap());
    let entry = |record: sendlog_protocol::records::Record| Entry {
        offset: record.offset,
        key: record.key.unwrap()[0],
        value: record.value.map(|value| value.to_vec()),
        timestamp: record.timestamp,
    };
    if BatchHeader::read(batch).unwrap().record_count == 0 {
        Vec::new()
    } else {
        records.map(entry).collect()
    }
}
