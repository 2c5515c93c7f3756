//! `__share_group_state`: made when the first share partition is, read when a partition of it is first wanted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sendlog_protocol::share_state_records::ShareStateRecord;
use tokio::sync::OnceCell;

use super::durable::StateBatch;
use super::error::ShareError;
use super::key::ShareKey;
use super::share_partition::SharePartition;
use super::slot::{Slot, StateLog};
use super::state_record::{Stamp, from_record};
use crate::catalog::{Catalog, NewTopic, Topic, TopicError};
use crate::config::groups::ShareGroupSettings;
use crate::config::scope::Overrides;
use crate::coordinator::group::log_scan::LogScan;
use crate::coordinator::group::offsets_topic::partition_for;
use crate::partition::Partition;

/// Kafka's name of it.
pub const NAME: &str = "__share_group_state";

/// The topic, with the share partitions that its partitions keep.
#[derive(Debug, Default)]
pub(super) struct StateTopic {
    shards: OnceCell<Box<[Arc<Shard>]>>,
}

/// One partition of the topic.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) home: Arc<Partition>,
    is_loaded: OnceCell<()>,
    slots: Mutex<HashMap<ShareKey, Arc<Slot>>>,
}

impl StateTopic {
    /// The shards that were made or looked at since the start.
    pub(super) fn shards(&self) -> &[Arc<Shard>] {
        self.shards.get().map_or(&[], |shards| shards)
    }

    /// Where a share partition is kept; the topic is made if it is missing.
    pub(super) async fn shard(
        &self,
        key: &ShareKey,
        catalog: &Arc<Catalog>,
        settings: &ShareGroupSettings,
    ) -> Result<&Arc<Shard>, ShareError> {
        let shards = self.shards.get_or_try_init(|| open_or_make(catalog, settings)).await?;
        let at = partition_for(&key.coordinator_key(), shards.len());
        shards.get(at).ok_or(ShareError::Topic(Arc::new(TopicError::Unknown)))
    }

    /// Where a share partition is kept, if that was looked at.
    pub(super) fn known_shard(&self, key: &ShareKey) -> Option<&Arc<Shard>> {
        let shards = self.shards();
        shards.get(partition_for(&key.coordinator_key(), shards.len()))
    }
}

impl Shard {
    /// Reads the partition, unless that was done.
    pub(super) async fn load(self: &Arc<Self>, log: &Arc<StateLog>) -> Result<(), ShareError> {
        let load = || async {
            let (this, log) = (Arc::clone(self), Arc::clone(log));
            let loading = tokio::task::spawn_blocking(move || this.read(&log));
            loading.await.map_err(|_| ShareError::Stopping)?
        };
        self.is_loaded.get_or_try_init(load).await.map(drop)
    }

    fn read(&self, log: &Arc<StateLog>) -> Result<(), ShareError> {
        let mut replayed = Replayed::default();
        let mut scan = LogScan::new(&self.home);
        loop {
            match scan.next(&mut |key, value| replayed.take(key, value)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let (topic, index) = (self.home.topic(), self.home.index());
                    tracing::error!(%topic, index, %error, "share partitions cannot be loaded");
                    return Err(ShareError::Unreadable(error.to_string()));
                }
            }
        }
        let mut slots = self.lock();
        for (key, state) in replayed.states {
            let (home, log) = (Arc::clone(&self.home), Arc::clone(log));
            let slot = Slot::loaded(key.clone(), home, log, state.share, state.stamp);
            slots.insert(key, Arc::new(slot));
        }
        Ok(())
    }

    /// The share partition, if there is one.
    pub(super) fn get(&self, key: &ShareKey) -> Option<Arc<Slot>> {
        self.lock().get(key).cloned()
    }

    /// The share partition, made if there is none.
    pub(super) fn get_or_make(&self, key: &ShareKey, log: &Arc<StateLog>) -> Arc<Slot> {
        let make = || Arc::new(Slot::new(key.clone(), Arc::clone(&self.home), Arc::clone(log)));
        Arc::clone(self.lock().entry(key.clone()).or_insert_with(make))
    }

    /// Takes a share partition out, and none that was made in its place.
    pub(super) fn remove(&self, slot: &Arc<Slot>) {
        let mut slots = self.lock();
        if slots.get(slot.key()).is_some_and(|present| Arc::ptr_eq(present, slot)) {
            slots.remove(slot.key());
        }
    }

    /// All of them.
    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShareKey, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Share partitions as a partition of the topic tells them.
