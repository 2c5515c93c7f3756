//! ConsumerGroupHeartbeat (key 68), versions 0 to 1: members of the consumer protocol join, stay and leave (KIP-848, 1082).
//!
//! Differs from Apache Kafka:
//!
//! - While a group changes, and for 30 seconds after, its members are told to report every half second, or less often if
//!   they are many; Kafka's 5 seconds make up most of the time that partitions take to move.
//! - Regular expressions are those of Rust's `regex`, and are resolved before the answer.
//! - What the members of a group say of themselves, and what their regular expressions match, may take
//!   `sendlog.group.members.bytes.max` of memory. Who wants more is answered GROUP_MAX_SIZE_REACHED.
//! - A static member that was fenced may join again under the same member id. Kafka answers UNRELEASED_INSTANCE_ID until its
//!   session ends.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::{Caller, Context, error};
use crate::coordinator::group::consumer::{self, Refused};
use crate::coordinator::group::{CoordinatorError, Meet};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// Takes a member's report, and tells it what to own.
pub(super) async fn handle(
    context: &Context,
    caller: &Caller<'_>,
    version: i16,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    if !context.config.groups.serves_consumer {
        let message = "The consumer protocol is disabled (group.coordinator.rebalance.protocols).".to_owned();
        return consumer::refuse(Refused { code: ErrorCode::UnsupportedVersion, message });
    }
    if let Err(refused) = consumer::check(&request, version, &context.config) {
        return consumer::refuse(refused);
    }
    let meet = if request.member_epoch == 0 { Meet::Create } else { Meet::Existing };
    let host = caller.host();
    let from = consumer::Caller { client_id: caller.client_id, client_host: &host };
    let (group_id, leaves) = (request.group_id.clone(), request.member_epoch < 0);
    let answer = context
        .groups
        .run(&group_id, meet, |group, env, fx| group.consumer_heartbeat(request, from, env, fx))
        .await;
    answer.unwrap_or_else(|failure| {
        let message = match &failure {
            CoordinatorError::UnknownGroup if leaves => format!("Group {group_id} not found."),
            CoordinatorError::UnknownGroup => format!("Consumer group {group_id} not found."),
            failure => failure.to_string(),
        };
        consumer::refuse(Refused { code: error::of_coordinator(&failure), message })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    fn join(group_id: &str) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: group_id.to_owned(),
            member_id: "m".to_owned(),
            rebalance_timeout_ms: 1000,
            subscribed_topic_names: Some(vec!["t".to_owned()]),
            topic_partitions: Some(Vec::new()),
            ..Default::default()
        }
    }

    async fn ask(
        fixture: &Fixture,
        request: ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        let caller = Caller { session: &fixture.session, client_id: "c" };
        handle(&fixture.context, &caller, 1, request).await
    }

    #[tokio::test]
    async fn a_member_joins_and_goes_on_after_a_restart() {
        let fixture = Fixture::new();
        let topic_id = fixture.create("t", 2).await;
        let joined = ask(&fixture, join("g")).await;
        assert_eq!((joined.error_code, joined.member_epoch), (0, 1), "{:?}", joined.error_message);
        let assigned = &joined.assignment.unwrap().topic_partitions;
        assert_eq!((assigned[0].topic_id, assigned[0].partitions.as_slice()), (topic_id, [0, 1].as_slice()));
        let fixture = fixture.restarted();
        let beat = ConsumerGroupHeartbeatRequest {
            group_id: "g".to_owned(),
            member_id: "m".to_owned(),
            member_epoch: 1,
            ..Default::default()
        };
        fixture.context.groups.load();
        let answer = ask(&fixture, beat).await;
        assert_eq!((answer.error_code, answer.member_epoch), (0, 1), "{:?}", answer.error_message);
    }

    #[tokio::test]
    async fn who_is_nowhere_a_member_is_told_so() {
        let fixture = Fixture::new();
        let stray = ConsumerGroupHeartbeatRequest { member_epoch: 3, ..join("g") };
        let answer = ask(&fixture, stray).await;
        assert_eq!(answer.error_code, ErrorCode::GroupIdNotFound.code());
        assert_eq!(answer.error_message.as_deref(), Some("Consumer group g not found."));
        let nonsense = ConsumerGroupHeartbeatRequest { member_epoch: -9, ..join("g") };
        assert_eq!(ask(&fixture, nonsense).await.error_code, ErrorCode::InvalidRequest.code());
        let regex = Some("(".to_owned());
        let refused =
            ask(&fixture, ConsumerGroupHeartbeatRequest { subscribed_topic_regex: regex, ..join("g") }).await;
        assert_eq!(refused.error_code, ErrorCode::InvalidRegularExpression.code());
        assert!(fixture.context.groups.list().unwrap().is_empty(), "nothing was made");
    }

    #[tokio::test]
    async fn a_broker_may_serve_other_protocols_only() {
        let fixture = Fixture::with(&["group.coordinator.rebalance.protocols=classic"]);
        assert_eq!(ask(&fixture, join("g")).await.error_code, ErrorCode::UnsupportedVersion.code());
    }
}
