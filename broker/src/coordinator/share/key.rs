//! The name of a share partition.

use std::sync::Arc;

use uuid::Uuid;

use super::sessions::TopicPartition;
use crate::storage::partition_metadata;

/// A partition in a share group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareKey {
    /// The group.
    pub group_id: Arc<str>,
    /// The partition.
    pub at: TopicPartition,
}

impl ShareKey {
    /// A partition in a group.
    pub fn new(group_id: &Arc<str>, topic_id: Uuid, partition: i32) -> Self {
        Self { group_id: Arc::clone(group_id), at: TopicPartition { topic_id, partition } }
    }

    /// What FindCoordinator calls it: `group:topicId:partition`.
    pub fn coordinator_key(&self) -> String {
        let TopicPartition { topic_id, partition } = self.at;
        format!("{}:{}:{partition}", self.group_id, partition_metadata::encode(topic_id))
    }
}
