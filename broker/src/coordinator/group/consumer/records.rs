//! Changes as Kafka's records of `__consumer_offsets`, and back.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sendlog_protocol::group_records::{
    ClassicMemberMetadata, ClassicProtocol as StoredProtocol, ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
    CurrentAssignmentTopicPartitions, GroupRecord, TargetAssignmentTopicPartition,
};

use super::change::{Change, GroupEpoch, Resolved, TargetEpoch};
use super::member::{ClassicProfile, ClassicProtocol, Holding, Owned, Profile, State};
use crate::coordinator::group::assign::Assignment;

const STABLE: i8 = 0;
const UNREVOKED_PARTITIONS: i8 = 1;
const UNRELEASED_PARTITIONS: i8 = 2;
const UNKNOWN: i8 = 127;

/// The record of a change.
pub(super) fn write(group_id: &str, change: &Change) -> GroupRecord {
    let group_id = group_id.to_owned();
    match change {
        Change::Epoch(value) => GroupRecord::ConsumerGroupMetadata(
            ConsumerGroupMetadataKey { group_id },
            value.map(|GroupEpoch { epoch, metadata_hash }| ConsumerGroupMetadataValue {
                epoch,
                metadata_hash,
            }),
        ),
        Change::Profile(id, value) => GroupRecord::ConsumerGroupMemberMetadata(
            ConsumerGroupMemberMetadataKey { group_id, member_id: id.to_string() },
            value.as_ref().map(write_profile),
        ),
        Change::TargetEpoch(value) => GroupRecord::ConsumerGroupTargetAssignmentMetadata(
            ConsumerGroupTargetAssignmentMetadataKey { group_id },
            value.map(|TargetEpoch { epoch, at_ms }| ConsumerGroupTargetAssignmentMetadataValue {
                assignment_epoch: epoch,
                assignment_timestamp: at_ms,
            }),
        ),
        Change::Target(id, value) => GroupRecord::ConsumerGroupTargetAssignmentMember(
            ConsumerGroupTargetAssignmentMemberKey { group_id, member_id: id.to_string() },
            value.as_ref().map(write_target),
        ),
        Change::Holding(id, value) => GroupRecord::ConsumerGroupCurrentMemberAssignment(
            ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id: id.to_string() },
            value.as_ref().map(write_holding),
        ),
        Change::Regex(regex, value) => GroupRecord::ConsumerGroupRegularExpression(
            ConsumerGroupRegularExpressionKey { group_id, regular_expression: regex.to_string() },
            value.as_ref().map(write_resolved),
        ),
    }
}

/// The change of a record; `None` if it is none of a consumer group, or one that means nothing here.
pub(super) fn read(record: &GroupRecord) -> Option<Change> {
    Some(match record {
        GroupRecord::ConsumerGroupMetadata(_, value) => Change::Epoch(
            value.as_ref().map(|value| GroupEpoch { epoch: value.epoch, metadata_hash: value.metadata_hash }),
        ),
        GroupRecord::ConsumerGroupMemberMetadata(key, value) => {
            Change::Profile(key.member_id.as_str().into(), value.as_ref().map(read_profile))
        }
        GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, value) => {
            Change::TargetEpoch(value.as_ref().map(|value| TargetEpoch {
                epoch: value.assignment_epoch,
                at_ms: value.assignment_timestamp,
            }))
        }
        GroupRecord::ConsumerGroupTargetAssignmentMember(key, value) => {
            Change::Target(key.member_id.as_str().into(), value.as_ref().map(read_target))
        }
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key, value) => {
            Change::Holding(key.member_id.as_str().into(), value.as_ref().map(read_holding))
        }
        GroupRecord::ConsumerGroupRegularExpression(key, value) => {
            Change::Regex(key.regular_expression.as_str().into(), value.as_ref().map(read_resolved))
        }
        // Topics as Kafka before 4.1 kept them; the hash has taken their place.
        GroupRecord::ConsumerGroupPartitionMetadata(..) => return None,
        _ => return None,
    })
}

