//! Heartbeat (key 12), versions 0 to 4: a member of a classic group is alive.
//!
//! While the group is being loaded every member is, as with Apache Kafka: its session begins when that is done.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{Context, Session, error};
use crate::coordinator::group::{CoordinatorError, Meet};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=4;

/// Keeps the member.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let answer =
        |code: ErrorCode| HeartbeatResponse { error_code: code.code(), ..HeartbeatResponse::default() };
    if request.group_id.is_empty() {
        return answer(ErrorCode::InvalidGroupId);
    }
    let beaten = context
        .groups
        .run(&request.group_id, Meet::Existing, |group, env, _fx| group.heartbeat(&request, env))
        .await;
    beaten.unwrap_or_else(|failure| {
        answer(match failure {
            CoordinatorError::Loading => ErrorCode::None,
            CoordinatorError::UnknownGroup => ErrorCode::UnknownMemberId,
            failure => error::of_coordinator(&failure),
        })
    })
}
