//! What has to be synced so that everything appended so far is durable.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, StoredFile};
use crate::storage::view::Bound;

/// How far the segments of a log are synced: shared by the log and by who syncs for it. What is behind may be durable all the
/// same, in the commit journal.
#[derive(Debug)]
pub struct Synced {
    offset: AtomicI64,
    is_deleted: AtomicBool,
}

impl Synced {
    /// Everything below `offset` is.
    pub(super) fn new(offset: i64) -> Arc<Self> {
        Arc::new(Self { offset: AtomicI64::new(offset), is_deleted: AtomicBool::new(false) })
    }

    /// The first offset that may not be.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::Acquire)
    }

    /// Everything below `offset` is now.
    pub fn advance(&self, offset: i64) {
        self.offset.fetch_max(offset, Ordering::AcqRel);
    }

    /// The log is deleted: its folder may be gone before it was synced.
    pub fn set_deleted(&self) {
        self.is_deleted.store(true, Ordering::Release);
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Acquire)
    }
}

/// A file and its path, for messages.
#[derive(Clone)]
pub struct DirtyFile {
    /// The file; kept open until it is synced, so that no error of its write-back gets lost.
    pub file: Arc<dyn StoredFile>,
    /// Its path.
    pub path: Arc<Path>,
}

/// Files and folders to sync, and what is durable once all of them are. The parts may be synced in any order and by several
/// threads; each at most once.
pub struct Dirty {
    /// Files with new bytes.
    pub files: Vec<DirtyFile>,
    /// Folders with new names.
    pub directories: Vec<PathBuf>,
    /// End of the log when this was taken.
    pub end: Bound,
    /// To be told once it is done.
    pub synced: Arc<Synced>,
    pub(super) fs: Arc<dyn FileSystem>,
}

impl Dirty {
    /// Whether nothing has been written since the last one was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.is_empty()
    }

    /// Whether nothing but the end of one file has changed.
    #[must_use]
    pub fn is_append_only(&self) -> bool {
        self.files.len() == 1 && self.directories.is_empty()
    }

    /// Syncs everything: on return, all below [`Dirty::end`] is durable, provided earlier ones were synced too.
    ///
    /// # Errors
    /// The first failure. It must not be tried again: poison the log.
    pub fn sync(&self) -> Result<(), StorageError> {
        for dirty in &self.files {
            dirty.sync()?;
        }
        for dir in &self.directories {
            self.sync_directory(dir)?;
        }
        self.synced.advance(self.end.offset);
        Ok(())
    }

    /// Syncs one of [`Dirty::directories`].
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn sync_directory(&self, dir: &Path) -> Result<(), StorageError> {
        self.fs.sync_dir(dir).map_err(|source| sync_error(dir, source))
    }
}

impl DirtyFile {
    /// Syncs the file.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(|source| sync_error(&self.path, source))
    }
}

/// A full disk is no excuse here: the bytes were acknowledged by the page cache already.
fn sync_error(path: &Path, source: io::Error) -> StorageError {
    StorageError::Io { path: path.to_path_buf(), op: "sync", source }
}

impl std::fmt::Debug for DirtyFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("DirtyFile").field(&self.path).finish()
    }
}

impl std::fmt::Debug for Dirty {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Dirty")
            .field("files", &self.files)
            .field("directories", &self.directories)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::storage::files::RealFs;

    /// Of a log of its own that ends there, without files.
    pub(in crate::storage) fn dirty_of(end_offset: i64) -> Dirty {
        let end = Bound { offset: end_offset, segment_base: 0, position: 0 };
        let (synced, fs) = (Synced::new(0), Arc::new(RealFs));
        Dirty { files: Vec::new(), directories: Vec::new(), end, synced, fs }
    }
}
