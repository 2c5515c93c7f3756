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

/// The first version that tells how long a rebalance may take; before, it is as long as the session.
const FIRST_WITH_REBALANCE_TIMEOUT: i16 = 1;
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
    mut request: JoinGroupRequest,
) -> JoinGroupResponse {
    if version < FIRST_WITH_REBALANCE_TIMEOUT {
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
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
    use sendlog_protocol::consumer_protocol::ConsumerProtocolSubscription;
    use sendlog_protocol::messages::{
        ConsumerGroupHeartbeatRequest, HeartbeatRequest, JoinGroupRequestProtocol,
    };

    use super::*;
    use crate::api::testing::Fixture;
    use crate::api::{consumer_group_heartbeat, heartbeat};

    async fn join(fixture: &Fixture, version: i16, protocol_type: &str) -> JoinGroupResponse {
        let subscription = ConsumerProtocolSubscription {
            topics: vec!["t".to_owned()],
            ..ConsumerProtocolSubscription::default()
        };
        let metadata = subscription.to_metadata(0).unwrap();
        let request = JoinGroupRequest {
            group_id: "g".to_owned(),
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: -1,
            protocol_type: protocol_type.to_owned(),
            protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), metadata }],
            ..JoinGroupRequest::default()
        };
        let caller = Caller { session: &fixture.session, client_id: "c" };
        handle(&fixture.context, &caller, version, request).await
    }

    #[tokio::test]
    async fn version_0_gives_a_member_of_a_consumer_group_the_time_of_its_session() {
        let fixture = Fixture::new();
        fixture.create("t", 1).await;
        let caller = Caller { session: &fixture.session, client_id: "c" };
        let first = ConsumerGroupHeartbeatRequest {
            group_id: "g".to_owned(),
            member_id: "m".to_owned(),
            rebalance_timeout_ms: 30_000,
            subscribed_topic_names: Some(vec!["t".to_owned()]),
            topic_partitions: Some(Vec::new()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        assert_eq!(consumer_group_heartbeat::handle(&fixture.context, &caller, 1, first).await.error_code, 0);
        let joined = join(&fixture, 0, "consumer").await;
        assert_eq!((joined.error_code, joined.protocol_name.as_deref()), (0, Some("range")));
        let passed =
            fixture.context.groups.run("g", Meet::Existing, |group, env, fx| group.on_deadline(env, fx));
        passed.await.unwrap();
        let beat = HeartbeatRequest {
            group_id: "g".to_owned(),
            generation_id: joined.generation_id,
            member_id: joined.member_id,
            ..HeartbeatRequest::default()
        };
        assert_eq!(heartbeat::handle(&fixture.context, &fixture.session, 4, beat).await.error_code, 0);
    }

    #[tokio::test]
    async fn a_refusal_names_no_protocol_where_it_can_be_null() {
        let fixture = Fixture::new();
        for (version, name) in [(6, Some("")), (7, None)] {
            let refused = join(&fixture, version, "").await;
            assert_eq!(refused.error_code, ErrorCode::InconsistentGroupProtocol.code());
            assert_eq!(refused.protocol_name.as_deref(), name, "version {version}");
        }
    }
}
