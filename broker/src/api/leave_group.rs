//! LeaveGroup (key 13), versions 0 to 5: members leave a classic group.
//!
//! From version 3 on several at once, each with a result of its own. Differs from Apache Kafka: one that was given an id and
//! leaves without having joined causes no rebalance.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};

use super::{Context, Session, error};
use crate::coordinator::group::members::nobody_leaves;
use crate::coordinator::group::{CoordinatorError, Meet};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The first version with a list of members.
const FIRST_WITH_LIST: i16 = 3;

/// Removes the members.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    mut request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    if version < FIRST_WITH_LIST {
        let member_id = std::mem::take(&mut request.member_id);
        request.members = vec![MemberIdentity { member_id, ..MemberIdentity::default() }];
    }
    let mut response = leave(context, request).await;
    if version < FIRST_WITH_LIST && response.error_code == ErrorCode::None.code() {
        let result = response.members.first();
        response.error_code = result.map_or(ErrorCode::None.code(), |member| member.error_code);
    }
    response
}

async fn leave(context: &Context, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let refused =
        |code: ErrorCode| LeaveGroupResponse { error_code: code.code(), ..LeaveGroupResponse::default() };
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    let leaving = request.clone();
    let left = context
        .groups
        .run(&request.group_id, Meet::Existing, |group, env, fx| group.leave(leaving, env, fx))
        .await;
    left.unwrap_or_else(|failure| match failure {
        CoordinatorError::UnknownGroup => nobody_leaves(request),
        failure => refused(error::of_coordinator(&failure)),
    })
}
