//! SyncGroup (key 14): the assignment of a classic group, from its leader and to its members.

use bytes::Bytes;

message! {
    /// Asks for a member's assignment.
    pub struct SyncGroupRequest: versions 0..=5, flexible from 4 {
        group_id: String, 0..;
        generation_id: i32, 0..;
        member_id: String, 0..;
        /// Set by static members alone (KIP-345).
        group_instance_id: Option<String>, 3.., nullable 3..;
        protocol_type: Option<String>, 5.., nullable 5..;
        protocol_name: Option<String>, 5.., nullable 5..;
        /// From the leader alone, else empty.
        assignments: Vec<SyncGroupRequestAssignment>, 0..;
    }

    /// What one member is assigned.
    pub struct SyncGroupRequestAssignment {
        member_id: String, 0..;
        assignment: Bytes, 0..;
    }
}

message! {
    /// The assignment.
    pub struct SyncGroupResponse: versions 0..=5, flexible from 4 {
        throttle_time_ms: i32, 1..;
        error_code: i16, 0..;
        protocol_type: Option<String>, 5.., nullable 5..;
        protocol_name: Option<String>, 5.., nullable 5..;
        assignment: Bytes, 0..;
    }
}
