//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup, as a group of any kind answers them.

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, MemberIdentity, MemberResponse, SyncGroupRequest, SyncGroupResponse,
};

use super::classic::{ClassicGroup, Joiner};
use super::group::{Group, Kind};
use super::{Effects, Env, Ticket};

impl Group {
    /// A member joins by the classic protocol. `None`: the answer to `ticket` is a reply, of this event or a later one.
    pub fn join(
        &mut self,
        request: JoinGroupRequest,
        joiner: Joiner<'_>,
        ticket: Ticket,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Option<JoinGroupResponse> {
        match self.kind_mut() {
            Kind::Simple => {
                let mut classic = ClassicGroup::new(self.id());
                let answer = classic.join(request, joiner, ticket, env, fx);
                self.become_classic(classic);
                answer
            }
            Kind::Classic(classic) => classic.join(request, joiner, ticket, env, fx),
            Kind::Consumer(group) if group.is_empty() => {
                fx.records.extend(group.tombstones());
                let mut classic = ClassicGroup::new(self.id());
                let answer = classic.join(request, joiner, ticket, env, fx);
                self.become_classic(classic);
                answer
            }
            Kind::Consumer(_) => Some(self.join_consumers(request, joiner, env, fx)),
            Kind::Share(_) => Some(refuse_join(ErrorCode::InconsistentGroupProtocol)),
        }
    }

    /// A member asks for its assignment. `None` as with [`Self::join`].
    pub fn sync(
        &mut self,
        request: SyncGroupRequest,
        ticket: Ticket,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Option<SyncGroupResponse> {
        match self.kind_mut() {
            Kind::Classic(classic) => classic.sync(request, ticket, env, fx),
            Kind::Consumer(_) => Some(self.sync_consumers(&request, env)),
            Kind::Simple | Kind::Share(_) => Some(SyncGroupResponse {
                error_code: ErrorCode::UnknownMemberId.code(),
                ..SyncGroupResponse::default()
            }),
        }
    }

    /// A member is alive.
    pub fn heartbeat(&mut self, request: &HeartbeatRequest, env: &Env<'_>) -> HeartbeatResponse {
        match self.kind_mut() {
            Kind::Classic(classic) => classic.heartbeat(request, env),
            Kind::Consumer(_) => self.classic_heartbeat(request, env),
            Kind::Simple | Kind::Share(_) => HeartbeatResponse {
                error_code: ErrorCode::UnknownMemberId.code(),
                ..HeartbeatResponse::default()
            },
        }
    }

    /// Members leave.
    pub fn leave(
        &mut self,
        request: LeaveGroupRequest,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> LeaveGroupResponse {
        match self.kind_mut() {
            Kind::Classic(classic) => {
                let answer = classic.leave(request, env, fx);
                self.drop_blank();
                answer
            }
            Kind::Consumer(group) => {
                let answer = group.leave_by_name(request, env, fx);
                self.settle_protocol(env, fx);
                answer
            }
            Kind::Simple | Kind::Share(_) => nobody_leaves(request),
        }
    }

    /// Classic time has passed: one that was only waited for may not have come.
    pub(super) fn drop_blank(&mut self) {
        if matches!(self.kind(), Kind::Classic(classic) if classic.is_blank()) {
            *self.kind_mut() = Kind::Simple;
        }
    }

    fn become_classic(&mut self, classic: ClassicGroup) {
        *self.kind_mut() = Kind::Classic(Box::new(classic));
        self.drop_blank();
    }
}

/// LeaveGroup to a group that has none of these members: each is unknown, and the request as a whole is right.
#[must_use]
pub fn nobody_leaves(request: LeaveGroupRequest) -> LeaveGroupResponse {
    let unknown = |MemberIdentity { member_id, group_instance_id, .. }| MemberResponse {
        member_id,
        group_instance_id,
        error_code: ErrorCode::UnknownMemberId.code(),
    };
    let members = request.members.into_iter().map(unknown).collect();
    LeaveGroupResponse { members, ..LeaveGroupResponse::default() }
}

fn refuse_join(error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse { error_code: error.code(), ..JoinGroupResponse::default() }
}
