//! JoinGroup (key 11): become a member of a classic group, or stay one in its next generation.

use bytes::Bytes;

message! {
    /// Who joins.
    pub struct JoinGroupRequest: versions 0..=9, flexible from 6 {
        group_id: String, 0..;
        session_timeout_ms: i32, 0..;
        /// How long to wait for members to join again; -1 for the session time-out.
        rebalance_timeout_ms: i32 = -1, 1..;
        /// Empty for a member that has none yet.
        member_id: String, 0..;
        /// Set by static members alone (KIP-345).
        group_instance_id: Option<String>, 5.., nullable 5..;
        /// What the group is for, such as `consumer`.
        protocol_type: String, 0..;
        /// Assignors that the member knows, the preferred one first.
        protocols: Vec<JoinGroupRequestProtocol>, 0..;
        /// For the log (KIP-800).
        reason: Option<String>, 8.., nullable 8..;
    }

    /// One assignor.
    pub struct JoinGroupRequestProtocol {
        name: String, 0..;
        /// The subscription, opaque to the broker.
        metadata: Bytes, 0..;
    }
}

message! {
    /// The generation that was joined.
    pub struct JoinGroupResponse: versions 0..=9, flexible from 6 {
        throttle_time_ms: i32, 2..;
        error_code: i16, 0..;
        generation_id: i32 = -1, 0..;
        protocol_type: Option<String>, 7.., nullable 7..;
        /// The assignor that all members know.
        protocol_name: Option<String>, 0.., nullable 7..;
        /// Id of the member that assigns.
        leader: String, 0..;
        /// Tells the leader that the assignment stands (KIP-814).
        skip_assignment: bool, 9..;
        member_id: String, 0..;
        /// For the leader alone, else empty.
        members: Vec<JoinGroupResponseMember>, 0..;
    }

    /// One member.
    pub struct JoinGroupResponseMember {
        member_id: String, 0..;
        /// Set by static members alone (KIP-345).
        group_instance_id: Option<String>, 5.., nullable 5..;
        /// Its subscription.
        metadata: Bytes, 0..;
    }
}
