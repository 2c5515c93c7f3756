//! ListOffsets (key 2), versions 1 to 11.
//!
//! By position: -1 the end that the client may read, -2 the start, -3 the record with the largest
//! timestamp (version 7), -4 the start of what is on this machine (version 8: the same as -2),
//! -5 the end of what is in tiered storage (version 9: nothing is), -6 the start of what tiered storage lacks (version 11:
//! there is none). By time: the first record
//! whose own timestamp is not earlier, exact also inside compressed batches.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopic, ListOffsetsTopicResponse,
};

use super::{Context, Session, error};
use crate::partition::{FoundOffset, Partition, ReadError};

/// Advertised and served.
pub const VERSIONS: RangeInclusive<i16> = 1..=11;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Finds an offset in every partition asked for.
pub async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let (mut seen, twice) = (HashSet::new(), named_twice(&request.topics));
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let named = (topic.name.as_str(), wanted.partition_index);
            let is_refused = twice.contains(&named);
            if is_refused && !seen.insert(named) {
                continue;
            }
            let partition = context.catalog.partition(&topic.name, wanted.partition_index);
            let found = match partition {
                _ if is_refused => Err(ErrorCode::InvalidRequest),
                Some(partition) => find(&partition, version, wanted, request.isolation_level).await,
                None => Err(ErrorCode::UnknownTopicOrPartition),
            };
            partitions.push(respond(wanted.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

/// Partitions that are asked for more than once. As in Kafka they are refused, and that once.
fn named_twice(topics: &[ListOffsetsTopic]) -> HashSet<(&str, i32)> {
    let mut seen = HashSet::new();
    let all = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|one| (topic.name.as_str(), one.partition_index)));
    all.filter(|named| !seen.insert(*named)).collect()
}

async fn find(
    partition: &Arc<Partition>,
    version: i16,
    wanted: &ListOffsetsPartition,
    isolation_level: i8,
) -> Result<Option<FoundOffset>, ErrorCode> {
    partition.check_leader_epoch(wanted.current_leader_epoch).map_err(|e| error::of_read(&e))?;
    let offsets = partition.offsets();
    let position = |offset| {
        let leader_epoch = partition.epoch_at(offset);
        Ok(Some(FoundOffset { offset, timestamp_ms: -1, leader_epoch }))
    };
    match wanted.timestamp {
        LATEST if isolation_level == 1 => position(offsets.last_stable),
        LATEST => position(offsets.high_watermark),
        EARLIEST => position(offsets.log_start),
        MAX_TIMESTAMP if 7 <= version => on_disk(partition, Partition::max_timestamp).await,
        EARLIEST_LOCAL if 8 <= version => position(offsets.log_start),
        LATEST_TIERED if 9 <= version => Ok(None),
        EARLIEST_PENDING_UPLOAD if 11 <= version => Ok(None),
        timestamp_ms if 0 <= timestamp_ms => {
            on_disk(partition, move |partition| partition.offset_for_timestamp(timestamp_ms)).await
        }
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

/// Runs a search that may read from the disk where it may wait for it.
async fn on_disk(
    partition: &Arc<Partition>,
    search: impl FnOnce(&Partition) -> Result<Option<FoundOffset>, ReadError> + Send + 'static,
) -> Result<Option<FoundOffset>, ErrorCode> {
    let partition = Arc::clone(partition);
    let searched = Arc::clone(&partition);
    match tokio::task::spawn_blocking(move || search(&searched)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(read_error)) => {
            let (topic, index) = (partition.topic(), partition.index());
            tracing::error!(%topic, index, error = %read_error, "a search for an offset failed");
            Err(error::of_read(&read_error))
        }
        Err(_) => Err(ErrorCode::UnknownServerError),
    }
}

fn respond(
    partition_index: i32,
    found: Result<Option<FoundOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let nothing = ListOffsetsPartitionResponse { partition_index, ..Default::default() };
    match found {
        Ok(Some(found)) => ListOffsetsPartitionResponse {
            timestamp: found.timestamp_ms,
            offset: found.offset,
            leader_epoch: found.leader_epoch,
            ..nothing
        },
        Ok(None) => nothing,
        Err(code) => ListOffsetsPartitionResponse { error_code: code.code(), ..nothing },
    }
}
