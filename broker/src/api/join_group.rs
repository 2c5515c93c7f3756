//! JoinGroup (key 11), versions 0 to 9: become a member of a classic group, or one of its next generation.
//!
//! The answer waits until all members have joined. Differs from Apache Kafka in details:
//!
//! - A static member that comes back to a group as large as `group.max.size` finds its place; Kafka turns it away.
//! - The members of a group may take `sendlog.group.members.bytes.max` of memory. Who goes beyond that is answered
//!   `GROUP_MAX_SIZE_REACHED`.
//! - A member whose JoinGroup waits and that joins again gets an answer to the first one too (`REBALANCE_IN_PROGRESS`).
//! - The part of a member id that comes from the client's id has at most 255 bytes.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::{Caller, Context, error};
use crate::coordinator::group::classic::Joiner;
use crate::coordinator::group::{CoordinatorError, Meet, Reply};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=9;

/// The first version in which a dynamic member is given its id before it joins (KIP-394).
const FIRST_WITH_ID_FIRST: i16 = 4;
/// The first version in which the protocol may be null.
const FIRST_WITH_NULL_PROTOCOL: i16 = 7;
/// The first version that can tell a leader that the assignment stands (KIP-814).
const FIRST_WITH_SKIPPING: i16 = 9;

/// Joins.
pub(super) async fn handle(
    context: &Context,
    caller: &Caller<'_>,
    version: i16,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let mut response = match join(context, caller, version, request).await {
        Ok(Reply::Join(response)) => response,
        Ok(Reply::Sync(_)) => refused(member_id, ErrorCode::UnknownServerError),
        Err(code) => refused(member_id, code),
    };
    // "None" has two forms on the wire (KIP-559), as in Kafka's JoinGroupResponse.
    let protocol = response.protocol_name.filter(|name| !name.is_empty());
    response.protocol_name = match version < FIRST_WITH_NULL_PROTOCOL {
        true => Some(protocol.unwrap_or_default()),
        false => protocol,
    };
    response
}

async fn join(
    context: &Context,
    caller: &Caller<'_>,
    version: i16,
    request: JoinGroupRequest,
) -> Result<Reply, ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let limits = &context.config.groups.classic;
    if request.session_timeout_ms < limits.session_timeout_ms_min
        || limits.session_timeout_ms_max < request.session_timeout_ms
    {
        return Err(ErrorCode::InvalidSessionTimeout);
    }
    // One that has an id had it from a group that is there.
    let meet = if request.member_id.is_empty() { Meet::Create } else { Meet::Existing };
    let host = caller.host();
    let joiner = Joiner {
        client_id: caller.client_id,
        client_host: &host,
        needs_id_first: FIRST_WITH_ID_FIRST <= version,
        can_skip_assignment: FIRST_WITH_SKIPPING <= version,
    };
    let group_id = request.group_id.clone();
    let joined = context.groups.park(&group_id, meet, |group, ticket, env, fx| {
        group.join(request, joiner, ticket, env, fx).map(Reply::Join)
    });
    joined.await.map_err(|failure| match failure {
        CoordinatorError::UnknownGroup => ErrorCode::UnknownMemberId,
        failure => error::of_coordinator(&failure),
    })
}

fn refused(member_id: String, code: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse { error_code: code.code(), member_id, ..JoinGroupResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    #[tokio::test]
    async fn one_that_is_refused_is_told_of_no_protocol() {
        let fixture = Fixture::new();
        let caller = Caller { session: &fixture.session, client_id: "c" };
        for version in *VERSIONS.start()..=*VERSIONS.end() {
            let request = JoinGroupRequest { group_id: String::new(), ..JoinGroupRequest::default() };
            let answer = handle(&fixture.context, &caller, version, request).await;
            assert_eq!(answer.error_code, ErrorCode::InvalidGroupId.code());
            assert_eq!(answer.protocol_name, (version < 7).then(String::new), "version {version}");
        }
    }
}
