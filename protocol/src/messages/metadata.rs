//! Metadata (key 3): brokers, topics and partition leaders.
//!
//! In request version 0 an empty list of topics means all; from version 1 null means all and empty means
//! none.

use uuid::Uuid;

message! {
    /// Topics to describe.
    pub struct MetadataRequest: versions 0..=13, flexible from 9 {
        /// Null for all topics.
        topics: Option<Vec<MetadataRequestTopic>> = Some(Vec::new()), 0.., nullable 1..;
        allow_auto_topic_creation: bool = true, 4..;
        include_cluster_authorized_operations: bool, 8..=10;
        include_topic_authorized_operations: bool, 8..;
    }

    /// One topic, by name or by id.
    pub struct MetadataRequestTopic {
        topic_id: Uuid, 10..;
        name: Option<String>, 0.., nullable 10..;
    }
}

message! {
    /// The cluster as clients need to know it.
    pub struct MetadataResponse: versions 0..=13, flexible from 9 {
        throttle_time_ms: i32, 3..;
        brokers: Vec<MetadataResponseBroker>, 0..;
        cluster_id: Option<String>, 2.., nullable 2..;
        controller_id: i32 = -1, 1..;
        topics: Vec<MetadataResponseTopic>, 0..;
        /// Bit field; `i32::MIN` if not asked for.
        cluster_authorized_operations: i32 = i32::MIN, 8..=10;
        error_code: i16, 13..;
    }

    /// One broker.
    pub struct MetadataResponseBroker {
        node_id: i32, 0..;
        host: String, 0..;
        port: i32, 0..;
        rack: Option<String>, 1.., nullable 1..;
    }

    /// One topic.
    pub struct MetadataResponseTopic {
        error_code: i16, 0..;
        name: Option<String>, 0.., nullable 12..;
        /// All zero if unknown.
        topic_id: Uuid, 10..;
        is_internal: bool, 1..;
        partitions: Vec<MetadataResponsePartition>, 0..;
        /// Bit field; `i32::MIN` if not asked for.
        topic_authorized_operations: i32 = i32::MIN, 8..;
    }

    /// One partition.
    pub struct MetadataResponsePartition {
        error_code: i16, 0..;
        partition_index: i32, 0..;
        leader_id: i32, 0..;
        leader_epoch: i32 = -1, 7..;
        replica_nodes: Vec<i32>, 0..;
        isr_nodes: Vec<i32>, 0..;
        offline_replicas: Vec<i32>, 5..;
    }
}
