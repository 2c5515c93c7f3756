//! Offsets by time or position, asked of one broker.

use std::collections::HashMap;

use sendlog_protocol::messages::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use crate::cluster::{Cluster, Lane};
use crate::error::{BrokerError, ClientError};

/// The end of the log: the next offset that consumers will see.
pub(crate) const LATEST: i64 = -1;
/// The first offset in the log.
pub(crate) const EARLIEST: i64 = -2;
/// The record with the largest timestamp.
pub(crate) const MAX_TIMESTAMP: i64 = -3;

/// What to look up in a partition.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) leader_epoch: i32,
    /// Ms since 1970, or one of the constants above.
    pub(crate) timestamp: i64,
}

/// What was found: both -1 if no record is that young.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

/// What was found for each topic and partition.
pub(crate) type Answers = HashMap<(String, i32), Result<Found, BrokerError>>;

/// Asks a broker for offsets of partitions that it leads.
///
/// # Errors
/// The broker cannot be reached. Refusals are in the answers; a partition may lack an answer.
pub(crate) async fn list_offsets(
    cluster: &Cluster,
    node_id: i32,
    lookups: &[Lookup],
) -> Result<Answers, ClientError> {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for lookup in lookups {
        let partition = ListOffsetsPartition {
            partition_index: lookup.partition,
            current_leader_epoch: lookup.leader_epoch,
            timestamp: lookup.timestamp,
        };
        match topics.iter_mut().find(|topic| topic.name == lookup.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(ListOffsetsTopic { name: lookup.topic.clone(), partitions: vec![partition] }),
        }
    }
    let timeout = cluster.config().request_timeout.as_millis();
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 0,
        topics,
        timeout_ms: i32::try_from(timeout).unwrap_or(i32::MAX),
    };
    let response = cluster.connection(node_id, Lane::Control).await?.call(&request).await?;
    let mut answers = Answers::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let found = BrokerError::check(partition.error_code, None)
                .map(|()| Found { offset: partition.offset, timestamp: partition.timestamp });
            answers.insert((topic.name.clone(), partition.partition_index), found);
        }
    }
    Ok(answers)
}
