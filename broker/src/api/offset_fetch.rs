//! OffsetFetch (key 9), versions 1 to 10.
//!
//! What is answered is on disk: a commit that is still on its way there is not seen. A group that nobody knows has no
//! offsets, which is no error. Differs from Apache Kafka: an offset of a topic that was deleted and created again is not
//! served for the new one; a group, or a partition of a group, that a request names again is refused there, so that no small
//! request has an answer without measure.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use uuid::Uuid;

use super::{Context, Session, error};
use crate::catalog::Catalog;
use crate::coordinator::group::offsets::Committed;
use crate::coordinator::group::{CoordinatorError, Group};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=10;

/// The first version that asks for several groups.
const FIRST_WITH_GROUPS: i16 = 8;

/// The first version in which topics go by id.
const FIRST_BY_ID: i16 = 10;

/// The first version with an error of the whole group.
const FIRST_WITH_GROUP_ERROR: i16 = 2;

/// Stands for no offset.
const NO_OFFSET: i64 = -1;

/// Looks the offsets up.
#[expect(clippy::unused_async, reason = "handlers have one form")]
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if FIRST_WITH_GROUPS <= version {
        let mut seen = HashSet::new();
        let groups = request.groups.iter().map(|group| match seen.insert(group.group_id.as_str()) {
            true => fetch(context, version, group),
            false => refused_group(&group.group_id, ErrorCode::InvalidRequest),
        });
        return OffsetFetchResponse { groups: groups.collect(), ..Default::default() };
    }
    let topics = request.topics.map(|topics| {
        let topic = |topic: sendlog_protocol::messages::OffsetFetchRequestTopic| OffsetFetchRequestTopics {
            name: topic.name,
            topic_id: Uuid::nil(),
            partition_indexes: topic.partition_indexes,
        };
        topics.into_iter().map(topic).collect()
    });
    let wanted = OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
    one_group(version, &wanted, fetch(context, version, &wanted))
}

/// The form of an answer before there could be several groups.
fn one_group(
    version: i16,
    wanted: &OffsetFetchRequestGroup,
    group: OffsetFetchResponseGroup,
) -> OffsetFetchResponse {
    let mut topics = group.topics;
    if version < FIRST_WITH_GROUP_ERROR && group.error_code != ErrorCode::None.code() {
        // There is no other place for the error.
        let asked = wanted.topics.iter().flatten();
        topics = asked.map(|topic| refused_topic(topic, group.error_code)).collect();
    }
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    let topic = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    OffsetFetchResponse {
        topics: topics.into_iter().map(topic).collect(),
        error_code: group.error_code,
        ..Default::default()
    }
}

/// A partition as a request names it: the topic by name or by id.
type Asked<'a> = (&'a str, Uuid, i32);

fn fetch(context: &Context, version: i16, wanted: &OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let mut seen = HashSet::new();
    let looked = context.groups.look(&wanted.group_id, |group| {
        group.check_fetch(wanted.member_id.as_deref(), wanted.member_epoch)?;
        Ok(match &wanted.topics {
            None => all_topics(&context.catalog, version, group),
            Some(topics) => {
                let topic = |topic| asked_topic(&context.catalog, version, Some(group), topic, &mut seen);
                topics.iter().map(topic).collect()
            }
        })
    });
    let topics = match looked {
        Ok(result) => result,
        Err(CoordinatorError::UnknownGroup) => {
            let asked = wanted.topics.iter().flatten();
            Ok(asked.map(|topic| asked_topic(&context.catalog, version, None, topic, &mut seen)).collect())
        }
        Err(failure) => Err(error::of_coordinator(&failure)),
    };
    match topics {
        Ok(topics) => {
            OffsetFetchResponseGroup { group_id: wanted.group_id.clone(), topics, ..Default::default() }
        }
        Err(code) => refused_group(&wanted.group_id, code),
    }
}

fn refused_group(group_id: &str, code: ErrorCode) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup { group_id: group_id.to_owned(), error_code: code.code(), ..Default::default() }
}

/// Every topic that the group has offsets of; from version 10 on, those that still exist.
fn all_topics(catalog: &Catalog, version: i16, group: &Group) -> Vec<OffsetFetchResponseTopics> {
    let topics = group.offsets().iter().filter_map(|(name, partitions)| {
        let topic = catalog.topic(name);
        if FIRST_BY_ID <= version && topic.is_none() {
            return None;
        }
        let topic_id = topic.map(|topic| topic.id());
        let partitions: Vec<_> = current(topic_id, partitions)
            .map(|(partition, committed)| found(*partition, Some(committed)))
            .collect();
        (!partitions.is_empty()).then(|| OffsetFetchResponseTopics {
            name: name.to_string(),
            topic_id: topic_id.unwrap_or_default(),
            partitions,
        })
    });
    topics.collect()
}

fn current(
    topic_id: Option<Uuid>,
    partitions: &BTreeMap<i32, Committed>,
) -> impl Iterator<Item = (&i32, &Committed)> {
    partitions.iter().filter(move |(_, committed)| is_of(committed, topic_id))
}

/// Whether it was committed for the topic that has the name now.
fn is_of(committed: &Committed, topic_id: Option<Uuid>) -> bool {
    topic_id.is_none_or(|id| committed.topic_id.is_nil() || committed.topic_id == id)
}

fn asked_topic<'a>(
    catalog: &Catalog,
    version: i16,
    group: Option<&Group>,
    wanted: &'a OffsetFetchRequestTopics,
    seen: &mut HashSet<Asked<'a>>,
) -> OffsetFetchResponseTopics {
    let topic = match version < FIRST_BY_ID {
        true => catalog.topic(&wanted.name),
        false => catalog.topic_by_id(wanted.topic_id),
    };
    if FIRST_BY_ID <= version && topic.is_none() {
        return refused_topic(wanted, ErrorCode::UnknownTopicId.code());
    }
    let name = topic.as_ref().map_or(wanted.name.as_str(), |topic| topic.name());
    let topic_id = topic.as_ref().map(|topic| topic.id());
    let look_up = |partition: &i32| {
        if !seen.insert((&wanted.name, wanted.topic_id, *partition)) {
            let error_code = ErrorCode::InvalidRequest.code();
            return OffsetFetchResponsePartitions { error_code, ..found(*partition, None) };
        }
        let committed = group.and_then(|group| group.offsets().get(name, *partition));
        found(*partition, committed.filter(|committed| is_of(committed, topic_id)))
    };
    OffsetFetchResponseTopics {
        name: wanted.name.clone(),
        topic_id: wanted.topic_id,
        partitions: wanted.partition_indexes.iter().map(look_up).collect(),
    }
}

fn refused_topic(wanted: &OffsetFetchRequestTopics, error_code: i16) -> OffsetFetchResponseTopics {
    let partition = |partition: &i32| OffsetFetchResponsePartitions { error_code, ..found(*partition, None) };
    OffsetFetchResponseTopics {
        name: wanted.name.clone(),
        topic_id: wanted.topic_id,
        partitions: wanted.partition_indexes.iter().map(partition).collect(),
    }
}

fn found(partition_index: i32, committed: Option<&Committed>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: committed.map_or(NO_OFFSET, |committed| committed.offset),
        committed_leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch),
        metadata: Some(committed.map_or_else(String::new, |committed| committed.metadata.to_string())),
        error_code: ErrorCode::None.code(),
    }
}
