//! Topics, their partitions and configurations.
//!
//! Readers take a snapshot, by name or by id, and wait for nobody. Changes are made one at a time under a
//! lock and are in the state file before they are visible; `change.rs` has them. What a record is, and who
//! may do what, is not known here.

pub mod alteration;
mod change;
mod configs;
pub(crate) mod configs_state;
pub mod error;
pub mod name;
mod offline;
mod open;
pub(crate) mod state;
mod topic;
mod topics;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::config::Config;
use crate::config::live::Live;
use crate::partition::{Partition, PartitionEnv};
use crate::storage::error::StorageError;

pub use change::{Apply, Growth, NewTopic};
pub use configs::ConfigTarget;
pub use error::{CatalogError, TopicError};
pub use offline::{AddedTopic, OfflineCatalog};
pub use topic::Topic;
pub use topics::Topics;

use state::StoredTopic;

/// Called once, after a failed write of the catalog.
type OnFailure = Box<dyn Fn() + Send + Sync>;

/// All topics of the broker.
pub struct Catalog {
    env: Arc<PartitionEnv>,
    /// The broker's settings of the start.
    at_start: Arc<Config>,
    /// The settings in force. Changed under `changing`, and after the state file.
    live: ArcSwap<Live>,
    current: ArcSwap<Topics>,
    /// Held during a change; never by readers.
    changing: Mutex<Changing>,
    on_failure: OnceLock<OnFailure>,
    turns: Semaphore,
}

/// Callers that may wait for a change to end, each on a thread: the others wait without one.
const TURNS: usize = 2;

/// What only changes need.
#[derive(Debug, Default)]
struct Changing {
    /// Topics that are gone, some of whose files may be left.
    deleting: Vec<StoredTopic>,
    /// Names that have `.` or `_`, by [`name::collision_key`].
    collision_keys: HashMap<String, Arc<str>>,
    /// A failed write of the state file: what it holds is not known, so nothing may change any more.
    failure: Option<Arc<StorageError>>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics = self.current.load();
        let mut debug = out.debug_struct("Catalog");
        debug.field("topics", &topics.len()).field("partitions", &topics.partition_count());
        debug.finish_non_exhaustive()
    }
}

impl Catalog {
    /// All topics at this moment.
    pub fn topics(&self) -> Arc<Topics> {
        self.current.load_full()
    }

    /// The topic with this name.
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.load().by_name(name).cloned()
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.load().by_id(id).cloned()
    }

    /// A partition of a topic.
    pub fn partition(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        self.load().by_name(topic)?.partition(index)
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.load().len()
    }

    /// How many partitions all topics have together.
    pub fn partition_count(&self) -> usize {
        self.load().partition_count()
    }

    /// Every partition at this moment.
    pub fn partitions(&self) -> impl Iterator<Item = Arc<Partition>> + use<> {
        let topics = self.topics();
        let all: Vec<_> = topics.iter().flat_map(|topic| topic.partitions()).cloned().collect();
        all.into_iter()
    }

    /// Has `stop` called when a write of the catalog fails, other than for want of room: what the disk
    /// holds is not known then, and the broker should end. Only the first call counts.
    pub fn on_failure(&self, stop: impl Fn() + Send + Sync + 'static) {
        // A second caller has nothing to add: one is enough to stop the broker.
        let _ = self.on_failure.set(Box::new(stop));
    }

    /// The write that failed, if one did.
    pub fn failure(&self) -> Option<Arc<StorageError>> {
        self.lock_changing().failure.clone()
    }

    /// Waits for a turn to change something, or to look long at it. Held until the result is dropped.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed; without a permit the lock alone would do.
        self.turns.acquire().await.ok()
    }

    fn load(&self) -> Guard<Arc<Topics>> {
        self.current.load()
    }

    fn lock_changing(&self) -> MutexGuard<'_, Changing> {
        // A panic during a change leaves the published topics as they were, and the lists at most too long.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_path(&self) -> PathBuf {
        self.env.data_dir.join(state::FILE_NAME)
    }
}

/// The folder of a partition.
fn folder(env: &PartitionEnv, topic: &str, index: i32) -> PathBuf {
    env.data_dir.join(format!("{topic}-{index}"))
}

#[cfg(test)]
mod tests;
