//! DeleteTopics (key 20): by name, or by name or id from version 6.

use uuid::Uuid;

message! {
    /// Topics to delete.
    pub struct DeleteTopicsRequest: versions 1..=6, flexible from 4 {
        topics: Vec<DeleteTopicState>, 6..;
        topic_names: Vec<String>, 0..=5;
        timeout_ms: i32, 0..;
    }

    /// One topic, by name or by id.
    pub struct DeleteTopicState {
        name: Option<String>, 6.., nullable 6..;
        topic_id: Uuid, 6..;
    }
}

message! {
    /// What became of the topics.
    pub struct DeleteTopicsResponse: versions 1..=6, flexible from 4 {
        throttle_time_ms: i32, 1..;
        responses: Vec<DeletableTopicResult>, 0..;
    }

    /// Result of one topic.
    pub struct DeletableTopicResult {
        name: Option<String>, 0.., nullable 6..;
        topic_id: Uuid, 6..;
        error_code: i16, 0..;
        error_message: Option<String>, 5.., nullable 5..;
    }
}
