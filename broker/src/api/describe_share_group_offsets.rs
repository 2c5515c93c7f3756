//! DescribeShareGroupOffsets (key 90), versions 0 and 1 (KIP-932, KIP-1226).
//!
//! Says what is in memory: it may be ahead of the disk by what is being written.

use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
    DescribeShareGroupOffsetsResponse, DescribeShareGroupOffsetsResponseGroup,
    DescribeShareGroupOffsetsResponsePartition, DescribeShareGroupOffsetsResponseTopic,
};
use uuid::Uuid;

use super::share_group_heartbeat::{Refusal, share_group};
use super::{Context, Session, error};
use crate::coordinator::group::Meet;
use crate::coordinator::share::ShareKey;
use crate::partition::Partition;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// A topic whose partitions are asked for.
struct Wanted {
    name: String,
    id: Uuid,
    partitions: Vec<i32>,
}

/// Says how far the groups are.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DescribeShareGroupOffsetsRequest,
) -> DescribeShareGroupOffsetsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let group_id = group.group_id.clone();
        let described = match describe(context, group).await {
            Ok(topics) => DescribeShareGroupOffsetsResponseGroup { topics, ..Default::default() },
            Err(Refusal { code, message }) => DescribeShareGroupOffsetsResponseGroup {
                error_code: code.code(),
                error_message: Some(message),
                ..Default::default()
            },
        };
        groups.push(DescribeShareGroupOffsetsResponseGroup { group_id, ..described });
    }
    DescribeShareGroupOffsetsResponse { groups, ..Default::default() }
}

async fn describe(
    context: &Context,
    group: DescribeShareGroupOffsetsRequestGroup,
) -> Result<Vec<DescribeShareGroupOffsetsResponseTopic>, Refusal> {
    let initialized = initialized(context, &group.group_id).await?;
    let wanted: Vec<Wanted> = match group.topics {
        // The group learns with its next heartbeat, if there is one, that a topic is gone.
        None => {
            initialized.into_iter().filter(|topic| context.catalog.topic_by_id(topic.id).is_some()).collect()
        }
        Some(topics) => topics
            .into_iter()
            .map(|topic| Wanted {
                id: context.catalog.topic(&topic.topic_name).map_or(Uuid::nil(), |found| found.id()),
                name: topic.topic_name,
                partitions: topic.partitions,
            })
            .collect(),
    };
    let group_id: Arc<str> = group.group_id.as_str().into();
    let mut topics = Vec::with_capacity(wanted.len());
    for topic in wanted {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for index in topic.partitions {
            let Some(found) = context.catalog.topic_by_id(topic.id) else {
                // Nothing is wrong with asking for a topic that is gone.
                partitions.push(unknown(index));
                continue;
            };
            partitions.push(match found.partition(index) {
                Some(partition) => of_partition(context, &group_id, &partition).await,
                None => failed(index, ErrorCode::UnknownTopicOrPartition),
            });
        }
        topics.push(DescribeShareGroupOffsetsResponseTopic {
            topic_name: topic.name,
            topic_id: topic.id,
            partitions,
        });
    }
    Ok(topics)
}

/// Every partition that the group reads.
async fn initialized(context: &Context, group_id: &str) -> Result<Vec<Wanted>, Refusal> {
    let event = context.groups.run(group_id, Meet::Existing, |group, _env, _fx| {
        let share = share_group(group, false)?;
        let wanted = share.initialized().map(|(id, name, partitions)| Wanted {
            name: name.to_string(),
            id,
            partitions: partitions.iter().copied().collect(),
        });
        Ok(wanted.collect())
    });
    let refuse = |failure| Refusal {
        code: error::of_coordinator(&failure),
        message: format!("Group {group_id} cannot be described: {failure}"),
    };
    event.await.map_err(refuse).flatten()
}

async fn of_partition(
    context: &Context,
    group_id: &Arc<str>,
    partition: &Partition,
) -> DescribeShareGroupOffsetsResponsePartition {
    let index = partition.index();
    let key = ShareKey::new(group_id, partition.topic_id(), index);
    let slot = match context.shares.find(&key).await {
        Ok(slot) => slot,
        Err(failure) => return failed(index, error::of_share(&failure)),
    };
    let known =
        slot.and_then(|slot| slot.look(|share| (share.start_offset(), share.delivery_complete_count())));
    let Some((start_offset, done)) = known else { return unknown(index) };
    let lag = partition.offsets().high_watermark - start_offset - done;
    DescribeShareGroupOffsetsResponsePartition {
        partition_index: index,
        start_offset,
        leader_epoch: partition.leader_epoch(),
        lag: lag.max(0),
        ..Default::default()
    }
}

/// The group has not read it yet.
fn unknown(partition_index: i32) -> DescribeShareGroupOffsetsResponsePartition {
    DescribeShareGroupOffsetsResponsePartition {
        partition_index,
        start_offset: -1,
        lag: -1,
        ..Default::default()
    }
}

fn failed(partition_index: i32, code: ErrorCode) -> DescribeShareGroupOffsetsResponsePartition {
    DescribeShareGroupOffsetsResponsePartition { error_code: code.code(), ..unknown(partition_index) }
}
