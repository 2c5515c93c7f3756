//! The data directory: whose it is, that only one broker has it, and whether the last one went in peace.
//!
//! The lock is an advisory one on the directory itself, so that no removed or replaced lock file lets a second broker in; the
//! file `lock` only tells the holder's process id. Files that are not ours are never touched.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::storage::files::{FileSystem, OpenMode, read_full_at, write_all_at};
use crate::storage::state_file::{self, StateFileError, StateKind};

/// Marks a directory as ours.
pub(crate) const META_FILE: &str = "sendlog.meta";
pub(crate) const META_KIND: StateKind = StateKind { tag: *b"META", version: 1 };
/// Process id of the holder, for people and messages.
pub(crate) const LOCK_FILE: &str = "lock";
/// There if the last broker has synced and saved everything before it stopped.
pub(crate) const CLEAN_FILE: &str = "clean-shutdown";
/// There if a write or sync has failed, until a start has checked what the disk has and saved that.
pub(crate) const FAILED_FILE: &str = "write-failed";
/// What else may be in a directory that counts as empty.
const NOT_FOREIGN: [&str; 4] = ["lost+found", LOCK_FILE, CLEAN_FILE, "sendlog.meta.tmp"];

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// There is something else of that name.
    #[error("{path} is not a directory; give another --data-dir", path = .path.display())]
    NotADirectory {
        /// As given.
        path: PathBuf,
    },
    /// Another broker has it.
    #[error(
        "{path} is in use by {holder}; stop that one first, or give another --data-dir",
        path = .path.display(), holder = holder(*.pid)
    )]
    Locked {
        /// As given.
        path: PathBuf,
        /// The other's process id, if it could be read.
        pid: Option<u32>,
    },
    /// It has files, and they are not sendlog's.
    #[error(
        "{path} is not a sendlog data directory, but holds {example:?}{hint}; give an empty or new directory as --data-dir",
        path = .path.display()
    )]
    Foreign {
        /// As given.
        path: PathBuf,
        /// One of the files.
        example: String,
        /// What it seems to be.
        hint: &'static str,
    },
    /// It is sendlog's, but what says so is gone.
    #[error(
        "{path}/sendlog.meta is missing, beside other files of sendlog: restore it from a backup, or give another --data-dir",
        path = .path.display()
    )]
    MetaMissing {
        /// As given.
        path: PathBuf,
    },
    /// It is not there, or empty, and must not be begun anew.
    #[error(
        "{path} is missing or empty, and sendlog.data.dir.create is false: is its disk mounted? To begin a new data \
         directory there, start the broker once with --set sendlog.data.dir.create=true",
        path = .path.display()
    )]
    Absent {
        /// As given.
        path: PathBuf,
    },
    /// It cannot be written to.
    #[error("{path} is not writable ({source}); change its owner or mode, or give another --data-dir", path = .path.display())]
    NotWritable {
        /// As given.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The marker file cannot be read or written.
    #[error("{source}; without it {path} cannot be used", path = .path.display())]
    Meta {
        /// As given.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: StateFileError,
    },
    /// The system refused another operation.
    #[error("{op} {path}: {source}", path = .path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was attempted.
        op: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another broker or check".to_owned(),
        |pid| format!("the broker with process id {pid}"),
    )
}

/// What the marker file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    cluster_id: [u8; 16],
}

impl Meta {
    /// The id of the directory.
    pub(crate) fn id(&self) -> Uuid {
        Uuid::from_bytes(self.cluster_id)
    }
}

/// How the last broker on a data directory ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastEnd {
    /// There was none.
    New,
    /// Everything was synced and saved: nothing needs to be checked.
    Clean,
    /// It crashed or was killed.
    Crash,
    /// A write or sync had failed: cached pages are not to be trusted.
    WriteFailed,
}

/// A data directory, locked for as long as this lives.
pub struct DataDir {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    cluster_id: Uuid,
    last_end: LastEnd,
    /// Holds the lock.
    _directory: File,
}

/// Notes in a data directory that a write or sync has failed. Says so as early as it can be said: the process may be
/// killed before its orderly end.
#[derive(Debug, Clone)]
pub struct FailureNote {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
}

impl FailureNote {
    /// Puts the note there, if that can still be written; again does no harm.
    ///
    /// # Errors
    /// [`DataDirError::Io`]; the note may be there all the same.
    pub fn put(&self) -> Result<(), DataDirError> {
        put_marker(&*self.fs, &self.path, FAILED_FILE)
    }
}

impl DataDir {
    /// Locks a directory and checks that it is ours; creates it if it does not exist, and takes an empty one over under
    /// `new_cluster_id`. From here on a crash counts as one, until [`DataDir::mark_clean`].
    ///
    /// # Errors
    /// [`DataDirError`]: nothing was changed, except perhaps that an empty directory was created.
    pub fn open(fs: Arc<dyn FileSystem>, path: &Path, new_cluster_id: Uuid) -> Result<Self, DataDirError> {
        create_all(&*fs, path)?;
        Self::lock_and_read(fs, path, Some(new_cluster_id))
    }

