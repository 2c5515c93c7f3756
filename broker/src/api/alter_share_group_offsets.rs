//! AlterShareGroupOffsets (key 91), version 0 (KIP-932).
//!
//! Makes the group if there is none, as Kafka does. What was in flight is forgotten.

use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsRequestTopic, AlterShareGroupOffsetsResponse,
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use uuid::Uuid;

use super::share_group_heartbeat::{Refusal, share_group};
use super::{Context, Session, error};
use crate::catalog::TopicError;
use crate::coordinator::group::Meet;
use crate::coordinator::share::ShareKey;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=0;

/// A partition that can be set.
struct Wanted {
    topic_id: Uuid,
    name: Arc<str>,
    partition: i32,
    start: i64,
}

/// Sets start offsets of a group without members; durable when this is answered.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: AlterShareGroupOffsetsRequest,
) -> AlterShareGroupOffsetsResponse {
    match alter(context, &request).await {
        Ok(responses) => AlterShareGroupOffsetsResponse { responses, ..Default::default() },
        Err(Refusal { code, message }) => AlterShareGroupOffsetsResponse {
            error_code: code.code(),
            error_message: Some(message),
            ..Default::default()
        },
    }
}

async fn alter(
    context: &Context,
    request: &AlterShareGroupOffsetsRequest,
) -> Result<Vec<AlterShareGroupOffsetsResponseTopic>, Refusal> {
    if request.group_id.is_empty() {
        let message = "The group id is empty.".to_owned();
        return Err(Refusal { code: ErrorCode::InvalidGroupId, message });
    }
    let mut known = Vec::new();
    let mut responses: Vec<AlterShareGroupOffsetsResponseTopic> =
        request.topics.iter().map(|topic| look_up(context, topic, &mut known)).collect();
    let partitions: Vec<(Uuid, Arc<str>, i32)> =
        known.iter().map(|one| (one.topic_id, Arc::clone(&one.name), one.partition)).collect();
    let event = context.groups.run(&request.group_id, Meet::Create, |group, env, fx| {
        let share = share_group(group, true)?;
        let initialized = share.initialize(&partitions, env.topics, fx);
        initialized.map_err(|refused| Refusal { code: refused.code(), message: refused.to_string() })?;
        Ok(share.epoch())
    });
    let refuse = |failure| Refusal {
        code: error::of_coordinator(&failure),
        message: format!("Group {} is not reached: {failure}", request.group_id),
    };
    let epoch = event.await.map_err(refuse).flatten()?;
    let group_id: Arc<str> = request.group_id.as_str().into();
    for one in known {
        let key = ShareKey::new(&group_id, one.topic_id, one.partition);
        if let Err(failure) = context.shares.begin_at(&key, one.start, epoch).await {
            let partitions = responses.iter_mut().filter(|topic| topic.topic_id == one.topic_id);
            let failed = partitions.flat_map(|topic| &mut topic.partitions);
            for result in failed.filter(|result| result.partition_index == one.partition) {
                result.error_code = error::of_share(&failure).code();
                result.error_message = Some(failure.to_string());
            }
        }
    }
    Ok(responses)
}

fn look_up(
    context: &Context,
    topic: &AlterShareGroupOffsetsRequestTopic,
    known: &mut Vec<Wanted>,
) -> AlterShareGroupOffsetsResponseTopic {
    let found = context.catalog.topic(&topic.topic_name);
    let mut partitions = Vec::with_capacity(topic.partitions.len());
    for wanted in &topic.partitions {
        let partition = found.as_ref().and_then(|topic| topic.partition(wanted.partition_index));
        let code = match (&found, partition) {
            (Some(_), Some(_)) if wanted.start_offset < 0 => ErrorCode::InvalidRequest,
            (Some(topic), Some(_)) => {
                known.push(Wanted {
                    topic_id: topic.id(),
                    name: Arc::clone(topic.name()),
                    partition: wanted.partition_index,
                    start: wanted.start_offset,
                });
                ErrorCode::None
            }
            _ => ErrorCode::UnknownTopicOrPartition,
        };
        partitions.push(AlterShareGroupOffsetsResponsePartition {
            partition_index: wanted.partition_index,
            error_code: code.code(),
            error_message: (code == ErrorCode::UnknownTopicOrPartition)
                .then(|| TopicError::Unknown.to_string()),
        });
    }
    AlterShareGroupOffsetsResponseTopic {
        topic_name: topic.topic_name.clone(),
        topic_id: found.map_or(Uuid::nil(), |topic| topic.id()),
        partitions,
    }
}
