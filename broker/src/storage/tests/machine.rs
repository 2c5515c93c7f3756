//! What the broker does around one log, on a simulated disk: data directory, checkpoints, clean ends, distrust after a failed
//! sync, and the power going.

use std::path::Path;
use std::sync::Arc;

use sendlog_protocol::records::{BatchHeader, check_stored};
use tempfile::TempDir;
use uuid::Uuid;

use super::fixture::{TOPIC, bytes_of, copy_dir, memory_dir};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::data_dir::{DataDir, DataDirError, LastEnd};
use crate::storage::error::{ReadError, StorageError};
use crate::storage::files::{FileSystem, IoMode};
use crate::storage::log::{Log, LogPlace, Resume};
use crate::storage::recovery::RecoveryReport;
use crate::storage::segment::Segment;
use crate::storage::segment_list::delete_segments;
use crate::storage::state_file::{self, StateFileError, StateKind};
use crate::storage::store::Store;
use crate::storage::summary::LogConfig;
use crate::storage::testing::{Lie, SimDisk};

const CHECKPOINT: StateKind = StateKind { tag: *b"CKPT", version: 1 };
const CLUSTER: Uuid = Uuid::from_u128(1);

/// A batch as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) header: BatchHeader,
    pub(super) bytes: Vec<u8>,
}

/// Everything that can be read of a log. Offsets without a batch are holes.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) start_offset: i64,
    pub(super) end_offset: i64,
    pub(super) batches: Vec<Found>,
}

impl Content {
    /// # Errors
    /// The disk fails.
    pub(super) fn of(log: &Log) -> Result<Self, Stopped> {
        let (view, end) = (log.view(), log.end());
        let mut batches = Vec::new();
        let mut offset = log.start_offset();
        while offset < end.offset {
            match view.read(offset, &end, 1, true, IoMode::Blocking) {
                Ok(Some(slice)) => {
                    let bytes = bytes_of(&slice);
                    let header = check_stored(&bytes).expect("what is read is a batch");
                    assert!(offset < header.next_offset(), "{offset} was asked for, {header:?} was read");
                    offset = header.next_offset();
                    // One without records stands for offsets that are gone.
                    if 0 < header.record_count {
                        batches.push(Found { header, bytes });
                    }
                }
                Ok(None) => break,
                Err(error @ ReadError::Io { .. }) => return Err(error.into()),
                Err(error @ ReadError::OutOfRange { .. }) => panic!("{offset}: {error}"),
                // A range that is known to be damaged may say so.
                Err(_) => offset += 1,
            }
        }
        Ok(Self { start_offset: log.start_offset(), end_offset: end.offset, batches })
    }
}

/// A log that starts with a hole may as well start behind it.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        let first = |content: &Self| {
            let base = content.batches.first().map(|batch| batch.header.base_offset);
            base.unwrap_or(content.end_offset).max(content.start_offset)
        };
        (first(self), self.end_offset, &self.batches) == (first(other), other.end_offset, &other.batches)
    }
}

/// When the power goes again, while the log is being recovered.
#[derive(Debug, Clone)]
pub(super) struct SecondCut {
    pub(super) after: u64,
    pub(super) seed: u64,
}

/// A log in a data directory, as the broker keeps it.
pub(super) struct Machine {
    pub(super) root: TempDir,
    pub(super) disk: SimDisk,
    pub(super) config: LogConfig,
    pub(super) running: Option<Running>,
    lie: Option<Lie>,
}

pub(super) struct Running {
    pub(super) data_dir: DataDir,
    pub(super) store: Arc<Store>,
    pub(super) log: Log,
    pub(super) report: RecoveryReport,
    pub(super) doomed: Vec<Arc<Segment>>,
}

/// Something failed, the broker stops: why.
#[derive(Debug)]
#[expect(dead_code, reason = "it is printed")]
pub(super) struct Stopped(pub(super) String);

