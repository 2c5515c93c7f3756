//! What the group has appended to `__consumer_offsets`, in Kafka's records.

use std::sync::Arc;

use sendlog_protocol::group_records::{
    GroupRecord, ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue, ShareGroupMetadataKey,
    ShareGroupMetadataValue, ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue,
    ShareGroupStateTopicPartitions, ShareGroupTargetAssignmentMemberKey,
    ShareGroupTargetAssignmentMemberValue, ShareGroupTargetAssignmentMetadataKey,
    ShareGroupTargetAssignmentMetadataValue, TargetAssignmentTopicPartition,
};
use uuid::Uuid;

use super::{Assignment, InitializedTopic, ShareGroup, ShareMember};
use crate::coordinator::group::Effects;

/// A member that has what it is to have: the only state there is.
const STABLE: i8 = 0;

impl ShareGroup {
    /// All records that [`ShareGroup::replay`] needs to make the group again.
    #[must_use]
    pub fn snapshot(&self) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for (id, member) in &self.members {
            records
                .push(GroupRecord::ShareGroupMemberMetadata(self.member_key(id), Some(member_value(member))));
        }
        records.push(self.metadata());
        for (id, target) in &self.target {
            records.push(self.target_record(id, Some(target)));
        }
        records.push(self.target_metadata());
        for (id, member) in &self.members {
            records.push(self.current_record(id, Some(member)));
        }
        records.push(self.initialized_record());
        records
    }

    /// Records that delete the group.
    #[must_use]
    pub fn tombstones(&self) -> Vec<GroupRecord> {
        let mut records: Vec<GroupRecord> =
            self.members.keys().flat_map(|id| self.member_tombstones(id)).collect();
        records.push(GroupRecord::ShareGroupTargetAssignmentMetadata(
            ShareGroupTargetAssignmentMetadataKey { group_id: self.id.to_string() },
            None,
        ));
        records.push(GroupRecord::ShareGroupStatePartitionMetadata(self.initialized_key(), None));
        records.push(GroupRecord::ShareGroupMetadata(
            ShareGroupMetadataKey { group_id: self.id.to_string() },
            None,
        ));
        records
    }

    pub(super) fn append_member(&self, id: &Arc<str>, fx: &mut Effects) {
        let value = self.members.get(id).map(member_value);
        fx.append(GroupRecord::ShareGroupMemberMetadata(self.member_key(id), value));
    }

    pub(super) fn append_metadata(&self, fx: &mut Effects) {
        fx.append(self.metadata());
    }

    pub(super) fn append_target(&self, id: &Arc<str>, fx: &mut Effects) {
        fx.append(self.target_record(id, self.target.get(id)));
    }

    pub(super) fn append_target_metadata(&self, fx: &mut Effects) {
        fx.append(self.target_metadata());
    }

    pub(super) fn append_current(&self, id: &Arc<str>, fx: &mut Effects) {
        fx.append(self.current_record(id, self.members.get(id)));
    }

    pub(super) fn append_initialized(&self, fx: &mut Effects) {
        fx.append(self.initialized_record());
    }

    pub(super) fn append_member_tombstones(&self, id: &Arc<str>, fx: &mut Effects) {
        self.member_tombstones(id).into_iter().for_each(|record| fx.append(record));
    }

    fn member_tombstones(&self, id: &Arc<str>) -> [GroupRecord; 3] {
        [
            self.current_record(id, None),
            self.target_record(id, None),
            GroupRecord::ShareGroupMemberMetadata(self.member_key(id), None),
        ]
    }

    fn member_key(&self, id: &Arc<str>) -> ShareGroupMemberMetadataKey {
        ShareGroupMemberMetadataKey { group_id: self.id.to_string(), member_id: id.to_string() }
    }

    fn metadata(&self) -> GroupRecord {
        GroupRecord::ShareGroupMetadata(
            ShareGroupMetadataKey { group_id: self.id.to_string() },
            Some(ShareGroupMetadataValue { epoch: self.epoch, metadata_hash: self.metadata_hash }),
        )
    }

    fn target_metadata(&self) -> GroupRecord {
        GroupRecord::ShareGroupTargetAssignmentMetadata(
            ShareGroupTargetAssignmentMetadataKey { group_id: self.id.to_string() },
            Some(ShareGroupTargetAssignmentMetadataValue {
                assignment_epoch: self.assignment_epoch,
                assignment_timestamp: self.assignment_timestamp_ms,
            }),
        )
    }

    fn target_record(&self, id: &Arc<str>, target: Option<&Assignment>) -> GroupRecord {
        GroupRecord::ShareGroupTargetAssignmentMember(
            ShareGroupTargetAssignmentMemberKey { group_id: self.id.to_string(), member_id: id.to_string() },
            target.map(|target| ShareGroupTargetAssignmentMemberValue {
                topic_partitions: topic_partitions(target),
            }),
        )
    }

    fn current_record(&self, id: &Arc<str>, member: Option<&ShareMember>) -> GroupRecord {
        GroupRecord::ShareGroupCurrentMemberAssignment(
            ShareGroupCurrentMemberAssignmentKey { group_id: self.id.to_string(), member_id: id.to_string() },
            member.map(|member| ShareGroupCurrentMemberAssignmentValue {
                member_epoch: member.epoch,
                previous_member_epoch: member.previous_epoch,
                state: STABLE,
                assigned_partitions: topic_partitions(&member.assigned),
            }),
        )
    }

    fn initialized_key(&self) -> ShareGroupStatePartitionMetadataKey {
        ShareGroupStatePartitionMetadataKey { group_id: self.id.to_string() }
    }

    fn initialized_record(&self) -> GroupRecord {
        let is_grown = |topic: &&InitializedTopic| !topic.added.is_empty();
        let initializing = self.initialized.iter().filter(|(_, topic)| is_grown(topic));
        let initializing = initializing.map(|(id, topic)| state_partitions(*id, topic, topic.added.iter()));
        let initialized = self
            .initialized
            .iter()
            .map(|(id, topic)| state_partitions(*id, topic, topic.partitions.difference(&topic.added)));
        GroupRecord::ShareGroupStatePartitionMetadata(
            self.initialized_key(),
            Some(ShareGroupStatePartitionMetadataValue {
                // With Kafka too a partition that is here, of a topic that is below, begins with its first record.
                initializing_topics: initializing.collect(),
                initialized_topics: initialized.collect(),
                deleting_topics: Vec::new(),
            }),
        )
    }
}

fn state_partitions<'a>(
    topic_id: Uuid,
    topic: &InitializedTopic,
    partitions: impl Iterator<Item = &'a i32>,
) -> ShareGroupStateTopicPartitions {
    let topic_name = topic.name.to_string();
    ShareGroupStateTopicPartitions { topic_id, topic_name, partitions: partitions.copied().collect() }
}

fn member_value(member: &ShareMember) -> ShareGroupMemberMetadataValue {
    ShareGroupMemberMetadataValue {
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: member.topics.iter().map(ToString::to_string).collect(),
    }
}

fn topic_partitions(assignment: &Assignment) -> Vec<TargetAssignmentTopicPartition> {
    let topics = assignment.iter().map(|(topic_id, partitions)| TargetAssignmentTopicPartition {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
    });
    topics.collect()
}
