//! How members go: they say so, or they are put out.

use std::sync::Arc;

use sendlog_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::ConsumerGroup;
use super::change::Change;
use super::member::{AWAY_EPOCH, Holding, Owned};
use super::refused::Refused;
use crate::coordinator::group::{Effects, Env};

impl ConsumerGroup {
    /// A member leaves; a static one perhaps for a while only.
    pub(super) fn leave(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refused> {
        let (id, member) = self.present(&request.member_id, request.instance_id.as_deref())?;
        if request.member_epoch == AWAY_EPOCH && request.instance_id.is_some() {
            // It keeps what it has until it is back, or its session ends.
            let away = Holding { epoch: AWAY_EPOCH, revoking: Owned::new(), ..member.holding.clone() };
            self.emit(Change::Holding(Arc::clone(&id), Some(away)), fx);
            self.set_deadlines(&id, |deadlines| deadlines.revoke_ms = None);
            tracing::debug!(group = %self.id, member = ?id, "a static member is away");
        } else {
            tracing::debug!(group = %self.id, member = ?id, "a member leaves");
            self.fence(std::slice::from_ref(&id), env, fx);
        }
        Ok(ConsumerGroupHeartbeatResponse {
            member_id: Some(id.to_string()),
            member_epoch: request.member_epoch,
            ..Default::default()
        })
    }

    /// Puts members out: what they own is free.
    pub(super) fn fence(&mut self, ids: &[Arc<str>], env: &Env<'_>, fx: &mut Effects) {
        if ids.is_empty() {
            return;
        }
        for id in ids {
            self.remove_member(id, fx);
        }
        self.forget_unused_regexes(fx);
        self.bump(env, fx);
    }
}
