//! Subscriptions and assignments as classic members have them: topics by name, in the consumers' own messages.

use bytes::Bytes;
use sendlog_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, ConsumerProtocolTopicPartition,
};
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::ConsumerGroupHeartbeatTopicPartitions;
use sendlog_protocol::wire::DecodeError;

use super::refused::Refused;
use crate::coordinator::group::TopicsImage;
use crate::coordinator::group::assign::Assignment;

/// Last version of an assignment.
const ASSIGNMENT_VERSION_MAX: i16 = 3;

/// Reads a member's metadata.
///
/// # Errors
/// `INCONSISTENT_GROUP_PROTOCOL`: it is no subscription.
pub(super) fn read_subscription(metadata: Bytes) -> Result<ConsumerProtocolSubscription, Refused> {
    ConsumerProtocolSubscription::from_metadata(metadata).map_err(|error| malformed("subscription", &error))
}

/// Reads a member's assignment. Nothing at all is assigned to one that has never been in a whole generation.
///
/// # Errors
/// `INCONSISTENT_GROUP_PROTOCOL`: it is no assignment.
pub(super) fn read_assignment(assignment: Bytes) -> Result<ConsumerProtocolAssignment, Refused> {
    if assignment.is_empty() {
        return Ok(ConsumerProtocolAssignment::default());
    }
    ConsumerProtocolAssignment::from_metadata(assignment).map_err(|error| malformed("assignment", &error))
}

fn malformed(what: &str, error: &DecodeError) -> Refused {
    Refused::new(
        ErrorCode::InconsistentGroupProtocol,
        format!("The member's {what} cannot be read: {error}."),
    )
}

/// What a member says that it owns, of topics that exist.
pub(super) fn owned_ids(
    subscription: &ConsumerProtocolSubscription,
    topics: &TopicsImage,
) -> Vec<ConsumerGroupHeartbeatTopicPartitions> {
    let owned = subscription.owned_partitions.iter().filter_map(|owned| {
        let topic_id = topics.by_name(&owned.topic)?.id;
        Some(ConsumerGroupHeartbeatTopicPartitions { topic_id, partitions: owned.partitions.clone() })
    });
    owned.collect()
}

/// What is assigned, of partitions that exist.
pub(super) fn assigned_ids(assigned: &ConsumerProtocolAssignment, topics: &TopicsImage) -> Assignment {
    let mut assignment = Assignment::new();
    for assigned in &assigned.assigned_partitions {
        let Some(topic) = topics.by_name(&assigned.topic) else { continue };
        let all = assigned.partitions.iter().copied();
        let existing = all.filter(|partition| (0..topic.partitions).contains(partition));
        assignment.entry(topic.id).or_default().extend(existing);
    }
    assignment.retain(|_, partitions| !partitions.is_empty());
    assignment
}

/// An assignment as the member with this metadata reads it. Topics that are gone are left out.
pub(super) fn write_assignment(metadata: &[u8], assignment: &Assignment, topics: &TopicsImage) -> Bytes {
    let version = metadata.first_chunk().map_or(0, |version| i16::from_be_bytes(*version));
    let named = assignment.iter().filter_map(|(id, partitions)| {
        let topic = topics.by_id(*id)?.name.to_string();
        Some(ConsumerProtocolTopicPartition { topic, partitions: partitions.iter().copied().collect() })
    });
    let assignment = ConsumerProtocolAssignment { assigned_partitions: named.collect(), user_data: None };
    // Names of the catalog fit, and so do the partitions that there may be.
    assignment.to_metadata(version.clamp(0, ASSIGNMENT_VERSION_MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::coordinator::group::TopicImage;

    #[test]
    fn what_is_no_subscription_is_refused() {
        for metadata in [b"".as_slice(), b"\0", b"\xff\xff\0\0\0\0", b"\0\0\xff\xff\xff\xff"] {
            let refused = read_subscription(Bytes::copy_from_slice(metadata)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InconsistentGroupProtocol);
        }
    }

    #[test]
    fn an_assignment_is_written_as_it_is_read() {
        let id = Uuid::from_u128(1);
        let topics = TopicsImage::new(1, [TopicImage { name: "a".into(), id, partitions: 2 }]);
        let assignment = Assignment::from([(id, [0, 1].into()), (Uuid::from_u128(2), [0].into())]);
        let bytes = write_assignment(b"\0\x09later", &assignment, &topics);
        assert_eq!(bytes[..2], [0, 3], "the newest version that is known");
        let read = assigned_ids(&read_assignment(bytes).unwrap(), &topics);
        assert_eq!(read, Assignment::from([(id, [0, 1].into())]), "a topic that is gone has no name");
        assert_eq!(assigned_ids(&read_assignment(Bytes::new()).unwrap(), &topics), Assignment::new());
    }

    #[test]
    fn partitions_and_topics_that_do_not_exist_are_nobodys() {
        let topics =
            TopicsImage::new(1, [TopicImage { name: "a".into(), id: Uuid::from_u128(1), partitions: 2 }]);
        let of = |topic: &str| ConsumerProtocolTopicPartition {
            topic: topic.to_owned(),
            partitions: vec![1, 2, -1],
        };
        let assigned =
            ConsumerProtocolAssignment { assigned_partitions: vec![of("a"), of("b")], user_data: None };
        assert_eq!(assigned_ids(&assigned, &topics), Assignment::from([(Uuid::from_u128(1), [1].into())]));
    }
}
