//! DescribeGroups (key 15): state and members of classic groups.

use bytes::Bytes;

message! {
    /// Groups to describe.
    pub struct DescribeGroupsRequest: versions 0..=6, flexible from 5 {
        groups: Vec<String>, 0..;
        include_authorized_operations: bool, 3..;
    }
}

message! {
    /// The groups.
    pub struct DescribeGroupsResponse: versions 0..=6, flexible from 5 {
        throttle_time_ms: i32, 1..;
        groups: Vec<DescribedGroup>, 0..;
    }

    /// One group.
    pub struct DescribedGroup {
        error_code: i16, 0..;
        error_message: Option<String>, 6.., nullable 6..;
        group_id: String, 0..;
        /// Empty if there is an error.
        group_state: String, 0..;
        protocol_type: String, 0..;
        /// The assignor; empty unless the group is stable.
        protocol_data: String, 0..;
        members: Vec<DescribedGroupMember>, 0..;
        /// Bit field; `i32::MIN` if not asked for.
        authorized_operations: i32 = i32::MIN, 3..;
    }

    /// One member.
    pub struct DescribedGroupMember {
        member_id: String, 0..;
        /// Set by static members alone (KIP-345).
        group_instance_id: Option<String>, 4.., nullable 4..;
        client_id: String, 0..;
        /// Address that the member connects from, with a slash before it.
        client_host: String, 0..;
        /// Its subscription.
        member_metadata: Bytes, 0..;
        member_assignment: Bytes, 0..;
    }
}
