//! The answers of classic groups.

use std::sync::Arc;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{JoinGroupResponse, JoinGroupResponseMember, SyncGroupResponse};

use super::ClassicGroup;
use super::member::Member;

/// JoinGroup is refused.
pub fn refuse_join(member_id: &str, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.code(),
        member_id: member_id.to_owned(),
        ..JoinGroupResponse::default()
    }
}

/// SyncGroup is refused.
pub fn refuse_sync(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() }
}

impl ClassicGroup {
    /// A member has joined the present generation.
    pub(super) fn joined(&self, member_id: &str) -> JoinGroupResponse {
        let members = if self.roster.is_leader(member_id) { self.joined_members() } else { Vec::new() };
        JoinGroupResponse { members, ..self.joined_as_follower(member_id, self.leader().map(Arc::as_ref)) }
    }

    /// A member has joined the present generation and is told that `leader` leads.
    pub(super) fn joined_as_follower(&self, member_id: &str, leader: Option<&str>) -> JoinGroupResponse {
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: leader.unwrap_or_default().to_owned(),
            member_id: member_id.to_owned(),
            ..JoinGroupResponse::default()
        }
    }

    /// A member's assignment in the present generation.
    pub(super) fn synced(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment,
            ..SyncGroupResponse::default()
        }
    }

    fn joined_members(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |member: &Member| JoinGroupResponseMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.roster.iter().map(member).collect()
    }
}
