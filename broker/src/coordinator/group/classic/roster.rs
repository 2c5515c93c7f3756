//! Who is in a classic group: its members, the static ones by instance id, those that were given an id and have yet to
//! join with it, and the leader.
//!
//! Knows no state of the group and answers nobody. What it counts (protocols, waiting members, bytes) it counts where
//! members come, change and go, so that no request walks over all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::JoinGroupRequestProtocol;

use super::member::{ENTRY_BYTES, Member, protocols_bytes};
use crate::coordinator::group::Ticket;

/// About what an id takes that is expected back.
const PENDING_BYTES: usize = 4 * ENTRY_BYTES;

/// The members.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    members: BTreeMap<Arc<str>, Member>,
    by_instance: BTreeMap<String, Arc<str>>,
    /// Deadlines of those that have yet to join with their id.
    pending: BTreeMap<Arc<str>, i64>,
    /// How many members know each protocol.
    supporters: BTreeMap<String, usize>,
    awaiting_join: usize,
    leader: Option<Arc<str>>,
    bytes: usize,
    /// Nobody's deadline is earlier. Heartbeats move deadlines and not this, so that they cost nothing.
    sessions_due_ms: Option<i64>,
}

/// Whose time is over.
#[derive(Debug, Default)]
pub struct Expired {
    /// Members.
    pub members: Vec<Arc<str>>,
    /// Some that never joined with the id they were given.
    pub pending: usize,
}

impl Roster {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Every member, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// A member.
    pub fn get(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    /// Id of the static member with this instance id.
    pub fn of_instance(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.by_instance.get(instance_id)
    }

    /// The leader's id.
    pub fn leader(&self) -> Option<&Arc<str>> {
        self.leader.as_ref()
    }

    /// Whether this is the leader's id.
    pub fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// About what the members take in memory, and the ids that are expected back.
    pub fn bytes(&self) -> usize {
        self.bytes + self.pending.len() * PENDING_BYTES
    }

    /// How many members have a JoinGroup waiting.
    pub fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    /// Whether nobody is missing for the next generation.
    pub fn all_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending.is_empty()
    }

    /// Ids of members without a waiting JoinGroup that do not keep their place: the dynamic ones.
    pub fn absent_dynamic(&self) -> Vec<Arc<str>> {
        let absent = |member: &&Member| member.awaiting_join.is_none() && member.instance_id.is_none();
        self.members.values().filter(absent).map(|member| Arc::clone(&member.id)).collect()
    }

    /// The longest wait that a member asks for.
    pub fn rebalance_timeout_ms(&self) -> i64 {
        let longest = self.members.values().map(|member| member.rebalance_timeout_ms).max();
        i64::from(longest.unwrap_or(0).max(0))
    }

    /// Whether a request may speak for a member.
    ///
    /// # Errors
    /// `UNKNOWN_MEMBER_ID`, or `FENCED_INSTANCE_ID` if the instance id belongs to another member by now.
    pub fn validate(&self, id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.by_instance.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(owner) if **owner != *id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether every member knows one of these protocols.
    pub fn supports(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        let all = self.members.len();
        protocols.iter().any(|protocol| self.supporters.get(&protocol.name).copied().unwrap_or(0) == all)
    }

    /// The protocol that most members like best among those that all know; if two are liked alike, the one that the
    /// leader prefers. `None` without members.
    pub fn select_protocol(&self) -> Option<String> {
        let all = self.members.len();
        let known_to_all = self.supporters.iter().filter(|&(_, &supporters)| supporters == all);
        let candidates: BTreeSet<&str> = known_to_all.map(|(name, _)| name.as_str()).collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for vote in self.members.values().filter_map(|member| member.vote(&candidates)) {
            *votes.entry(vote).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        let leader = self.leader.as_deref().and_then(|id| self.members.get(id))?;
        let preferred = leader.protocols.iter().find(|known| votes.get(known.name.as_str()) == Some(&most));
        preferred.map(|protocol| protocol.name.clone())
    }

    /// Takes a member in. The first one leads.
    pub fn add(&mut self, member: Member) {
        self.pending.remove(&member.id);
        self.remove(&Arc::clone(&member.id));
        if let Some(instance_id) = &member.instance_id {
            self.by_instance.insert(instance_id.clone(), Arc::clone(&member.id));
        }
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(&member.id));
        }
        self.count(&member.protocols);
        self.bytes += member.bytes();
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        self.note_deadline(member.session_deadline_ms);
        self.members.insert(Arc::clone(&member.id), member);
    }

