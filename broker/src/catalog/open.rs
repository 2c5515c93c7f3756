//! Opening the catalog: every topic of the state file with its partitions, and what an earlier deletion left.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::error::CatalogError;
use super::state::{self, StoredCatalog, StoredTopic};
use super::topic::Topic;
use super::topics::Topics;
use super::{Catalog, Changing, TURNS, configs, folder, name};
use crate::checkpoint::{Restored, RestoredPartition};
use crate::config::scope::Overrides;
use crate::config::topic;
use crate::config::{Config, TopicConfig};
use crate::partition::{OpenPartition, Partition, PartitionEnv, Recovered};
use crate::storage::dirty::Dirty;
use crate::storage::error::StorageError;
use crate::storage::files::remove_folder;
use crate::storage::flush::Flusher;
use crate::storage::partition_metadata;
use crate::storage::recovery::RecoveryReport;
use crate::storage::state_file;

/// Recovered logs that are synced together. Their files are open until then.
const UNSYNCED_MAX: usize = 64;

impl Catalog {
    /// Reads the state file, finishes deletions that a crash interrupted, and opens every partition from
    /// where `restored` says. A folder that no topic claims is left alone, and named in the log.
    ///
    /// # Errors
    /// A state file or a log that cannot be read or must not be repaired.
    pub fn open(
        env: Arc<PartitionEnv>,
        config: Arc<Config>,
        mut restored: Restored,
    ) -> Result<Self, CatalogError> {
        let path = env.data_dir.join(state::FILE_NAME);
        let loaded = state_file::load::<StoredCatalog>(env.store.fs(), &path, state::KIND);
        let stored = match loaded.map_err(StorageError::from)? {
            Some(stored) => stored,
            None => {
                check_nothing_is_lost(&env, path)?;
                StoredCatalog::default()
            }
        };
        let live = configs::load(env.store.fs(), &config)?;
        let mut changing = Changing::default();
        let mut deleting = stored.deleting;
        deleting.retain(|deleting| !finish_deletion(&env, deleting));
        changing.deleting = deleting;
        let mut topics = Topics::default();
        let mut unsynced = Unsynced::new(config.sync_threads);
        for stored_topic in stored.topics {
            name::check(&stored_topic.name)?;
            let topic = open_topic(&env, &live.config, stored_topic, &mut restored, &mut unsynced)?;
            changing.claim(&topic.name);
            topics.put(Arc::new(topic));
        }
        unsynced.sync()?;
        warn_of_unclaimed_folders(&env, &topics)?;
        Ok(Self {
            env,
            at_start: config,
            live: ArcSwap::new(Arc::new(live)),
            current: ArcSwap::new(Arc::new(topics)),
            changing: Mutex::new(changing),
            on_failure: OnceLock::new(),
            turns: Semaphore::new(TURNS),
        })
    }
}

/// What recovery found and may never have been synced. Readers are about to see it; but log by log, the disk is waited for three
/// times a partition.
struct Unsynced {
    flusher: Flusher,
    dirty: Vec<Dirty>,
}

impl Unsynced {
    fn new(threads_max: usize) -> Self {
        Self { flusher: Flusher::new(threads_max), dirty: Vec::new() }
    }

    fn add(&mut self, dirty: Dirty) -> Result<(), StorageError> {
        if !dirty.is_empty() {
            self.dirty.push(dirty);
        }
        if self.dirty.len() < UNSYNCED_MAX { Ok(()) } else { self.sync() }
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.flusher.sync(&self.dirty)?;
        self.dirty.drain(..).for_each(|one| one.synced.advance(one.end.offset));
        Ok(())
    }
}

fn open_topic(
    env: &PartitionEnv,
    config: &Config,
    stored: StoredTopic,
    restored: &mut Restored,
    unsynced: &mut Unsynced,
) -> Result<Topic, CatalogError> {
    let id = stored.uuid();
    let name: Arc<str> = stored.name.into();
    let (overrides, topic_config) = settings_of(config, &name, stored.overrides);
    let mut partitions = Vec::new();
    for index in 0..stored.partitions {
        let RestoredPartition { resume, producers, epochs } = restored.take(id, index);
        let open = OpenPartition {
            topic: Arc::clone(&name),
            topic_id: id,
            index,
            config: Arc::clone(&topic_config),
            resume,
            producers,
            epochs,
        };
        let Recovered { partition, report, dirty } = Partition::recover(env, open)?;
        tell(&report);
        unsynced.add(dirty)?;
        partitions.push(partition);
    }
    let overrides = Arc::new(overrides);
    Ok(Topic { name, id, partitions: partitions.into(), config: topic_config, overrides })
}

