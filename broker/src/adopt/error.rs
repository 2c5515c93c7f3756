//! Why nothing was adopted; every sentence has the way out.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use uuid::Uuid;

use crate::catalog::{CatalogError, TopicError};
use crate::storage::data_dir::DataDirError;
use crate::storage::error::StorageError;
use crate::storage::import::ImportError;

/// Why nothing was adopted.
#[derive(Debug, Error)]
pub enum AdoptError {
    /// The source is something else.
    #[error("{path} {reason}; give a log directory of Apache Kafka (log.dirs in its server.properties) as --from", path = .path.display())]
    NotKafka {
        /// As given.
        path: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// The same source twice.
    #[error("{path} is given twice as --from", path = .path.display())]
    FromTwice {
        /// As given.
        path: PathBuf,
    },
    /// Kafka holds its lock.
    #[error("the Kafka of {path} is running (it holds {path}/.lock); stop it first", path = .path.display())]
    Running {
        /// The log directory.
        path: PathBuf,
    },
    /// Whether Kafka runs cannot be found out.
    #[error(
        "lock {path}: {source}; whether Kafka is running cannot be told here: copy the directory to a local disk, \
         without the file .lock, and adopt the copy", path = .path.display()
    )]
    LockUnknown {
        /// The lock file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Source and target are within each other.
    #[error("--data-dir {data_dir} lies within --from {from}, which is never changed; give another --data-dir", data_dir = .data_dir.display(), from = .from.display())]
    Within {
        /// The target.
        data_dir: PathBuf,
        /// The source.
        from: PathBuf,
    },
    /// A topic that was asked for is not there.
    #[error("there is no topic {name} to adopt; there are: {there}")]
    NoSuchTopic {
        /// As given.
        name: String,
        /// Some that there are.
        there: String,
    },
    /// No topic is left.
    #[error("there is no topic to adopt in {from}")]
    Nothing {
        /// The sources.
        from: String,
    },
    /// A topic cannot be adopted.
    #[error("topic {topic}: {reason}; --skip {topic} adopts the others")]
    Topic {
        /// Its name.
        topic: String,
        /// Why not.
        #[source]
        reason: TopicRefusal,
    },
    /// Topics that a dry run has named.
    #[error("{count} of the topics cannot be adopted, see above; --skip TOPIC leaves one out")]
    Refused {
        /// How many.
        count: usize,
    },
    /// One of Kafka's text files says something else than it should.
    #[error(
        "{path}, line {line}: {reason}; start that Kafka once and stop it again, it writes the file anew", path = .path.display()
    )]
    KafkaFile {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The cluster's metadata cannot be read.
    #[error(
        "{path} is damaged at position {position}: {reason}; without it the topics' settings are not known. Start that \
         Kafka once and stop it again; or move __cluster_metadata-0 away to adopt without settings", path = .path.display()
    )]
    Metadata {
        /// Segment or snapshot.
        path: PathBuf,
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk has not enough room for the copies.
    #[error("{path} has room for {free} bytes, the copies need {needed}; make room, or give another --data-dir", path = .path.display())]
    NoRoom {
        /// The data directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// A source file is not as it was.
    #[error("{path} has changed while it was copied; stop what writes to it, and adopt again", path = .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The target's last broker met a failing disk.
    #[error("the last broker on {path} stopped because a write or sync had failed; start it once, so that it recovers, and stop it", path = .path.display())]
    WriteFailed {
        /// The data directory.
        path: PathBuf,
    },
    /// The target cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The target's list of topics cannot be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A file of the target could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
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

impl AdoptError {
    pub(super) fn io(path: &std::path::Path, op: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, op, source }
    }
}

/// Why one topic cannot be adopted.
#[derive(Debug, Error)]
pub enum TopicRefusal {
    /// The target cannot have a topic of that name.
    #[error("{0}")]
    Name(TopicError),
    /// The target has the id.
    #[error("its id {id} is that of topic {other} in the data directory")]
    IdTaken {
        /// The id.
        id: Uuid,
        /// The other topic.
        other: String,
    },
    /// The target has such a folder.
    #[error("{path} is in the way; move it out of the data directory", path = .path.display())]
    FolderInTheWay {
        /// The folder.
        path: PathBuf,
    },
    /// Not all partitions are there.
    #[error(
        "partition {missing} of {count} is not there; give Kafka's other log directories with further --from, or adopt from \
         a broker that has all partitions"
    )]
    PartitionMissing {
        /// The first that is missing.
        missing: i32,
        /// How many there must be.
        count: i32,
    },
    /// A partition is there twice.
    #[error("partition {index} is in {first} and in {second}; move the older one away", first = .first.display(), second = .second.display())]
    PartitionTwice {
        /// Its number.
        index: i32,
        /// A folder.
        first: PathBuf,
        /// Another one.
        second: PathBuf,
    },
    /// Folders with one topic's name are of two topics.
    #[error("{folder} has topic id {found}, others of its partitions have {expected}; move what is left of a deleted topic away", folder = .folder.display())]
    Ids {
        /// A folder.
        folder: PathBuf,
        /// Its id.
        found: Uuid,
        /// The others' id.
        expected: Uuid,
    },
    /// Two topics have one id.
    #[error("it has the same id as topic {other}, {id}; one of them is a copy: move it away")]
    IdTwice {
        /// The other.
        other: String,
        /// The id.
        id: Uuid,
    },
    /// The settings in the cluster's metadata contradict each other.
    #[error("{0}")]
    Settings(#[from] crate::config::topic::TopicConfigError),
    /// Records that readers of committed ones must not see.
    #[error(
        "{aborted} aborted and {unfinished} unfinished transactions have records in it. sendlog has no list of aborted \
         transactions yet: every consumer would see these records, with isolation.level=read_committed too. \
         --allow-aborted adopts it all the same"
    )]
    Aborted {
        /// Transactions that were aborted.
        aborted: u64,
        /// Transactions without an end.
        unfinished: u64,
    },
    /// Old messages.
    #[error(
        "{0}: sendlog reads the message format of Kafka 0.11 and later only. Copy the topic within Kafka, with a consumer \
         and a producer of today, and adopt the copy"
    )]
    OldFormat(ImportError),
    /// Something that is not a batch, or not in its place.
    #[error(
        "{0}. Nothing was adopted. Start that Kafka once and stop it again: it cuts what it finds damaged; or restore the \
         file from a replica"
    )]
    Damaged(ImportError),
}
