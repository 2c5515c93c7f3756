//! One group, of whatever kind: its members' state machine and its offsets.
//!
//! Decides which kind of group a request meets. Knows nothing of the log, of locks, or of who waits.

use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::group_records::GroupRecord;
use uuid::Uuid;

use super::classic::ClassicGroup;
use super::commit::CommitCheck;
use super::consumer::ConsumerGroup;
use super::offsets::Offsets;
use super::share::ShareGroup;
use super::{Effects, Env};

/// The first version of OffsetCommit that knows `GROUP_ID_NOT_FOUND`.
const FIRST_COMMIT_WITH_NOT_FOUND: i16 = 9;

/// A group.
#[derive(Debug)]
pub struct Group {
    id: Arc<str>,
    kind: Kind,
    offsets: Offsets,
    /// Whether a group that never had members is still told of without offsets.
    lingers: bool,
}

/// What kind of group it is.
#[derive(Debug)]
pub enum Kind {
    /// Offsets only, or nothing at all: nobody is a member.
    Simple,
    /// Of the classic protocol.
    Classic(Box<ClassicGroup>),
    /// Of the consumer protocol (KIP-848).
    Consumer(Box<ConsumerGroup>),
    /// A share group (KIP-932).
    Share(ShareGroup),
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub group_id: Arc<str>,
    /// What it is for.
    pub protocol_type: String,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// Kafka's name of its kind.
    pub kind: &'static str,
}

impl Group {
    /// A group of which nothing is known.
    #[must_use]
    pub fn new(id: Arc<str>) -> Self {
        Self { id, kind: Kind::Simple, offsets: Offsets::default(), lingers: false }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Its members' side.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Its members' side, to change it.
    pub fn kind_mut(&mut self) -> &mut Kind {
        &mut self.kind
    }

    /// Its offsets.
    #[must_use]
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// Its offsets, to change them.
    pub fn offsets_mut(&mut self) -> &mut Offsets {
        &mut self.offsets
    }

    /// Whether there is no such group, as far as clients can tell.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        matches!(self.kind, Kind::Simple) && self.offsets.is_empty() && !self.lingers
    }

    /// Its offsets may go before it does: until offsets are looked through for old ones it can be listed and deleted, as with
    /// Kafka. Nothing of that is stored.
    pub fn linger(&mut self) {
        self.lingers |= matches!(self.kind, Kind::Simple) && !self.offsets.is_empty();
    }

