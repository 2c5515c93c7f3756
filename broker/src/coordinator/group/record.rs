//! Records of `__consumer_offsets`: to and from bytes, and what the shell itself knows of them.

use bytes::Bytes;
use sendlog_protocol::EncodedRecord;
use sendlog_protocol::group_records::{GroupRecord, OffsetCommitKey, OffsetCommitValue};
use sendlog_protocol::wire::{DecodeError, EncodeError};

use super::offsets::{Committed, OffsetChange, TopicPartition};

/// Why a record of the log says nothing to us.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotUnderstood {
    /// Its type or version is none of ours, or it is not what they say.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// Its type is none of ours.
    #[error("its type is not known")]
    UnknownType,
}

/// Reads a record.
///
/// # Errors
/// [`NotUnderstood`].
pub(super) fn decode(key: Bytes, value: Option<Bytes>) -> Result<GroupRecord, NotUnderstood> {
    GroupRecord::decode(key, value)?.ok_or(NotUnderstood::UnknownType)
}

/// The group that a record is about.
pub(super) fn group_id(record: &GroupRecord) -> &str {
    match record {
        GroupRecord::OffsetCommit(key, _) => &key.group,
        GroupRecord::GroupMetadata(key, _) => &key.group,
        GroupRecord::ConsumerGroupMetadata(key, _) => &key.group_id,
        GroupRecord::ConsumerGroupPartitionMetadata(key, _) => &key.group_id,
        GroupRecord::ConsumerGroupMemberMetadata(key, _) => &key.group_id,
        GroupRecord::ConsumerGroupTargetAssignmentMetadata(key, _) => &key.group_id,
        GroupRecord::ConsumerGroupTargetAssignmentMember(key, _) => &key.group_id,
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key, _) => &key.group_id,
        GroupRecord::ConsumerGroupRegularExpression(key, _) => &key.group_id,
        GroupRecord::ShareGroupMemberMetadata(key, _) => &key.group_id,
        GroupRecord::ShareGroupMetadata(key, _) => &key.group_id,
        GroupRecord::ShareGroupTargetAssignmentMetadata(key, _) => &key.group_id,
        GroupRecord::ShareGroupTargetAssignmentMember(key, _) => &key.group_id,
        GroupRecord::ShareGroupCurrentMemberAssignment(key, _) => &key.group_id,
        GroupRecord::ShareGroupStatePartitionMetadata(key, _) => &key.group_id,
    }
}

/// The record of an offset.
///
/// # Errors
/// A name is longer than the format has room for.
pub(super) fn encode_offset(group_id: &str, change: &OffsetChange) -> Result<EncodedRecord, EncodeError> {
    let key = OffsetCommitKey {
        group: group_id.to_owned(),
        topic: change.partition.topic.to_string(),
        partition: change.partition.partition,
    };
    let value = change.committed.as_ref().map(|committed| OffsetCommitValue {
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: committed.metadata.to_string(),
        commit_timestamp: committed.commit_timestamp_ms,
        expire_timestamp: committed.expire_timestamp_ms,
        topic_id: committed.topic_id,
    });
    GroupRecord::OffsetCommit(key, value).encode()
}

/// What a record says of an offset.
pub(super) fn offset_change(key: OffsetCommitKey, value: Option<OffsetCommitValue>) -> OffsetChange {
    OffsetChange {
        partition: TopicPartition { topic: key.topic.into(), partition: key.partition },
        committed: value.map(|value| Committed {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into(),
            commit_timestamp_ms: value.commit_timestamp,
            expire_timestamp_ms: value.expire_timestamp,
            topic_id: value.topic_id,
        }),
    }
}
