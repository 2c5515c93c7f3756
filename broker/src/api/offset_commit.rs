//! OffsetCommit (key 8), versions 2 to 10.
//!
//! A commit is answered when it is on disk, unless `--flush` relaxed that. What is refused changes nothing. Differs from
//! Apache Kafka: the memory for all offsets has a limit (`sendlog.group.offsets.bytes.max`).

use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use uuid::Uuid;

use super::{Context, Session, error};
use crate::catalog::Topic;
use crate::coordinator::group::Meet;
use crate::coordinator::group::commit::CommitCheck;
use crate::coordinator::group::commits::{Keeping, NewOffset};
use crate::coordinator::group::offsets::TopicPartition;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 2..=10;

/// The first version in which topics go by id.
const FIRST_BY_ID: i16 = 10;

/// Leaves it to the broker how long offsets are kept.
const RETENTION_OF_BROKER: i64 = -1;

/// A topic of the request, with what becomes of each partition.
struct Outcome {
    name: String,
    topic_id: Uuid,
    partitions: Vec<(i32, Result<(), ErrorCode>)>,
}

/// Stores the offsets.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let mut offsets = Vec::new();
    let topics = request.topics.into_iter();
    let mut outcomes: Vec<Outcome> =
        topics.map(|topic| take_topic(context, version, topic, &mut offsets)).collect();
    if !offsets.is_empty() {
        let check = CommitCheck {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            generation_or_epoch: request.generation_id_or_member_epoch,
            version,
        };
        let retention_ms = Some(request.retention_time_ms).filter(|ms| *ms != RETENTION_OF_BROKER);
        let limit = context.config.groups.offsets.bytes_max;
        let room_bytes = limit.saturating_sub(context.groups.offsets_bytes());
        let keeping = Keeping { retention_ms, room_bytes };
        let committed = context.groups.run(&request.group_id, Meet::Create, |group, env, fx| {
            group.commit(&check, offsets, keeping, env, fx)
        });
        let committed = committed.await.map_err(|failure| error::of_coordinator(&failure));
        put_results(&mut outcomes, committed.flatten());
    }
    // A topic without partitions is not answered for.
    outcomes.retain(|topic| !topic.partitions.is_empty());
    OffsetCommitResponse { topics: outcomes.into_iter().map(respond).collect(), ..Default::default() }
}

/// Adds the offsets of partitions that exist to `offsets`, in the order in which the outcome has them.
fn take_topic(
    context: &Context,
    version: i16,
    topic: OffsetCommitRequestTopic,
    offsets: &mut Vec<NewOffset>,
) -> Outcome {
    let found: Option<Arc<Topic>> = match version < FIRST_BY_ID {
        true => context.catalog.topic(&topic.name),
        false => context.catalog.topic_by_id(topic.topic_id),
    };
    let unknown =
        if version < FIRST_BY_ID { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::UnknownTopicId };
    let partitions = topic.partitions.into_iter().map(|wanted| {
        let index = wanted.partition_index;
        let Some(topic) = &found else { return (index, Err(unknown)) };
        if topic.partition(index).is_none() {
            return (index, Err(ErrorCode::UnknownTopicOrPartition));
        }
        offsets.push(NewOffset {
            partition: TopicPartition { topic: Arc::clone(topic.name()), partition: index },
            topic_id: topic.id(),
            offset: wanted.committed_offset,
            leader_epoch: wanted.committed_leader_epoch,
            metadata: wanted.committed_metadata.unwrap_or_default().into(),
        });
        (index, Ok(()))
    });
    let partitions = partitions.collect();
    Outcome { name: topic.name, topic_id: topic.topic_id, partitions }
}

/// Puts what the group says in the places of the partitions that it was asked about.
fn put_results(outcomes: &mut [Outcome], committed: Result<Vec<Result<(), ErrorCode>>, ErrorCode>) {
    let asked =
        outcomes.iter_mut().flat_map(|topic| &mut topic.partitions).filter(|(_, result)| result.is_ok());
    match committed {
        Ok(results) => asked.zip(results).for_each(|((_, result), committed)| *result = committed),
        Err(code) => asked.for_each(|(_, result)| *result = Err(code)),
    }
}

