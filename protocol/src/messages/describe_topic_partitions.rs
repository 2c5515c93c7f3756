//! DescribeTopicPartitions (key 75): partitions of topics, so many at a time (KIP-966).

use uuid::Uuid;

message! {
    /// Topics to describe.
    pub struct DescribeTopicPartitionsRequest: versions 0..=0, flexible from 0 {
        /// Empty for all.
        topics: Vec<DescribeTopicPartitionsTopicRequest>, 0..;
        response_partition_limit: i32 = 2000, 0..;
        /// Where to begin, null for the beginning.
        cursor: Option<DescribeTopicPartitionsCursor>, 0.., nullable 0..;
    }

    /// One topic.
    pub struct DescribeTopicPartitionsTopicRequest {
        name: String, 0..;
    }

    /// Where an answer begins or the next one would.
    pub struct DescribeTopicPartitionsCursor {
        topic_name: String, 0..;
        partition_index: i32, 0..;
    }
}

message! {
    /// The partitions.
    pub struct DescribeTopicPartitionsResponse: versions 0..=0, flexible from 0 {
        throttle_time_ms: i32, 0..;
        topics: Vec<DescribeTopicPartitionsResponseTopic>, 0..;
        /// Null if this is all.
        next_cursor: Option<DescribeTopicPartitionsCursor>, 0.., nullable 0..;
    }

    /// One topic.
    pub struct DescribeTopicPartitionsResponseTopic {
        error_code: i16, 0..;
        name: Option<String>, 0.., nullable 0..;
        topic_id: Uuid, 0..;
        is_internal: bool, 0..;
        partitions: Vec<DescribeTopicPartitionsResponsePartition>, 0..;
        /// Bit field; `i32::MIN` if unknown.
        topic_authorized_operations: i32 = i32::MIN, 0..;
    }

    /// One partition.
    pub struct DescribeTopicPartitionsResponsePartition {
        error_code: i16, 0..;
        partition_index: i32, 0..;
        leader_id: i32, 0..;
        leader_epoch: i32 = -1, 0..;
        replica_nodes: Vec<i32>, 0..;
        isr_nodes: Vec<i32>, 0..;
        eligible_leader_replicas: Option<Vec<i32>>, 0.., nullable 0..;
        last_known_elr: Option<Vec<i32>>, 0.., nullable 0..;
        offline_replicas: Vec<i32>, 0..;
    }
}
