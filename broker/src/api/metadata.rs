//! Metadata (key 3), versions 0 to 13.
//!
//! Differs from Apache Kafka: a topic that is created on the way is there when it is answered, so the first answer already
//! names its leader; the broker's address is the one that the client dialled, unless another is configured.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use uuid::Uuid;

use super::log_limit::{Line, LogLimit};
use super::placement::PARTITIONS_PER_REQUEST_MAX;
use super::refusal::{Refusal, blocking};
use super::{Context, Session, describe_cluster};
use crate::catalog::{Apply, NewTopic, Topic, TopicError, name};
use crate::config::scope::Overrides;
use crate::partition::Partition;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=13;

/// The first version in which an empty list means no topics; before, it means all.
const FIRST_WITH_NULL: i16 = 1;

/// The first version that may ask by topic id (KIP-516); ids are in requests from version 10.
const FIRST_BY_ID: i16 = 12;

/// What one may do to a topic without ACLs: read, write, create, delete, alter, describe, describe and alter its
/// settings (`AclOperation`, one bit each).
pub(super) const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

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
            // As Kafka: of a name that leads nowhere, and not of an id.
            topic_authorized_operations: if wanted.topic_id == Uuid::nil() { operations } else { i32::MIN },
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
    let partitions = usize::try_from(context.config.num_partitions).unwrap_or(0).saturating_mul(new.len());
    let mut created = match partitions <= PARTITIONS_PER_REQUEST_MAX {
        true => blocking(context, move |_, catalog| catalog.create(new, Apply::Now)).await.into_iter(),
        false => Vec::new().into_iter(),
    };
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
            Some(Err(TopicError::Internal(_) | TopicError::Prohibited(_))) => {
                Err(ErrorCode::UnknownTopicOrPartition)
            }
            Some(Err(error)) => Err(refused(name, error)),
            None => Err(ErrorCode::PolicyViolation),
        };
    }
}

/// The answer has no room for the reason, so it goes to the log.
fn refused(name: &str, error: TopicError) -> ErrorCode {
    static LIMIT: LogLimit = LogLimit::new(5, Duration::from_secs(1));
    if let Line::Write { left_out } = LIMIT.line() {
        tracing::warn!(topic = name, %error, left_out, "a topic is not created");
    }
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
        is_internal: name::is_internal(topic.name()),
        partitions: topic.partitions().iter().map(partition).collect(),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    fn named(names: &[&str]) -> Option<Vec<MetadataRequestTopic>> {
        let topic =
            |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() };
        Some(names.iter().map(topic).collect())
    }

    async fn ask(
        fixture: &Fixture,
        version: i16,
        topics: Option<Vec<MetadataRequestTopic>>,
        allow_auto_topic_creation: bool,
    ) -> MetadataResponse {
        let request = MetadataRequest { topics, allow_auto_topic_creation, ..Default::default() };
        handle(&fixture.context, &fixture.session, version, request).await
    }

    fn codes(response: &MetadataResponse) -> Vec<i16> {
        response.topics.iter().map(|topic| topic.error_code).collect()
    }

    #[tokio::test]
    async fn null_is_all_and_empty_is_none_but_in_version_0() {
        let fixture = Fixture::new();
        fixture.create("b", 1).await;
        fixture.create("a", 2).await;
        assert_eq!(ask(&fixture, 0, Some(Vec::new()), true).await.topics.len(), 2);
        assert_eq!(ask(&fixture, 1, Some(Vec::new()), true).await.topics.len(), 0);
        let all = ask(&fixture, 12, None, true).await.topics;
        let names: Vec<&str> = all.iter().filter_map(|topic| topic.name.as_deref()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(all[0].partitions[1].partition_index, 1);
        assert_eq!((all[0].partitions[1].leader_id, all[0].partitions[1].leader_epoch), (1, 0));
    }

    #[tokio::test]
    async fn the_client_is_told_the_address_that_it_dialled() {
        let response = ask(&Fixture::new(), 9, None, true).await;
        let broker = &response.brokers[0];
        assert_eq!((broker.node_id, broker.host.as_str(), broker.port), (1, "192.0.2.7", 9092));
        assert_eq!((response.controller_id, response.cluster_id.as_deref()), (1, Some("cluster")));
    }

    #[tokio::test]
    async fn an_unknown_topic_is_created_and_can_be_produced_to_at_once() {
        let fixture = Fixture::with(&["num.partitions=3"]);
        let response = ask(&fixture, 9, named(&["new", "also", "new"]), true).await;
        assert_eq!(codes(&response), [0, 0], "a repeated name is answered once");
        assert_eq!(response.topics[0].partitions.len(), 3);
        assert_eq!(fixture.context.catalog.topic("also").unwrap().id(), response.topics[1].topic_id);
    }

    #[tokio::test]
    async fn what_cannot_be_created_gets_kafkas_codes() {
        let fixture = Fixture::new();
        fixture.create("a.b", 1).await;
        let names = named(&["a/b", "ok", "a_b", "__consumer_offsets", ""]);
        assert_eq!(codes(&ask(&fixture, 9, names, true).await), [17, 0, 17, 3, 17]);
        assert_eq!(codes(&ask(&fixture, 9, named(&["none"]), false).await), [3]);
        let many = Fixture::with(&["num.partitions=6000"]);
        assert_eq!(codes(&ask(&many, 9, named(&["x", "y"]), true).await), [44, 44]);
        let off = Fixture::with(&["auto.create.topics.enable=false"]);
        assert_eq!(codes(&ask(&off, 9, named(&["none"]), true).await), [3]);
    }

    #[tokio::test]
    async fn topics_are_found_by_id_from_version_12() {
        let fixture = Fixture::new();
        let id = fixture.create("a", 1).await;
        let by_id = |topic_id| Some(vec![MetadataRequestTopic { topic_id, name: None }]);
        let found = ask(&fixture, 12, by_id(id), true).await;
        assert_eq!((codes(&found), found.topics[0].name.as_deref()), (vec![0], Some("a")));
        let unknown = ask(&fixture, 12, by_id(Uuid::from_u128(5)), true).await;
        assert_eq!((codes(&unknown), unknown.topics[0].name.clone()), (vec![100], None));
        assert_eq!(unknown.topics[0].topic_id, Uuid::from_u128(5));
        let early = ask(&fixture, 11, by_id(id), true).await;
        assert_eq!((codes(&early), early.topics[0].name.as_deref()), (vec![42], Some("")));
    }

    #[tokio::test]
    async fn operations_are_told_when_they_are_asked_for() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let request = MetadataRequest {
            topics: None,
            include_cluster_authorized_operations: true,
            include_topic_authorized_operations: true,
            ..Default::default()
        };
        let told = handle(&fixture.context, &fixture.session, 8, request).await;
        assert_eq!(
            (told.cluster_authorized_operations, told.topics[0].topic_authorized_operations),
            (8096, 3576)
        );
        let untold = ask(&fixture, 8, None, true).await;
        assert_eq!(untold.topics[0].topic_authorized_operations, i32::MIN);
        let by_name = MetadataRequestTopic { name: Some("nope".to_owned()), ..Default::default() };
        let by_id = MetadataRequestTopic { topic_id: Uuid::from_u128(9), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![by_name, by_id]),
            allow_auto_topic_creation: false,
            include_topic_authorized_operations: true,
            ..Default::default()
        };
        let told = handle(&fixture.context, &fixture.session, 13, request).await;
        let told: Vec<i32> = told.topics.iter().map(|topic| topic.topic_authorized_operations).collect();
        assert_eq!(told, [3576, i32::MIN]);
    }
}
