//! Metadata (key 3), versions 0 to 13.
//!
//! Differs from Apache Kafka: a topic that is created on the way is there when it is answered, so the first answer already
//! names its leader; the broker's address is the one that the client dialled, unless another is configured.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use uuid::Uuid;

use super::refusal::{Refusal, on_catalog};
use super::{Context, Session, describe_cluster};
use crate::catalog::{Apply, NewTopic, Topic, TopicError, name};
use crate::config::topic::Overrides;
use crate::partition::Partition;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=13;

/// The first version in which an empty list means no topics; before, it means all.
const FIRST_WITH_NULL: i16 = 1;

/// The first version that may ask by topic id (KIP-516); ids are in requests from version 10.
const FIRST_BY_ID: i16 = 12;

/// What one may do to a topic without ACLs: read, write, create, delete, alter, describe, describe and alter its
/// settings (`AclOperation`, one bit each).
const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

/// Describes the broker and the topics that are asked for.
pub(super) async fn handle(
    context: &Context,
    session: &Session,
    version: i16,
    request: MetadataRequest,
) -> MetadataResponse {
    let mut response = MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: context.config.node_id,
            host: session.advertised_host.clone(),
            port: i32::from(session.advertised_port),
            rack: context.config.rack.clone(),
        }],
        cluster_id: Some(context.cluster_id.clone()),
        controller_id: context.config.node_id,
        ..Default::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = describe_cluster::CLUSTER_OPERATIONS;
    }
    let operations = if request.include_topic_authorized_operations { TOPIC_OPERATIONS } else { i32::MIN };
    response.topics = match request.topics {
        Some(topics) if !topics.is_empty() || FIRST_WITH_NULL <= version => {
            let create = request.allow_auto_topic_creation && context.config.auto_create_topics;
            asked_for(context, version, topics, create, operations).await
        }
        _ => context.catalog.topics().iter().map(|topic| describe(context, topic, operations)).collect(),
    };
    response
}

/// The topics of the request, each once: a request that names one thousands of times is not answered in kind.
async fn asked_for(
    context: &Context,
    version: i16,
    topics: Vec<MetadataRequestTopic>,
    create: bool,
    operations: i32,
) -> Vec<MetadataResponseTopic> {
    let mut seen = HashSet::new();
    let distinct: Vec<MetadataRequestTopic> =
        topics.into_iter().filter(|topic| seen.insert((topic.topic_id, topic.name.clone()))).collect();
    let found = distinct.iter().map(|wanted| find(context, version, wanted));
    let mut found: Vec<Result<Arc<Topic>, ErrorCode>> = found.collect();
    if create {
        create_missing(context, &distinct, &mut found).await;
    }
    let answer = |(wanted, found): (MetadataRequestTopic, Result<Arc<Topic>, ErrorCode>)| match found {
        Ok(topic) => describe(context, &topic, operations),
        Err(code) => MetadataResponseTopic {
            error_code: code.code(),
            // Before version 12 an answer has a name, and a request without one is answered too.
            name: if version < FIRST_BY_ID { Some(wanted.name.unwrap_or_default()) } else { wanted.name },
            topic_id: wanted.topic_id,
            ..Default::default()
        },
    };
    distinct.into_iter().zip(found).map(answer).collect()
}

fn find(context: &Context, version: i16, wanted: &MetadataRequestTopic) -> Result<Arc<Topic>, ErrorCode> {
    let is_by_id = wanted.topic_id != Uuid::nil();
    if version < FIRST_BY_ID && (is_by_id || wanted.name.is_none()) {
        return Err(ErrorCode::InvalidRequest);
    }
    if is_by_id {
        return context.catalog.topic_by_id(wanted.topic_id).ok_or(ErrorCode::UnknownTopicId);
    }
    let Some(topic) = &wanted.name else { return Err(ErrorCode::InvalidRequest) };
    match context.catalog.topic(topic) {
        Some(found) => Ok(found),
        None if name::check(topic).is_err() => Err(ErrorCode::InvalidTopicException),
        None => Err(ErrorCode::UnknownTopicOrPartition),
    }
}

/// Creates the topics that were not found, all in one go, and finds them.
async fn create_missing(
    context: &Context,
    wanted: &[MetadataRequestTopic],
    found: &mut [Result<Arc<Topic>, ErrorCode>],
) {
    let missing = |found: &Result<_, ErrorCode>| matches!(found, Err(ErrorCode::UnknownTopicOrPartition));
    let new = |name: &String| NewTopic {
        name: name.clone(),
        partitions: context.config.num_partitions,
        overrides: Overrides::new(),
    };
    let topics = wanted.iter().zip(&*found).filter(|(_, found)| missing(found));
    let new: Vec<NewTopic> = topics.filter_map(|(wanted, _)| wanted.name.as_ref().map(new)).collect();
    if new.is_empty() {
        return;
    }
    let created = on_catalog(context, move |catalog| catalog.create(new, Apply::Now)).await;
    let mut created = created.unwrap_or_default().into_iter();
    for (wanted, found) in wanted.iter().zip(found) {
        if !missing(found) {
            continue;
        }
        let name = wanted.name.as_deref().unwrap_or_default();
        *found = match created.next() {
            // Somebody else may have been quicker.
            Some(Ok(_) | Err(TopicError::Exists(_))) => {
                context.catalog.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)
            }
            Some(Err(TopicError::Internal(_))) => Err(ErrorCode::UnknownTopicOrPartition),
            Some(Err(error)) => Err(refused(name, error)),
            None => Err(ErrorCode::UnknownServerError),
        };
    }
}

/// The answer has no room for the reason, so it goes to the log.
fn refused(name: &str, error: TopicError) -> ErrorCode {
    tracing::warn!(topic = name, %error, "the topic is not created");
    Refusal::from(error).code
}

fn describe(context: &Context, topic: &Topic, operations: i32) -> MetadataResponseTopic {
    let node_id = context.config.node_id;
    let partition = |partition: &Arc<Partition>| MetadataResponsePartition {
        error_code: ErrorCode::None.code(),
        partition_index: partition.index(),
        leader_id: node_id,
        leader_epoch: partition.leader_epoch(),
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        offline_replicas: Vec::new(),
    };
    MetadataResponseTopic {
        name: Some(topic.name().to_string()),
        topic_id: topic.id(),
        partitions: topic.partitions().iter().map(partition).collect(),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}
