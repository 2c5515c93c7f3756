//! DeleteGroups (key 42): delete groups that have no members.

message! {
    /// Groups to delete.
    pub struct DeleteGroupsRequest: versions 0..=3, flexible from 2 {
        groups_names: Vec<String>, 0..;
    }
}

message! {
    /// What was deleted.
    pub struct DeleteGroupsResponse: versions 0..=3, flexible from 2 {
        throttle_time_ms: i32, 0..;
        results: Vec<DeletableGroupResult>, 0..;
    }

    /// Result of one group.
    pub struct DeletableGroupResult {
        group_id: String, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 3.., nullable 3..;
    }
}
