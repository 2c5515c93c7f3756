//! DeleteAcls (key 31): access control lists that go.

message! {
    /// Which lists.
    pub struct DeleteAclsRequest: versions 1..=3, flexible from 2 {
        filters: Vec<DeleteAclsFilter>, 0..;
    }

    /// Lists by what they say. Nulls match everything.
    pub struct DeleteAclsFilter {
        resource_type_filter: i8, 0..;
        resource_name_filter: Option<String>, 0.., nullable 0..;
        /// 1: any; 2: those that match the name; 3: literal; 4: prefixed.
        pattern_type_filter: i8 = 3, 1..;
        principal_filter: Option<String>, 0.., nullable 0..;
        host_filter: Option<String>, 0.., nullable 0..;
        operation: i8, 0..;
        permission_type: i8, 0..;
    }
}

message! {
    /// What became of each filter, in the order of the request.
    pub struct DeleteAclsResponse: versions 1..=3, flexible from 2 {
        throttle_time_ms: i32, 0..;
        filter_results: Vec<DeleteAclsFilterResult>, 0..;
    }

    /// What became of one filter.
    pub struct DeleteAclsFilterResult {
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        matching_acls: Vec<DeleteAclsMatchingAcl>, 0..;
    }

    /// A list that the filter found.
    pub struct DeleteAclsMatchingAcl {
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        resource_type: i8, 0..;
        resource_name: String, 0..;
        pattern_type: i8 = 3, 1..;
        principal: String, 0..;
        host: String, 0..;
        operation: i8, 0..;
        permission_type: i8, 0..;
    }
}
