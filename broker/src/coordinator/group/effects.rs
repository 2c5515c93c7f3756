//! What an event makes happen outside of the group.

use std::sync::Arc;

use sendlog_protocol::group_records::GroupRecord;
use sendlog_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::offsets::OffsetChange;

/// The right of a parked request to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The answer to a request that was parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To JoinGroup.
    Join(JoinGroupResponse),
    /// To SyncGroup.
    Sync(SyncGroupResponse),
}

/// Collected by one event.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be appended, in this order and as one batch; replies wait until that is durable.
    pub records: Vec<GroupRecord>,
    /// Answers to parked requests.
    pub replies: Vec<(Ticket, Reply)>,
    /// Members of a share group that were silent for too long: what they have of its records goes to others.
    pub silent_share_members: Vec<Arc<str>>,
    /// Committed offsets to store or to forget, in the same batch. They count when that is durable, and not at all if it is
    /// refused.
    pub offsets: Vec<OffsetChange>,
}

impl Effects {
    /// Has a record appended.
    pub fn append(&mut self, record: GroupRecord) {
        self.records.push(record);
    }

    /// Answers a parked request.
    pub fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.replies.push((ticket, reply));
    }
}

impl Reply {
    /// The same answer to a request whose event could not be stored.
    #[must_use]
    pub fn refused(self, error_code: i16) -> Self {
        match self {
            Self::Join(answer) => {
                let member_id = answer.member_id;
                Self::Join(JoinGroupResponse { error_code, member_id, ..Default::default() })
            }
            Self::Sync(_) => Self::Sync(SyncGroupResponse { error_code, ..Default::default() }),
        }
    }
}
