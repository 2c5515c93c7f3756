//! CreatePartitions (key 37): raise the number of partitions of topics.

message! {
    /// Topics to extend.
    pub struct CreatePartitionsRequest: versions 0..=3, flexible from 2 {
        topics: Vec<CreatePartitionsTopic>, 0..;
        timeout_ms: i32, 0..;
        validate_only: bool, 0..;
    }

    /// One topic to extend.
    pub struct CreatePartitionsTopic {
        name: String, 0..;
        /// Partitions in all, old and new.
        count: i32, 0..;
        /// Null to leave the placement to the broker.
        assignments: Option<Vec<CreatePartitionsAssignment>> = Some(Vec::new()), 0.., nullable 0..;
    }

    /// Replicas chosen by the client for one new partition.
    pub struct CreatePartitionsAssignment {
        broker_ids: Vec<i32>, 0..;
    }
}

message! {
    /// What became of the topics.
    pub struct CreatePartitionsResponse: versions 0..=3, flexible from 2 {
        throttle_time_ms: i32, 0..;
        results: Vec<CreatePartitionsTopicResult>, 0..;
    }

    /// Result of one topic.
    pub struct CreatePartitionsTopicResult {
        name: String, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
    }
}