#[derive(Debug, Default)]
struct Replayed {
    states: HashMap<ShareKey, Restored>,
}

#[derive(Debug, Default)]
struct Restored {
    share: Option<SharePartition>,
    stamp: Stamp,
}

impl Replayed {
    fn take(&mut self, key: Bytes, value: Option<Bytes>) {
        match ShareStateRecord::decode(key, value) {
            Ok(Some(record)) => self.replay(record),
            // A newer broker may have written it; it stays in the log.
            Ok(None) => {
                tracing::warn!("a record of share partitions is of a type that is not known");
            }
            Err(error) => {
                tracing::error!(%error, "a record of share partitions is not understood and left out");
            }
        }
    }

    fn replay(&mut self, record: ShareStateRecord) {
        match record {
            ShareStateRecord::ShareSnapshot(key, None) => {
                self.states.remove(&ShareKey::new(&key.group_id.into(), key.topic_id, key.partition));
            }
            ShareStateRecord::ShareSnapshot(key, Some(value)) => {
                let key = ShareKey::new(&key.group_id.into(), key.topic_id, key.partition);
                let batches = from_record(&value.state_batches);
                let is_known = 0 <= value.start_offset;
                let stamp = Stamp {
                    snapshot_epoch: value.snapshot_epoch,
                    state_epoch: value.state_epoch,
                    created_ms: value.create_timestamp,
                    written_ms: value.write_timestamp,
                };
                let share = is_known.then(|| SharePartition::restored(value.start_offset, &batches));
                self.states.insert(key, Restored { share, stamp });
            }
            ShareStateRecord::ShareUpdate(key, Some(value)) => {
                let key = ShareKey::new(&key.group_id.into(), key.topic_id, key.partition);
                let batches: Vec<StateBatch> = from_record(&value.state_batches);
                let state = self.states.entry(key).or_default();
                match &mut state.share {
                    Some(share) => share.replay(value.start_offset, &batches),
                    None if 0 <= value.start_offset => {
                        state.share = Some(SharePartition::restored(value.start_offset, &batches));
                    }
                    // Without a start offset it says nothing.
                    None => {}
                }
            }
            ShareStateRecord::ShareUpdate(_, None) => {}
        }
    }
}

async fn open_or_make(
    catalog: &Arc<Catalog>,
    settings: &ShareGroupSettings,
) -> Result<Box<[Arc<Shard>]>, ShareError> {
    if catalog.topic(NAME).is_none() {
        let (work, new) = (Arc::clone(catalog), new_topic(settings));
        let made = tokio::task::spawn_blocking(move || work.create_internal(new)).await;
        made.map_err(|_| ShareError::Stopping)?.map_err(|error| ShareError::Topic(Arc::new(error)))?;
    }
    let topic = catalog.topic(NAME).ok_or_else(|| ShareError::Topic(Arc::new(TopicError::Unknown)))?;
    Ok(shards(&topic))
}

fn shards(topic: &Topic) -> Box<[Arc<Shard>]> {
    let shard = |home: &Arc<Partition>| {
        Arc::new(Shard { home: Arc::clone(home), is_loaded: OnceCell::new(), slots: Mutex::default() })
    };
    topic.partitions().iter().map(shard).collect()
}

/// As Kafka makes it: nothing is deleted by age, the broker itself deletes what is superseded.
fn new_topic(settings: &ShareGroupSettings) -> NewTopic {
    let mut overrides = Overrides::new();
    overrides.insert("cleanup.policy".to_owned(), "delete".to_owned());
    overrides.insert("compression.type".to_owned(), "producer".to_owned());
    overrides.insert("retention.ms".to_owned(), "-1".to_owned());
    overrides.insert("retention.bytes".to_owned(), "-1".to_owned());
    overrides.insert("segment.bytes".to_owned(), settings.state_topic_segment_bytes.to_string());
    NewTopic { name: NAME.to_owned(), partitions: settings.state_topic_partitions, overrides }
}
