//! ElectLeaders (key 43), versions 0 to 2: the only replica leads, so no election is ever needed.
//!
//! As Apache Kafka on one node: a partition that is named is told so, and of all partitions together none is listed.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ElectLeadersPartitionResult, ElectLeadersRequest, ElectLeadersResponse, ReplicaElectionResult,
};

use super::refusal::{Refusal, check_count};
use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=2;

/// Of the preferred replica, and of any (KIP-460).
const ELECTION_TYPES: RangeInclusive<i8> = 0..=1;

/// Says who leads.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let odd_type = Some(request.election_type).filter(|kind| !ELECTION_TYPES.contains(kind) && version != 0);
    let named = request.topic_partitions.unwrap_or_default();
    if let Err(refusal) = check_count(&context.config, named.iter().map(|topic| topic.partitions.len()).sum())
    {
        return ElectLeadersResponse { error_code: refusal.code.code(), ..Default::default() };
    }
    let results = named.into_iter().map(|topic| {
        let result = |partition_id| {
            let Refusal { code, message } = match odd_type {
                Some(kind) => Refusal::invalid(format!("Unknown election type {kind}")),
                None => elect(context, &topic.topic, partition_id),
            };
            ElectLeadersPartitionResult {
                partition_id,
                error_code: code.code(),
                error_message: Some(message),
            }
        };
        let partition_result = topic.partitions.into_iter().map(result).collect();
        ReplicaElectionResult { topic: topic.topic, partition_result }
    });
    let replica_election_results = results.collect();
    let error_code = odd_type.map_or(0, |_| ErrorCode::InvalidRequest.code());
    ElectLeadersResponse { error_code, replica_election_results, ..Default::default() }
}

fn elect(context: &Context, topic: &str, index: i32) -> Refusal {
    match context.catalog.topic(topic) {
        None => Refusal::new(ErrorCode::UnknownTopicOrPartition, format!("No such topic as {topic}")),
        Some(found) if found.partition(index).is_none() => {
            Refusal::new(ErrorCode::UnknownTopicOrPartition, format!("No such partition as {topic}-{index}"))
        }
        Some(_) => {
            Refusal::new(ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;
    use sendlog_protocol::messages::ElectLeadersTopicPartitions;

    #[tokio::test]
    async fn the_only_replica_leads() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let topic = |topic: &str, partitions: &[i32]| ElectLeadersTopicPartitions {
            topic: topic.to_owned(),
            partitions: partitions.to_vec(),
        };
        let named = Some(vec![topic("a", &[0, 9]), topic("none", &[0])]);
        let request = ElectLeadersRequest { topic_partitions: named, ..Default::default() };
        let response = handle(&fixture.context, &fixture.session, 2, request).await;
        let results = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        let codes: Vec<i16> = results.map(|result| result.error_code).collect();
        assert_eq!((response.error_code, codes), (0, vec![84, 3, 3]));
        let all = ElectLeadersRequest { topic_partitions: None, ..Default::default() };
        let response = handle(&fixture.context, &fixture.session, 2, all).await;
        assert!(response.error_code == 0 && response.replica_election_results.is_empty());

        let odd = ElectLeadersRequest {
            election_type: 5,
            topic_partitions: Some(vec![topic("a", &[0])]),
            ..Default::default()
        };
        let response = handle(&fixture.context, &fixture.session, 2, odd).await;
        let result = &response.replica_election_results[0].partition_result[0];
        let told = result.error_message.as_deref();
        assert_eq!((response.error_code, result.error_code, told), (42, 42, Some("Unknown election type 5")));
    }
}
