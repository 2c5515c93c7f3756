//! DescribeQuorum (key 55): the voters of a metadata quorum (KIP-595).

use uuid::Uuid;

message! {
    /// Partitions of the metadata log.
    pub struct DescribeQuorumRequest: versions 0..=2, flexible from 0 {
        topics: Vec<DescribeQuorumTopicRequest>, 0..;
    }

    /// One topic.
    pub struct DescribeQuorumTopicRequest {
        topic_name: String, 0..;
        partitions: Vec<DescribeQuorumPartitionRequest>, 0..;
    }

    /// One partition.
    pub struct DescribeQuorumPartitionRequest {
        partition_index: i32, 0..;
    }
}

message! {
    /// The quorum.
    pub struct DescribeQuorumResponse: versions 0..=2, flexible from 0 {
        error_code: i16, 0..;
        error_message: Option<String>, 2.., nullable 2..;
        topics: Vec<DescribeQuorumTopicResponse>, 0..;
        nodes: Vec<DescribeQuorumNode>, 2..;
    }

    /// One topic.
    pub struct DescribeQuorumTopicResponse {
        topic_name: String, 0..;
        partitions: Vec<DescribeQuorumPartitionResponse>, 0..;
    }

    /// One partition.
    pub struct DescribeQuorumPartitionResponse {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 2.., nullable 2..;
        leader_id: i32, 0..;
        leader_epoch: i32, 0..;
        high_watermark: i64, 0..;
        current_voters: Vec<DescribeQuorumReplica>, 0..;
        observers: Vec<DescribeQuorumReplica>, 0..;
    }

    /// A node of the quorum.
    pub struct DescribeQuorumNode {
        node_id: i32, 2..;
        listeners: Vec<DescribeQuorumListener>, 2..;
    }

    /// One of its addresses.
    pub struct DescribeQuorumListener {
        name: String, 2..;
        host: String, 2..;
        port: u16, 2..;
    }

    /// A replica of the metadata log.
    pub struct DescribeQuorumReplica {
        replica_id: i32, 0..;
        replica_directory_id: Uuid, 2..;
        /// -1 if unknown.
        log_end_offset: i64, 0..;
        /// -1 of the leader and if unknown.
        last_fetch_timestamp: i64 = -1, 1..;
        /// The present time of the leader, -1 if unknown.
        last_caught_up_timestamp: i64 = -1, 1..;
    }
}
