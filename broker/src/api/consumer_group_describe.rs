//! ConsumerGroupDescribe (key 69), versions 0 to 1: groups of the consumer protocol and their members.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupDescribedGroup,
};

use super::describe_groups::GROUP_OPERATIONS;
use super::{Context, Session, error};
use crate::coordinator::group::{CoordinatorError, Meet};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// Describes the groups.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let authorized_operations =
        if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let mut groups = Vec::with_capacity(request.group_ids.len());
    // A group that is named thousands of times is not answered in kind.
    let mut seen = HashSet::new();
    for group_id in request.group_ids.into_iter().filter(|group_id| seen.insert(group_id.clone())) {
        if group_id.is_empty() {
            groups.push(ConsumerGroupDescribedGroup {
                error_code: ErrorCode::InvalidGroupId.code(),
                ..Default::default()
            });
            continue;
        }
        let described = context
            .groups
            .run(&group_id, Meet::Existing, |group, env, _fx| group.describe_consumers(env))
            .await;
        groups.push(match described {
            Ok(Ok(group)) => ConsumerGroupDescribedGroup { authorized_operations, ..group },
            Ok(Err(refused)) => refuse(group_id, refused.code, refused.message),
            Err(CoordinatorError::UnknownGroup) => {
                let message = format!("Group {group_id} not found.");
                refuse(group_id, ErrorCode::GroupIdNotFound, message)
            }
            Err(failure) => refuse(group_id, error::of_coordinator(&failure), failure.to_string()),
        });
    }
    ConsumerGroupDescribeResponse { groups, ..Default::default() }
}

fn refuse(group_id: String, code: ErrorCode, message: String) -> ConsumerGroupDescribedGroup {
    let error_message = Some(message);
    ConsumerGroupDescribedGroup { error_code: code.code(), error_message, group_id, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::messages::ConsumerGroupHeartbeatRequest;

    use super::*;
    use crate::api::testing::Fixture;
    use crate::api::{Caller, consumer_group_heartbeat};

    #[tokio::test]
    async fn a_group_is_shown_with_its_members_and_another_is_not_found() {
        let fixture = Fixture::new();
        fixture.create("t", 1).await;
        let join = ConsumerGroupHeartbeatRequest {
            group_id: "g".to_owned(),
            member_id: "m".to_owned(),
            rebalance_timeout_ms: 1000,
            subscribed_topic_names: Some(vec!["t".to_owned()]),
            topic_partitions: Some(Vec::new()),
            ..Default::default()
        };
        let caller = Caller { session: &fixture.session, client_id: "c" };
        consumer_group_heartbeat::handle(&fixture.context, &caller, 1, join).await;
        let group_ids = ["g", "none", "g", "none"].map(str::to_owned).into();
        let request = ConsumerGroupDescribeRequest { group_ids, include_authorized_operations: true };
        let groups = handle(&fixture.context, &fixture.session, 1, request).await.groups;
        assert_eq!(groups.len(), 2, "what is named again is answered once");
        assert_eq!((groups[0].error_code, groups[0].group_state.as_str()), (0, "Stable"));
        assert_eq!(groups[0].authorized_operations, GROUP_OPERATIONS);
        let member = &groups[0].members[0];
        assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("c", "/192.0.2.9"));
        assert_eq!(groups[1].error_code, ErrorCode::GroupIdNotFound.code());
        assert_eq!(groups[1].error_message.as_deref(), Some("Group none not found."));
    }
}
