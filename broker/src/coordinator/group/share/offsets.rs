//! Which partitions the group keeps a state of, and the requests that change that from outside.
//!
//! Kafka initializes a partition's state in its persister before it assigns the partition. Here the first fetch of a
//! partition does so, and a partition is *initialized* when the group has decided to read it.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::{ShareGroup, ShareGroupError};
use crate::coordinator::group::{Effects, TopicsImage};

impl ShareGroup {
    /// Whether the group keeps a state of this partition.
    #[must_use]
    pub fn is_initialized(&self, topic_id: Uuid, partition: i32) -> bool {
        self.initialized.get(&topic_id).is_some_and(|topic| topic.partitions.contains(&partition))
    }

    /// Whether this partition came when the group knew its topic already. Where the group has not begun to read it, it begins
    /// with its first record: what was produced before the members heard of the partition must not be missed, whatever
    /// `share.auto.offset.reset` says of topics that are new to the group.
    #[must_use]
    pub fn is_added(&self, topic_id: Uuid, partition: i32) -> bool {
        self.initialized.get(&topic_id).is_some_and(|topic| topic.added.contains(&partition))
    }

    /// Every partition that the group keeps a state of: topic id, name, partitions.
    pub fn initialized(&self) -> impl Iterator<Item = (Uuid, &Arc<str>, &BTreeSet<i32>)> {
        self.initialized.iter().map(|(id, topic)| (*id, &topic.name, &topic.partitions))
    }

    /// Has a state kept of partitions whose start offset an administrator sets.
    ///
    /// # Errors
    /// [`ShareGroupError::NotEmpty`].
    pub fn initialize(
        &mut self,
        partitions: &[(Uuid, Arc<str>, i32)],
        topics: &TopicsImage,
        fx: &mut Effects,
    ) -> Result<(), ShareGroupError> {
        self.check_empty()?;
        let mut is_changed = false;
        for (topic_id, name, partition) in partitions {
            let topic = self.initialized.entry(*topic_id).or_default();
            topic.name = Arc::clone(name);
            is_changed |= topic.partitions.insert(*partition);
            is_changed |= topic.added.remove(partition);
        }
        if self.epoch == 0 {
            // The group begins with this.
            self.bump(topics, fx);
        }
        if is_changed {
            self.append_initialized(fx);
        }
        Ok(())
    }

    /// Keeps no state of a topic any more; returns its partitions.
    ///
    /// # Errors
    /// [`ShareGroupError::NotEmpty`].
    pub fn forget(&mut self, topic_id: Uuid, fx: &mut Effects) -> Result<BTreeSet<i32>, ShareGroupError> {
        self.check_empty()?;
        let Some(topic) = self.initialized.remove(&topic_id) else { return Ok(BTreeSet::new()) };
        self.append_initialized(fx);
        Ok(topic.partitions)
    }

    fn check_empty(&self) -> Result<(), ShareGroupError> {
        if self.is_empty() { Ok(()) } else { Err(ShareGroupError::NotEmpty) }
    }

    /// Forgets topics that are gone; whether there were any.
    pub(super) fn forget_deleted(&mut self, topics: &TopicsImage, fx: &mut Effects) -> bool {
        let before = self.initialized.len();
        self.initialized.retain(|topic_id, _| topics.by_id(*topic_id).is_some());
        let is_changed = self.initialized.len() != before;
        if is_changed {
            self.append_initialized(fx);
        }
        is_changed
    }

    /// Keeps a state of all partitions that members read; whether some are new.
    pub(super) fn initialize_subscribed(&mut self, topics: &TopicsImage, fx: &mut Effects) -> bool {
        let mut is_changed = false;
        for topic in self.subscribed().iter().filter_map(|name| topics.by_name(name)) {
            let is_known = self.initialized.contains_key(&topic.id);
            let known = self.initialized.entry(topic.id).or_default();
            if known.partitions.len() < usize::try_from(topic.partitions).unwrap_or(0) {
                known.name = Arc::clone(&topic.name);
                for partition in 0..topic.partitions {
                    if known.partitions.insert(partition) && is_known {
                        known.added.insert(partition);
                    }
                }
                is_changed = true;
            }
        }
        if is_changed {
            self.append_initialized(fx);
        }
        is_changed
    }
}
