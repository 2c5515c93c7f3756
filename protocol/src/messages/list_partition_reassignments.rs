//! ListPartitionReassignments (key 46): partitions that are being moved (KIP-455).

message! {
    /// Partitions to look up.
    pub struct ListPartitionReassignmentsRequest: versions 0..=0, flexible from 0 {
        timeout_ms: i32 = 60000, 0..;
        /// Null for all.
        topics: Option<Vec<ListPartitionReassignmentsTopics>>, 0.., nullable 0..;
    }

    /// Partitions of one topic.
    pub struct ListPartitionReassignmentsTopics {
        name: String, 0..;
        partition_indexes: Vec<i32>, 0..;
    }
}

message! {
    /// Those that are being moved.
    pub struct ListPartitionReassignmentsResponse: versions 0..=0, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        topics: Vec<OngoingTopicReassignment>, 0..;
    }

    /// Partitions of one topic.
    pub struct OngoingTopicReassignment {
        name: String, 0..;
        partitions: Vec<OngoingPartitionReassignment>, 0..;
    }

    /// One partition.
    pub struct OngoingPartitionReassignment {
        partition_index: i32, 0..;
        replicas: Vec<i32>, 0..;
        adding_replicas: Vec<i32>, 0..;
        removing_replicas: Vec<i32>, 0..;
    }
}
