//! DeleteShareGroupOffsets (key 92), version 0 (KIP-932).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse, DeleteShareGroupOffsetsResponseTopic,
};
use uuid::Uuid;

use super::share_group_heartbeat::{Refusal, share_group};
use super::{Context, Session, error};
use crate::coordinator::group::share::ShareGroup;
use crate::coordinator::group::{Effects, Meet};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=0;

/// Forgets how far a group without members is; durable when this is answered.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DeleteShareGroupOffsetsRequest,
) -> DeleteShareGroupOffsetsResponse {
    let mut responses = Vec::with_capacity(request.topics.len());
    if let Err(Refusal { code, message }) = with_group(context, &request.group_id, |_, _| Ok(())).await {
        return DeleteShareGroupOffsetsResponse {
            error_code: code.code(),
            error_message: Some(message),
            ..Default::default()
        };
    }
    for topic in request.topics {
        let topic_id = context.catalog.topic(&topic.topic_name).map(|topic| topic.id());
        let deleted = match topic_id {
            Some(topic_id) => delete(context, &request.group_id, topic_id).await,
            None => Err(Refusal {
                code: ErrorCode::UnknownTopicOrPartition,
                message: "There is no such topic.".to_owned(),
            }),
        };
        let refusal = deleted.err();
        responses.push(DeleteShareGroupOffsetsResponseTopic {
            topic_name: topic.topic_name,
            topic_id: topic_id.unwrap_or(Uuid::nil()),
            error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code(),
            error_message: refusal.map(|refusal| refusal.message),
        });
    }
    DeleteShareGroupOffsetsResponse { responses, ..Default::default() }
}

/// The states first: a group that knows of partitions without a state begins them anew, and that is what was asked for.
async fn delete(context: &Context, group_id: &str, topic_id: Uuid) -> Result<(), Refusal> {
    let partitions = with_group(context, group_id, |share, _| {
        let found = share.initialized().find(|(id, ..)| *id == topic_id);
        let partitions = found.map(|(_, _, partitions)| partitions.clone()).unwrap_or_default();
        if partitions.is_empty() {
            let message = "There is no offset information to delete.".to_owned();
            return Err(Refusal { code: ErrorCode::UnknownTopicOrPartition, message });
        }
        Ok(partitions)
    });
    let partitions: BTreeSet<i32> = partitions.await?;
    let id: Arc<str> = group_id.into();
    let deleted = context.shares.delete(&id, topic_id, &partitions).await;
    deleted.map_err(|failure| Refusal { code: error::of_share(&failure), message: failure.to_string() })?;
    with_group(context, group_id, |share, fx| {
        let forgotten = share.forget(topic_id, fx).map(drop);
        forgotten.map_err(|refused| Refusal { code: refused.code(), message: refused.to_string() })
    })
    .await
}

/// Has something happen to a share group that must have no members.
async fn with_group<R>(
    context: &Context,
    group_id: &str,
    event: impl FnOnce(&mut ShareGroup, &mut Effects) -> Result<R, Refusal>,
) -> Result<R, Refusal> {
    let event = context.groups.run(group_id, Meet::Existing, |group, _env, fx| {
        let share = share_group(group, false)?;
        if !share.is_empty() {
            let message = "The group is not empty.".to_owned();
            return Err(Refusal { code: ErrorCode::NonEmptyGroup, message });
        }
        event(share, fx)
    });
    let refuse = |failure| Refusal {
        code: error::of_coordinator(&failure),
        message: format!("Group {group_id} is not reached: {failure}"),
    };
    event.await.map_err(refuse).flatten()
}
