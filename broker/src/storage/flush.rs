//! Makes files durable, many at once.
//!
//! A sync waits for the disk and computes nothing, so many threads do it: one after the other,
//! 256 files take eight times as long. The threads are started when a round first needs them.
//!
//! [`super::commit`] decides what comes here and what goes to the commit journal.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use crate::storage::dirty::{Dirty, DirtyFile, Synced};
use crate::storage::error::StorageError;
use crate::storage::files::FileSystem;

/// A sync thread calls `fdatasync` and nothing else.
const STACK_BYTES: usize = 64 << 10;

/// How often, and how far apart, a folder is tried to be opened while descriptors are short.
const DESCRIPTOR_ATTEMPTS_MAX: u32 = 1_000;
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(20);

type Outcome = Result<(), StorageError>;

/// A file or a folder with changes that are not durable yet.
#[derive(Clone)]
enum SyncUnit {
    File(DirtyFile),
    Directory(DirtyFolder),
}

/// A folder, and the logs that have new names in it.
#[derive(Clone)]
struct DirtyFolder {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    logs: Vec<Arc<Synced>>,
}

impl SyncUnit {
    fn sync(&self) -> Outcome {
        match self {
            Self::File(file) => file.sync(),
            Self::Directory(folder) => folder.sync(),
        }
    }
}

impl DirtyFolder {
    /// A folder that went with its log has nothing left to be made durable: a topic may be deleted while appends to it are
    /// on their way. Asked after the sync, because a log says that it is deleted before its folder goes.
    fn sync(&self) -> Outcome {
        match sync_directory(self.fs.as_ref(), &self.path) {
            Err(StorageError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound
                    && self.logs.iter().all(|log| log.is_deleted()) =>
            {
                Ok(())
            }
            synced => synced,
        }
    }
}

/// Syncs a folder, which takes a descriptor to open it. Clients may have used them up: that is no
/// failed sync, so it waits a while for one to come back.
fn sync_directory(fs: &dyn FileSystem, path: &Path) -> Outcome {
    let mut attempts = 0;
    loop {
        let Err(source) = fs.sync_dir(path) else { return Ok(()) };
        let is_short = matches!(Errno::from_io_error(&source), Some(Errno::MFILE | Errno::NFILE));
        if !is_short || attempts == DESCRIPTOR_ATTEMPTS_MAX {
            return Err(StorageError::Io { path: path.to_path_buf(), op: "sync", source });
        }
        attempts += 1;
        std::thread::sleep(DESCRIPTOR_PAUSE);
    }
}

struct Task {
    unit: SyncUnit,
    done: Sender<Outcome>,
}

/// Syncs files on a pool of threads.
pub struct Flusher {
    threads_max: usize,
    threads: Mutex<usize>,
    tasks: Sender<Task>,
    queue: Arc<Mutex<Receiver<Task>>>,
}

impl Flusher {
    /// A flusher with at most `threads_max` threads beside the caller's.
    #[must_use]
    pub fn new(threads_max: usize) -> Self {
        let (tasks, queue) = mpsc::channel();
        Self { threads_max, threads: Mutex::new(0), tasks, queue: Arc::new(Mutex::new(queue)) }
    }

    /// Makes all of `dirty` durable. The calling thread takes part, so that the usual round of a
    /// single file costs no hand-over.
    ///
    /// # Errors
    /// The first failure. It says nothing about the rest, which may be durable or not; and it must
    /// not be tried again (on Linux a second sync reports success with the data gone).
    pub fn sync(&self, dirty: &[Dirty]) -> Outcome {
        let units = units(dirty);
        let Some((own, others)) = units.split_last() else { return Ok(()) };
        if others.is_empty() {
            return own.sync();
        }
        let (done, outcomes) = mpsc::channel();
        self.start_threads(others.len());
        for unit in others {
            // The queue's other end lives as long as `self`.
            let _ = self.tasks.send(Task { unit: unit.clone(), done: done.clone() });
        }
        drop(done);
        let mut result = own.sync();
        self.help();
        for outcome in outcomes {
            result = result.and(outcome);
        }
        result
    }

    /// Takes tasks that no thread waits for: there may be no thread at all.
    fn help(&self) {
        while let Some(task) = self.queue.try_lock().ok().and_then(|queue| queue.try_recv().ok()) {
            run(&task);
        }
    }

    fn start_threads(&self, wanted: usize) {
        let wanted = wanted.min(self.threads_max);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while *threads < wanted {
            let queue = Arc::clone(&self.queue);
            let builder = std::thread::Builder::new().name(format!("sync-{threads}")).stack_size(STACK_BYTES);
            if builder.spawn(move || work(&queue)).is_err() {
                // The caller works the queue off by itself.
                return;
            }
            *threads += 1;
        }
    }
}

/// Every file, and every folder once.
fn units(dirty: &[Dirty]) -> Vec<SyncUnit> {
    let mut units = Vec::with_capacity(dirty.len());
    let mut folders: BTreeMap<&Path, DirtyFolder> = BTreeMap::new();
    for one in dirty {
        units.extend(one.files.iter().cloned().map(SyncUnit::File));
        for path in &one.directories {
            let new = || DirtyFolder { fs: Arc::clone(&one.fs), path: path.clone(), logs: Vec::new() };
            folders.entry(path).or_insert_with(new).logs.push(Arc::clone(&one.synced));
        }
    }
    units.extend(folders.into_values().map(SyncUnit::Directory));
    units
}

fn work(queue: &Mutex<Receiver<Task>>) {
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match task {
            Ok(task) => run(&task),
            Err(_) => return,
        }
    }
}

fn run(task: &Task) {
    // Whoever asked has seen another failure already if it no longer listens.
    let _ = task.done.send(task.unit.sync());
}

impl std::fmt::Debug for Flusher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flusher").field("threads_max", &self.threads_max).finish_non_exhaustive()
    }
}
