//! What happens to members because time passes.

use std::sync::Arc;

use super::ConsumerGroup;
use super::member::{Deadlines, State};
use super::pace::session_timeout_ms;
use crate::coordinator::group::{Effects, Env};

impl ConsumerGroup {
    /// When [`Self::on_deadline`] has something to do, by the steady clock. It may turn out to be nothing: a heartbeat moves
    /// its member's deadline and not this.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.wake_ms
    }

    /// Removes members that were silent, or did not let go, for too long.
    pub fn on_deadline(&mut self, env: &Env<'_>, fx: &mut Effects) {
        let is_due = |deadline_ms: Option<i64>| deadline_ms.is_some_and(|at_ms| at_ms <= env.now.steady_ms);
        let mut due = Vec::new();
        for (id, member) in &self.members {
            let deadlines = &member.deadlines;
            let reason = if is_due(deadlines.session_ms) {
                "its session timed out"
            } else if is_due(deadlines.revoke_ms) {
                "it did not give up its partitions in time"
            } else if is_due(deadlines.join_ms) {
                "it did not join again in time"
            } else if is_due(deadlines.sync_ms) {
                "it did not fetch its assignment in time"
            } else {
                continue;
            };
            tracing::debug!(group = %self.id, member = ?id, "the member is removed: {reason}");
            due.push(Arc::clone(id));
        }
        self.fence(&due, env, fx);
        self.wake_ms = self.members.values().filter_map(|member| member.deadlines.earliest_ms()).min();
    }

    /// Changes the deadlines of a member.
    pub(super) fn set_deadlines(&mut self, id: &str, change: impl FnOnce(&mut Deadlines)) {
        let Some(member) = self.members.get_mut(id) else { return };
        change(&mut member.deadlines);
        let earliest_ms = member.deadlines.earliest_ms();
        self.wake_ms = [self.wake_ms, earliest_ms].into_iter().flatten().min();
    }

    /// The member was heard of.
    pub(super) fn renew_session(&mut self, id: &str, env: &Env<'_>) {
        let Some(member) = self.members.get(id) else { return };
        let classic = member.profile.classic.as_ref().map(|classic| i64::from(classic.session_timeout_ms));
        let until_ms = env.now.steady_ms + classic.unwrap_or_else(|| session_timeout_ms(env));
        self.set_deadlines(id, |deadlines| deadlines.session_ms = Some(until_ms));
    }

    /// Gives every member its full time from now on.
    pub(super) fn begin_deadlines(&mut self, env: &Env<'_>) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            self.renew_session(&id, env);
            self.expect_revocation(&id, env);
        }
    }

    /// A member that was told to give up partitions has its rebalance time-out for that; one that was not is not waited for.
    pub(super) fn expect_revocation(&mut self, id: &str, env: &Env<'_>) {
        let Some(member) = self.members.get(id) else { return };
        let waits = member.holding.state == State::UnrevokedPartitions && !member.profile.is_classic();
        let until_ms = env.now.steady_ms + i64::from(member.profile.rebalance_timeout_ms.max(0));
        self.set_deadlines(id, |deadlines| deadlines.revoke_ms = waits.then_some(until_ms));
    }
}
