//! DescribeTopicPartitions (key 75), version 0: topics in the order of their names, so many partitions at a time (KIP-966).
//!
//! As Apache Kafka: a cursor says where the next answer begins, and a topic that is gone by then is stepped over.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DescribeTopicPartitionsCursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

use super::metadata::TOPIC_OPERATIONS;
use super::{Context, Session};
use crate::catalog::{Topic, name};
use crate::partition::Partition;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=0;

/// Kafka's `max.request.partition.size.limit`.
const PARTITIONS_MAX: usize = 2000;

/// Describes partitions from the cursor on.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let asked_for_all = request.topics.is_empty();
    let names: BTreeSet<String> = match asked_for_all {
        true => context.catalog.topics().iter().map(|topic| topic.name().to_string()).collect(),
        false => request.topics.into_iter().map(|topic| topic.name).collect(),
    };
    let from = request.cursor.unwrap_or_default();
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    let mut room = limit;
    for topic_name in names.into_iter().filter(|name| from.topic_name <= *name) {
        if room == 0 {
            response.next_cursor = Some(DescribeTopicPartitionsCursor { topic_name, partition_index: 0 });
            break;
        }
        let Some(topic) = context.catalog.topic(&topic_name) else {
            if !asked_for_all {
                response.topics.push(unknown(topic_name));
            }
            continue;
        };
        let first = if from.topic_name == topic_name { from.partition_index.max(0) } else { 0 };
        let described = describe(context, &topic, first, room);
        room -= described.partitions.len();
        let next = first.saturating_add(i32::try_from(described.partitions.len()).unwrap_or(i32::MAX));
        response.topics.push(described);
        if topic.partition(next).is_some() {
            response.next_cursor = Some(DescribeTopicPartitionsCursor { topic_name, partition_index: next });
            break;
        }
    }
    response
}

fn describe(
    context: &Context,
    topic: &Topic,
    first: i32,
    room: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let node_id = context.config.node_id;
    let partition = |partition: &Arc<Partition>| DescribeTopicPartitionsResponsePartition {
        partition_index: partition.index(),
        leader_id: node_id,
        leader_epoch: partition.leader_epoch(),
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..Default::default()
    };
    let skipped = usize::try_from(first).unwrap_or(usize::MAX);
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name().to_string()),
        topic_id: topic.id(),
        is_internal: name::is_internal(topic.name()),
        partitions: topic.partitions().iter().skip(skipped).take(room).map(partition).collect(),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

fn unknown(name: String) -> DescribeTopicPartitionsResponseTopic {
    let code = match name::check(&name) {
        Ok(_) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name),
        // Kafka says of every name what one may do to it, when there is no authorizer.
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;
    use sendlog_protocol::messages::DescribeTopicPartitionsTopicRequest;

    async fn ask(
        fixture: &Fixture,
        names: &[&str],
        limit: i32,
        cursor: Option<(&str, i32)>,
    ) -> DescribeTopicPartitionsResponse {
        let request = DescribeTopicPartitionsRequest {
            topics: names
                .iter()
                .map(|name| DescribeTopicPartitionsTopicRequest { name: (*name).to_owned() })
                .collect(),
            response_partition_limit: limit,
            cursor: cursor.map(|(name, partition_index)| DescribeTopicPartitionsCursor {
                topic_name: name.to_owned(),
                partition_index,
            }),
        };
        handle(&fixture.context, &fixture.session, 0, request).await
    }

    fn shown(response: &DescribeTopicPartitionsResponse) -> Vec<(String, i16, Vec<i32>)> {
        let topic = |topic: &DescribeTopicPartitionsResponseTopic| {
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
            (topic.name.clone().unwrap_or_default(), topic.error_code, partitions.collect())
        };
        response.topics.iter().map(topic).collect()
    }

    #[tokio::test]
    async fn all_partitions_come_in_pages() {
        let fixture = Fixture::new();
        fixture.create("b", 3).await;
        fixture.create("a", 2).await;
        let mut pages = Vec::new();
        let mut cursor: Option<DescribeTopicPartitionsCursor> = None;
        loop {
            let from = cursor.as_ref().map(|cursor| (cursor.topic_name.as_str(), cursor.partition_index));
            let page = ask(&fixture, &[], 2, from).await;
            pages.push(shown(&page));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let page = |name: &str, partitions: &[i32]| vec![(name.to_owned(), 0, partitions.to_vec())];
        assert_eq!(pages, [page("a", &[0, 1]), page("b", &[0, 1]), page("b", &[2])]);
        assert!(ask(&fixture, &[], 2000, None).await.next_cursor.is_none());
        let silly = ask(&fixture, &[], i32::MIN, Some(("a", i32::MIN))).await;
        assert_eq!(shown(&silly), page("a", &[0]));
        assert_eq!(shown(&ask(&fixture, &[], 1, Some(("b", i32::MAX))).await), page("b", &[]));
    }

    #[tokio::test]
    async fn what_is_not_there_is_said_of_names_alone() {
        let fixture = Fixture::new();
        fixture.create("b", 1).await;
        let response = ask(&fixture, &["c", "b", "b", "a b"], 10, None).await;
        let expected = [("a b", 17, vec![]), ("b", 0, vec![0]), ("c", 3, vec![])];
        assert_eq!(shown(&response), expected.map(|(name, code, all)| (name.to_owned(), code, all)));
    }
}