    /// Takes a member out; what waits for it is in what is returned. If it led, another one does.
    pub fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.discount(&member.protocols);
        self.bytes = self.bytes.saturating_sub(member.bytes());
        self.awaiting_join -= usize::from(member.awaiting_join.is_some());
        if let Some(instance_id) = &member.instance_id {
            self.by_instance.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Gives a static member another id, which fences the old one. Returns what waited under that.
    pub fn rename(&mut self, old_id: &str, new_id: Arc<str>) -> (Option<Ticket>, Option<Ticket>) {
        let led = self.is_leader(old_id);
        let Some(mut member) = self.remove(old_id) else { return (None, None) };
        let parked = (member.awaiting_join.take(), member.awaiting_sync.take());
        member.id = Arc::clone(&new_id);
        member.is_new = false;
        self.add(member);
        if led {
            self.leader = Some(new_id);
        }
        parked
    }

    /// What a member says of itself when it joins again.
    pub fn update(&mut self, id: &str, update: MemberUpdate) {
        let Some(member) = self.members.get_mut(id) else { return };
        let old = std::mem::replace(&mut member.protocols, update.protocols);
        member.rebalance_timeout_ms = update.rebalance_timeout_ms;
        member.session_timeout_ms = update.session_timeout_ms;
        let new = member.protocols.clone();
        self.bytes = (self.bytes + protocols_bytes(&new)).saturating_sub(protocols_bytes(&old));
        self.discount(&old);
        self.count(&new);
    }

    /// Has a member's JoinGroup wait; returns the one that waited before.
    pub fn park_join(&mut self, id: &str, ticket: Ticket) -> Option<Ticket> {
        let member = self.members.get_mut(id)?;
        let earlier = member.awaiting_join.replace(ticket);
        self.awaiting_join += usize::from(earlier.is_none());
        earlier
    }

    /// Ends the waiting of a member's JoinGroup.
    pub fn unpark_join(&mut self, id: &str) -> Option<Ticket> {
        let ticket = self.members.get_mut(id)?.awaiting_join.take();
        self.awaiting_join -= usize::from(ticket.is_some());
        ticket
    }

    /// Has a member's SyncGroup wait; returns the one that waited before.
    pub fn park_sync(&mut self, id: &str, ticket: Ticket) -> Option<Ticket> {
        self.members.get_mut(id)?.awaiting_sync.replace(ticket)
    }

    /// Ends the waiting of a member's SyncGroup.
    pub fn unpark_sync(&mut self, id: &str) -> Option<Ticket> {
        self.members.get_mut(id)?.awaiting_sync.take()
    }

    /// What a member is assigned from now on.
    pub fn assign(&mut self, id: &str, assignment: Bytes) {
        let Some(member) = self.members.get_mut(id) else { return };
        self.bytes = (self.bytes + assignment.len()).saturating_sub(member.assignment.len());
        member.assignment = assignment;
    }

    /// A member has been told of a generation.
    pub fn settle(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.is_new = false;
        }
    }

    /// Ids of all members.
    pub fn ids(&self) -> Vec<Arc<str>> {
        self.members.keys().cloned().collect()
    }

    /// If the leader has not joined again, one that has leads. Whether there is one.
    pub fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |member: &Member| member.awaiting_join.is_some();
        if self.leader.as_deref().and_then(|id| self.members.get(id)).is_some_and(has_joined) {
            return true;
        }
        let Some(joined) = self.members.values().find(|member| has_joined(member)) else { return false };
        self.leader = Some(Arc::clone(&joined.id));
        true
    }

    /// Has this member lead, if it is one.
    pub fn set_leader(&mut self, id: &str) {
        if let Some((id, _)) = self.members.get_key_value(id) {
            self.leader = Some(Arc::clone(id));
        }
    }

    /// Expects an id back until then.
    pub fn add_pending(&mut self, id: Arc<str>, deadline_ms: i64) {
        self.pending.insert(id, deadline_ms);
        self.note_deadline(deadline_ms);
    }

    /// Whether this id is expected back.
    pub fn is_pending(&self, id: &str) -> bool {
        self.pending.contains_key(id)
    }

    /// Whether any id is expected back.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Expects this id no longer; whether it was expected.
    pub fn remove_pending(&mut self, id: &str) -> bool {
        self.pending.remove(id).is_some()
    }

    /// Keeps a member until then.
    pub fn keep_until(&mut self, id: &str, deadline_ms: i64) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.session_deadline_ms = deadline_ms;
        self.note_deadline(deadline_ms);
    }

    /// When to look whose time is over; nobody's is before.
    pub fn sessions_due_ms(&self) -> Option<i64> {
        let is_anyone = !self.members.is_empty() || !self.pending.is_empty();
        self.sessions_due_ms.filter(|_| is_anyone)
    }

    /// Whose time is over. Pending ones are forgotten at once. A member whose request waits here is alive: its time
    /// begins anew with its answer.
    pub fn expire(&mut self, now_ms: i64) -> Expired {
        let mut expired = Expired::default();
        if self.sessions_due_ms.is_none_or(|due_ms| now_ms < due_ms) {
            return expired;
        }
        let before = self.pending.len();
        self.pending.retain(|_, deadline_ms| now_ms < *deadline_ms);
        expired.pending = before - self.pending.len();
        for member in self.members.values_mut() {
            if now_ms < member.session_deadline_ms {
                continue;
            }
            if member.waits() {
                member.session_deadline_ms = i64::MAX;
            } else {
                expired.members.push(Arc::clone(&member.id));
            }
        }
        let alive = self.members.values().map(|member| member.session_deadline_ms);
        let deadlines = alive.chain(self.pending.values().copied());
        self.sessions_due_ms =
            deadlines.filter(|deadline_ms| now_ms < *deadline_ms && *deadline_ms < i64::MAX).min();
        expired
    }

    fn note_deadline(&mut self, deadline_ms: i64) {
        if deadline_ms < i64::MAX {
            self.sessions_due_ms =
                Some(self.sessions_due_ms.map_or(deadline_ms, |due_ms| due_ms.min(deadline_ms)));
        }
    }

    fn count(&mut self, protocols: &[JoinGroupRequestProtocol]) {
        for protocol in protocols {
            *self.supporters.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn discount(&mut self, protocols: &[JoinGroupRequestProtocol]) {
        for protocol in protocols {
            if let Some(supporters) = self.supporters.get_mut(&protocol.name) {
                *supporters -= 1;
                if *supporters == 0 {
                    self.supporters.remove(&protocol.name);
                }
            }
        }
    }
}

/// What a member that joins again may change.
#[derive(Debug)]
pub struct MemberUpdate {
    /// Assignors that it knows.
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// How long it is kept without a heartbeat.
    pub session_timeout_ms: i32,
}
