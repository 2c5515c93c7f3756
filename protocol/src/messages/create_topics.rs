//! CreateTopics (key 19).

use uuid::Uuid;

message! {
    /// Topics to create.
    pub struct CreateTopicsRequest: versions 2..=7, flexible from 5 {
        topics: Vec<CreatableTopic>, 0..;
        timeout_ms: i32 = 60000, 0..;
        validate_only: bool, 1..;
    }

    /// One topic to create.
    pub struct CreatableTopic {
        name: String, 0..;
        /// -1 for the broker's default.
        num_partitions: i32, 0..;
        /// -1 for the broker's default.
        replication_factor: i16, 0..;
        /// Empty to leave the placement to the broker.
        assignments: Vec<CreatableReplicaAssignment>, 0..;
        configs: Vec<CreatableTopicConfig>, 0..;
    }

    /// Replicas chosen by the client for one partition.
    pub struct CreatableReplicaAssignment {
        partition_index: i32, 0..;
        broker_ids: Vec<i32>, 0..;
    }

    /// One setting of a topic to create.
    pub struct CreatableTopicConfig {
        name: String, 0..;
        /// Null is refused by brokers.
        value: Option<String>, 0.., nullable 0..;
    }
}

message! {
    /// What became of the topics.
    pub struct CreateTopicsResponse: versions 2..=7, flexible from 5 {
        throttle_time_ms: i32, 2..;
        topics: Vec<CreatableTopicResult>, 0..;
    }

    /// Result of one topic.
    pub struct CreatableTopicResult {
        name: String, 0..;
        topic_id: Uuid, 7..;
        error_code: i16, 0..;
        error_message: Option<String>, 1.., nullable 0..;
        /// Why `configs` is null.
        topic_config_error_code: i16, 5.., tag 0;
        num_partitions: i32 = -1, 5..;
        replication_factor: i16 = -1, 5..;
        /// Null only with `topic_config_error_code`; Java's Admin fails on a null otherwise.
        configs: Option<Vec<CreatableTopicConfigs>> = Some(Vec::new()), 5.., nullable 5..;
    }

    /// One setting of a created topic.
    pub struct CreatableTopicConfigs {
        name: String, 5..;
        value: Option<String>, 5.., nullable 5..;
        read_only: bool, 5..;
        config_source: i8 = -1, 5..;
        is_sensitive: bool, 5..;
    }
}
