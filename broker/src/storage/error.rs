//! What can go wrong in storage.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;

/// Why an operation on the data directory or on a log was refused or broke off.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The file system is full, a quota is used up, or there are no more file descriptors. Nothing was changed; the same
    /// call may work later.
    #[error("no room for {path}: {source}", path = .path.display())]
    Full {
        /// File or folder that could not grow.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The system refused an operation, for another reason than a full disk.
    #[error("{op} {path}: {source}", path = .path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was attempted: `write`, `sync`, `open` ...
        op: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Stored bytes are not what they must be, and nothing may be cut or guessed.
    #[error("{path} is damaged at position {position} (offset {offset}): {reason}", path = .path.display())]
    Corrupt {
        /// Segment file.
        path: PathBuf,
        /// Byte position in the file.
        position: u64,
        /// First offset in doubt.
        offset: i64,
        /// What is wrong, and what can be done about it.
        reason: String,
    },
    /// An earlier write or sync failed: what the file holds is unknown until the log is opened again.
    #[error("the log in {path} takes no more writes after a failed one; restart the broker", path = .dir.display())]
    Poisoned {
        /// Partition folder.
        dir: PathBuf,
    },
    /// A partition folder holds another topic's files.
    #[error(
        "{path}/partition.metadata names topic id {found}, the catalog expects {expected}: restore the file from a \
         backup; or, if the folder is another topic's, move it out of the data directory", path = .dir.display()
    )]
    ForeignPartition {
        /// Partition folder.
        dir: PathBuf,
        /// Topic id in its `partition.metadata`.
        found: uuid::Uuid,
        /// Topic id in the catalog.
        expected: uuid::Uuid,
    },
    /// A state file cannot be used.
    #[error(transparent)]
    State(#[from] crate::storage::state_file::StateFileError),
}

impl StorageError {
    /// Whether the disk is full: everything else cannot be waited out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::State(error) => error.is_full(),
            _ => false,
        }
    }

    /// Sorts a failed operation: a full disk can be waited out, everything else cannot.
    pub(crate) fn io(path: &Path, op: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        if is_full(&source) { Self::Full { path, source } } else { Self::Io { path, op, source } }
    }
}

/// Whether the error says "no room" in one of its forms.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Why a read gave nothing.
#[derive(Debug, Error)]
pub enum ReadError {
    /// With [`IoMode::NoWait`](crate::storage::files::IoMode::NoWait): the answer takes a disk read. Ask again on a
    /// thread that may wait.
    #[error("the pages are not in memory")]
    WouldBlock,
    /// The offset lies before the log's start or behind the bound.
    #[error("offset {offset} is outside of {start}..{end}")]
    OutOfRange {
        /// Offset asked for.
        offset: i64,
        /// Log start offset.
        start: i64,
        /// Offset of the bound.
        end: i64,
    },
    /// Stored bytes are not a record batch where one must be.
    #[error("{path} is damaged at position {position}: {reason}", path = .path.display())]
    Corrupt {
        /// Segment file.
        path: PathBuf,
        /// Byte position in the file.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The offset lies in a range that is known to hold no readable batches.
    #[error(
        "offsets {offset} to {last} in {path} (position {position}) are damaged; offset {next_offset} is readable again",
        path = .path.display(), last = next_offset - 1
    )]
    Quarantined {
        /// Segment file.
        path: PathBuf,
        /// Where the range starts in the file.
        position: u64,
        /// The first offset that cannot be read.
        offset: i64,
        /// The first offset behind it.
        next_offset: i64,
    },
    /// A batch is as it was stored, checksum and all, and its records cannot be decoded.
    #[error("the batch at position {position} in {path} cannot be decoded: {reason}", path = .path.display())]
    Undecodable {
        /// Segment file.
        path: PathBuf,
        /// Byte position in the file.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The system refused the read.
    #[error("read {path}: {source}", path = .path.display())]
    Io {
        /// Segment or index file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl ReadError {
    /// Whether there was no room for what the read would have left behind, such as an index.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }

    /// Whether the bytes are at fault: not what they must be, or not to be had from the disk. A verification of the segment
    /// tells how far that goes.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } => true,
            Self::Io { source, .. } => {
                source.kind() == io::ErrorKind::UnexpectedEof
                    || Errno::from_io_error(source) == Some(Errno::IO)
            }
            _ => false,
        }
    }

    /// The file that could not be read.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Corrupt { path, .. }
            | Self::Quarantined { path, .. }
            | Self::Undecodable { path, .. }
            | Self::Io { path, .. } => Some(path),
            Self::WouldBlock | Self::OutOfRange { .. } => None,
        }
    }

    /// Whether a file is not there.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Sorts a failed read.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::WouldBlock {
            return Self::WouldBlock;
        }
        Self::Io { path: path.to_path_buf(), source }
    }
}
