//! The committed offsets of one group.
//!
//! A change counts when its batch is durable. Until then it is queued here: readers do not see it, but whoever deletes or
//! expires offsets does, because its records come later in the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

/// A partition of a topic, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Number of the partition.
    pub partition: i32,
}

/// How far a group has read a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// Epoch of the last record that was read; -1 if unknown.
    pub leader_epoch: i32,
    /// What the client keeps with it.
    pub metadata: Box<str>,
    /// When it was committed, ms since 1970.
    pub commit_timestamp_ms: i64,
    /// When it ends, if the client said so (OffsetCommit 2 to 4); -1 leaves that to the broker's settings.
    pub expire_timestamp_ms: i64,
    /// Id of the topic, all zeros if unknown.
    pub topic_id: Uuid,
}

/// A change of one partition's offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetChange {
    /// Of which partition.
    pub partition: TopicPartition,
    /// The new offset; none forgets it.
    pub committed: Option<Committed>,
}

/// The offsets of a group.
#[derive(Debug, Default)]
pub struct Offsets {
    durable: BTreeMap<Arc<str>, BTreeMap<i32, Committed>>,
    /// Changes that are on their way to the disk, oldest first; one entry a batch.
    queued: VecDeque<Vec<OffsetChange>>,
    /// Bytes of `durable`.
    bytes: u64,
}

impl Committed {
    /// About what it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        const OVERHEAD: u64 = 128;
        OVERHEAD + self.metadata.len() as u64
    }
}

impl Offsets {
    /// The durable offset of a partition.
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.durable.get(topic)?.get(&partition)
    }

    /// All durable offsets by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<i32, Committed>)> {
        self.durable.iter()
    }

    /// Whether there are none, and none on their way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.durable.is_empty() && self.queued.is_empty()
    }

    /// Whether changes are on their way to the disk.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        !self.queued.is_empty()
    }

    /// About what the durable ones take in memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Every partition that has an offset once all that is queued has become durable. One whose newest commit may yet be
    /// refused counts too.
    #[must_use]
    pub fn partitions(&self) -> BTreeSet<TopicPartition> {
        let durable = self.durable.iter().flat_map(|(topic, partitions)| {
            partitions
                .keys()
                .map(|partition| TopicPartition { topic: Arc::clone(topic), partition: *partition })
        });
        let mut all: BTreeSet<_> = durable.collect();
        for change in self.queued.iter().flatten().filter(|change| change.committed.is_some()) {
            all.insert(change.partition.clone());
        }
        all
    }

    /// As [`Self::partitions`], of one topic.
    #[must_use]
    pub fn partitions_of(&self, topic: &str) -> BTreeSet<TopicPartition> {
        let mut found = BTreeSet::new();
        if let Some((topic, partitions)) = self.durable.get_key_value(topic) {
            let named = |partition: &i32| TopicPartition { topic: Arc::clone(topic), partition: *partition };
            found.extend(partitions.keys().map(named));
        }
        let queued = self.queued.iter().flatten().filter(|change| change.committed.is_some());
        found.extend(queued.map(|change| change.partition.clone()).filter(|one| &*one.topic == topic));
        found
    }

    /// Changes that forget all of them.
    #[must_use]
    pub fn forget_all(&self) -> Vec<OffsetChange> {
        self.partitions().into_iter().map(|partition| OffsetChange { partition, committed: None }).collect()
    }

    /// Notes changes whose batch was queued.
    pub fn queue(&mut self, changes: Vec<OffsetChange>) {
        self.queued.push_back(changes);
    }

    /// The oldest queued batch is durable, or was refused.
    pub fn settle(&mut self, is_durable: bool) {
        let Some(changes) = self.queued.pop_front() else { return };
        if is_durable {
            for change in changes {
                self.apply(change);
            }
        }
    }

    /// Takes a change over that is durable.
    pub fn apply(&mut self, change: OffsetChange) {
        let TopicPartition { topic, partition } = change.partition;
        match change.committed {
            Some(committed) => {
                self.bytes += committed.bytes();
                let before = self.durable.entry(topic).or_default().insert(partition, committed);
                self.bytes -= before.map_or(0, |before| before.bytes());
            }
            None => {
                let Some(partitions) = self.durable.get_mut(&topic) else { return };
                self.bytes -= partitions.remove(&partition).map_or(0, |before| before.bytes());
                if partitions.is_empty() {
                    self.durable.remove(&topic);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn change(number: i32, offset: Option<i64>) -> OffsetChange {
        let committed = offset.map(|offset| Committed {
            offset,
            leader_epoch: -1,
            metadata: "".into(),
            commit_timestamp_ms: 0,
            expire_timestamp_ms: -1,
            topic_id: Uuid::nil(),
        });
        OffsetChange { partition: partition(number), committed }
    }

    fn offset(offsets: &Offsets, partition: i32) -> Option<i64> {
        offsets.get("t", partition).map(|committed| committed.offset)
    }

    #[test]
    fn a_commit_is_seen_when_it_is_durable_and_not_before() {
        let mut offsets = Offsets::default();
        offsets.queue(vec![change(0, Some(5))]);
        assert_eq!(offset(&offsets, 0), None);
        assert!(!offsets.is_empty() && offsets.is_changing());
        offsets.settle(true);
        assert_eq!(offset(&offsets, 0), Some(5));
        assert!(!offsets.is_changing());
    }

    #[test]
    fn a_refused_commit_leaves_nothing_behind() {
        let mut offsets = Offsets::default();
        offsets.queue(vec![change(0, Some(5)), change(1, Some(5))]);
        offsets.queue(vec![change(0, Some(6))]);
        offsets.settle(false);
        assert_eq!((offset(&offsets, 0), offset(&offsets, 1)), (None, None));
        offsets.settle(true);
        assert_eq!((offset(&offsets, 0), offset(&offsets, 1)), (Some(6), None));
    }

    #[test]
    fn forgetting_reaches_commits_that_are_on_their_way() {
        let mut offsets = Offsets::default();
        offsets.apply(change(0, Some(1)));
        offsets.queue(vec![change(1, Some(1))]);
        assert_eq!(offsets.partitions_of("t"), offsets.partitions());
        assert!(offsets.partitions_of("u").is_empty());
        let forget = offsets.forget_all();
        assert_eq!(forget, [change(0, None), change(1, None)]);
        offsets.queue(forget);
        offsets.settle(true);
        offsets.settle(true);
        assert!(offsets.is_empty());
        assert_eq!(offsets.bytes(), 0);
    }

    #[test]
    fn bytes_follow_what_is_kept() {
        let mut offsets = Offsets::default();
        offsets.apply(change(0, Some(1)));
        let one = offsets.bytes();
        offsets.apply(change(0, Some(2)));
        assert_eq!(offsets.bytes(), one);
        offsets.apply(change(1, Some(2)));
        assert_eq!(offsets.bytes(), 2 * one);
        offsets.apply(change(1, None));
        offsets.apply(change(1, None));
        assert_eq!(offsets.bytes(), one);
    }
}