    /// Nothing keeps it any more.
    pub(super) fn stop_lingering(&mut self) {
        self.lingers = false;
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Simple => true,
            Kind::Classic(group) => group.is_empty(),
            Kind::Consumer(group) => group.is_empty(),
            Kind::Share(group) => group.is_empty(),
        }
    }

    /// The group in a list.
    #[must_use]
    pub fn listed(&self) -> Listed {
        let (protocol_type, state, kind) = match &self.kind {
            Kind::Simple => ("", "Empty", "classic"),
            Kind::Classic(group) => (group.protocol_type(), group.state_name(), "classic"),
            Kind::Consumer(group) => ("consumer", group.state_name(), "consumer"),
            Kind::Share(group) => ("share", group.state_name(), "share"),
        };
        Listed { group_id: Arc::clone(&self.id), protocol_type: protocol_type.to_owned(), state, kind }
    }

    /// When it next wants to be looked at, by the steady clock.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<i64> {
        match &self.kind {
            Kind::Simple => None,
            Kind::Classic(group) => group.next_deadline_ms(),
            Kind::Consumer(group) => group.next_deadline_ms(),
            Kind::Share(group) => group.next_deadline_ms(),
        }
    }

    /// Does what is due.
    pub fn on_deadline(&mut self, env: &Env<'_>, fx: &mut Effects) {
        match &mut self.kind {
            Kind::Simple => {}
            Kind::Classic(group) => {
                group.on_deadline(env, fx);
                self.drop_blank();
            }
            Kind::Consumer(group) => {
                group.on_deadline(env, fx);
                self.settle_protocol(env, fx);
            }
            Kind::Share(group) => group.on_deadline(env, fx),
        }
    }

    /// The log was read to its end.
    pub fn loaded(&mut self, env: &Env<'_>, fx: &mut Effects) {
        match &mut self.kind {
            Kind::Simple => {}
            Kind::Classic(group) => group.loaded(env, fx),
            Kind::Consumer(group) => group.loaded(env, fx),
            Kind::Share(group) => group.loaded(env, fx),
        }
    }

    /// Whether this commit may be made.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check_commit(&mut self, commit: &CommitCheck<'_>, env: &Env<'_>) -> Result<(), ErrorCode> {
        let is_vacant = self.is_vacant();
        match &mut self.kind {
            Kind::Simple if commit.generation_or_epoch < 0 => Ok(()),
            Kind::Simple if !is_vacant => Err(ErrorCode::UnknownMemberId),
            Kind::Simple if commit.version < FIRST_COMMIT_WITH_NOT_FOUND => Err(ErrorCode::IllegalGeneration),
            Kind::Simple => Err(ErrorCode::GroupIdNotFound),
            Kind::Classic(group) => group.check_commit(commit, env),
            Kind::Consumer(group) => group.check_commit(commit, env),
            // Its offsets are the broker's to keep.
            Kind::Share(_) => Err(ErrorCode::GroupIdNotFound),
        }
    }

    /// Whether a commit that may be made may be made of this partition.
    pub(super) fn check_commit_of(
        &self,
        commit: &CommitCheck<'_>,
        topic_id: Uuid,
        partition: i32,
    ) -> Result<(), ErrorCode> {
        match &self.kind {
            Kind::Consumer(group) => group.check_commit_of(commit, topic_id, partition),
            Kind::Simple | Kind::Classic(_) | Kind::Share(_) => Ok(()),
        }
    }

    /// Whether these may read the offsets.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check_fetch(&self, member_id: Option<&str>, member_epoch: i32) -> Result<(), ErrorCode> {
        match &self.kind {
            Kind::Simple => Ok(()),
            Kind::Classic(group) => group.check_fetch(member_id, member_epoch),
            Kind::Consumer(group) => group.check_fetch(member_id, member_epoch),
            // It has none, like a group that nobody knows: tools that ask all groups of a list for theirs take an error as a
            // failure.
            Kind::Share(_) => Ok(()),
        }
    }

    /// Whether single offsets may be deleted.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check_offset_delete(&self) -> Result<(), ErrorCode> {
        match &self.kind {
            Kind::Simple => Ok(()),
            Kind::Classic(group) => group.check_offset_delete(),
            Kind::Consumer(group) => group.check_offset_delete(),
            Kind::Share(_) => Err(ErrorCode::GroupIdNotFound),
        }
    }

    /// Whether a member wants this topic.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        match &self.kind {
            Kind::Simple => false,
            Kind::Classic(group) => group.is_subscribed(topic),
            Kind::Consumer(group) => group.is_subscribed(topic),
            Kind::Share(group) => group.is_subscribed(topic),
        }
    }

    /// Deletes the group with its offsets.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND`, `NON_EMPTY_GROUP`.
    pub fn delete(&mut self, fx: &mut Effects) -> Result<(), ErrorCode> {
        if self.is_vacant() {
            return Err(ErrorCode::GroupIdNotFound);
        }
        if !self.is_empty() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        fx.offsets.extend(self.offsets.forget_all());
        fx.records.extend(self.tombstones());
        self.kind = Kind::Simple;
        self.lingers = false;
        Ok(())
    }

    /// Records that delete the members' side.
    pub(super) fn tombstones(&self) -> Vec<GroupRecord> {
        match &self.kind {
            Kind::Simple => Vec::new(),
            Kind::Classic(group) => group.tombstones(),
            Kind::Consumer(group) => group.tombstones(),
            Kind::Share(group) => group.tombstones(),
        }
    }

    /// From when on the retention of an offset counts that was committed at this time; none: it does not run.
    pub(super) fn retention_base_ms(&self, commit_timestamp_ms: i64) -> Option<i64> {
        match &self.kind {
            Kind::Simple => Some(commit_timestamp_ms),
            Kind::Classic(group) => group.retention_base_ms(commit_timestamp_ms),
            Kind::Consumer(group) => group.retention_base_ms(commit_timestamp_ms),
            Kind::Share(_) => None,
        }
    }
}
