//! DescribeProducers (key 61), version 0: the idempotent producers that a partition remembers.
//!
//! Differs from Apache Kafka: there are no transactions yet, so none is ever open.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DescribeProducersPartitionResponse, DescribeProducersRequest, DescribeProducersResponse,
    DescribeProducersTopicResponse, ProducerState,
};

use super::refusal::{Refusal, blocking};
use super::{Context, Session};
use crate::catalog::Catalog;
use crate::config::Config;
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
    let work = move |_: &Config, catalog: &Catalog| describe(catalog, request);
    DescribeProducersResponse { topics: blocking(context, work).await, ..Default::default() }
}

fn describe(catalog: &Catalog, request: DescribeProducersRequest) -> Vec<DescribeProducersTopicResponse> {
    let mut seen = HashSet::new();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.into_iter().map(|index| {
            // An answer is much longer than a request: named again, a partition is not listed again.
            let is_first = seen.insert((topic.name.clone(), index));
            let producers = match is_first {
                true => producers(catalog, &topic.name, index),
                false => Err(Refusal::invalid("The partition is named twice.")),
            };
            answer(index, producers)
        });
        DescribeProducersTopicResponse { partitions: partitions.collect(), name: topic.name.clone() }
    });
    topics.collect()
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

#[cfg(test)]
mod tests {
    use sendlog_protocol::messages::DescribeProducersTopicRequest;
    use sendlog_protocol::records::ProducerStamp;

    use super::*;
    use crate::api::testing::Fixture;

    #[tokio::test]
    async fn the_last_batch_of_each_producer_is_told() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let stamp = |base_sequence| ProducerStamp { producer_id: 7, producer_epoch: 2, base_sequence };
        fixture.append("a", stamp(0)).await;
        fixture.append("a", stamp(3)).await;
        fixture.append("a", ProducerStamp::NONE).await;
        let topic = DescribeProducersTopicRequest { name: "a".to_owned(), partition_indexes: vec![0] };
        let request = DescribeProducersRequest { topics: vec![topic] };
        let response = handle(&fixture.context, &fixture.session, 0, request).await;
        let [producer] = response.topics[0].partitions[0].active_producers.as_slice() else {
            panic!("one producer has an id");
        };
        assert_eq!((producer.producer_id, producer.producer_epoch, producer.last_sequence), (7, 2, 5));
        assert_eq!((producer.current_txn_start_offset, producer.coordinator_epoch), (-1, -1));
    }

    #[tokio::test]
    async fn partitions_are_answered_one_by_one() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let topic = DescribeProducersTopicRequest { name: "a".to_owned(), partition_indexes: vec![0, 5, 0] };
        let request = DescribeProducersRequest { topics: vec![topic] };
        let response = handle(&fixture.context, &fixture.session, 0, request).await;
        let codes: Vec<i16> = response.topics[0].partitions.iter().map(|one| one.error_code).collect();
        assert_eq!(codes, [0, 3, 42]);
    }
}
