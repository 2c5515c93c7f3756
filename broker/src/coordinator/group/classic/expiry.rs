//! What happens because time passes.

use super::rebalance::{InitialDelay, Preparation};
use super::{ClassicGroup, State};
use crate::coordinator::group::{Effects, Env};

impl ClassicGroup {
    /// When [`ClassicGroup::on_deadline`] has something to do, by the steady clock. It may turn out to be nothing: a
    /// heartbeat moves a member's deadline and not this.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let prepared_ms = match self.state {
            State::PreparingRebalance(preparation) => Some(preparation.deadline_ms),
            State::Empty | State::CompletingRebalance | State::Stable => None,
        };
        [prepared_ms, self.sync_deadline_ms, self.roster.sessions_due_ms()].into_iter().flatten().min()
    }

    /// Ends all waits that are over.
    pub fn on_deadline(&mut self, env: &Env<'_>, fx: &mut Effects) {
        let now_ms = env.now.steady_ms;
        if let State::PreparingRebalance(preparation) = self.state
            && preparation.deadline_ms <= now_ms
        {
            self.end_preparation(preparation, env, fx);
        }
        if self.sync_deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            self.remove_unsynced(env, fx);
        }
        self.remove_silent(env, fx);
    }

    fn end_preparation(&mut self, preparation: Preparation, env: &Env<'_>, fx: &mut Effects) {
        let Some(InitialDelay { step_ms, remaining_ms, member_came }) = preparation.initial else {
            return self.complete_join(env, fx);
        };
        if !member_came || remaining_ms == 0 {
            return self.complete_join(env, fx);
        }
        let next = InitialDelay {
            step_ms: i64::from(env.config.groups.classic.initial_rebalance_delay_ms).min(remaining_ms),
            remaining_ms: (remaining_ms - step_ms).max(0),
            member_came: false,
        };
        let deadline_ms = env.now.steady_ms + next.step_ms;
        self.state = State::PreparingRebalance(Preparation { deadline_ms, initial: Some(next) });
    }

    /// Members that know the generation and never asked for their part of it: nothing was heard of them since.
    fn remove_unsynced(&mut self, env: &Env<'_>, fx: &mut Effects) {
        let unsynced = std::mem::take(&mut self.unsynced);
        self.sync_deadline_ms = None;
        for id in &unsynced {
            tracing::debug!(group = %self.id, member = ?id, "the member did not sync in time and is removed");
            self.remove_member(id, fx);
        }
        if !unsynced.is_empty() {
            self.rebalance("members did not sync in time", env, fx);
        }
    }

    fn remove_silent(&mut self, env: &Env<'_>, fx: &mut Effects) {
        let expired = self.roster.expire(env.now.steady_ms);
        for id in &expired.members {
            tracing::debug!(group = %self.id, member = ?id, "the member's session timed out and it is removed");
            self.remove_member(id, fx);
        }
        if !expired.members.is_empty() {
            self.rebalance_or_complete("sessions timed out", env, fx);
        } else if 0 < expired.pending {
            self.complete_if_all_joined(env, fx);
        }
    }
}
