//! ListGroups (key 16): all groups.

message! {
    /// Which groups to list.
    pub struct ListGroupsRequest: versions 0..=5, flexible from 3 {
        /// Empty for all (KIP-518).
        states_filter: Vec<String>, 4..;
        /// Empty for all (KIP-848).
        types_filter: Vec<String>, 5..;
    }
}

message! {
    /// The groups.
    pub struct ListGroupsResponse: versions 0..=5, flexible from 3 {
        throttle_time_ms: i32, 1..;
        error_code: i16, 0..;
        groups: Vec<ListedGroup>, 0..;
    }

    /// One group.
    pub struct ListedGroup {
        group_id: String, 0..;
        protocol_type: String, 0..;
        group_state: String, 4..;
        group_type: String, 5..;
    }
}
