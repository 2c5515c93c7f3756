//! The group from its records.

use std::sync::Arc;

use sendlog_protocol::group_records::{
    GroupRecord, ShareGroupStatePartitionMetadataValue, TargetAssignmentTopicPartition,
};

use super::{Assignment, ShareGroup, ShareMember};

impl ShareGroup {
    /// Takes over a record of the log. Compaction may have left any of them out.
    pub fn replay(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::ShareGroupMetadata(_, value) => {
                self.epoch = value.as_ref().map_or(0, |value| value.epoch);
                self.metadata_hash = value.as_ref().map_or(0, |value| value.metadata_hash);
            }
            GroupRecord::ShareGroupTargetAssignmentMetadata(_, value) => {
                self.assignment_epoch = value.as_ref().map_or(0, |value| value.assignment_epoch);
                self.assignment_timestamp_ms = value.as_ref().map_or(0, |value| value.assignment_timestamp);
            }
            GroupRecord::ShareGroupMemberMetadata(key, Some(value)) => {
                let member = self.member(&key.member_id);
                member.rack_id.clone_from(&value.rack_id);
                member.client_id.clone_from(&value.client_id);
                member.client_host.clone_from(&value.client_host);
                member.topics =
                    value.subscribed_topic_names.iter().map(|name| Arc::from(name.as_str())).collect();
            }
            GroupRecord::ShareGroupMemberMetadata(key, None) => {
                self.members.remove(key.member_id.as_str());
            }
            GroupRecord::ShareGroupTargetAssignmentMember(key, Some(value)) => {
                self.target.insert(key.member_id.as_str().into(), assignment(&value.topic_partitions));
            }
            GroupRecord::ShareGroupTargetAssignmentMember(key, None) => {
                self.target.remove(key.member_id.as_str());
            }
            GroupRecord::ShareGroupCurrentMemberAssignment(key, Some(value)) => {
                let member = self.member(&key.member_id);
                member.epoch = value.member_epoch;
                member.previous_epoch = value.previous_member_epoch;
                member.assigned = assignment(&value.assigned_partitions);
            }
            GroupRecord::ShareGroupCurrentMemberAssignment(key, None) => {
                if let Some(member) = self.members.get_mut(key.member_id.as_str()) {
                    (member.epoch, member.previous_epoch) = (0, 0);
                    member.assigned = Assignment::new();
                }
            }
            GroupRecord::ShareGroupStatePartitionMetadata(_, value) => {
                self.replay_initialized(value.as_ref());
            }
            _ => {}
        }
    }

    fn replay_initialized(&mut self, value: Option<&ShareGroupStatePartitionMetadataValue>) {
        self.initialized.clear();
        let Some(value) = value else { return };
        for topic in &value.initialized_topics {
            let known = self.initialized.entry(topic.topic_id).or_default();
            known.name = topic.topic_name.as_str().into();
            known.partitions.extend(&topic.partitions);
        }
        // What Kafka was about to initialize, the first fetch does here.
        for topic in &value.initializing_topics {
            let is_known = self.initialized.contains_key(&topic.topic_id);
            let known = self.initialized.entry(topic.topic_id).or_default();
            known.name = topic.topic_name.as_str().into();
            known.partitions.extend(&topic.partitions);
            if is_known {
                known.added.extend(&topic.partitions);
            }
        }
    }

    fn member(&mut self, id: &str) -> &mut ShareMember {
        self.members.entry(id.into()).or_default()
    }
}

fn assignment(topics: &[TargetAssignmentTopicPartition]) -> Assignment {
    topics.iter().map(|topic| (topic.topic_id, topic.partitions.iter().copied().collect())).collect()
}
