//! SyncGroup (key 14), versions 0 to 5: the assignment of a classic group, from its leader and to its members.
//!
//! Members wait for the leader's, and all of them until it is on disk. Differs from Apache Kafka: a member that is removed
//! while its SyncGroup waits is told so (`UNKNOWN_MEMBER_ID`); Kafka lets it wait. An assignment with which the group would
//! take more than `sendlog.group.members.bytes.max` is answered `UNKNOWN_SERVER_ERROR`, as Kafka answers one that its topic has no
//! room for.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{Context, Session, error};
use crate::coordinator::group::{CoordinatorError, Meet, Reply};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The first version in which members say for which protocol they believe to be assigned (KIP-559).
const FIRST_WITH_PROTOCOL: i16 = 5;

/// Hands assignments in and out.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    match sync(context, version, request).await {
        Ok(Reply::Sync(response)) => response,
        Ok(Reply::Join(_)) => refused(ErrorCode::UnknownServerError),
        Err(code) => refused(code),
    }
}

async fn sync(context: &Context, version: i16, request: SyncGroupRequest) -> Result<Reply, ErrorCode> {
    if FIRST_WITH_PROTOCOL <= version && (request.protocol_type.is_none() || request.protocol_name.is_none())
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let group_id = request.group_id.clone();
    let synced = context.groups.park(&group_id, Meet::Existing, |group, ticket, env, fx| {
        group.sync(request, ticket, env, fx).map(Reply::Sync)
    });
    synced.await.map_err(|failure| match failure {
        CoordinatorError::UnknownGroup => ErrorCode::UnknownMemberId,
        failure => error::of_coordinator(&failure),
    })
}

fn refused(code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: code.code(), ..SyncGroupResponse::default() }
}
