//! LeaveGroup (key 13): members leave a classic group.

message! {
    /// Who leaves.
    pub struct LeaveGroupRequest: versions 0..=5, flexible from 4 {
        group_id: String, 0..;
        member_id: String, 0..=2;
        /// Several at once (KIP-345).
        members: Vec<MemberIdentity>, 3..;
    }

    /// One that leaves.
    pub struct MemberIdentity {
        /// Empty to remove a static member by its instance id.
        member_id: String, 3..;
        /// Set by static members alone (KIP-345).
        group_instance_id: Option<String>, 3.., nullable 3..;
        /// For the log (KIP-800).
        reason: Option<String>, 5.., nullable 5..;
    }
}

message! {
    /// Who left.
    pub struct LeaveGroupResponse: versions 0..=5, flexible from 4 {
        throttle_time_ms: i32, 1..;
        error_code: i16, 0..;
        members: Vec<MemberResponse>, 3..;
    }

    /// Result of one member.
    pub struct MemberResponse {
        member_id: String, 3..;
        /// Set by static members alone (KIP-345).
        group_instance_id: Option<String>, 3.., nullable 3..;
        error_code: i16, 3..;
    }
}
