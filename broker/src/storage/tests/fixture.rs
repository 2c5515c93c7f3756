//! A log in a temporary folder, and what it must hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendlog_protocol::records::{BatchHeader, Compression, read_records};
use tempfile::TempDir;
use uuid::Uuid;

use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::error::{ReadError, StorageError};
use crate::storage::file_slice::FileSlice;
use crate::storage::files::{FileSystem, IoMode, RealFs};
use crate::storage::log::{Log, LogPlace, Resume};
use crate::storage::recovery::RecoveryReport;
use crate::storage::store::Store;
use crate::storage::summary::LogConfig;
use crate::storage::testing::{TestBatch, batch};
use crate::storage::time_lookup::TimestampOffset;
use crate::storage::view::{Bound, LogView};

pub(super) const TOPIC: Uuid = Uuid::from_u128(7);

/// Small segments, dense indexes.
pub(super) fn small() -> LogConfig {
    LogConfig { segment_bytes: 4096, index_interval_bytes: 300, ..LogConfig::default() }
}

pub(super) fn dirty(checkpoint: Option<PartitionCheckpoint>) -> Resume {
    Resume::Dirty { checkpoint, distrust_cache: false, now_ms: 0 }
}

/// A folder, and how its log is opened.
pub(super) struct Fixture {
    pub(super) dir: TempDir,
    pub(super) store: Arc<Store>,
    pub(super) config: LogConfig,
}

impl LogView {
    /// The records alone.
    pub(crate) fn read(
        &self,
        offset: i64,
        bound: &Bound,
        max_bytes: usize,
        min_one: bool,
        io: IoMode,
    ) -> Result<Option<FileSlice>, ReadError> {
        Ok(self.read_ahead(offset, bound, max_bytes, min_one, io)?.records)
    }
}

impl Fixture {
    pub(super) fn new(config: LogConfig) -> Self {
        Self::with_fs(Arc::new(RealFs), config)
    }

    pub(super) fn with_fs(fs: Arc<dyn FileSystem>, config: LogConfig) -> Self {
        Self::in_dir(memory_dir(), fs, config)
    }

    pub(super) fn in_dir(dir: TempDir, fs: Arc<dyn FileSystem>, config: LogConfig) -> Self {
        Self { dir, store: Store::new(fs, 4), config }
    }

    pub(super) fn partition_dir(&self) -> PathBuf {
        self.dir.path().join("t-0")
    }

    pub(super) fn try_open(&self, resume: Resume) -> Result<(Log, RecoveryReport), StorageError> {
        self.open_visiting(resume, &mut |_| {})
    }

    pub(super) fn open_visiting(
        &self,
        resume: Resume,
        visit: &mut dyn FnMut(&BatchHeader),
    ) -> Result<(Log, RecoveryReport), StorageError> {
        let place = LogPlace { dir: self.partition_dir(), topic_id: TOPIC, partition: 0 };
        Log::open(&self.store, place, self.config, resume, visit)
    }

    pub(super) fn open(&self, resume: Resume) -> Log {
        self.try_open(resume).unwrap().0
    }

    /// The same files in another folder.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::with_fs(self.store.fs_arc(), self.config);
        copy_dir(&self.partition_dir(), &copy.partition_dir());
        copy
    }

    /// Files of the partition with one of the extensions, sorted.
    pub(super) fn files(&self, extensions: &[&str]) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(self.partition_dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| {
            path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
        });
        paths.sort();
        paths
    }
}

/// In memory where that is to be had: these tests sync a thousand times and pull no plug.
pub(super) fn memory_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Copies files and folders.
pub(super) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &copy);
        } else {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
}

/// Appends `count` batches of 1 to 3 records with timestamps that mostly rise.
pub(super) fn fill(log: &mut Log, count: usize) -> Vec<TestBatch> {
    let mut batches = Vec::new();
    for _ in 0..count {
        let base = log.end_offset();
        let records = 1 + base % 3;
        let timestamps: Vec<i64> =
            (0..records).map(|at| 1000 + 10 * base + (base + at) * 7919 % 100).collect();
        let next = batch(base, &timestamps, 10 + usize::try_from(base % 90).unwrap(), Compression::None);
        log.append(&next.to_append(), 1).unwrap();
        batches.push(next);
    }
    batches
}

