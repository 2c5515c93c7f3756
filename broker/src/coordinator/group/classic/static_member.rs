//! A static member comes back without its member id (KIP-345): it takes its old place under a new one.

use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::JoinGroupResponse;

use super::answers::{refuse_join, refuse_sync};
use super::join::Join;
use super::{ClassicGroup, State};
use crate::coordinator::group::{Effects, Env, Reply};

impl ClassicGroup {
    pub(super) fn replace_static_member(
        &mut self,
        join: Join<'_>,
        old_id: &str,
        new_id: &Arc<str>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Option<JoinGroupResponse> {
        let leader_before = self.leader().cloned();
        let reason = format!("static member {old_id} comes back as {new_id}: {}", join.reason);
        let can_skip_assignment = join.joiner.can_skip_assignment;
        self.fence(old_id, new_id, fx);
        // A session of the old length, as in Kafka: a heartbeat brings the new one.
        self.renew_session(new_id, env);
        match self.state {
            State::Stable => {
                let ticket = join.ticket;
                self.roster.update(new_id, join.update());
                if self.roster.select_protocol() == self.protocol {
                    fx.append(self.record());
                    return Some(self.joined_unchanged(
                        new_id,
                        leader_before.as_deref(),
                        can_skip_assignment,
                    ));
                }
                self.roster.park_join(new_id, ticket);
                self.rebalance(&reason, env, fx);
            }
            // The leader may have been told the old id and would assign to that.
            State::CompletingRebalance => {
                self.wait_to_join(new_id, join, fx);
                self.rebalance(&reason, env, fx);
            }
            State::Empty | State::PreparingRebalance(_) => {
                self.wait_to_join(new_id, join, fx);
                self.rebalance_or_complete(&reason, env, fx);
            }
        }
        None
    }

    /// Gives the member its new id. Whoever waits under the old one has been replaced.
    fn fence(&mut self, old_id: &str, new_id: &Arc<str>, fx: &mut Effects) {
        let (join, sync) = self.roster.rename(old_id, Arc::clone(new_id));
        if let Some(ticket) = join {
            fx.reply(ticket, Reply::Join(refuse_join(old_id, ErrorCode::FencedInstanceId)));
        }
        if let Some(ticket) = sync {
            fx.reply(ticket, Reply::Sync(refuse_sync(ErrorCode::FencedInstanceId)));
        }
        if self.unsynced.remove(old_id) {
            self.unsynced.insert(Arc::clone(new_id));
        }
    }

    /// The generation stands, and so does the assignment that SyncGroup returns. A leader must not assign anew, for nobody
    /// would hear of it: where it cannot be told so (before KIP-814) it is told that another one leads, its old self.
    fn joined_unchanged(&self, id: &str, leader_before: Option<&str>, can_skip: bool) -> JoinGroupResponse {
        if can_skip {
            JoinGroupResponse { skip_assignment: self.roster.is_leader(id), ..self.joined(id) }
        } else {
            self.joined_as_follower(id, leader_before)
        }
    }
}