fn write_profile(profile: &Profile) -> ConsumerGroupMemberMetadataValue {
    let classic = profile.classic.as_ref().map(|classic| ClassicMemberMetadata {
        session_timeout_ms: classic.session_timeout_ms,
        supported_protocols: classic
            .protocols
            .iter()
            .map(|protocol| StoredProtocol {
                name: protocol.name.clone(),
                metadata: protocol.metadata.clone(),
            })
            .collect(),
    });
    ConsumerGroupMemberMetadataValue {
        instance_id: profile.instance_id.clone(),
        rack_id: profile.rack_id.clone(),
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        subscribed_topic_names: profile.topic_names.iter().cloned().collect(),
        subscribed_topic_regex: Some(profile.topic_regex.clone()),
        rebalance_timeout_ms: profile.rebalance_timeout_ms,
        server_assignor: profile.assignor.clone(),
        classic_member_metadata: classic,
    }
}

fn read_profile(value: &ConsumerGroupMemberMetadataValue) -> Profile {
    let classic = value.classic_member_metadata.as_ref().map(|classic| ClassicProfile {
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic
            .supported_protocols
            .iter()
            .map(|protocol| ClassicProtocol {
                name: protocol.name.clone(),
                // In memory of its own: a slice would keep the whole piece of the log.
                metadata: Bytes::copy_from_slice(&protocol.metadata),
            })
            .collect(),
    });
    Profile {
        instance_id: value.instance_id.clone(),
        rack_id: value.rack_id.clone(),
        client_id: value.client_id.clone(),
        client_host: value.client_host.clone(),
        topic_names: value.subscribed_topic_names.iter().cloned().collect(),
        topic_regex: value.subscribed_topic_regex.clone().unwrap_or_default(),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: value.server_assignor.clone(),
        classic,
    }
}

fn write_target(target: &Assignment) -> ConsumerGroupTargetAssignmentMemberValue {
    let topic = |(topic_id, partitions): (&uuid::Uuid, &BTreeSet<i32>)| TargetAssignmentTopicPartition {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
    };
    ConsumerGroupTargetAssignmentMemberValue { topic_partitions: target.iter().map(topic).collect() }
}

fn read_target(value: &ConsumerGroupTargetAssignmentMemberValue) -> Assignment {
    let topics = value.topic_partitions.iter();
    topics.map(|topic| (topic.topic_id, topic.partitions.iter().copied().collect())).collect()
}

fn write_holding(holding: &Holding) -> ConsumerGroupCurrentMemberAssignmentValue {
    ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: holding.epoch,
        previous_member_epoch: holding.previous_epoch,
        state: match holding.state {
            State::Stable => STABLE,
            State::UnrevokedPartitions => UNREVOKED_PARTITIONS,
            State::UnreleasedPartitions => UNRELEASED_PARTITIONS,
            State::Unknown => UNKNOWN,
        },
        assigned_partitions: write_owned(&holding.assigned),
        partitions_pending_revocation: write_owned(&holding.revoking),
    }
}

fn read_holding(value: &ConsumerGroupCurrentMemberAssignmentValue) -> Holding {
    Holding {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: match value.state {
            STABLE => State::Stable,
            UNREVOKED_PARTITIONS => State::UnrevokedPartitions,
            UNRELEASED_PARTITIONS => State::UnreleasedPartitions,
            _ => State::Unknown,
        },
        assigned: read_owned(&value.assigned_partitions, value.member_epoch),
        revoking: read_owned(&value.partitions_pending_revocation, value.member_epoch),
    }
}

fn write_owned(owned: &Owned) -> Vec<CurrentAssignmentTopicPartitions> {
    let topic =
        |(topic_id, partitions): (&uuid::Uuid, &BTreeMap<i32, i32>)| CurrentAssignmentTopicPartitions {
            topic_id: *topic_id,
            partitions: partitions.keys().copied().collect(),
            assignment_epochs: Some(partitions.values().copied().collect()),
        };
    owned.iter().map(topic).collect()
}

