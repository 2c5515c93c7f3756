//! Records of `__consumer_offsets`, as Kafka 4.4 writes them: offsets, and the state of groups.
//!
//! The topic is shared with Kafka's tools, and a log may come from a Kafka. So records of a type that is not here, such as
//! those of streams groups, are told apart from damaged ones.

mod classic;
mod consumer;
mod share;

use bytes::Bytes;

use crate::wire::{DecodeError, Reader};

pub use classic::{
    GroupMetadataKey, GroupMetadataMember, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
};
pub use consumer::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue, ConsumerGroupPartitionRacks,
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
    ConsumerGroupTopicMetadata, CurrentAssignmentTopicPartitions, TargetAssignmentTopicPartition,
};
pub use share::{
    ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue, ShareGroupMetadataKey,
    ShareGroupMetadataValue, ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue,
    ShareGroupStateTopic, ShareGroupStateTopicPartitions, ShareGroupTargetAssignmentMemberKey,
    ShareGroupTargetAssignmentMemberValue, ShareGroupTargetAssignmentMetadataKey,
    ShareGroupTargetAssignmentMetadataValue,
};

/// What Kafka before 0.9 wrote instead of [`GroupRecord::OffsetCommit`], with the same fields.
const LEGACY_OFFSET_COMMIT: i16 = 0;

coordinator_records! {
    /// A record of `__consumer_offsets`.
    pub enum GroupRecord {
        /// How far a group has read.
        OffsetCommit(OffsetCommitKey, OffsetCommitValue) = 1, written in offset_commit_version;
        /// The generation of a classic group.
        GroupMetadata(GroupMetadataKey, GroupMetadataValue) = 2, written in |_: &_| 3;
        /// The epoch of a consumer group.
        ConsumerGroupMetadata(ConsumerGroupMetadataKey, ConsumerGroupMetadataValue) = 3, written in |_: &_| 0;
        /// Topics of a consumer group; no longer written by Kafka.
        ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue) = 4,
            written in |_: &_| 0;
        /// A member of a consumer group.
        ConsumerGroupMemberMetadata(ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue) = 5,
            written in |_: &_| 0;
        /// The epoch of a consumer group's target assignment.
        ConsumerGroupTargetAssignmentMetadata(
            ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue
        ) = 6, written in |_: &_| 0;
        /// What a member of a consumer group is to own.
        ConsumerGroupTargetAssignmentMember(
            ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue
        ) = 7, written in |_: &_| 0;
        /// What a member of a consumer group owns.
        ConsumerGroupCurrentMemberAssignment(
            ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue
        ) = 8, written in |_: &_| 0;
        /// A member of a share group.
        ShareGroupMemberMetadata(ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue) = 10,
            written in |_: &_| 0;
        /// The epoch of a share group.
        ShareGroupMetadata(ShareGroupMetadataKey, ShareGroupMetadataValue) = 11, written in |_: &_| 0;
        /// The epoch of a share group's target assignment.
        ShareGroupTargetAssignmentMetadata(
            ShareGroupTargetAssignmentMetadataKey, ShareGroupTargetAssignmentMetadataValue
        ) = 12, written in |_: &_| 0;
        /// What a member of a share group is to read.
        ShareGroupTargetAssignmentMember(
            ShareGroupTargetAssignmentMemberKey, ShareGroupTargetAssignmentMemberValue
        ) = 13, written in |_: &_| 0;
        /// What a member of a share group reads.
        ShareGroupCurrentMemberAssignment(
            ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue
        ) = 14, written in |_: &_| 0;
        /// Partitions of which a share group keeps delivery state.
        ShareGroupStatePartitionMetadata(
            ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue
        ) = 15, written in |_: &_| 0;
        /// What a regular expression matches.
        ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue) = 16,
            written in |_: &_| 0;
    }
}

impl GroupRecord {
    /// Reads a record; `None` if its type is none of these.
    ///
    /// # Errors
    /// The key or value is not what its type and version say, or the version is not known.
    pub fn decode(key: Bytes, value: Option<Bytes>) -> Result<Option<Self>, DecodeError> {
        let mut input = Reader::new(key);
        let record_type = match input.i16()? {
            LEGACY_OFFSET_COMMIT => 1,
            record_type => record_type,
        };
        Self::decode_type(record_type, input.into_remaining(), value)
    }
}

/// Only version 1 has the time that old clients ask for; Kafka, too, writes it for them alone.
fn offset_commit_version(value: &OffsetCommitValue) -> i16 {
    if value.expire_timestamp == -1 { 4 } else { 1 }
}