    /// As [`DataDir::open`], for a directory that must be there: one that is missing or empty is left so.
    ///
    /// # Errors
    /// [`DataDirError::Absent`], or as [`DataDir::open`]; nothing was changed.
    pub fn open_existing(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Self, DataDirError> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DataDirError::Absent { path: path.to_path_buf() });
            }
            // What is there is a directory, or an error that `open` has words for.
            _ => create_all(&*fs, path)?,
        }
        Self::lock_and_read(fs, path, None)
    }

    fn lock_and_read(
        fs: Arc<dyn FileSystem>,
        path: &Path,
        new_cluster_id: Option<Uuid>,
    ) -> Result<Self, DataDirError> {
        let directory = lock(&*fs, path)?;
        let meta: Option<Meta> =
            state_file::load(&*fs, &path.join(META_FILE), META_KIND).map_err(meta_error(path))?;
        if meta.is_none() {
            check_empty(&*fs, path)?;
        }
        let cluster_id = meta.as_ref().map(|meta| Uuid::from_bytes(meta.cluster_id)).or(new_cluster_id);
        let Some(cluster_id) = cluster_id else {
            return Err(DataDirError::Absent { path: path.to_path_buf() });
        };
        write_pid(&*fs, path)?;
        let last_end = match &meta {
            None => LastEnd::New,
            Some(_) => take_last_end(&*fs, path)?,
        };
        if meta.is_none() {
            let meta = Meta { cluster_id: cluster_id.into_bytes() };
            state_file::save(&*fs, &path.join(META_FILE), META_KIND, &meta).map_err(meta_error(path))?;
        }
        Ok(Self { fs, path: path.to_path_buf(), cluster_id, last_end, _directory: directory })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Set when the directory was first used.
    #[must_use]
    pub fn cluster_id(&self) -> Uuid {
        self.cluster_id
    }

    /// How the last broker ended.
    #[must_use]
    pub fn last_end(&self) -> LastEnd {
        self.last_end
    }

    /// Notes that everything is synced and saved; the last thing that a broker does.
    ///
    /// # Errors
    /// [`DataDirError::Io`]; then the next start checks.
    pub fn mark_clean(&self) -> Result<(), DataDirError> {
        put_marker(&*self.fs, &self.path, CLEAN_FILE)
    }

    /// What notes a failed write or sync.
    #[must_use]
    pub fn failure_note(&self) -> FailureNote {
        FailureNote { fs: Arc::clone(&self.fs), path: self.path.clone() }
    }

    /// Removes the note of a failed write: every log was checked against the disk, and a checkpoint says so. Until then it
    /// stays, so that a start that breaks off or is killed hands it on.
    ///
    /// # Errors
    /// [`DataDirError::Io`]; then the next start checks once more.
    pub fn mark_recovered(&self) -> Result<(), DataDirError> {
        if take_marker(&*self.fs, &self.path, FAILED_FILE)? {
            self.fs.sync_dir(&self.path).map_err(io_error(&self.path, "sync"))?;
        }
        Ok(())
    }
}

/// A data directory that a tool has for itself, without being a broker. Nothing in it is changed by this.
#[derive(Debug)]
pub struct DataDirLock {
    _directory: File,
}

impl DataDirLock {
    /// Takes the lock of a directory that is there.
    ///
    /// # Errors
    /// [`DataDirError::NotADirectory`], [`DataDirError::Locked`], [`DataDirError::Io`].
    pub fn take(fs: &dyn FileSystem, path: &Path) -> Result<Self, DataDirError> {
        let meta = std::fs::metadata(path).map_err(io_error(path, "open"))?;
        if !meta.is_dir() {
            return Err(DataDirError::NotADirectory { path: path.to_path_buf() });
        }
        Ok(Self { _directory: lock(fs, path)? })
    }

    /// Tells a broker that is started meanwhile who has the directory.
    ///
    /// # Errors
    /// [`DataDirError::NotWritable`], [`DataDirError::Io`].
    pub fn tell(&self, fs: &dyn FileSystem, path: &Path) -> Result<(), DataDirError> {
        write_pid(fs, path)
    }
}

/// How the last broker ended, by what it has left; the marks stay.
///
/// # Errors
/// [`DataDirError::Io`].
pub fn peek_last_end(fs: &dyn FileSystem, path: &Path) -> Result<LastEnd, DataDirError> {
    let is_there = |name: &str| match fs.file_len(&path.join(name)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(&path.join(name), "stat")(error)),
    };
    Ok(match (is_there(FAILED_FILE)?, is_there(CLEAN_FILE)?) {
        (true, _) => LastEnd::WriteFailed,
        (false, true) => LastEnd::Clean,
        (false, false) => LastEnd::Crash,
    })
}

fn io_error(path: &Path, op: &'static str) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_path_buf();
    move |source| DataDirError::Io { path, op, source }
}