fn respond(outcome: Outcome) -> OffsetCommitResponseTopic {
    let partition = |(partition_index, result): (i32, Result<(), ErrorCode>)| OffsetCommitResponsePartition {
        partition_index,
        error_code: result.err().unwrap_or(ErrorCode::None).code(),
    };
    let partitions = outcome.partitions.into_iter().map(partition).collect();
    OffsetCommitResponseTopic { name: outcome.name, topic_id: outcome.topic_id, partitions }
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::messages::{
        DeleteGroupsRequest, DeleteTopicsRequest, DescribeGroupsRequest, ListGroupsRequest,
        OffsetCommitRequestPartition, OffsetDeleteRequest, OffsetDeleteRequestPartition,
        OffsetDeleteRequestTopic, OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic,
        OffsetFetchRequestTopics,
    };

    use super::*;
    use crate::api::testing::Fixture;
    use crate::api::{
        delete_groups, delete_topics, describe_groups, list_groups, offset_delete, offset_fetch,
    };
    use crate::catalog::alteration::{Alteration, Edit, Operation};
    use crate::catalog::{Apply, TopicError};

    fn request(group_id: &str, topic: &str, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
        let partition = |(partition_index, committed_offset): &(i32, i64)| OffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset: *committed_offset,
            committed_leader_epoch: 3,
            committed_metadata: Some(format!("at {committed_offset}")),
        };
        let topic = OffsetCommitRequestTopic {
            name: topic.to_owned(),
            partitions: offsets.iter().map(partition).collect(),
            ..Default::default()
        };
        OffsetCommitRequest { group_id: group_id.to_owned(), topics: vec![topic], ..Default::default() }
    }

    async fn send(fixture: &Fixture, version: i16, request: OffsetCommitRequest) -> Vec<ErrorCode> {
        let response = handle(&fixture.context, &fixture.session, version, request).await;
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| ErrorCode::from_code(partition.error_code).unwrap()).collect()
    }

    async fn commit(fixture: &Fixture, group: &str, topic: &str, offsets: &[(i32, i64)]) -> Vec<ErrorCode> {
        send(fixture, 8, request(group, topic, offsets)).await
    }

    /// Offset, epoch and metadata of each partition.
    async fn fetch(
        fixture: &Fixture,
        group_id: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Vec<(i64, i32, String)> {
        let topic =
            OffsetFetchRequestTopic { name: topic.to_owned(), partition_indexes: partitions.to_vec() };
        let request = OffsetFetchRequest {
            group_id: group_id.to_owned(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let response = offset_fetch::handle(&fixture.context, &fixture.session, 5, request).await;
        assert_eq!(response.error_code, 0);
        let found = response.topics.into_iter().flat_map(|topic| topic.partitions);
        found.map(|one| (one.committed_offset, one.committed_leader_epoch, one.metadata.unwrap())).collect()
    }

    fn at(offset: i64) -> (i64, i32, String) {
        (offset, 3, format!("at {offset}"))
    }

    fn nothing() -> (i64, i32, String) {
        (-1, -1, String::new())
    }

    async fn groups(fixture: &Fixture) -> Vec<String> {
        let request = ListGroupsRequest::default();
        let listed = list_groups::handle(&fixture.context, &fixture.session, 5, request).await;
        assert_eq!(listed.error_code, 0);
        listed.groups.into_iter().map(|group| group.group_id).collect()
    }

    #[tokio::test]
    async fn what_was_committed_is_there_after_a_restart() {
        let fixture = Fixture::new();
        fixture.create("t", 2).await;
        assert_eq!(commit(&fixture, "g", "t", &[(0, 5), (1, 7)]).await, [ErrorCode::None, ErrorCode::None]);
        assert_eq!(commit(&fixture, "g", "t", &[(0, 6)]).await, [ErrorCode::None]);
        assert_eq!(fetch(&fixture, "g", "t", &[0, 1, 2]).await, [at(6), at(7), nothing()]);
        assert_eq!(fetch(&fixture, "other", "t", &[0]).await, [nothing()]);
        let fixture = fixture.restarted();
        let refused = send(&fixture, 8, request("g", "t", &[(0, 1)])).await;
        assert_eq!(refused, [ErrorCode::CoordinatorLoadInProgress]);
        let request = ListGroupsRequest::default();
        let listed = list_groups::handle(&fixture.context, &fixture.session, 5, request).await;
        assert_eq!(listed.error_code, ErrorCode::CoordinatorLoadInProgress.code());
        fixture.context.groups.load();
        assert_eq!(fetch(&fixture, "g", "t", &[0, 1, 2]).await, [at(6), at(7), nothing()]);
        assert_eq!(groups(&fixture).await, ["g"]);
        assert!(0 < fixture.context.groups.offsets_bytes());
    }

    #[tokio::test]
    async fn partitions_are_refused_one_by_one_and_others_committed() {
        let fixture = Fixture::with(&["offset.metadata.max.bytes=5"]);
        fixture.create("t", 1).await;
        let codes = commit(&fixture, "g", "t", &[(0, 10), (5, 1), (0, 9)]).await;
        let (unknown, large) = (ErrorCode::UnknownTopicOrPartition, ErrorCode::OffsetMetadataTooLarge);
        assert_eq!(codes, [ErrorCode::None, unknown, ErrorCode::None]);
        assert_eq!(commit(&fixture, "g", "none", &[(0, 1)]).await, [unknown]);
        assert_eq!(commit(&fixture, "g", "t", &[(0, 100)]).await, [large]);
        assert_eq!(fetch(&fixture, "g", "t", &[0]).await, [at(9)]);
        // Nothing but what is refused makes no group.
        assert_eq!(commit(&fixture, "h", "t", &[(0, 100)]).await, [large]);
        assert_eq!(groups(&fixture).await, ["g"]);
    }

    #[tokio::test]
    async fn from_version_10_on_topics_go_by_id() {
        let fixture = Fixture::new();
        let topic_id = fixture.create("t", 1).await;
        let mut known = request("g", "", &[(0, 4)]);
        known.topics[0].topic_id = topic_id;
        assert_eq!(send(&fixture, 10, known.clone()).await, [ErrorCode::None]);
        known.topics[0].topic_id = Uuid::from_u128(77);
        assert_eq!(send(&fixture, 10, known).await, [ErrorCode::UnknownTopicId]);
        let wanted = |topic_id| OffsetFetchRequestTopics {
            topic_id,
            partition_indexes: vec![0],
            ..Default::default()
        };
        let topics = Some(vec![wanted(topic_id), wanted(Uuid::from_u128(77))]);
        let named = OffsetFetchRequestGroup { group_id: "g".to_owned(), topics, ..Default::default() };
        let all = OffsetFetchRequestGroup { topics: None, ..named.clone() };
        let mut groups = Vec::new();
        for group in [named, all] {
            let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
            let response = offset_fetch::handle(&fixture.context, &fixture.session, 10, request).await;
            groups.extend(response.groups);
        }
        let found: Vec<Vec<(Uuid, i64, i16)>> = groups
            .iter()
            .map(|group| {
                let topics = group.topics.iter();
                topics
                    .map(|topic| {
                        let partition = &topic.partitions[0];
                        (topic.topic_id, partition.committed_offset, partition.error_code)
                    })
                    .collect()
            })
            .collect();
        let unknown = (Uuid::from_u128(77), -1, ErrorCode::UnknownTopicId.code());
        assert_eq!(found, [vec![(topic_id, 4, 0), unknown], vec![(topic_id, 4, 0)]]);
    }

    #[tokio::test]
    async fn a_generation_needs_a_group_that_has_it() {
        let fixture = Fixture::new();
        fixture.create("t", 1).await;
        let mut member = request("g", "t", &[(0, 1)]);
        (member.generation_id_or_member_epoch, member.member_id) = (1, "m".to_owned());
        assert_eq!(send(&fixture, 8, member.clone()).await, [ErrorCode::IllegalGeneration]);
        assert_eq!(send(&fixture, 9, member.clone()).await, [ErrorCode::GroupIdNotFound]);
        assert!(groups(&fixture).await.is_empty());
        commit(&fixture, "g", "t", &[(0, 1)]).await;
        assert_eq!(send(&fixture, 9, member).await, [ErrorCode::UnknownMemberId]);
        // Kafka takes commits of a group without a name.
        assert_eq!(commit(&fixture, "", "t", &[(0, 1)]).await, [ErrorCode::None]);
    }

    #[tokio::test]
    async fn memory_for_offsets_has_a_limit() {
        let fixture = Fixture::with(&["sendlog.group.offsets.bytes.max=300"]);
        fixture.create("t", 3).await;
        let codes = commit(&fixture, "g", "t", &[(0, 1), (1, 1), (2, 1)]).await;
        assert_eq!(codes, [ErrorCode::None, ErrorCode::None, ErrorCode::InvalidCommitOffsetSize]);
        // What is there already may be moved on.
        assert_eq!(
            commit(&fixture, "g", "t", &[(0, 2), (2, 1)]).await,
            [ErrorCode::None, ErrorCode::InvalidCommitOffsetSize]
        );
    }

    #[tokio::test]
    async fn groups_have_a_limit() {
        let fixture = Fixture::with(&["sendlog.groups.max=1"]);
        fixture.create("t", 1).await;
        assert_eq!(commit(&fixture, "g", "t", &[(0, 1)]).await, [ErrorCode::None]);
        assert_eq!(commit(&fixture, "h", "t", &[(0, 1)]).await, [ErrorCode::PolicyViolation]);
        assert_eq!(commit(&fixture, "g", "t", &[(0, 2)]).await, [ErrorCode::None]);
    }

    #[tokio::test]
    async fn deleted_offsets_and_groups_stay_deleted() {
        let fixture = Fixture::new();
        fixture.create("t", 2).await;
        fixture.create("u", 1).await;
        commit(&fixture, "g", "t", &[(0, 5), (1, 7)]).await;
        commit(&fixture, "h", "u", &[(0, 5)]).await;
        let partitions = [0, 9, 0].map(|partition_index| OffsetDeleteRequestPartition { partition_index });
        let topic = OffsetDeleteRequestTopic { name: "t".to_owned(), partitions: partitions.into() };
        let mut request = OffsetDeleteRequest { group_id: "g".to_owned(), topics: vec![topic] };
        let response = offset_delete::handle(&fixture.context, &fixture.session, 0, request.clone()).await;
        let codes: Vec<i16> =
            response.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
        assert_eq!(codes, [0, ErrorCode::UnknownTopicOrPartition.code(), 0]);
        request.group_id = "none".to_owned();
        let response = offset_delete::handle(&fixture.context, &fixture.session, 0, request).await;
        assert_eq!(response.error_code, ErrorCode::GroupIdNotFound.code());
        let request = DeleteGroupsRequest { groups_names: vec!["h".to_owned(), "none".to_owned()] };
        let response = delete_groups::handle(&fixture.context, &fixture.session, 2, request).await;
        let codes: Vec<i16> = response.results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [0, ErrorCode::GroupIdNotFound.code()]);
        for fixture in [fixture.restarted()] {
            fixture.context.groups.load();
            assert_eq!(fetch(&fixture, "g", "t", &[0, 1]).await, [nothing(), at(7)]);
            assert_eq!(groups(&fixture).await, ["g"]);
        }
    }

    #[tokio::test]
    async fn offsets_of_a_deleted_topic_are_not_those_of_the_next_one() {
        let fixture = Fixture::new();
        fixture.create("t", 1).await;
        commit(&fixture, "g", "t", &[(0, 5)]).await;
        let request = DeleteTopicsRequest { topic_names: vec!["t".to_owned()], ..Default::default() };
        delete_topics::handle(&fixture.context, &fixture.session, 5, request).await;
        fixture.create("t", 1).await;
        assert_eq!(fetch(&fixture, "g", "t", &[0]).await, [nothing()]);
        let fixture = fixture.restarted();
        fixture.context.groups.load();
        assert_eq!(fetch(&fixture, "g", "t", &[0]).await, [nothing()]);
        assert!(groups(&fixture).await.is_empty());
    }

    #[tokio::test]
    async fn the_topic_of_the_groups_is_the_brokers() {
        let fixture = Fixture::new();
        fixture.create("t", 1).await;
        commit(&fixture, "g", "t", &[(0, 5)]).await;
        let topic_names = vec!["__consumer_offsets".to_owned()];
        let request = DeleteTopicsRequest { topic_names, ..Default::default() };
        let response = delete_topics::handle(&fixture.context, &fixture.session, 5, request).await;
        assert_eq!(response.responses[0].error_code, ErrorCode::InvalidTopicException.code());
        let set = |name: &str, value: &str| {
            let edit = Edit { name: name.to_owned(), operation: Operation::Set(value.to_owned()) };
            vec![("__consumer_offsets".to_owned(), Alteration::Edit(vec![edit]))]
        };
        let relaxed = fixture.context.catalog.alter(set("flush.ms", "1000"), Apply::Now);
        assert!(matches!(relaxed[..], [Err(TopicError::Relaxed(_))]), "{relaxed:?}");
        let altered = fixture.context.catalog.alter(set("segment.bytes", "1048576"), Apply::Now);
        assert!(altered[0].is_ok(), "{altered:?}");
        assert_eq!(fetch(&fixture, "g", "t", &[0]).await, [at(5)]);
    }

    #[tokio::test]
    async fn what_is_asked_for_again_is_not_answered_in_kind() {
        let fixture = Fixture::new();
        fixture.create("t", 1).await;
        commit(&fixture, "g", "t", &[(0, 5)]).await;
        assert_eq!(fetch(&fixture, "g", "t", &[0, 0]).await, [at(5), nothing()]);
        let topic = OffsetFetchRequestTopic { name: "t".to_owned(), partition_indexes: vec![0] };
        let group_id = "g".to_owned();
        let request = OffsetFetchRequest { group_id, topics: Some(vec![topic; 2]), ..Default::default() };
        let response = offset_fetch::handle(&fixture.context, &fixture.session, 5, request).await;
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let found: Vec<_> = partitions.map(|one| (one.committed_offset, one.error_code)).collect();
        assert_eq!(found, [(5, 0), (-1, ErrorCode::InvalidRequest.code())]);
        let group = OffsetFetchRequestGroup { group_id: "g".to_owned(), topics: None, ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group.clone(), group], ..Default::default() };
        let response = offset_fetch::handle(&fixture.context, &fixture.session, 8, request).await;
        let codes: Vec<i16> = response.groups.iter().map(|group| group.error_code).collect();
        assert_eq!(codes, [0, ErrorCode::InvalidRequest.code()]);
        let request = DescribeGroupsRequest { groups: vec!["g".to_owned(); 3], ..Default::default() };
        let response = describe_groups::handle(&fixture.context, &fixture.session, 6, request).await;
        assert_eq!(response.groups.len(), 1);
    }

    #[tokio::test]
    async fn a_group_of_offsets_alone_is_described_as_an_empty_one() {
        let fixture = Fixture::new();
        fixture.create("t", 1).await;
        commit(&fixture, "g", "t", &[(0, 5)]).await;
        let request =
            DescribeGroupsRequest { groups: vec!["g".to_owned(), "h".to_owned()], ..Default::default() };
        for (version, code) in [(5, ErrorCode::None), (6, ErrorCode::GroupIdNotFound)] {
            let request = request.clone();
            let response =
                describe_groups::handle(&fixture.context, &fixture.session, version, request).await;
            let found: Vec<(&str, &str, i16)> = response
                .groups
                .iter()
                .map(|group| (group.group_id.as_str(), group.group_state.as_str(), group.error_code))
                .collect();
            assert_eq!(found, [("g", "Empty", 0), ("h", "Dead", code.code())]);
        }
    }

    #[tokio::test]
    async fn offsets_expire_by_the_time_of_their_commit_or_by_their_own() {
        const DAY_MS: i64 = 86_400_000;
        let fixture = Fixture::new();
        fixture.create("t", 2).await;
        commit(&fixture, "g", "t", &[(0, 5)]).await;
        let mut short = request("g", "t", &[(1, 6)]);
        short.retention_time_ms = 1000;
        assert_eq!(send(&fixture, 4, short).await, [ErrorCode::None]);
        let now_ms = fixture.context.clock.now_ms();
        fixture.context.groups.expire_offsets(now_ms + 999);
        assert_eq!(fetch(&fixture, "g", "t", &[0, 1]).await, [at(5), at(6)]);
        fixture.context.groups.expire_offsets(now_ms + 1000);
        // Behind what expired.
        commit(&fixture, "g", "t", &[(0, 7)]).await;
        assert_eq!(fetch(&fixture, "g", "t", &[0, 1]).await, [at(7), nothing()]);
        fixture.context.groups.expire_offsets(now_ms + 7 * DAY_MS);
        let fixture = fixture.restarted();
        fixture.context.groups.load();
        assert_eq!(fetch(&fixture, "g", "t", &[0, 1]).await, [nothing(), nothing()]);
        assert!(groups(&fixture).await.is_empty());
    }
}
