//! AlterPartitionReassignments (key 45): move partitions to other brokers (KIP-455).

message! {
    /// Where partitions are to be.
    pub struct AlterPartitionReassignmentsRequest: versions 0..=1, flexible from 0 {
        timeout_ms: i32 = 60000, 0..;
        allow_replication_factor_change: bool = true, 1..;
        topics: Vec<ReassignableTopic>, 0..;
    }

    /// Partitions of one topic.
    pub struct ReassignableTopic {
        name: String, 0..;
        partitions: Vec<ReassignablePartition>, 0..;
    }

    /// One partition.
    pub struct ReassignablePartition {
        partition_index: i32, 0..;
        /// Null to stop what is under way.
        replicas: Option<Vec<i32>>, 0.., nullable 0..;
    }
}

message! {
    /// What was begun.
    pub struct AlterPartitionReassignmentsResponse: versions 0..=1, flexible from 0 {
        throttle_time_ms: i32, 0..;
        allow_replication_factor_change: bool = true, 1..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        responses: Vec<ReassignableTopicResponse>, 0..;
    }

    /// Results of one topic.
    pub struct ReassignableTopicResponse {
        name: String, 0..;
        partitions: Vec<ReassignablePartitionResponse>, 0..;
    }

    /// Result of one partition.
    pub struct ReassignablePartitionResponse {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
    }
}
