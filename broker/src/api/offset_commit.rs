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
