//! Share groups' membership (KIP-932): who reads which partitions. There is no reconciliation: members may share partitions,
//! so each gets its target at once.
//!
//! Which records a member has is not known here: [`crate::coordinator::share`] knows.

mod assignor;
mod error;
mod heartbeat;
mod member;
mod offsets;
mod records;
mod replay;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::{Effects, Env, TopicsImage};

pub use assignor::Assignment;
pub use error::ShareGroupError;
pub use heartbeat::{Heartbeat, HeartbeatAnswer};
pub use member::ShareMember;

/// A share group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareGroup {
    id: Arc<str>,
    epoch: i32,
    /// Tells two states of the subscribed topics apart.
    metadata_hash: i64,
    assignment_epoch: i32,
    assignment_timestamp_ms: i64,
    members: BTreeMap<Arc<str>, ShareMember>,
    target: BTreeMap<Arc<str>, Assignment>,
    /// Partitions that the group has read or will.
    initialized: BTreeMap<Uuid, InitializedTopic>,
    /// The topics that the last heartbeat has seen; not stored.
    topics_version: Option<u64>,
}

/// A topic whose partitions the group keeps a state of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct InitializedTopic {
    name: Arc<str>,
    partitions: BTreeSet<i32>,
    /// Those of them that came when the group knew the topic already.
    added: BTreeSet<i32>,
}

impl ShareGroup {
    /// Without members.
    #[must_use]
    pub fn new(group_id: &str) -> Self {
        Self {
            id: group_id.into(),
            epoch: 0,
            metadata_hash: 0,
            assignment_epoch: 0,
            assignment_timestamp_ms: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            initialized: BTreeMap::new(),
            topics_version: None,
        }
    }

    /// The group's epoch: rises with members, subscriptions and topics.
    #[must_use]
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The epoch of the target assignment.
    #[must_use]
    pub fn assignment_epoch(&self) -> i32 {
        self.assignment_epoch
    }

    /// Its members, by id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &ShareMember)> {
        self.members.iter()
    }

    /// When a member's session ends next, by the steady clock.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.members.values().map(|member| member.session_until_ms).min()
    }

    /// Gives up members that have not reported for too long. What they have goes back.
    pub fn on_deadline(&mut self, env: &Env<'_>, fx: &mut Effects) {
        let due = self.members.iter().filter(|(_, member)| member.session_until_ms <= env.now.steady_ms);
        let due: Vec<Arc<str>> = due.map(|(id, _)| Arc::clone(id)).collect();
        for member_id in due {
            tracing::info!(group = %self.id, member = %member_id, "a member of a share group was silent for too long");
            self.remove(&member_id, env.topics, fx);
            fx.silent_share_members.push(member_id);
        }
    }

    /// The log was read to its end: sessions begin anew.
    pub fn loaded(&mut self, env: &Env<'_>, _fx: &mut Effects) {
        let until_ms = env.now.steady_ms.saturating_add(session_timeout_ms(env));
        self.members.values_mut().for_each(|member| member.session_until_ms = until_ms);
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Kafka's name of its state.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        if self.is_empty() { "Empty" } else { "Stable" }
    }

    /// Whether a member wants this topic.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.topics.contains(topic))
    }

    /// Takes a member out. Its share session is another matter: one that leaves may still acknowledge what it has, and its
    /// session ends by its final epoch or with its connection.
    fn remove(&mut self, member_id: &Arc<str>, topics: &TopicsImage, fx: &mut Effects) {
        self.members.remove(member_id);
        self.target.remove(member_id);
        self.append_member_tombstones(member_id, fx);
        self.bump(topics, fx);
    }

    /// A new epoch: the next heartbeat makes a new assignment.
    fn bump(&mut self, topics: &TopicsImage, fx: &mut Effects) {
        self.epoch = self.epoch.saturating_add(1);
        self.metadata_hash = self.hash_of(topics);
        self.append_metadata(fx);
    }

    /// The same for the same state of the subscribed topics.
    fn hash_of(&self, topics: &TopicsImage) -> i64 {
        // FNV-1a: nothing depends on its value, only on its being another one.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut mix = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        for topic in self.subscribed().iter().filter_map(|name| topics.by_name(name)) {
            mix(topic.name.as_bytes());
            mix(topic.id.as_bytes());
            mix(&topic.partitions.to_be_bytes());
        }
        hash.cast_signed()
    }

    /// Names of all topics that members read.
    fn subscribed(&self) -> BTreeSet<Arc<str>> {
        self.members.values().flat_map(|member| member.topics.iter().cloned()).collect()
    }
}

/// How long a member may be silent.
fn session_timeout_ms(env: &Env<'_>) -> i64 {
    env.group.share_session_timeout_ms.into()
}