fn meta_error(path: &Path) -> impl FnOnce(StateFileError) -> DataDirError {
    let path = path.to_path_buf();
    move |source| DataDirError::Meta { path, source }
}

/// Creates a directory and those above it.
fn create_all(fs: &dyn FileSystem, path: &Path) -> Result<(), DataDirError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(_) => return Err(DataDirError::NotADirectory { path: path.to_path_buf() }),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(DataDirError::NotADirectory { path: path.to_path_buf() });
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error(path, "stat")(error));
        }
        // The link is there, what it points to is not: perhaps a disk that is not mounted.
        Err(error) if path.is_symlink() => return Err(io_error(path, "follow the link")(error)),
        Err(_) => {}
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_all(fs, parent)?;
    }
    fs.create_dir(path).map_err(io_error(path, "create"))?;
    let parent = parent.unwrap_or(Path::new("."));
    fs.sync_dir(parent).map_err(io_error(parent, "sync"))
}

fn lock(fs: &dyn FileSystem, path: &Path) -> Result<File, DataDirError> {
    let directory = File::open(path).map_err(io_error(path, "open"))?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(directory),
        Err(Errno::WOULDBLOCK) => {
            Err(DataDirError::Locked { path: path.to_path_buf(), pid: read_pid(fs, path) })
        }
        Err(error) => Err(io_error(path, "lock")(error.into())),
    }
}

fn read_pid(fs: &dyn FileSystem, path: &Path) -> Option<u32> {
    let file = fs.open(&path.join(LOCK_FILE), OpenMode::Read).ok()?;
    let mut text = [0; 16];
    let read = read_full_at(&*file, &mut text, 0).ok()?;
    let pid = std::str::from_utf8(&text[..read]).ok()?.trim().parse().ok()?;
    // A tool that only reads leaves no id here: then this is one of a broker that has ended.
    is_running(pid).then_some(pid)
}

/// Where it cannot be told, yes.
fn is_running(pid: u32) -> bool {
    !Path::new("/proc/self").exists() || Path::new("/proc").join(pid.to_string()).exists()
}

fn write_pid(fs: &dyn FileSystem, path: &Path) -> Result<(), DataDirError> {
    let text = format!("{}\n", std::process::id());
    let written = fs
        .open(&path.join(LOCK_FILE), OpenMode::Replace)
        .and_then(|file| write_all_at(&*file, &mut [IoSlice::new(text.as_bytes())], 0));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            DataDirError::NotWritable { path: path.to_path_buf(), source }
        }
        _ => io_error(&path.join(LOCK_FILE), "write")(source),
    })
}

/// Only an empty directory is taken over.
fn check_empty(fs: &dyn FileSystem, path: &Path) -> Result<(), DataDirError> {
    let names = fs.list(path).map_err(io_error(path, "list"))?;
    let Some(example) = names.iter().find(|name| !NOT_FOREIGN.contains(&name.as_str())) else {
        return Ok(());
    };
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    if has("catalog.state") {
        return Err(DataDirError::MetaMissing { path: path.to_path_buf() });
    }
    Err(DataDirError::Foreign {
        path: path.to_path_buf(),
        example: example.clone(),
        hint: if has("meta.properties") { " (it looks like Apache Kafka's)" } else { "" },
    })
}

/// Reads the markers and removes that of a clean end, durably: if this broker crashes, the next one must not find it.
fn take_last_end(fs: &dyn FileSystem, path: &Path) -> Result<LastEnd, DataDirError> {
    let has_failed = has_marker(fs, path, FAILED_FILE)?;
    let was_clean = take_marker(fs, path, CLEAN_FILE)?;
    if was_clean {
        fs.sync_dir(path).map_err(io_error(path, "sync"))?;
    }
    Ok(match (has_failed, was_clean) {
        (true, _) => LastEnd::WriteFailed,
        (false, true) => LastEnd::Clean,
        (false, false) => LastEnd::Crash,
    })
}

fn has_marker(fs: &dyn FileSystem, path: &Path, name: &str) -> Result<bool, DataDirError> {
    let path = path.join(name);
    match fs.file_len(&path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(&path, "stat")(error)),
    }
}

fn take_marker(fs: &dyn FileSystem, path: &Path, name: &str) -> Result<bool, DataDirError> {
    let path = path.join(name);
    match fs.remove(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(&path, "remove")(error)),
    }
}

fn put_marker(fs: &dyn FileSystem, path: &Path, name: &str) -> Result<(), DataDirError> {
    let marker = path.join(name);
    let file = fs.open(&marker, OpenMode::Replace).map_err(io_error(&marker, "write"))?;
    // The name is what counts: it is made durable even if the file, which has nothing in it, cannot be.
    let synced = file.sync_data();
    fs.sync_dir(path).map_err(io_error(path, "sync"))?;
    synced.map_err(io_error(&marker, "write"))
}

impl std::fmt::Debug for DataDir {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DataDir")
            .field("path", &self.path)
            .field("cluster_id", &self.cluster_id)
            .field("last_end", &self.last_end)
            .finish_non_exhaustive()
    }
}
