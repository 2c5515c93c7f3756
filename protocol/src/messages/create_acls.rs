//! CreateAcls (key 30): new access control lists.

message! {
    /// The lists.
    pub struct CreateAclsRequest: versions 1..=3, flexible from 2 {
        creations: Vec<AclCreation>, 0..;
    }

    /// One list.
    pub struct AclCreation {
        resource_type: i8, 0..;
        resource_name: String, 0..;
        /// 3: literal; 4: prefixed.
        resource_pattern_type: i8 = 3, 1..;
        principal: String, 0..;
        host: String, 0..;
        operation: i8, 0..;
        permission_type: i8, 0..;
    }
}

message! {
    /// What became of each, in the order of the request.
    pub struct CreateAclsResponse: versions 1..=3, flexible from 2 {
        throttle_time_ms: i32, 0..;
        results: Vec<AclCreationResult>, 0..;
    }

    /// What became of one list.
    pub struct AclCreationResult {
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
    }
}
