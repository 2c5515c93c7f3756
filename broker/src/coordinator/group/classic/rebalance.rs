//! From one generation to the next.

use std::sync::Arc;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;

use super::answers::{refuse_join, refuse_sync};
use super::{ClassicGroup, State};
use crate::coordinator::group::{Effects, Env, Reply};

/// The wait for members to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparation {
    /// When it ends, by the steady clock.
    pub deadline_ms: i64,
    /// Set if the group was empty before.
    pub initial: Option<InitialDelay>,
}

/// The first members of a group are given time to come together (KIP-134).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitialDelay {
    /// How long this step of the wait takes.
    pub step_ms: i64,
    /// How much longer the wait may become.
    pub remaining_ms: i64,
    /// Whether a member came during this step, after the first one: then another step follows.
    pub member_came: bool,
}

impl ClassicGroup {
    /// Begins the next generation unless it is begun; completes it if nobody is missing.
    pub(super) fn rebalance_or_complete(&mut self, reason: &str, env: &Env<'_>, fx: &mut Effects) {
        match self.state {
            State::PreparingRebalance(_) => self.complete_if_all_joined(env, fx),
            State::Empty | State::CompletingRebalance | State::Stable => self.rebalance(reason, env, fx),
        }
    }

    /// Has all members join again.
    pub fn rebalance(&mut self, reason: &str, env: &Env<'_>, fx: &mut Effects) {
        let generation = self.generation;
        tracing::debug!(group = %self.id, state = self.state_name(), generation, ?reason, "the group rebalances");
        if self.state == State::CompletingRebalance {
            self.take_assignments_back(ErrorCode::RebalanceInProgress, env, fx);
        }
        self.stop_expecting_syncs();
        let wait_ms = self.roster.rebalance_timeout_ms();
        let preparation = if self.state == State::Empty {
            let step_ms = i64::from(env.config.groups.classic.initial_rebalance_delay_ms);
            let remaining_ms = (wait_ms - step_ms).max(0);
            let initial = InitialDelay { step_ms, remaining_ms, member_came: false };
            Preparation { deadline_ms: env.now.steady_ms + step_ms, initial: Some(initial) }
        } else {
            Preparation { deadline_ms: env.now.steady_ms + wait_ms, initial: None }
        };
        self.change_state(State::PreparingRebalance(preparation), env.now);
        self.complete_if_all_joined(env, fx);
    }

    /// Completes the next generation if nobody is missing. The first one of a group takes its time all the same.
    pub(super) fn complete_if_all_joined(&mut self, env: &Env<'_>, fx: &mut Effects) {
        if let State::PreparingRebalance(Preparation { initial: None, .. }) = self.state
            && self.roster.all_joined()
        {
            self.complete_join(env, fx);
        }
    }

    /// Ends the wait for members, with those that are there.
    pub(super) fn complete_join(&mut self, env: &Env<'_>, fx: &mut Effects) {
        for id in self.roster.absent_dynamic() {
            tracing::debug!(group = %self.id, member = ?id, "the member did not join in time and is removed");
            self.remove_member(&id, fx);
        }
        if !self.roster.is_empty() && !self.roster.elect_joined_leader() {
            // Static members keep their place until their session ends, but none of them is there to lead.
            let deadline_ms = env.now.steady_ms + self.roster.rebalance_timeout_ms();
            self.state = State::PreparingRebalance(Preparation { deadline_ms, initial: None });
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.roster.select_protocol();
        self.subscribed = self.subscribed_topics();
        self.stop_expecting_syncs();
        if self.roster.is_empty() {
            self.change_state(State::Empty, env.now);
            fx.append(self.record());
            tracing::info!(group = %self.id, generation = self.generation, "the group is empty");
        } else {
            self.change_state(State::CompletingRebalance, env.now);
            self.answer_joins(env, fx);
            let members = self.roster.len();
            tracing::info!(group = %self.id, generation = self.generation, members, "all members have joined");
        }
    }

    /// Takes a member out; what waits for it is answered, so that a client that still lives joins anew.
    pub(super) fn remove_member(&mut self, id: &str, fx: &mut Effects) {
        self.unsynced.remove(id);
        let Some(member) = self.roster.remove(id) else { return };
        if let Some(ticket) = member.awaiting_join {
            fx.reply(ticket, Reply::Join(refuse_join("", ErrorCode::UnknownMemberId)));
        }
        if let Some(ticket) = member.awaiting_sync {
            fx.reply(ticket, Reply::Sync(refuse_sync(ErrorCode::UnknownMemberId)));
        }
    }

    /// Answers everything that waits here: the group will be of another kind.
    pub fn refuse_waiting(&mut self, error: ErrorCode, fx: &mut Effects) {
        for id in self.roster.ids() {
            if let Some(ticket) = self.roster.unpark_join(&id) {
                fx.reply(ticket, Reply::Join(refuse_join(&id, error)));
            }
            if let Some(ticket) = self.roster.unpark_sync(&id) {
                fx.reply(ticket, Reply::Sync(refuse_sync(error)));
            }
        }
    }

    /// Nobody has an assignment any more; those that wait for one are told why.
    pub(super) fn take_assignments_back(&mut self, error: ErrorCode, env: &Env<'_>, fx: &mut Effects) {
        for id in self.roster.ids() {
            self.roster.assign(&id, Bytes::new());
            if let Some(ticket) = self.roster.unpark_sync(&id) {
                fx.reply(ticket, Reply::Sync(refuse_sync(error)));
                self.renew_session(&id, env);
            }
        }
    }

    /// Gives a member its session time-out from now on.
    pub(super) fn renew_session(&mut self, id: &str, env: &Env<'_>) {
        let Some(member) = self.roster.get(id) else { return };
        let deadline_ms = env.now.steady_ms + i64::from(member.session_timeout_ms);
        self.roster.keep_until(id, deadline_ms);
    }

    /// Gives every member its session time-out from now on.
    pub(super) fn begin_sessions(&mut self, env: &Env<'_>) {
        for id in self.roster.ids() {
            self.renew_session(&id, env);
        }
    }

    pub(super) fn stop_expecting_syncs(&mut self) {
        self.unsynced.clear();
        self.sync_deadline_ms = None;
    }

    /// Tells all that wait of the generation, and expects the SyncGroup of every member.
    fn answer_joins(&mut self, env: &Env<'_>, fx: &mut Effects) {
        for id in self.roster.ids() {
            if let Some(ticket) = self.roster.unpark_join(&id) {
                fx.reply(ticket, Reply::Join(self.joined(&id)));
            }
            self.renew_session(&id, env);
            self.roster.settle(&id);
            self.unsynced.insert(Arc::clone(&id));
        }
        self.sync_deadline_ms = Some(env.now.steady_ms + self.roster.rebalance_timeout_ms());
    }
}
