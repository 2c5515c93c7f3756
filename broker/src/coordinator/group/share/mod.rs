//! A group of share groups (KIP-932).

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::group_records::GroupRecord;

use super::commit::CommitCheck;
use super::{Effects, Env};

/// A group of share groups (KIP-932).
#[derive(Debug, Default)]
pub struct ShareGroup {}

impl ShareGroup {
    /// Without members.
    #[must_use]
    pub fn new(_group_id: &str) -> Self {
        Self {}
    }

    /// When the group next wants to be looked at, by the steady clock.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<i64> {
        None
    }

    /// Does what is due.
    pub fn on_deadline(&mut self, _env: &Env<'_>, _fx: &mut Effects) {}

    /// Takes over a record of the log.
    pub fn replay(&mut self, _record: &GroupRecord) {}

    /// The log was read to its end.
    pub fn loaded(&mut self, _env: &Env<'_>, _fx: &mut Effects) {}

    /// All records that [`Self::replay`] needs to make the group again.
    #[must_use]
    pub fn snapshot(&self) -> Vec<GroupRecord> {
        Vec::new()
    }

    /// Records that delete the group.
    #[must_use]
    pub fn tombstones(&self) -> Vec<GroupRecord> {
        Vec::new()
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Kafka's name of its state.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        "Empty"
    }

    /// What the group is for, as ListGroups says it.
    #[must_use]
    pub fn protocol_type(&self) -> &str {
        ""
    }

    /// Whether this commit may be made.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check_commit(&mut self, _commit: &CommitCheck<'_>, _env: &Env<'_>) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Whether a member may read the offsets; an epoch below 0 is nobody's.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check_fetch(&self, _member_id: Option<&str>, _member_epoch: i32) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Whether single offsets may be deleted.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check_offset_delete(&self) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Whether a member wants this topic.
    #[must_use]
    pub fn is_subscribed(&self, _topic: &str) -> bool {
        false
    }

    /// From when on the retention of an offset counts that was committed at this time; none: it does not run.
    #[must_use]
    pub fn retention_base_ms(&self, commit_timestamp_ms: i64) -> Option<i64> {
        Some(commit_timestamp_ms)
    }
}
