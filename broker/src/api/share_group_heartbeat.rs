//! ShareGroupHeartbeat (key 76), version 1 (KIP-932).
//!
//! An assignment is given at once. Kafka initializes the state of partitions first, and assigns them with a later heartbeat.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ShareGroupHeartbeatAssignment, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse,
    ShareGroupHeartbeatTopicPartitions,
};

use super::{Caller, Context, error};
use crate::coordinator::group::share::{Assignment, Heartbeat, HeartbeatAnswer, ShareGroup};
use crate::coordinator::group::{Effects, Env, Group, Kind, Meet};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=1;

/// Topics that a member may read.
const TOPICS_MAX: usize = 10_000;

/// Why a report is refused.
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}

impl Refusal {
    fn invalid(message: &str) -> Self {
        Self { code: ErrorCode::InvalidRequest, message: message.to_owned() }
    }
}

/// Takes a member's report over, and says what it reads.
pub(super) async fn handle(
    context: &Context,
    caller: &Caller<'_>,
    _version: i16,
    request: ShareGroupHeartbeatRequest,
) -> ShareGroupHeartbeatResponse {
    let member_id = request.member_id.clone();
    let heartbeat_interval_ms = context.catalog.live().group(&request.group_id).share_heartbeat_interval_ms;
    let answer = report(context, caller, request).await;
    context.shares.release_silent();
    match answer {
        Ok(answer) => ShareGroupHeartbeatResponse {
            member_id: Some(member_id),
            member_epoch: answer.member_epoch,
            // Nothing is asked of one that leaves.
            heartbeat_interval_ms: if answer.member_epoch < 0 { 0 } else { heartbeat_interval_ms },
            assignment: answer.assignment.map(respond),
            ..Default::default()
        },
        Err(Refusal { code, message }) => ShareGroupHeartbeatResponse {
            error_code: code.code(),
            error_message: Some(message),
            ..Default::default()
        },
    }
}

async fn report(
    context: &Context,
    caller: &Caller<'_>,
    request: ShareGroupHeartbeatRequest,
) -> Result<HeartbeatAnswer, Refusal> {
    check(&request)?;
    let joins = request.member_epoch == 0;
    let heartbeat = Heartbeat {
        member_id: request.member_id,
        member_epoch: request.member_epoch,
        rack_id: request.rack_id,
        topics: request.subscribed_topic_names,
        client_id: caller.client_id.to_owned(),
        client_host: caller.host(),
    };
    let meet = if joins { Meet::Create } else { Meet::Existing };
    let event = |group: &mut Group, env: &Env<'_>, fx: &mut Effects| {
        let share = share_group(group, joins)?;
        let refuse = |refused: crate::coordinator::group::share::ShareGroupError| Refusal {
            code: refused.code(),
            message: refused.to_string(),
        };
        share.heartbeat(&heartbeat, env, fx).map_err(refuse)
    };
    let answer = context.groups.run(&request.group_id, meet, event).await;
    answer
        .map_err(|failure| Refusal { code: error::of_coordinator(&failure), message: failure.to_string() })
        .flatten()
}

/// The group as a share group, which one of which nothing is known may become.
pub(super) fn share_group(group: &mut Group, may_create: bool) -> Result<&mut ShareGroup, Refusal> {
    if may_create && group.is_vacant() {
        *group.kind_mut() = Kind::Share(ShareGroup::new(group.id()));
    }
    let message = format!("Group {} is not a share group.", group.id());
    match group.kind_mut() {
        Kind::Share(share) => Ok(share),
        _ => Err(Refusal { code: ErrorCode::GroupIdNotFound, message }),
    }
}

fn check(request: &ShareGroupHeartbeatRequest) -> Result<(), Refusal> {
    if request.member_id.is_empty() {
        return Err(Refusal::invalid("MemberId can't be empty."));
    }
    if request.group_id.is_empty() {
        return Err(Refusal::invalid("GroupId can't be empty."));
    }
    if request.rack_id.as_ref().is_some_and(String::is_empty) {
        return Err(Refusal::invalid("RackId can't be empty."));
    }
    let topics = request.subscribed_topic_names.as_deref().unwrap_or_default();
    if request.member_epoch == 0 && topics.is_empty() {
        return Err(Refusal::invalid("SubscribedTopicNames must be set in first request."));
    }
    if request.member_epoch < -1 {
        return Err(Refusal::invalid("MemberEpoch is invalid."));
    }
    if TOPICS_MAX < topics.len() {
        return Err(Refusal::invalid("SubscribedTopicNames has too many topics."));
    }
    Ok(())
}

fn respond(assignment: Assignment) -> ShareGroupHeartbeatAssignment {
    let topics = assignment.into_iter().map(|(topic_id, partitions)| ShareGroupHeartbeatTopicPartitions {
        topic_id,
        partitions: partitions.into_iter().collect(),
    });
    ShareGroupHeartbeatAssignment { topic_partitions: topics.collect() }
}
