//! DeleteShareGroupOffsets (key 92): forget topics of a share group without members (KIP-932).

use uuid::Uuid;

message! {
    /// Topics to forget.
    pub struct DeleteShareGroupOffsetsRequest: versions 0..=0, flexible from 0 {
        group_id: String, 0..;
        topics: Vec<DeleteShareGroupOffsetsRequestTopic>, 0..;
    }

    /// One topic.
    pub struct DeleteShareGroupOffsetsRequestTopic {
        topic_name: String, 0..;
    }
}

message! {
    /// What was forgotten.
    pub struct DeleteShareGroupOffsetsResponse: versions 0..=0, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        responses: Vec<DeleteShareGroupOffsetsResponseTopic>, 0..;
    }

    /// Result of one topic.
    pub struct DeleteShareGroupOffsetsResponseTopic {
        topic_name: String, 0..;
        topic_id: Uuid, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
    }
}
