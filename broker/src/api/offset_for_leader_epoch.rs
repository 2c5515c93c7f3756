//! OffsetForLeaderEpoch (key 23), versions 2 to 4: where a leader epoch ends (KIP-101, KIP-320).
//!
//! The epoch rises when recovery had to cut the log, so a client that read what is gone learns it
//! here.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

use super::{Context, Session, error};

/// Advertised and served.
pub const VERSIONS: RangeInclusive<i16> = 2..=4;

/// Looks every epoch up.
#[expect(clippy::unused_async, reason = "handlers have one form")]
pub async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions =
            topic.partitions.iter().map(|wanted| look_up(context, &topic.topic, wanted)).collect();
        OffsetForLeaderTopicResult { topic: topic.topic, partitions }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn look_up(context: &Context, topic: &str, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let refused = |code: ErrorCode| EpochEndOffset {
        error_code: code.code(),
        partition: wanted.partition,
        ..Default::default()
    };
    let Some(partition) = context.catalog.partition(topic, wanted.partition) else {
        return refused(ErrorCode::UnknownTopicOrPartition);
    };
    if let Err(read_error) = partition.check_leader_epoch(wanted.current_leader_epoch) {
        return refused(error::of_read(&read_error));
    }
    let end = partition.epoch_end(wanted.leader_epoch);
    EpochEndOffset {
        error_code: ErrorCode::None.code(),
        partition: wanted.partition,
        leader_epoch: end.leader_epoch,
        end_offset: end.end_offset,
    }
}
