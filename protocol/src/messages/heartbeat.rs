//! Heartbeat (key 12): a member of a classic group is alive.

message! {
    /// The member.
    pub struct HeartbeatRequest: versions 0..=4, flexible from 4 {
        group_id: String, 0..;
        generation_id: i32, 0..;
        member_id: String, 0..;
        /// Set by static members alone (KIP-345).
        group_instance_id: Option<String>, 3.., nullable 3..;
    }
}

message! {
    /// Whether it has to join again.
    pub struct HeartbeatResponse: versions 0..=4, flexible from 4 {
        throttle_time_ms: i32, 1..;
        error_code: i16, 0..;
    }
}
