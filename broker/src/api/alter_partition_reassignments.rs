//! AlterPartitionReassignments (key 45), versions 0 to 1: a partition can be where it is.
//!
//! As Apache Kafka on one node: this broker as the only replica is done at once, any other place is refused, and nothing is under
//! way that could be stopped.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};

use super::refusal::{Refusal, check_count, outcome};
use super::{Context, Session, placement};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// Checks where partitions are to be.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let allow_replication_factor_change = request.allow_replication_factor_change;
    let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if let Err(Refusal { code, message }) = check_count(&context.config, count) {
        return AlterPartitionReassignmentsResponse {
            error_code: code.code(),
            error_message: Some(message),
            allow_replication_factor_change,
            ..Default::default()
        };
    }
    let responses = request.topics.into_iter().map(|topic| {
        let response = |wanted: ReassignablePartition| {
            let partition_index = wanted.partition_index;
            let (error_code, error_message) = outcome(reassign(context, &topic.name, &wanted));
            ReassignablePartitionResponse { partition_index, error_code, error_message }
        };
        let partitions = topic.partitions.into_iter().map(response).collect();
        ReassignableTopicResponse { name: topic.name, partitions }
    });
    AlterPartitionReassignmentsResponse {
        responses: responses.collect(),
        allow_replication_factor_change,
        ..Default::default()
    }
}

fn reassign(context: &Context, topic: &str, wanted: &ReassignablePartition) -> Result<(), Refusal> {
    let unknown = |message| Refusal::new(ErrorCode::UnknownTopicOrPartition, message);
    let Some(found) = context.catalog.topic(topic) else {
        return Err(unknown(format!("Unable to find a topic named {topic}.")));
    };
    if found.partition(wanted.partition_index).is_none() {
        return Err(unknown(format!("Unable to find partition {topic}:{}.", wanted.partition_index)));
    }
    match &wanted.replicas {
        Some(replicas) => placement::check(replicas, context.config.node_id),
        None => Err(Refusal::new(
            ErrorCode::NoReassignmentInProgress,
            "No partition reassignment is in progress.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;
    use sendlog_protocol::messages::ReassignableTopic;

    #[tokio::test]
    async fn a_partition_can_be_where_it_is() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let wanted = |partition_index, replicas: Option<&[i32]>| ReassignablePartition {
            partition_index,
            replicas: replicas.map(<[_]>::to_vec),
        };
        let partitions = vec![
            wanted(0, Some(&[1])),
            wanted(0, Some(&[2])),
            wanted(0, Some(&[1, 2])),
            wanted(0, Some(&[])),
            wanted(0, None),
            wanted(9, Some(&[1])),
        ];
        let topics = vec![
            ReassignableTopic { name: "a".to_owned(), partitions },
            ReassignableTopic { name: "none".to_owned(), partitions: vec![wanted(0, Some(&[1]))] },
        ];
        let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
        let response = handle(&fixture.context, &fixture.session, 1, request).await;
        let results = response.responses.iter().flat_map(|topic| &topic.partitions);
        let codes: Vec<i16> = results.map(|result| result.error_code).collect();
        assert_eq!(codes, [0, 39, 39, 39, 85, 3, 3]);
    }
}
