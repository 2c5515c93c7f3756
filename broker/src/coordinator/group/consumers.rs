//! ConsumerGroupHeartbeat, and the requests of classic members of a consumer group, as a group of any kind answers them.
//!
//! Which kind the group is may change here: with its first member, and on its way from one protocol to the other.

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ConsumerGroupDescribedGroup, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, SyncGroupRequest,
    SyncGroupResponse,
};

use super::classic::Joiner;
use super::consumer::{self, Caller, ConsumerGroup, Refused};
use super::group::{Group, Kind};
use super::{Effects, Env};

/// Epoch of a request that joins.
const JOIN_EPOCH: i32 = 0;

impl Group {
    /// A member of the consumer protocol joins, stays, or leaves.
    pub fn consumer_heartbeat(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
        caller: Caller<'_>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> ConsumerGroupHeartbeatResponse {
        let answer = self.meet_consumer(request, caller, env, fx);
        self.settle_protocol(env, fx);
        answer.unwrap_or_else(consumer::refuse)
    }

    fn meet_consumer(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
        caller: Caller<'_>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refused> {
        let joins = request.member_epoch == JOIN_EPOCH;
        match self.kind_mut() {
            Kind::Consumer(group) => return group.heartbeat(request, caller, env, fx),
            Kind::Classic(classic) if joins && !classic.is_empty() => {
                let mut group = ConsumerGroup::from_classic(classic, env, fx)?;
                let answer = group.heartbeat(request, caller, env, fx);
                *self.kind_mut() = Kind::Consumer(Box::new(group));
                return answer;
            }
            Kind::Simple | Kind::Classic(_) if joins => {}
            Kind::Simple | Kind::Classic(_) | Kind::Share(_) => {
                return Err(not_found(format!("Group {} is not a consumer group.", self.id())));
            }
        }
        // Nobody is a member: the group becomes one of this protocol, if the first member is taken.
        let mut group = ConsumerGroup::new(self.id());
        let mut first = Effects::default();
        let answer = group.heartbeat(request, caller, env, &mut first)?;
        fx.records.extend(self.tombstones());
        fx.records.extend(first.records);
        *self.kind_mut() = Kind::Consumer(Box::new(group));
        Ok(answer)
    }

    /// Makes a classic group of one that only classic members are left in.
    pub(super) fn settle_protocol(&mut self, env: &Env<'_>, fx: &mut Effects) {
        if matches!(self.kind(), Kind::Consumer(group) if group.wants_downgrade(env))
            && let Kind::Consumer(group) = std::mem::replace(self.kind_mut(), Kind::Simple)
        {
            *self.kind_mut() = Kind::Classic(Box::new(group.into_classic(env, fx)));
        }
    }

    /// For ConsumerGroupDescribe.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND`: it is no consumer group.
    pub fn describe_consumers(&self, env: &Env<'_>) -> Result<ConsumerGroupDescribedGroup, Refused> {
        match self.kind() {
            Kind::Consumer(group) => Ok(group.describe(env)),
            Kind::Simple | Kind::Classic(_) | Kind::Share(_) => {
                Err(not_found(format!("Group {} is not a consumer group.", self.id())))
            }
        }
    }
    /// JoinGroup to a consumer group that has members.
    pub(super) fn join_consumers(
        &mut self,
        request: JoinGroupRequest,
        joiner: Joiner<'_>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> JoinGroupResponse {
        let answer = match self.kind_mut() {
            Kind::Consumer(group) => {
                group.join_classic(request, joiner, env, fx).map_err(|refused| refused.code)
            }
            Kind::Simple | Kind::Classic(_) | Kind::Share(_) => Err(ErrorCode::InconsistentGroupProtocol),
        };
        self.settle_protocol(env, fx);
        answer.unwrap_or_else(|code| JoinGroupResponse { error_code: code.code(), ..Default::default() })
    }

    /// SyncGroup to a consumer group.
    pub(super) fn sync_consumers(&mut self, request: &SyncGroupRequest, env: &Env<'_>) -> SyncGroupResponse {
        let answer = match self.kind_mut() {
            Kind::Consumer(group) => group.sync_classic(request, env).map_err(|refused| refused.code),
            Kind::Simple | Kind::Classic(_) | Kind::Share(_) => Err(ErrorCode::UnknownMemberId),
        };
        answer.unwrap_or_else(|code| SyncGroupResponse { error_code: code.code(), ..Default::default() })
    }

    /// Heartbeat to a consumer group.
    pub(super) fn classic_heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        env: &Env<'_>,
    ) -> HeartbeatResponse {
        let answer = match self.kind_mut() {
            Kind::Consumer(group) => group.heartbeat_classic(request, env).map_err(|refused| refused.code),
            Kind::Simple | Kind::Classic(_) | Kind::Share(_) => Err(ErrorCode::UnknownMemberId),
        };
        answer.unwrap_or_else(|code| HeartbeatResponse { error_code: code.code(), ..Default::default() })
    }
}

fn not_found(message: String) -> Refused {
    Refused { code: ErrorCode::GroupIdNotFound, message }
}
