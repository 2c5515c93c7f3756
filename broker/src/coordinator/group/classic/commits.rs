//! What a classic group says to OffsetCommit and OffsetDelete, and to the expiry of offsets.

use sendlog_protocol::error_code::ErrorCode;

use super::{ClassicGroup, State};
use crate::coordinator::group::Env;

/// Since when an offset that nobody committed again is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetsExpire {
    /// It stays.
    Never,
    /// Since it was committed.
    SinceCommit,
    /// Since this time on the wall clock, when the group became empty.
    Since(i64),
}

impl ClassicGroup {
    /// Whether a commit is taken. A generation below zero is that of a client outside of the group's management.
    ///
    /// # Errors
    /// What Kafka answers.
    pub fn check_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation < 0 && member_id.is_empty() && instance_id.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.roster.validate(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match self.state {
            // Its member has the generation from JoinGroup, and not its part of it.
            State::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Empty | State::PreparingRebalance(_) | State::Stable => Ok(()),
        }
    }

    /// A commit that was taken shows that its member is alive.
    pub fn note_commit(&mut self, member_id: &str, env: &Env<'_>) {
        if matches!(self.state, State::PreparingRebalance(_) | State::Stable) {
            self.renew_session(member_id, env);
        }
    }

    /// Whether offsets may be deleted of topics that no member subscribes to.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` if the group has members and it is not known what they read.
    pub fn check_offset_delete(&self) -> Result<(), ErrorCode> {
        if self.state == State::Empty || self.has_consumers() { Ok(()) } else { Err(ErrorCode::NonEmptyGroup) }
    }

    /// Whether a member reads this topic, as far as it can be told; without telling, consumers read every one.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or(self.has_consumers(), |topics| topics.contains(topic))
    }

    /// Which offsets go, of topics without a subscriber.
    pub fn offsets_expire(&self) -> OffsetsExpire {
        match self.state {
            _ if self.protocol_type().is_empty() => OffsetsExpire::SinceCommit,
            State::Empty if self.state_since_ms < 0 => OffsetsExpire::SinceCommit,
            State::Empty => OffsetsExpire::Since(self.state_since_ms),
            State::Stable if self.has_consumers() && self.subscribed.is_some() => OffsetsExpire::SinceCommit,
            State::Stable | State::PreparingRebalance(_) | State::CompletingRebalance => OffsetsExpire::Never,
        }
    }
}
