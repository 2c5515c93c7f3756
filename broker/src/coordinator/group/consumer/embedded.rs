//! The consumers' own messages inside of the classic protocol: `ConsumerProtocolSubscription` and
//! `ConsumerProtocolAssignment`, both after a version of two bytes.
//!
//! Later versions only add fields at the end, so one that is not known is read as the last that is, as Kafka does.

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::ConsumerGroupHeartbeatTopicPartitions;
use sendlog_protocol::wire::{DecodeError, Reader, Writer};

use super::refused::Refused;
use crate::coordinator::group::TopicsImage;
use crate::coordinator::group::assign::Assignment;

/// What a classic member subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Subscription {
    /// Of this subscription, and of the assignment that its member understands.
    pub(super) version: i16,
    pub(super) topics: Vec<String>,
    /// By topic name; from version 1 on.
    pub(super) owned: Vec<(String, Vec<i32>)>,
    /// From version 3 on.
    pub(super) rack_id: Option<String>,
}

/// Partitions by topic name, and what the assignor put beside them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Assigned {
    pub(super) partitions: Vec<(String, Vec<i32>)>,
    pub(super) user_data: Bytes,
}

impl Subscription {
    /// Reads a member's metadata.
    ///
    /// # Errors
    /// `INCONSISTENT_GROUP_PROTOCOL`: it is no subscription.
    pub(super) fn read(metadata: Bytes) -> Result<Self, Refused> {
        let mut input = Reader::new(metadata);
        Self::read_from(&mut input).map_err(|error| malformed("subscription", &error))
    }

    fn read_from(input: &mut Reader) -> Result<Self, DecodeError> {
        let version = read_version(input)?;
        let mut topics = Vec::new();
        for _ in 0..count(input)? {
            topics.push(string(input)?);
        }
        input.nullable_bytes(false)?;
        let owned = if 1 <= version { partitions(input)? } else { Vec::new() };
        if 2 <= version {
            input.i32()?;
        }
        let rack_id = if 3 <= version { input.nullable_string(false)? } else { None };
        Ok(Self { version, topics, owned, rack_id })
    }

    /// What the member says that it owns, of topics that exist.
    pub(super) fn owned_ids(&self, topics: &TopicsImage) -> Vec<ConsumerGroupHeartbeatTopicPartitions> {
        let owned = self.owned.iter().filter_map(|(name, partitions)| {
            let topic_id = topics.by_name(name)?.id;
            Some(ConsumerGroupHeartbeatTopicPartitions { topic_id, partitions: partitions.clone() })
        });
        owned.collect()
    }
}

impl Assigned {
    /// Reads a member's assignment.
    ///
    /// # Errors
    /// `INCONSISTENT_GROUP_PROTOCOL`: it is no assignment.
    pub(super) fn read(assignment: Bytes) -> Result<Self, Refused> {
        let mut input = Reader::new(assignment);
        Self::read_from(&mut input).map_err(|error| malformed("assignment", &error))
    }

    fn read_from(input: &mut Reader) -> Result<Self, DecodeError> {
        read_version(input)?;
        let partitions = partitions(input)?;
        let user_data = input.nullable_bytes(false)?.unwrap_or_default();
        Ok(Self { partitions, user_data })
    }

    /// The partitions that exist, by topic id.
    pub(super) fn ids(&self, topics: &TopicsImage) -> Assignment {
        let mut assignment = Assignment::new();
        for (name, partitions) in &self.partitions {
            let Some(topic) = topics.by_name(name) else { continue };
            let existing = partitions.iter().copied().filter(|partition| (0..topic.partitions).contains(partition));
            assignment.entry(topic.id).or_default().extend(existing);
        }
        assignment.retain(|_, partitions| !partitions.is_empty());
        assignment
    }
}

