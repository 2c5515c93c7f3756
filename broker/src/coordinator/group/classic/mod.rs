//! Classic groups: the leader assigns, the coordinator gathers and hands out (KIP-62, 345, 394, 429, 559, 800, 814).
//!
//! ```text
//!            JoinGroup                all joined, or time is up             leader's SyncGroup
//!   Empty ------------> PreparingRebalance ------------> CompletingRebalance ------------> Stable
//!     ^                     |   ^                                |                            |
//!     +---- nobody left ----+   +--- a member joins, changes, leaves, fails, does not sync ---+
//! ```
//!
//! Two things reach the log, as in Kafka: a generation when its leader's assignment arrives, and that a group is empty. So
//! after a restart the last whole generation stands, with a session of full length for each member. A member of a
//! generation that was still being made is told by `ILLEGAL_GENERATION` or `UNKNOWN_MEMBER_ID` to join again.
//!
//! The state Dead has no place here: a group that is deleted is dropped by what owns it.
//!
//! Knows nothing of offsets, of other kinds of groups and of what is in metadata and assignments, but for a consumer's
//! topics (`subscription`). Events are in `join`, `sync`, `member_events` (heartbeats, leaving) and `expiry`; what
//! they have in common is in `rebalance`.

mod answers;
mod commits;
mod expiry;
mod join;
mod member;
mod member_events;
mod rebalance;
mod record;
mod roster;
mod static_member;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use sendlog_protocol::messages::{DescribedGroup, DescribedGroupMember};

use super::{Env, Moment};
use rebalance::Preparation;
use roster::Roster;
use subscription::CONSUMER_PROTOCOL_TYPE;

pub use join::Joiner;
pub use member::{ENTRY_BYTES, Member};

/// A classic group.
#[derive(Debug, Clone)]
pub struct ClassicGroup {
    id: Arc<str>,
    state: State,
    /// When the state began, by the wall clock; -1 if that is not known.
    state_since_ms: i64,
    /// 0 before the first one.
    generation: i32,
    /// What the group is for, such as `consumer`; stays when the group becomes empty.
    protocol_type: Option<String>,
    /// The assignor of the present generation.
    protocol: Option<String>,
    /// Topics of all members; `None` if they cannot be told.
    subscribed: Option<BTreeSet<String>>,
    roster: Roster,
    /// Members of the present generation that have not asked for their assignment.
    unsynced: BTreeSet<Arc<str>>,
    /// When those are given up.
    sync_deadline_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody is a member.
    Empty,
    /// Waits for members to join the next generation.
    PreparingRebalance(Preparation),
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Everyone has an assignment, or can have it.
    Stable,
}

impl ClassicGroup {
    /// A group that nobody has been in.
    #[must_use]
    pub fn new(id: &Arc<str>) -> Self {
        Self {
            id: Arc::clone(id),
            state: State::Empty,
            state_since_ms: -1,
            generation: 0,
            protocol_type: None,
            protocol: None,
            subscribed: None,
            roster: Roster::default(),
            unsynced: BTreeSet::new(),
            sync_deadline_ms: None,
        }
    }

    /// A stable group of the protocol type `consumer` with these members and their assignments, as a group of another kind
    /// leaves it. Sessions begin now.
    pub fn of_consumers(id: &Arc<str>, generation: i32, members: Vec<Member>, env: &Env<'_>) -> Self {
        let mut group = Self::new(id);
        group.state_since_ms = env.now.wall_ms;
        group.generation = generation;
        group.protocol_type = Some(CONSUMER_PROTOCOL_TYPE.to_owned());
        for member in members {
            group.roster.add(member);
        }
        group.protocol = group.roster.select_protocol();
        group.subscribed = group.subscribed_topics();
        if !group.roster.is_empty() {
            group.state = State::Stable;
        }
        group.begin_sessions(env);
        group
    }

    /// Its id.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Kafka's name of its state.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::PreparingRebalance(_) => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// Whether it may be deleted. A group that a member is about to join or has just left is not empty.
    pub fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Whether nobody has been in the group and nobody is about to be: it need not be there.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.state == State::Empty && self.generation == 0 && !self.roster.has_pending()
    }

    /// Its generation; 0 before the first one.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// What it is for, such as `consumer`; empty if nobody has said.
    pub fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// The assignor of the present generation.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Its members, by id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.roster.iter()
    }

    /// A member.
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.roster.get(id)
    }

    /// Id of the static member with this instance id.
    pub fn static_member(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.roster.of_instance(instance_id)
    }

    /// The member that assigns.
    pub fn leader(&self) -> Option<&Arc<str>> {
        self.roster.leader()
    }

    /// Whether its members are consumers.
    pub fn has_consumers(&self) -> bool {
        self.protocol_type() == CONSUMER_PROTOCOL_TYPE
    }

    /// For DescribeGroups. Members' metadata is shown while the group is stable, as by Kafka.
    pub fn describe(&self) -> DescribedGroup {
        let shown = if self.state == State::Stable { self.protocol.as_deref() } else { None };
        let member = |member: &Member| DescribedGroupMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            member_metadata: shown.map(|protocol| member.metadata(protocol)).unwrap_or_default(),
            member_assignment: member.assignment.clone(),
        };
        DescribedGroup {
            group_id: self.id.to_string(),
            group_state: self.state_name().to_owned(),
            protocol_type: self.protocol_type().to_owned(),
            protocol_data: shown.unwrap_or_default().to_owned(),
            members: self.roster.iter().map(member).collect(),
            ..DescribedGroup::default()
        }
    }

    fn change_state(&mut self, state: State, now: Moment) {
        self.state = state;
        self.state_since_ms = now.wall_ms;
    }

    /// Topics of all members, if the group's members are consumers and say which they want.
    fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.has_consumers() {
            return None;
        }
        let mut subscribed = BTreeSet::new();
        for member in self.roster.iter() {
            subscribed.extend(subscription::topics(member.metadata(self.protocol.as_deref()?))?);
        }
        Some(subscribed)
    }
}
