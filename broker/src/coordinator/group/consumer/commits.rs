//! What the group says to those who commit and fetch offsets.

use sendlog_protocol::error_code::ErrorCode;
use uuid::Uuid;

use super::ConsumerGroup;
use super::member::Member;
use crate::coordinator::group::Env;
use crate::coordinator::group::commit::CommitCheck;

/// First version of OffsetCommit that knows the errors of members of the consumer protocol.
const COMMIT_FROM: i16 = 9;

impl ConsumerGroup {
    /// Whether a commit is taken, as far as that can be said for all of its partitions: see [`Self::check_commit_of`].
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check_commit(&mut self, commit: &CommitCheck<'_>, _env: &Env<'_>) -> Result<(), ErrorCode> {
        // From the tools, or from a client that manages no group.
        if commit.generation_or_epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(commit.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !member.profile.is_classic() && commit.version < COMMIT_FROM {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if member.holding.epoch < commit.generation_or_epoch { Err(stale(member)) } else { Ok(()) }
    }

    /// Whether a commit that [`Self::check_commit`] lets pass may be made of this partition. A member may be behind: it may
    /// commit what it got no later than at its epoch, and still holds (KIP-1251).
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check_commit_of(
        &self,
        commit: &CommitCheck<'_>,
        topic_id: Uuid,
        partition: i32,
    ) -> Result<(), ErrorCode> {
        let Some(member) = self.members.get(commit.member_id) else { return Ok(()) };
        let received = commit.generation_or_epoch;
        if received == member.holding.epoch {
            return Ok(());
        }
        let since = member.holding.assigned_epoch(topic_id, partition);
        if since.is_some_and(|since| since <= received) { Ok(()) } else { Err(stale(member)) }
    }

    /// Whether these may read the offsets; an epoch below 0 without a member is a tool's.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check_fetch(&self, member_id: Option<&str>, member_epoch: i32) -> Result<(), ErrorCode> {
        let member = match member_id {
            None if member_epoch < 0 => return Ok(()),
            None => return Err(ErrorCode::UnknownMemberId),
            Some(id) => self.members.get(id).ok_or(ErrorCode::UnknownMemberId)?,
        };
        if member_epoch == member.holding.epoch { Ok(()) } else { Err(stale(member)) }
    }

    /// Whether single offsets may be deleted: of topics without a subscriber, always.
    ///
    /// # Errors
    /// None.
    pub fn check_offset_delete(&self) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// From when on the retention of an offset counts that was committed at this time, if nobody reads its topic.
    #[must_use]
    pub fn retention_base_ms(&self, commit_timestamp_ms: i64) -> Option<i64> {
        Some(commit_timestamp_ms)
    }
}

fn stale(member: &Member) -> ErrorCode {
    if member.profile.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}
