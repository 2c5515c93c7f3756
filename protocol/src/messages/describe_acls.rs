//! DescribeAcls (key 29): access control lists.

message! {
    /// Which lists. Nulls match everything.
    pub struct DescribeAclsRequest: versions 1..=3, flexible from 2 {
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
    /// The lists.
    pub struct DescribeAclsResponse: versions 1..=3, flexible from 2 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        resources: Vec<DescribeAclsResource>, 0..;
    }

    /// Lists of one resource.
    pub struct DescribeAclsResource {
        resource_type: i8, 0..;
        resource_name: String, 0..;
        pattern_type: i8 = 3, 1..;
        acls: Vec<AclDescription>, 0..;
    }

    /// One list.
    pub struct AclDescription {
        principal: String, 0..;
        host: String, 0..;
        operation: i8, 0..;
        permission_type: i8, 0..;
    }
}
