//! Groups of the consumer protocol (KIP-848): the broker assigns, and members are led there one heartbeat at a time.
//!
//! ```text
//! a member joins, leaves, changes its subscription; a topic comes, goes, grows
//!        -> group epoch + 1                               (Change::Epoch)
//!        -> the assignor makes a target for every member  (Change::Target, Change::TargetEpoch)
//!        -> each member's heartbeat takes it one step on  (Change::Holding): give up first, then get
//! ```
//!
//! A partition has one owner at a time: a member gets it when the one before has reported that it let go, or is gone.
//!
//! Everything stored changes by a `change::Change`, one of Kafka's records each (`records`), so a replayed log makes the
//! same group. Deadlines and what was last seen of the topics are not stored; sessions begin anew after a restart.
//!
//! Requests of members that speak the classic protocol are served in `classic_members`; `migration` makes a group of one
//! kind into the other. Differs from Kafka: while a group changes, members are told to report more often (`pace`), and
//! regular expressions are resolved within the request.

mod change;
mod classic_members;
mod commits;
mod deadlines;
mod describe;
mod embedded;
mod heartbeat;
mod leave;
mod member;
mod membership;
mod metadata_hash;
mod migration;
mod pace;
mod reconcile;
mod records;
mod refused;
mod regex;
mod subscription;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sendlog_protocol::group_records::GroupRecord;
use uuid::Uuid;

use super::assign::Assignment;
use super::{Effects, Env};
use change::{Change, GroupEpoch, Resolved, TargetEpoch};
use member::Member;

pub use heartbeat::{Caller, check, refuse};
pub use refused::Refused;

/// A topic's id and a number.
type Partition = (Uuid, i32);

/// A group of the consumer protocol.
#[derive(Debug, Clone, Default)]
pub struct ConsumerGroup {
    id: Arc<str>,
    epoch: GroupEpoch,
    target_epoch: TargetEpoch,
    members: BTreeMap<Arc<str>, Member>,
    /// What each member is to own.
    targets: HashMap<Arc<str>, Assignment>,
    /// What each regular expression matches.
    regexes: BTreeMap<Arc<str>, Resolved>,
    /// Member ids of static members.
    instances: HashMap<Box<str>, Arc<str>>,
    /// Who holds each partition; follows from the members' holdings.
    owners: HashMap<Partition, Arc<str>>,
    /// About what members and regular expressions take; follows from them.
    bytes: usize,
    seen: Seen,
    /// No deadline is before this one.
    wake_ms: Option<i64>,
}

/// What the group has seen of the world; none of it is stored.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// Image of the topics that the epoch's hash is of.
    topics_version: Option<u64>,
    /// Image of the topics that the regular expressions were matched against, and when, by the steady clock.
    regexes: Option<(u64, i64)>,
    /// When the epoch last changed, by the steady clock.
    changed_ms: Option<i64>,
}

impl ConsumerGroup {
    /// A group without members.
    #[must_use]
    pub fn new(id: &Arc<str>) -> Self {
        Self { id: Arc::clone(id), ..Self::default() }
    }

    /// Takes over a record of the log.
    pub fn replay(&mut self, record: &GroupRecord) {
        if let Some(change) = records::read(record) {
            self.apply(change);
        }
    }

    /// All of the log was read: sessions begin.
    pub fn loaded(&mut self, env: &Env<'_>, _fx: &mut Effects) {
        self.recount_owners();
        self.begin_deadlines(env);
    }

    /// Records that [`Self::replay`] makes the group of.
    #[must_use]
    pub fn snapshot(&self) -> Vec<GroupRecord> {
        let profiles =
            self.members.iter().map(|(id, member)| Change::Profile(id.clone(), Some(member.profile.clone())));
        let regexes =
            self.regexes.iter().map(|(regex, resolved)| Change::Regex(regex.clone(), Some(resolved.clone())));
        let targets =
            self.targets.iter().map(|(id, target)| Change::Target(id.clone(), Some(target.clone())));
        let holdings =
            self.members.iter().map(|(id, member)| Change::Holding(id.clone(), Some(member.holding.clone())));
        let changes = profiles
            .chain(regexes)
            .chain([Change::Epoch(Some(self.epoch))])
            .chain(targets)
            .chain([Change::TargetEpoch(Some(self.target_epoch))])
            .chain(holdings);
        changes.map(|change| records::write(&self.id, &change)).collect()
    }

    /// Records that delete the group, in Kafka's order.
    #[must_use]
    pub fn tombstones(&self) -> Vec<GroupRecord> {
        let ids = || self.members.keys().cloned();
        let changes = ids()
            .map(|id| Change::Holding(id, None))
            .chain(ids().map(|id| Change::Target(id, None)))
            .chain([Change::TargetEpoch(None)])
            .chain(ids().map(|id| Change::Profile(id, None)))
            .chain(self.regexes.keys().map(|regex| Change::Regex(regex.clone(), None)))
            .chain([Change::Epoch(None)]);
        changes.map(|change| records::write(&self.id, &change)).collect()
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether nothing of it is stored: it never had a member.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        self.members.is_empty() && self.epoch.epoch == 0
    }

    /// Kafka's name of its state.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        let target_epoch = self.target_epoch.epoch;
        if self.members.is_empty() {
            "Empty"
        } else if target_epoch < self.epoch.epoch {
            "Assigning"
        } else if self.members.values().all(|member| member.holding.is_reconciled_to(target_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// What the group is for, as ListGroups says it.
    #[must_use]
    pub fn protocol_type(&self) -> &'static str {
        "consumer"
    }

    /// Makes a change and has it stored.
    fn emit(&mut self, change: Change, fx: &mut Effects) {
        fx.append(records::write(&self.id, &change));
        self.apply(change);
    }
}