impl<E: std::error::Error> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// A child process that another test is starting has, for an instant, a copy of the descriptor with the last lock.
fn open_data_dir(fs: &Arc<dyn FileSystem>, root: &Path) -> Result<DataDir, DataDirError> {
    loop {
        match DataDir::open(Arc::clone(fs), root, CLUSTER) {
            Err(DataDirError::Locked { .. }) => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

impl Running {
    /// What the broker does at its start.
    pub(super) fn start(root: &Path, fs: Arc<dyn FileSystem>, config: LogConfig) -> Result<Self, Stopped> {
        let data_dir = open_data_dir(&fs, root)?;
        let last_end = data_dir.last_end();
        let saved =
            state_file::load::<Option<PartitionCheckpoint>>(&*fs, &root.join("checkpoint.state"), CHECKPOINT);
        let resume = match (last_end, saved) {
            (_, Err(error @ StateFileError::Io { .. })) => return Err(error.into()),
            (_, Err(error)) => panic!("no crash damages a state file: {error}"),
            (LastEnd::New, _) | (LastEnd::Clean, Ok(Some(None))) => Resume::Fresh,
            (LastEnd::Clean, Ok(Some(Some(checkpoint)))) => Resume::Clean(checkpoint),
            (end, Ok(checkpoint)) => Resume::Dirty {
                checkpoint: checkpoint.flatten(),
                distrust_cache: end == LastEnd::WriteFailed,
                now_ms: 9,
            },
        };
        let needs_recovery = matches!(resume, Resume::Dirty { .. });
        let store = Store::new(fs, 4);
        let place = LogPlace { dir: root.join("t-0"), topic_id: TOPIC, partition: 0 };
        let opened = Log::open(&store, place, config, resume, &mut |_| {});
        let synced = opened.and_then(|(mut log, report)| log.take_dirty().sync().map(|()| (log, report)));
        let (log, report) = synced.map_err(|error| {
            let is_sync = matches!(error, StorageError::Io { op: "sync", .. });
            if is_sync || last_end == LastEnd::WriteFailed {
                let _ = data_dir.failure_note().put();
            }
            Stopped::from(error)
        })?;
        let running = Self { data_dir, store, log, report, doomed: Vec::new() };
        if needs_recovery {
            running.save(&running.log.checkpoint()?)?;
            running.data_dir.mark_recovered()?;
        }
        Ok(running)
    }

    pub(super) fn sync(&mut self) -> Result<(), Stopped> {
        self.log.take_dirty().sync().map_err(|error| {
            self.log.poison();
            error.into()
        })
    }

    pub(super) fn save(&self, checkpoint: &PartitionCheckpoint) -> Result<(), Stopped> {
        let saved = Some(checkpoint).filter(|checkpoint| checkpoint.active.is_some());
        let path = self.data_dir.path().join("checkpoint.state");
        state_file::save(self.store.fs(), &path, CHECKPOINT, &saved).map_err(Stopped::from)
    }

    /// Failures are of no consequence: indexes are a cache.
    pub(super) fn settle(&mut self) {
        self.log.take_sealed().iter().for_each(|segment| drop(segment.settle()));
    }

    pub(super) fn close_cleanly(&mut self) -> Result<(), Stopped> {
        self.sync()?;
        self.settle();
        let checkpoint = self.log.clean_checkpoint()?;
        self.save(&checkpoint)?;
        let doomed = std::mem::take(&mut self.doomed);
        delete_segments(&self.store, &doomed)?;
        self.data_dir.mark_clean().map_err(Stopped::from)
    }
}

impl Machine {
    pub(super) fn new(config: LogConfig, lie: Option<Lie>) -> Self {
        let root = memory_dir();
        let disk = disk_in(&root, lie);
        let running = Some(Running::start(root.path(), Arc::new(disk.clone()), config).unwrap());
        Self { root, disk, config, running, lie }
    }

    pub(super) fn running(&mut self) -> &mut Running {
        self.running.as_mut().unwrap()
    }

    pub(super) fn log(&self) -> &Log {
        &self.running.as_ref().unwrap().log
    }

    pub(super) fn try_restart(&mut self) -> Result<Content, Stopped> {
        self.running = None;
        self.running = Some(Running::start(self.root.path(), Arc::new(self.disk.clone()), self.config)?);
        Content::of(self.log())
    }

    /// A start that nothing disturbs.
    fn restart(&mut self) -> Content {
        self.try_restart().unwrap()
    }

    /// The power goes, and again during the starts that follow. The last start is not disturbed.
    pub(super) fn cut_power(&mut self, seed: u64, again: &[SecondCut]) -> Content {
        self.running = None;
        self.change_disk(seed);
        // What an undisturbed start comes to.
        let root = memory_dir();
        copy_dir(self.root.path(), root.path());
        let disk = disk_in(&root, self.lie);
        let mut control = Self { root, disk, config: self.config, running: None, lie: self.lie };
        let wanted = control.restart();
        for cut in again {
            self.disk.power_off_after(cut.after);
            drop(Running::start(self.root.path(), Arc::new(self.disk.clone()), self.config));
            self.change_disk(cut.seed);
        }
        let content = self.restart();
        assert_eq!(content, wanted, "a disturbed recovery comes to the same as an undisturbed one");
        let again = self.restart();
        assert_eq!(again, content, "recovery is done once");
        let report = &self.running().report;
        assert!(report.cuts.is_empty() && report.set_aside.is_empty(), "{report:?}");
        again
    }

    fn change_disk(&mut self, seed: u64) {
        let after = memory_dir();
        self.disk.crash(seed, after.path()).unwrap();
        self.disk = disk_in(&after, self.lie);
        self.root = after;
    }
}

fn disk_in(root: &TempDir, lie: Option<Lie>) -> SimDisk {
    let disk = SimDisk::new(root.path()).unwrap();
    if let Some(lie) = lie {
        disk.lie(lie);
    }
    disk
}
