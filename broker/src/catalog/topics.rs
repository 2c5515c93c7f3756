//! All topics at one moment: what readers look names and ids up in.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::topic::Topic;

/// A snapshot of the topics; a change makes another one.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
    partition_count: usize,
}

impl Topics {
    /// The topic with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic with this id.
    #[must_use]
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// Every topic, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// How many topics there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no topic.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many partitions all topics have together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Adds the topic, in the place of one with its name and id.
    pub(super) fn put(&mut self, topic: Arc<Topic>) {
        self.partition_count += topic.partitions.len();
        self.by_id.insert(topic.id, Arc::clone(&topic));
        if let Some(before) = self.by_name.insert(Arc::clone(&topic.name), topic) {
            self.partition_count -= before.partitions.len();
        }
    }

    /// Takes the topic with this id out.
    pub(super) fn take(&mut self, id: Uuid) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(&id)?;
        self.by_name.remove(&topic.name);
        self.partition_count -= topic.partitions.len();
        Some(topic)
    }
}
