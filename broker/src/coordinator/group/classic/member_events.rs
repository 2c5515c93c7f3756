//! Heartbeat and LeaveGroup.

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse, MemberIdentity,
    MemberResponse,
};

use super::{ClassicGroup, State};
use crate::coordinator::group::{Effects, Env};

impl ClassicGroup {
    /// A member is alive.
    pub fn heartbeat(&mut self, request: &HeartbeatRequest, env: &Env<'_>) -> HeartbeatResponse {
        let error = self.check_heartbeat(request).err().unwrap_or(match self.state {
            State::PreparingRebalance(_) => ErrorCode::RebalanceInProgress,
            // Heartbeats begin with the answer to JoinGroup, before the assignment is there.
            State::Empty | State::CompletingRebalance | State::Stable => ErrorCode::None,
        });
        if matches!(error, ErrorCode::None | ErrorCode::RebalanceInProgress) {
            self.renew_session(&request.member_id, env);
        }
        HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() }
    }

    /// Members leave. Each has its own result; a rebalance follows once for all.
    pub fn leave(
        &mut self,
        request: LeaveGroupRequest,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> LeaveGroupResponse {
        let members_before = self.roster.len();
        let mut members = Vec::new();
        for MemberIdentity { member_id, group_instance_id, reason } in request.members {
            let instance_id = group_instance_id.as_deref();
            let error = self.remove_leaving(&member_id, instance_id, fx).err().unwrap_or(ErrorCode::None);
            let result = error.name();
            tracing::debug!(group = %self.id, member = ?member_id, instance = ?instance_id, ?reason, result, "leave");
            members.push(MemberResponse { member_id, group_instance_id, error_code: error.code() });
        }
        if self.roster.len() < members_before {
            self.rebalance_or_complete("members left", env, fx);
        } else {
            self.complete_if_all_joined(env, fx);
        }
        LeaveGroupResponse { members, ..LeaveGroupResponse::default() }
    }

    fn check_heartbeat(&self, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        self.roster.validate(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    fn remove_leaving(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        fx: &mut Effects,
    ) -> Result<(), ErrorCode> {
        if member_id.is_empty() {
            // An administrator removes a static member by its instance id.
            let named = instance_id.and_then(|instance_id| self.roster.of_instance(instance_id)).cloned();
            let named = named.ok_or(ErrorCode::UnknownMemberId)?;
            self.remove_member(&named, fx);
            return Ok(());
        }
        if self.roster.remove_pending(member_id) {
            return Ok(());
        }
        self.roster.validate(member_id, instance_id)?;
        self.remove_member(member_id, fx);
        Ok(())
    }
}