pub(super) fn bytes_of(slice: &FileSlice) -> Vec<u8> {
    let mut bytes = vec![0; slice.len()];
    assert_eq!(slice.read_at(0, &mut bytes).unwrap(), slice.len());
    bytes
}

/// What a log must hold: batches in order, some of them perhaps below its start.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    pub(super) start_offset: i64,
    pub(super) batches: Vec<TestBatch>,
}

impl Expected {
    pub(super) fn of(batches: Vec<TestBatch>) -> Self {
        Self { start_offset: 0, batches }
    }

    pub(super) fn end_offset(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.parsed.next_offset())
    }

    fn readable(&self) -> impl Iterator<Item = &TestBatch> {
        self.batches.iter().filter(|batch| self.start_offset < batch.parsed.next_offset())
    }

    /// What a read must return: whole batches up to the next segment.
    fn read(&self, log: &Log, offset: i64, max_bytes: usize, min_one: bool) -> Vec<u8> {
        let view = log.view();
        let next_base =
            view.segments().iter().map(|segment| segment.base_offset()).find(|base| offset < *base);
        let mut bytes = Vec::new();
        for batch in self.batches.iter().filter(|batch| offset < batch.parsed.next_offset()) {
            let is_forced = bytes.is_empty() && min_one;
            let fits = bytes.len() + batch.bytes.len() <= max_bytes;
            if next_base.is_some_and(|base| base <= batch.parsed.base_offset) || !(fits || is_forced) {
                break;
            }
            bytes.extend_from_slice(&batch.bytes);
        }
        bytes
    }

    pub(super) fn check_read(&self, log: &Log, offset: i64, max_bytes: usize, min_one: bool) {
        let (view, end) = (log.view(), log.end());
        let read = |io| view.read(offset, &end, max_bytes, min_one, io);
        let result = match read(IoMode::NoWait) {
            Err(ReadError::WouldBlock) => read(IoMode::Blocking),
            other => other,
        };
        if offset < self.start_offset || self.end_offset() < offset {
            assert!(matches!(result, Err(ReadError::OutOfRange { .. })), "{offset}: {result:?}");
            return;
        }
        let bytes = result.unwrap().map(|slice| bytes_of(&slice)).unwrap_or_default();
        assert!(
            bytes == self.read(log, offset, max_bytes, min_one),
            "wrong bytes at {offset}, max {max_bytes}, min one {min_one}"
        );
    }

    pub(super) fn check_time(&self, log: &Log, timestamp: i64) {
        let records = self.records();
        let wanted = records
            .iter()
            .find(|record| timestamp <= record.timestamp && self.start_offset <= record.offset)
            .copied();
        let found = log.view().offset_for_timestamp(timestamp, &log.end()).unwrap();
        assert_eq!(found, wanted, "first at or after {timestamp}");
    }

    pub(super) fn check_max_timestamp(&self, log: &Log) {
        let mut wanted: Option<TimestampOffset> = None;
        for record in self.records().into_iter().filter(|record| self.start_offset <= record.offset) {
            if wanted.is_none_or(|best| best.timestamp < record.timestamp) {
                wanted = Some(record);
            }
        }
        assert_eq!(log.view().max_timestamp(&log.end()).unwrap(), wanted);
    }

    pub(super) fn records(&self) -> Vec<TimestampOffset> {
        let of_batch = |batch: &TestBatch| -> Vec<TimestampOffset> {
            read_records(&batch.bytes, 1 << 20)
                .unwrap()
                .map(|record| {
                    let record = record.unwrap();
                    TimestampOffset { timestamp: record.timestamp, offset: record.offset, leader_epoch: 0 }
                })
                .collect()
        };
        self.readable().flat_map(of_batch).collect()
    }

    /// Every offset, all timestamps.
    pub(super) fn check_all(&self, log: &Log) {
        assert_eq!(log.start_offset(), self.start_offset);
        assert_eq!(log.end_offset(), self.end_offset());
        for offset in self.start_offset..=self.end_offset() {
            self.check_read(log, offset, 1, true);
            self.check_read(log, offset, 700, false);
        }
        self.check_read(log, self.start_offset, usize::MAX, false);
        for batch in &self.batches {
            self.check_time(log, batch.parsed.max_timestamp);
            self.check_time(log, batch.parsed.max_timestamp + 1);
        }
        self.check_time(log, 0);
        self.check_max_timestamp(log);
    }
}
