//! ShareGroupDescribe (key 77), version 1 (KIP-932).

use std::ops::RangeInclusive;

use sendlog_protocol::messages::{
    ShareGroupDescribeAssignment, ShareGroupDescribeMember, ShareGroupDescribeRequest,
    ShareGroupDescribeResponse, ShareGroupDescribeTopicPartitions, ShareGroupDescribedGroup,
};

use super::describe_groups::GROUP_OPERATIONS;
use super::share_group_heartbeat::share_group;
use super::{Context, Session, error};
use crate::coordinator::group::share::{Assignment, ShareGroup, ShareMember};
use crate::coordinator::group::{Meet, TopicsImage};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=1;

/// Describes the groups.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: ShareGroupDescribeRequest,
) -> ShareGroupDescribeResponse {
    let authorized_operations =
        if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let described = context.groups.run(&group_id, Meet::Existing, |group, env, _fx| {
            share_group(group, false).map(|share| describe(share, env.topics))
        });
        let described = match described.await {
            Ok(Ok(described)) => ShareGroupDescribedGroup { authorized_operations, ..described },
            Ok(Err(refusal)) => refused(refusal.code.code(), refusal.message),
            Err(failure) => {
                let message = format!("Group {group_id} not found.");
                refused(error::of_coordinator(&failure).code(), message)
            }
        };
        groups.push(ShareGroupDescribedGroup { group_id, ..described });
    }
    ShareGroupDescribeResponse { groups, ..Default::default() }
}

fn refused(error_code: i16, message: String) -> ShareGroupDescribedGroup {
    ShareGroupDescribedGroup { error_code, error_message: Some(message), ..Default::default() }
}

fn describe(group: &ShareGroup, topics: &TopicsImage) -> ShareGroupDescribedGroup {
    ShareGroupDescribedGroup {
        group_state: group.state_name().to_owned(),
        group_epoch: group.epoch(),
        assignment_epoch: group.assignment_epoch(),
        assignor_name: "simple".to_owned(),
        members: group.members().map(|(id, member)| describe_member(id, member, topics)).collect(),
        ..Default::default()
    }
}

fn describe_member(id: &str, member: &ShareMember, topics: &TopicsImage) -> ShareGroupDescribeMember {
    ShareGroupDescribeMember {
        member_id: id.to_owned(),
        rack_id: member.rack_id.clone(),
        member_epoch: member.epoch,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: member.topics.iter().map(ToString::to_string).collect(),
        assignment: ShareGroupDescribeAssignment { topic_partitions: named(&member.assigned, topics) },
    }
}

/// Topics that are gone have no name, and are left out.
fn named(assignment: &Assignment, topics: &TopicsImage) -> Vec<ShareGroupDescribeTopicPartitions> {
    let named = assignment.iter().filter_map(|(topic_id, partitions)| {
        let topic = topics.by_id(*topic_id)?;
        Some(ShareGroupDescribeTopicPartitions {
            topic_id: *topic_id,
            topic_name: topic.name.to_string(),
            partitions: partitions.iter().copied().collect(),
        })
    });
    named.collect()
}
