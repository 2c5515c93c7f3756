//! DescribeProducers (key 61), version 0: the idempotent producers that a partition remembers.
//!
//! Differs from Apache Kafka: there are no transactions yet, so none is ever open.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DescribeProducersPartitionResponse, DescribeProducersRequest, DescribeProducersResponse,
    DescribeProducersTopicResponse, ProducerState,
};

use super::refusal::{Refusal, blocking};
use super::{Context, Session};
use crate::catalog::Catalog;
use crate::partition::ProducerEntry;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=0;

/// Stands for what only transactions have.
const NONE: i32 = -1;

/// Lists the producers of each partition.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let catalog = Arc::clone(&context.catalog);
    let described = blocking(move || {
        let mut seen = HashSet::new();
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partition_indexes.into_iter().map(|index| {
                // An answer is much longer than a request: named again, a partition is not listed again.
                let is_first = seen.insert((topic.name.clone(), index));
                let producers = match is_first {
                    true => producers(&catalog, &topic.name, index),
                    false => Err(Refusal::invalid("The partition is named twice.")),
                };
                answer(index, producers)
            });
            DescribeProducersTopicResponse { partitions: partitions.collect(), name: topic.name.clone() }
        });
        topics.collect()
    });
    DescribeProducersResponse { topics: described.await.unwrap_or_default(), ..Default::default() }
}

fn producers(catalog: &Catalog, topic: &str, index: i32) -> Result<Vec<ProducerState>, Refusal> {
    let partition = catalog.partition(topic, index).ok_or_else(Refusal::unknown_topic)?;
    Ok(partition.producers().iter().map(|(id, entry)| state(*id, entry)).collect())
}

fn state(producer_id: i64, entry: &ProducerEntry) -> ProducerState {
    let last = entry.batches.last();
    ProducerState {
        producer_id,
        producer_epoch: i32::from(entry.epoch),
        last_sequence: last.map_or(NONE, |batch| batch.last_sequence),
        last_timestamp: last.map_or(-1, |batch| batch.timestamp_ms),
        coordinator_epoch: NONE,
        current_txn_start_offset: -1,
    }
}

fn answer(
    partition_index: i32,
    producers: Result<Vec<ProducerState>, Refusal>,
) -> DescribeProducersPartitionResponse {
    let (error_code, error_message, active_producers) = match producers {
        Ok(producers) => (ErrorCode::None.code(), None, producers),
        Err(refusal) => (refusal.code.code(), Some(refusal.message), Vec::new()),
    };
    DescribeProducersPartitionResponse { partition_index, error_code, error_message, active_producers }
}
