//! Why the catalog refuses a change. Texts are sent to clients; where Kafka has one, they are Kafka's.

use std::path::PathBuf;
use std::sync::Arc;

use super::name::NameError;
use crate::config::scope::ScopeError;
use crate::config::topic::TopicConfigError;
use crate::storage::error::StorageError;

/// Why one topic was not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TopicError {
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name is kept for the broker.
    #[error("Topic '{0}' is internal: it is the broker's own")]
    Internal(String),
    /// The name is that of Kafka's log of metadata, whose folder a Kafka would take for its own.
    #[error("Creation of internal topic {0} is prohibited.")]
    Prohibited(String),
    /// One of the broker's own topics would lose what was acknowledged.
    #[error(
        "Topic '{0}' is internal: what is acknowledged in it is on disk, unless --flush relaxes that for all"
    )]
    Relaxed(String),
    /// A topic has the name.
    #[error("Topic '{0}' already exists.")]
    Exists(String),
    /// A topic has a name that differs in dots and underscores only.
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collides {
        /// The new name.
        name: String,
        /// The one that exists.
        existing: String,
    },
    /// A deleted topic's files are not gone yet.
    #[error("Topic '{0}' is marked for deletion: its files could not be removed yet")]
    StillDeleting(String),
    /// No topic has the name or id.
    #[error("This server does not host this topic-partition.")]
    Unknown,
    /// No topic has the name whose settings were to change.
    #[error("The topic '{0}' does not exist.")]
    NothingToAlter(String),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] TopicConfigError),
    /// A setting of something else than a topic is wrong.
    #[error("{0}")]
    Setting(ScopeError),
    /// The number of partitions makes no sense.
    #[error("{0}")]
    Partitions(String),
    /// A limit of the broker is reached.
    #[error("{limit} {what} are allowed ({setting})")]
    Limit {
        /// How many.
        limit: usize,
        /// Of what.
        what: &'static str,
        /// By which setting.
        setting: &'static str,
    },
    /// A folder of that name is in the data directory, and no topic's.
    #[error("the folder {} is in the way and belongs to no topic; move it out of the data directory", path.display())]
    FolderInTheWay {
        /// The folder.
        path: PathBuf,
    },
    /// The catalog or a log could not be written.
    #[error("{0}")]
    Storage(Arc<StorageError>),
}

impl From<StorageError> for TopicError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}

/// Why the catalog cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The state file or a log cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There are partitions, but the list of topics is gone.
    #[error(
        "{} is missing, but {} holds a partition: restore the file from a backup, or move the partition folders \
         out of the data directory to start without them", catalog.display(), folder.display()
    )]
    Missing {
        /// The state file.
        catalog: PathBuf,
        /// The first partition folder found.
        folder: PathBuf,
    },
    /// The state file was written by a program with other rules.
    #[error("the catalog has a topic that cannot be: {0}")]
    Name(#[from] NameError),
}
