//! SyncGroup.

use std::collections::HashMap;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};

use super::answers::refuse_sync;
use super::{ClassicGroup, State};
use crate::coordinator::group::{Effects, Env, Reply, Ticket};

impl ClassicGroup {
    /// A member asks for its assignment, or brings everyone's. `None`: the answer to `ticket` is a reply, of this event or
    /// a later one.
    pub fn sync(
        &mut self,
        request: SyncGroupRequest,
        ticket: Ticket,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Option<SyncGroupResponse> {
        if let Err(error) = self.check_sync(&request) {
            return Some(refuse_sync(error));
        }
        match self.state {
            // There are no members in an empty group.
            State::Empty => Some(refuse_sync(ErrorCode::UnknownMemberId)),
            State::PreparingRebalance(_) => Some(refuse_sync(ErrorCode::RebalanceInProgress)),
            State::CompletingRebalance => {
                self.note_synced(&request.member_id);
                if let Some(earlier) = self.roster.park_sync(&request.member_id, ticket) {
                    fx.reply(earlier, Reply::Sync(refuse_sync(ErrorCode::RebalanceInProgress)));
                }
                if self.roster.is_leader(&request.member_id) {
                    self.assign(request.assignments, env, fx);
                }
                None
            }
            State::Stable => {
                self.note_synced(&request.member_id);
                let member = self.roster.get(&request.member_id);
                Some(self.synced(member.map(|member| member.assignment.clone()).unwrap_or_default()))
            }
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        self.roster.validate(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let is_other =
            |said: &Option<String>, is: &Option<String>| said.is_some() && is.is_some() && said != is;
        if is_other(&request.protocol_type, &self.protocol_type)
            || is_other(&request.protocol_name, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn note_synced(&mut self, id: &str) {
        self.unsynced.remove(id);
        if self.unsynced.is_empty() {
            self.sync_deadline_ms = None;
        }
    }

    /// The leader's assignment makes the generation whole: it goes to the log and to everyone that waits.
    fn assign(&mut self, assignments: Vec<SyncGroupRequestAssignment>, env: &Env<'_>, fx: &mut Effects) {
        let mut by_id: HashMap<String, Bytes> =
            assignments.into_iter().map(|given| (given.member_id, given.assignment)).collect();
        for id in self.roster.ids() {
            let assignment = by_id.remove(&*id).unwrap_or_default();
            // In memory of its own: a slice would keep the whole request's frame.
            self.roster.assign(&id, Bytes::copy_from_slice(&assignment));
        }
        if env.config.groups.classic.members_bytes_max < self.roster.bytes() {
            tracing::warn!(group = %self.id, bytes = self.roster.bytes(), "an assignment is too large to be stored");
            self.take_assignments_back(ErrorCode::UnknownServerError, env, fx);
            self.rebalance("the assignment is too large", env, fx);
            return;
        }
        self.change_state(State::Stable, env.now);
        fx.append(self.record());
        for id in self.roster.ids() {
            let Some(ticket) = self.roster.unpark_sync(&id) else { continue };
            let assignment = self.roster.get(&id).map(|member| member.assignment.clone()).unwrap_or_default();
            fx.reply(ticket, Reply::Sync(self.synced(assignment)));
            self.renew_session(&id, env);
        }
    }
}