/// An assignment as a classic member reads it. Topics that are gone are left out.
pub(super) fn write_assignment(version: i16, assignment: &Assignment, topics: &TopicsImage) -> Bytes {
    let named: Vec<_> =
        assignment.iter().filter_map(|(id, partitions)| Some((&topics.by_id(*id)?.name, partitions))).collect();
    let mut out = Writer::new();
    out.i16(version);
    // Names come from the catalog, counts from memory: neither is near its limit.
    let counted = out.nullable_count(Some(named.len()), false);
    debug_assert!(counted.is_ok(), "topics are few");
    for (name, partitions) in named {
        let written = out.nullable_string(Some(name), false);
        debug_assert!(written.is_ok(), "names are short");
        let counted = out.nullable_count(Some(partitions.len()), false);
        debug_assert!(counted.is_ok(), "partitions are few");
        for partition in partitions {
            out.i32(*partition);
        }
    }
    let nothing = out.nullable_bytes(None, false);
    debug_assert!(nothing.is_ok(), "a null always fits");
    out.into_bytes().freeze()
}

fn read_version(input: &mut Reader) -> Result<i16, DecodeError> {
    let version = input.i16()?;
    if version < 0 { Err(DecodeError::UnexpectedNull { field: "version" }) } else { Ok(version) }
}

fn count(input: &mut Reader) -> Result<usize, DecodeError> {
    input.nullable_count(false)?.ok_or(DecodeError::UnexpectedNull { field: "array" })
}

fn string(input: &mut Reader) -> Result<String, DecodeError> {
    input.nullable_string(false)?.ok_or(DecodeError::UnexpectedNull { field: "string" })
}

fn partitions(input: &mut Reader) -> Result<Vec<(String, Vec<i32>)>, DecodeError> {
    let mut topics = Vec::new();
    for _ in 0..count(input)? {
        let name = string(input)?;
        let mut partitions = Vec::new();
        for _ in 0..count(input)? {
            partitions.push(input.i32()?);
        }
        topics.push((name, partitions));
    }
    Ok(topics)
}

fn malformed(what: &str, error: &DecodeError) -> Refused {
    Refused::new(ErrorCode::InconsistentGroupProtocol, format!("The member's {what} cannot be read: {error}."))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::coordinator::group::TopicImage;

    #[test]
    fn a_subscription_of_any_version_is_read() {
        let v0 = b"\0\0\0\0\0\x01\0\x01a\xff\xff\xff\xff";
        let read = Subscription::read(Bytes::from_static(v0)).unwrap();
        assert_eq!(read, Subscription { topics: vec!["a".to_owned()], ..Subscription::default() });
        let v9 = b"\0\x09\0\0\0\x01\0\x01a\0\0\0\x01x\0\0\0\x01\0\x01b\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\0\0\x07\0\x01rlater";
        let read = Subscription::read(Bytes::from_static(v9)).unwrap();
        assert_eq!((read.version, read.rack_id.as_deref()), (9, Some("r")));
        assert_eq!(read.owned, [("b".to_owned(), vec![1, 2])]);
    }

    #[test]
    fn what_is_no_subscription_is_refused() {
        let counts_too_much = b"\0\0\x7f\xff\xff\xff\0\x01a".as_slice();
        for metadata in [b"".as_slice(), b"\0", b"\xff\xff\0\0\0\0", b"\0\0\xff\xff\xff\xff", counts_too_much] {
            let refused = Subscription::read(Bytes::copy_from_slice(metadata)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InconsistentGroupProtocol);
        }
    }

    #[test]
    fn an_assignment_is_written_as_it_is_read() {
        let id = Uuid::from_u128(1);
        let topics = TopicsImage::new(1, [TopicImage { name: "a".into(), id, partitions: 2 }]);
        let assignment = Assignment::from([(id, [0, 1].into()), (Uuid::from_u128(2), [0].into())]);
        let bytes = write_assignment(3, &assignment, &topics);
        assert_eq!(&bytes[..], b"\0\x03\0\0\0\x01\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x01\xff\xff\xff\xff");
        let read = Assigned::read(bytes).unwrap();
        assert_eq!(read.ids(&topics), Assignment::from([(id, [0, 1].into())]), "a topic that is gone has no name");
        let beyond = Assigned { partitions: vec![("a".to_owned(), vec![1, 2, -1])], ..Assigned::default() };
        assert_eq!(beyond.ids(&topics), Assignment::from([(id, [1].into())]));
    }
}