/// Kafka before 4.3 writes no epochs; the member's own stands for them then, as in Kafka.
fn read_owned(topics: &[CurrentAssignmentTopicPartitions], member_epoch: i32) -> Owned {
    let topic = |topic: &CurrentAssignmentTopicPartitions| {
        let epochs = topic.assignment_epochs.as_deref().unwrap_or_default();
        let epochs = epochs.iter().copied().chain(std::iter::repeat(member_epoch));
        (topic.topic_id, topic.partitions.iter().copied().zip(epochs).collect())
    };
    topics.iter().map(topic).collect()
}

fn write_resolved(resolved: &Resolved) -> ConsumerGroupRegularExpressionValue {
    ConsumerGroupRegularExpressionValue {
        topics: resolved.topics.iter().cloned().collect(),
        version: resolved.version,
        timestamp: resolved.at_ms,
    }
}

fn read_resolved(value: &ConsumerGroupRegularExpressionValue) -> Resolved {
    let topics = value.topics.iter().cloned().collect();
    Resolved { topics, version: value.version, at_ms: value.timestamp }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;

    fn changes() -> Vec<Change> {
        let id: Arc<str> = "m".into();
        let topic = Uuid::from_u128(7);
        let classic = ClassicProfile {
            session_timeout_ms: 10,
            protocols: vec![ClassicProtocol {
                name: "range".to_owned(),
                metadata: Bytes::from_static(b"\0\x01"),
            }],
        };
        let profile = Profile {
            instance_id: Some("i".to_owned()),
            rack_id: Some("r".to_owned()),
            client_id: "c".to_owned(),
            client_host: "/h".to_owned(),
            topic_names: ["a".to_owned(), "b".to_owned()].into(),
            topic_regex: "x.*".to_owned(),
            rebalance_timeout_ms: 5,
            assignor: Some("range".to_owned()),
            classic: Some(classic),
        };
        let holding = Holding {
            epoch: 5,
            previous_epoch: 4,
            state: State::UnrevokedPartitions,
            assigned: Owned::from([(topic, [(0, 3), (1, 5)].into())]),
            revoking: Owned::from([(topic, [(2, 4)].into())]),
        };
        let resolved = Resolved { topics: ["x1".to_owned()].into(), version: 9, at_ms: 10 };
        let plain = Profile { classic: None, ..profile.clone() };
        let mut changes = vec![
            Change::Epoch(Some(GroupEpoch { epoch: 3, metadata_hash: -8 })),
            Change::Epoch(None),
            Change::Profile(id.clone(), Some(profile)),
            Change::Profile(id.clone(), Some(plain)),
            Change::Profile(id.clone(), None),
            Change::TargetEpoch(Some(TargetEpoch { epoch: 2, at_ms: 77 })),
            Change::TargetEpoch(None),
            Change::Target(id.clone(), Some(Assignment::from([(topic, [0, 1].into())]))),
            Change::Target(id.clone(), None),
            Change::Holding(id.clone(), None),
            Change::Regex("x.*".into(), Some(resolved)),
            Change::Regex("x.*".into(), None),
        ];
        for state in [State::Stable, State::UnreleasedPartitions, State::UnrevokedPartitions, State::Unknown]
        {
            changes.push(Change::Holding(id.clone(), Some(Holding { state, ..holding.clone() })));
        }
        changes
    }

    #[test]
    fn a_change_is_read_as_it_was_written() {
        for change in changes() {
            let record = write("g", &change);
            let encoded = record.encode().unwrap();
            let decoded = GroupRecord::decode(encoded.key, encoded.value).unwrap().unwrap();
            assert_eq!(read(&decoded), Some(change));
        }
    }

    #[test]
    fn partitions_without_epochs_were_got_at_the_members() {
        let topic_id = Uuid::from_u128(1);
        let partitions =
            CurrentAssignmentTopicPartitions { topic_id, partitions: vec![0, 1], assignment_epochs: None };
        assert_eq!(read_owned(&[partitions], 6), Owned::from([(topic_id, [(0, 6), (1, 6)].into())]));
    }
}
