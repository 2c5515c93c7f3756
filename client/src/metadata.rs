//! What is known of brokers and topics.

use std::collections::HashMap;
use std::sync::Arc;

use sendlog_protocol::messages::{MetadataResponse, MetadataResponseTopic};
use uuid::Uuid;

use crate::error::BrokerError;

/// A snapshot of brokers and of the topics that were asked for.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// Id of the cluster, if it has one.
    pub cluster_id: Option<String>,
    /// Node id of the controller, or -1.
    pub controller_id: i32,
    /// Brokers by node id.
    pub brokers: HashMap<i32, Broker>,
    pub(crate) topics: HashMap<String, Result<Arc<TopicMetadata>, BrokerError>>,
}

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Node id.
    pub node_id: i32,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: i32,
    /// Rack, if it has one.
    pub rack: Option<String>,
}

impl Broker {
    /// `HOST:PORT`, with brackets around IPv6 addresses.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Name.
    pub name: String,
    /// Id, nil if the broker has no topic ids.
    pub id: Uuid,
    /// Whether the broker made it for itself.
    pub is_internal: bool,
    /// Partitions in order; the index is the partition's number.
    pub partitions: Vec<PartitionMetadata>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Node id of the leader, if there is one.
    pub leader: Option<i32>,
    /// Leader epoch, or -1.
    pub leader_epoch: i32,
    /// Node ids of the replicas.
    pub replicas: Vec<i32>,
    /// Node ids of the replicas in sync.
    pub in_sync: Vec<i32>,
}

/// Who leads a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// Node id.
    pub node_id: i32,
    /// Leader epoch, or -1.
    pub epoch: i32,
}

impl Metadata {
    /// A topic, if it was asked for and exists.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.topics.get(name)?.as_ref().ok()
    }

    /// The leader of a partition, if known.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        let partition = self.topic(topic)?.partitions.get(usize::try_from(partition).ok()?)?;
        Some(Leader { node_id: partition.leader?, epoch: partition.leader_epoch })
    }

    /// Takes over an answer: brokers as a whole, topics one by one.
    pub(crate) fn apply(&mut self, response: MetadataResponse) {
        self.cluster_id = response.cluster_id;
        self.controller_id = response.controller_id;
        let brokers = response.brokers.into_iter().map(|broker| Broker {
            node_id: broker.node_id,
            host: broker.host,
            port: broker.port,
            rack: broker.rack,
        });
        self.brokers = brokers.map(|broker| (broker.node_id, broker)).collect();
        for topic in response.topics {
            let Some(name) = topic.name.clone() else { continue };
            let entry = match BrokerError::check(topic.error_code, None) {
                Ok(()) => Ok(Arc::new(topic_metadata(topic, &name))),
                Err(error) => Err(error),
            };
            self.topics.insert(name, entry);
        }
    }
}

fn topic_metadata(topic: MetadataResponseTopic, name: &str) -> TopicMetadata {
    let mut answered = topic.partitions;
    answered.sort_by_key(|partition| partition.partition_index);
    let partitions = answered.into_iter().enumerate();
    // Numbers run from 0 without gaps; stop where a broker says otherwise.
    let partitions = partitions
        .take_while(|(index, partition)| i32::try_from(*index) == Ok(partition.partition_index))
        .map(|(_, partition)| PartitionMetadata {
            leader: Some(partition.leader_id).filter(|leader| 0 <= *leader),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes,
            in_sync: partition.isr_nodes,
        });
    TopicMetadata {
        name: name.to_owned(),
        id: topic.topic_id,
        is_internal: topic.is_internal,
        partitions: partitions.collect(),
    }
}
