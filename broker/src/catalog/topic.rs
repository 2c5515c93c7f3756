//! A topic as readers see it. Never changed: a change makes another one, with the same partitions.

use std::sync::Arc;

use uuid::Uuid;

use super::state::StoredTopic;
use crate::config::TopicConfig;
use crate::config::scope::Overrides;
use crate::partition::Partition;

/// A topic.
#[derive(Debug)]
pub struct Topic {
    pub(super) name: Arc<str>,
    pub(super) id: Uuid,
    pub(super) partitions: Box<[Arc<Partition>]>,
    pub(super) config: Arc<TopicConfig>,
    pub(super) overrides: Arc<Overrides>,
}

impl Topic {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its id; a topic created again under the same name has another one.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Its partitions, by number.
    #[must_use]
    pub fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    /// The partition with this number.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?).cloned()
    }

    /// Its effective configuration; topics without settings of their own share one.
    #[must_use]
    pub fn config(&self) -> &Arc<TopicConfig> {
        &self.config
    }

    /// What it sets itself.
    #[must_use]
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    pub(super) fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("the number of partitions is limited when they are made")
    }

    pub(super) fn to_stored(&self) -> StoredTopic {
        let overrides = self.overrides.iter().map(|(name, value)| (name.clone(), value.clone()));
        StoredTopic {
            name: self.name.to_string(),
            id: self.id.into_bytes(),
            partitions: self.partition_count(),
            overrides: overrides.collect(),
        }
    }
}
