//! Committing, deleting and expiring the offsets of a group.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use uuid::Uuid;

use super::commit::CommitCheck;
use super::group::{Group, Kind};
use super::offsets::{Committed, OffsetChange, TopicPartition};
use super::{Effects, Env};

/// An offset to commit, of a partition that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOffset {
    /// Of which partition.
    pub partition: TopicPartition,
    /// Id of the topic.
    pub topic_id: Uuid,
    /// The next offset to read.
    pub offset: i64,
    /// Epoch of the last record that was read; -1 if unknown.
    pub leader_epoch: i32,
    /// What the client keeps with it.
    pub metadata: Box<str>,
}

/// How a commit is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// How long the client wants it kept, ms; none leaves that to the broker's settings.
    pub retention_ms: Option<i64>,
    /// Memory that further offsets may take, bytes.
    pub room_bytes: u64,
}

/// Deletes single offsets of one group: each once, and each topic is looked at once, however often it is named.
#[derive(Debug, Default)]
pub struct Deletion {
    left: HashMap<Arc<str>, Result<BTreeSet<TopicPartition>, ErrorCode>>,
}

impl Deletion {
    /// Forgets the offset of a partition, which need not be there.
    ///
    /// # Errors
    /// `GROUP_SUBSCRIBED_TO_TOPIC`.
    pub fn delete(
        &mut self,
        group: &Group,
        partition: TopicPartition,
        fx: &mut Effects,
    ) -> Result<(), ErrorCode> {
        let left = self.left.entry(Arc::clone(&partition.topic));
        let left = left.or_insert_with(|| group.deletable(&partition.topic));
        if left.as_mut().map_err(|code| *code)?.remove(&partition) {
            fx.offsets.push(OffsetChange { partition, committed: None });
        }
        Ok(())
    }
}

impl Group {
    /// Commits offsets. One result for each: a refused one does not touch the others.
    ///
    /// # Errors
    /// Kafka's code, if none is committed.
    pub fn commit(
        &mut self,
        check: &CommitCheck<'_>,
        offsets: Vec<NewOffset>,
        keeping: Keeping,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        self.check_commit(check, env)?;
        let metadata_max = env.config.groups.offsets.metadata_bytes_max;
        let mut room_bytes = keeping.room_bytes;
        let expire = keeping.retention_ms.map_or(-1, |ms| env.now.wall_ms.saturating_add(ms));
        let results = offsets.into_iter().map(|new| {
            if metadata_max < new.metadata.encode_utf16().count() {
                return Err(ErrorCode::OffsetMetadataTooLarge);
            }
            let NewOffset { partition, topic_id, offset, leader_epoch, metadata } = new;
            self.check_commit_of(check, topic_id, partition.partition)?;
            let committed = Committed {
                offset,
                leader_epoch,
                metadata,
                commit_timestamp_ms: env.now.wall_ms,
                expire_timestamp_ms: expire,
                topic_id,
            };
            let replaced = self.offsets().get(&partition.topic, partition.partition);
            let more = committed.bytes().saturating_sub(replaced.map_or(0, Committed::bytes));
            room_bytes = room_bytes.checked_sub(more).ok_or(ErrorCode::InvalidCommitOffsetSize)?;
            fx.offsets.push(OffsetChange { partition, committed: Some(committed) });
            Ok(())
        });
        Ok(results.collect())
    }

    /// Partitions of a topic whose offsets there are to delete.
    fn deletable(&self, topic: &str) -> Result<BTreeSet<TopicPartition>, ErrorCode> {
        if self.is_subscribed(topic) {
            return Err(ErrorCode::GroupSubscribedToTopic);
        }
        Ok(self.offsets().partitions_of(topic))
    }

    /// Forgets the offsets of topics that are gone.
    pub fn forget_topics(&mut self, gone: &HashSet<String>, fx: &mut Effects) {
        for topic in gone {
            let partitions = self.offsets().partitions_of(topic);
            if !partitions.is_empty() {
                self.linger();
            }
            let forgotten =
                partitions.into_iter().map(|partition| OffsetChange { partition, committed: None });
            fx.offsets.extend(forgotten);
        }
    }

    /// Forgets the offsets that nobody has used for so long, and the group with the last of them if it has no members
    /// (KIP-211).
    pub fn expire(&mut self, now_ms: i64, retention_ms: i64, fx: &mut Effects) {
        if matches!(self.kind(), Kind::Share(_)) || self.offsets().is_changing() {
            // What is on its way was committed just now; the next look will do.
            return;
        }
        let mut is_all = true;
        for (topic, partitions) in self.offsets().iter() {
            let is_subscribed = self.is_subscribed(topic);
            for (partition, committed) in partitions {
                if is_subscribed || !self.is_expired(committed, now_ms, retention_ms) {
                    is_all = false;
                    continue;
                }
                let partition = TopicPartition { topic: Arc::clone(topic), partition: *partition };
                fx.offsets.push(OffsetChange { partition, committed: None });
            }
        }
        if is_all && self.is_empty() {
            fx.records.extend(self.tombstones());
            *self.kind_mut() = Kind::Simple;
            self.stop_lingering();
        }
    }

    fn is_expired(&self, committed: &Committed, now_ms: i64, retention_ms: i64) -> bool {
        let Some(base_ms) = self.retention_base_ms(committed.commit_timestamp_ms) else { return false };
        if 0 <= committed.expire_timestamp_ms {
            return committed.expire_timestamp_ms <= now_ms;
        }
        retention_ms <= now_ms.saturating_sub(base_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    /// A group without members and its offsets.
    fn group() -> Group {
        let mut group = Group::new("g".into());
        let committed = Committed {
            offset: 5,
            leader_epoch: -1,
            metadata: "".into(),
            commit_timestamp_ms: 0,
            expire_timestamp_ms: -1,
            topic_id: Uuid::nil(),
        };
        for partition in [0, 1] {
            group
                .offsets_mut()
                .apply(OffsetChange { partition: of(partition), committed: Some(committed.clone()) });
        }
        group
    }

    #[test]
    fn an_offset_that_is_named_again_is_forgotten_once() {
        let group = group();
        let (mut deletion, mut fx) = (Deletion::default(), Effects::default());
        for partition in [0, 0, 9, 1, 0] {
            assert_eq!(deletion.delete(&group, of(partition), &mut fx), Ok(()));
        }
        let gone = [0, 1].map(|partition| OffsetChange { partition: of(partition), committed: None });
        assert_eq!(fx.offsets, gone);
    }

    #[test]
    fn a_group_without_members_outlives_its_offsets_until_old_ones_are_looked_for() {
        let mut group = group();
        let mut fx = Effects::default();
        group.forget_topics(&HashSet::from(["t".to_owned()]), &mut fx);
        assert_eq!(fx.offsets.len(), 2);
        fx.offsets.drain(..).for_each(|change| group.offsets_mut().apply(change));
        assert!(group.offsets().is_empty() && !group.is_vacant(), "it can be listed and deleted");
        group.expire(0, i64::MAX, &mut fx);
        assert!(group.is_vacant() && fx.records.is_empty());
    }
}
