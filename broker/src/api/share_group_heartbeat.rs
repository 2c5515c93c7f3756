//! ShareGroupHeartbeat (key 76), version 1 (KIP-932).
//!
//! An assignment is given at once. Kafka initializes the state of partitions first, and assigns them with a later heartbeat.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ShareGroupHeartbeatAssignment, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse,
    ShareGroupHeartbeatTopicPartitions,
};

use super::{Caller, Context, error, share_acks};
use crate::coordinator::group::share::{Assignment, Heartbeat, HeartbeatAnswer, ShareGroup};
use crate::coordinator::group::{CoordinatorError, Effects, Env, Group, Kind, Meet};

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
    let refuse = |failure: CoordinatorError| {
        let message = match &failure {
            CoordinatorError::UnknownGroup => format!("Group {} not found.", request.group_id),
            failure => failure.to_string(),
        };
        Refusal { code: error::of_coordinator(&failure), message }
    };
    answer.map_err(refuse).flatten()
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
    if !share_acks::is_member_id(&request.member_id) {
        // With another one it could not fetch.
        return Err(Refusal::invalid("Invalid member id in the request."));
    }
    if request.member_id.trim().is_empty() {
        return Err(Refusal::invalid("MemberId can't be empty."));
    }
    if request.group_id.trim().is_empty() {
        return Err(Refusal::invalid("GroupId can't be empty."));
    }
    if request.rack_id.as_ref().is_some_and(|rack| rack.trim().is_empty()) {
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

#[cfg(test)]
mod tests {
    use sendlog_protocol::messages::{
        DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
        DescribeShareGroupOffsetsRequestTopic, DescribeShareGroupOffsetsResponseTopic, OffsetFetchRequest,
        OffsetFetchRequestGroup, OffsetFetchRequestTopics,
    };

    use super::*;
    use crate::api::testing::Fixture;
    use crate::api::{describe_share_group_offsets, offset_fetch};

    fn report(member_epoch: i32) -> ShareGroupHeartbeatRequest {
        ShareGroupHeartbeatRequest {
            group_id: "g".to_owned(),
            member_id: "m".to_owned(),
            member_epoch,
            subscribed_topic_names: Some(vec!["t".to_owned()]),
            ..Default::default()
        }
    }

    async fn ask(fixture: &Fixture, request: ShareGroupHeartbeatRequest) -> ShareGroupHeartbeatResponse {
        let caller = Caller { session: &fixture.session, client_id: "c" };
        handle(&fixture.context, &caller, 1, request).await
    }

    /// What is said of the group's topics.
    async fn described(fixture: &Fixture) -> Vec<DescribeShareGroupOffsetsResponseTopic> {
        let group = DescribeShareGroupOffsetsRequestGroup { group_id: "g".to_owned(), topics: None };
        let request = DescribeShareGroupOffsetsRequest { groups: vec![group] };
        let mut described =
            describe_share_group_offsets::handle(&fixture.context, &fixture.session, 1, request).await;
        described.groups.remove(0).topics
    }

    #[tokio::test]
    async fn a_topic_that_is_gone_is_not_shown() {
        let fixture = Fixture::new();
        let topic_id = fixture.create("t", 1).await;
        assert_eq!(ask(&fixture, report(0)).await.error_code, 0);
        assert_eq!(described(&fixture).await.len(), 1);
        assert!(fixture.context.catalog.delete(&[topic_id])[0].is_ok());
        assert!(described(&fixture).await.is_empty());
    }

    #[tokio::test]
    async fn there_is_nothing_to_tell_of_topics_that_are_not_read() {
        let fixture = Fixture::new();
        fixture.create("t", 1).await;
        assert_eq!(ask(&fixture, report(0)).await.error_code, 0);
        let topics = vec![DescribeShareGroupOffsetsRequestTopic {
            topic_name: "elsewhere".to_owned(),
            partitions: vec![0],
        }];
        let group = DescribeShareGroupOffsetsRequestGroup { group_id: "g".to_owned(), topics: Some(topics) };
        let request = DescribeShareGroupOffsetsRequest { groups: vec![group] };
        let answer =
            describe_share_group_offsets::handle(&fixture.context, &fixture.session, 1, request).await;
        let partition = &answer.groups[0].topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.start_offset), (0, -1));

        let topics = vec![OffsetFetchRequestTopics {
            name: "t".to_owned(),
            partition_indexes: vec![0],
            ..Default::default()
        }];
        let group = OffsetFetchRequestGroup {
            group_id: "g".to_owned(),
            member_epoch: -1,
            topics: Some(topics),
            ..Default::default()
        };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        let answer = offset_fetch::handle(&fixture.context, &fixture.session, 9, request).await;
        let partition = &answer.groups[0].topics[0].partitions[0];
        let told = (answer.groups[0].error_code, partition.error_code, partition.committed_offset);
        assert_eq!(told, (0, 0, -1), "it commits no offsets, and that is no error");
    }

    #[tokio::test]
    async fn a_report_that_makes_no_sense_is_refused() {
        let fixture = Fixture::new();
        fixture.create("t", 1).await;
        let unknown = ask(&fixture, report(1)).await;
        let said = (unknown.error_code, unknown.error_message.as_deref());
        assert_eq!(said, (ErrorCode::GroupIdNotFound.code(), Some("Group g not found.")));
        let joined = ask(&fixture, report(0)).await;
        let ahead = ask(&fixture, report(joined.member_epoch + 1)).await;
        assert_eq!(ahead.error_code, ErrorCode::FencedMemberEpoch.code());
        assert!(ahead.error_message.unwrap().contains("has a greater member epoch (2) than the one known"));
        let blank = Some(" ".to_owned());
        for wrong in [
            ShareGroupHeartbeatRequest { rack_id: blank, ..report(joined.member_epoch) },
            ShareGroupHeartbeatRequest { member_id: " ".to_owned(), ..report(0) },
            ShareGroupHeartbeatRequest { member_id: "m".repeat(37), ..report(0) },
            ShareGroupHeartbeatRequest { group_id: " ".to_owned(), ..report(0) },
        ] {
            assert_eq!(ask(&fixture, wrong).await.error_code, ErrorCode::InvalidRequest.code());
        }
    }
}
