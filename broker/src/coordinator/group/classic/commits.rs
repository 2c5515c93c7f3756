//! What a classic group says to OffsetCommit, OffsetFetch and OffsetDelete, and to the expiry of offsets.

use sendlog_protocol::error_code::ErrorCode;

use super::{ClassicGroup, State};
use crate::coordinator::group::Env;
use crate::coordinator::group::commit::CommitCheck;

impl ClassicGroup {
    /// Whether a commit is taken; if it is, its member is alive. A generation below zero is that of a client outside of the
    /// group's management.
    ///
    /// # Errors
    /// What Kafka answers.
    pub fn check_commit(&mut self, commit: &CommitCheck<'_>, env: &Env<'_>) -> Result<(), ErrorCode> {
        let &CommitCheck { member_id, instance_id, generation_or_epoch: generation, .. } = commit;
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
        if self.state == State::CompletingRebalance {
            // Its member has the generation from JoinGroup, and not its part of it.
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.renew_session(member_id, env);
        Ok(())
    }

    /// Whether offsets may be read: by anyone.
    ///
    /// # Errors
    /// None.
    pub fn check_fetch(&self, _member_id: Option<&str>, _member_epoch: i32) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Whether offsets may be deleted of topics that no member subscribes to.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` if the group has members and it is not known what they read.
    pub fn check_offset_delete(&self) -> Result<(), ErrorCode> {
        if self.state == State::Empty || self.has_consumers() {
            Ok(())
        } else {
            Err(ErrorCode::NonEmptyGroup)
        }
    }

    /// Whether a member reads this topic, as far as it can be told; without telling, consumers read every one.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or(self.has_consumers(), |topics| topics.contains(topic))
    }

    /// From when on the retention of an offset counts that was committed at this time; none: it does not run (KIP-211).
    #[must_use]
    pub fn retention_base_ms(&self, commit_timestamp_ms: i64) -> Option<i64> {
        match self.state {
            State::Empty if self.protocol_type.is_some() && 0 <= self.state_since_ms => {
                Some(self.state_since_ms)
            }
            State::Empty => Some(commit_timestamp_ms),
            // Of topics that nobody reads any more.
            State::Stable if self.has_consumers() && self.subscribed.is_some() => Some(commit_timestamp_ms),
            State::Stable | State::PreparingRebalance(_) | State::CompletingRebalance => None,
        }
    }
}