/// Says what recovery met that somebody should know.
fn tell(report: &RecoveryReport) {
    for healed in &report.healed {
        let (path, position, bytes) = (healed.path.display(), healed.position, healed.bytes);
        tracing::info!(%path, position, bytes, "batches that the segment missed came from the commit journal");
    }
    for cut in &report.cuts {
        let (path, position, bytes) = (cut.path.display(), cut.position, cut.bytes);
        tracing::warn!(%path, position, bytes, reason = cut.reason, "a torn end was cut off the log");
    }
    for hole in &report.set_aside {
        let (path, position, bytes, reason) = (hole.path.display(), hole.position, hole.bytes, &hole.reason);
        let (offset, next_offset, kept) = (hole.offset, hole.next_offset, hole.kept.display());
        tracing::error!(
            %path, position, bytes, offset, next_offset, %kept, reason,
            "damage in the middle of the log was set aside; all behind it stays"
        );
    }
    for gap in &report.gaps {
        tracing::error!(?gap, "offsets are missing in the log; the records around them are served");
    }
    for path in &report.removed {
        tracing::info!(path = %path.display(), "a file that was no longer of use was removed");
    }
}

/// The stored settings that this program and its configuration allow; it may be older than the one that
/// stored them.
fn settings_of(config: &Config, name: &str, stored: Vec<(String, String)>) -> (Overrides, Arc<TopicConfig>) {
    let mut overrides = Overrides::new();
    for (key, value) in stored {
        match topic::check(&key, Some(&value)) {
            Ok(_) => drop(overrides.insert(key, value)),
            Err(error) => tracing::warn!(topic = name, %error, "a setting of the topic is not used"),
        }
    }
    if overrides.is_empty() {
        return (overrides, Arc::clone(&config.topic_defaults));
    }
    match TopicConfig::resolve(&config.settings, &overrides) {
        Ok(resolved) => (overrides, Arc::new(resolved)),
        Err(error) => {
            tracing::warn!(topic = name, %error, "the settings of the topic are not used");
            (Overrides::new(), Arc::clone(&config.topic_defaults))
        }
    }
}

/// Removes what is left of a deleted topic; whether nothing is. A folder that says it is another topic's stays.
fn finish_deletion(env: &PartitionEnv, deleting: &StoredTopic) -> bool {
    if name::check(&deleting.name).is_err() {
        return true;
    }
    for index in 0..deleting.partitions {
        let path = folder(env, &deleting.name, index);
        let is_others = partition_metadata::read(env.store.fs(), &path)
            .is_ok_and(|found| found.is_some_and(|id| id != deleting.uuid()));
        if is_others {
            continue;
        }
        if let Err(error) = remove_folder(env.store.fs(), &path) {
            tracing::error!(path = %path.display(), %error, "files of a deleted topic are left");
            return false;
        }
    }
    true
}

/// Without a catalog there must be no partitions: starting empty would hide them, and give their names to
/// other topics.
fn check_nothing_is_lost(env: &PartitionEnv, catalog: PathBuf) -> Result<(), CatalogError> {
    for name in list(env)? {
        let looks_like_one = name.rsplit_once('-').is_some_and(|(_, index)| index.parse::<i32>().is_ok());
        let folder = env.data_dir.join(name);
        if looks_like_one && partition_metadata::read(env.store.fs(), &folder)?.is_some() {
            return Err(CatalogError::Missing { catalog, folder });
        }
    }
    Ok(())
}

fn list(env: &PartitionEnv) -> Result<Vec<String>, StorageError> {
    let path = &env.data_dir;
    env.store.fs().list(path).map_err(|source| StorageError::io(path, "list", source))
}

/// Folders that look like a partition's and are none. They may hold data that somebody wants: they stay.
fn warn_of_unclaimed_folders(env: &PartitionEnv, topics: &Topics) -> Result<(), CatalogError> {
    let names = list(env)?;
    let is_claimed = |folder: &str| {
        let (topic, index) = folder.rsplit_once('-')?;
        let index: i32 = index.parse().ok()?;
        Some(topics.by_name(topic).is_some_and(|topic| index < topic.partition_count()))
    };
    let unclaimed: Vec<&String> = names.iter().filter(|name| is_claimed(name) == Some(false)).collect();
    if let Some(first) = unclaimed.iter().min() {
        tracing::warn!(
            folders = unclaimed.len(),
            first,
            "folders in the data directory belong to no topic; they are left alone"
        );
    }
    Ok(())
}
