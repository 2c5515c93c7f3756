//! The changes of a consumer group that are stored, one a record.
//!
//! The stored state changes by [`ConsumerGroup::apply`] and by nothing else, whether an event makes the change or the log
//! brings it back: a group that was replayed is the group that wrote the log.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::ConsumerGroup;
use super::member::{Holding, Member, Profile};
use crate::coordinator::group::assign::Assignment;
use crate::coordinator::group::classic::ENTRY_BYTES;

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The group's epoch; `None` with the group.
    Epoch(Option<GroupEpoch>),
    /// A member, as it describes itself; `None` removes it.
    Profile(Arc<str>, Option<Profile>),
    /// Which epoch the targets are of.
    TargetEpoch(Option<TargetEpoch>),
    /// What a member is to own.
    Target(Arc<str>, Option<Assignment>),
    /// What a member owns.
    Holding(Arc<str>, Option<Holding>),
    /// The topics that a regular expression matches.
    Regex(Arc<str>, Option<Resolved>),
}

/// The group's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct GroupEpoch {
    pub(super) epoch: i32,
    /// Of the subscribed topics: see [`super::metadata_hash`].
    pub(super) metadata_hash: i64,
}

/// Which epoch the targets are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TargetEpoch {
    pub(super) epoch: i32,
    /// When they were computed, by the wall clock.
    pub(super) at_ms: i64,
}

/// The topics that a regular expression matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Resolved {
    pub(super) topics: BTreeSet<String>,
    /// Of the topics' image that was searched.
    pub(super) version: i64,
    pub(super) at_ms: i64,
}

impl ConsumerGroup {
    /// Makes a change. Tolerates any order: compaction may have taken away what came between two records.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Epoch(epoch) => self.epoch = epoch.unwrap_or_default(),
            Change::TargetEpoch(epoch) => self.target_epoch = epoch.unwrap_or_default(),
            Change::Target(id, Some(target)) => drop(self.targets.insert(id, target)),
            Change::Target(id, None) => drop(self.targets.remove(&id)),
            Change::Regex(regex, resolved) => self.set_regex(regex, resolved),
            Change::Profile(id, Some(profile)) => self.set_profile(id, profile),
            Change::Profile(id, None) => self.remove(&id),
            Change::Holding(id, Some(holding)) => self.set_holding(&id, holding),
            Change::Holding(id, None) => {
                if self.members.contains_key(&id) {
                    self.set_holding(&id, Holding::default());
                }
            }
        }
    }

    fn set_regex(&mut self, regex: Arc<str>, resolved: Option<Resolved>) {
        let more = resolved.as_ref().map_or(0, |resolved| resolved.bytes(&regex));
        let before = self.regexes.remove(&regex).map_or(0, |before| before.bytes(&regex));
        self.bytes = (self.bytes + more).saturating_sub(before);
        if let Some(resolved) = resolved {
            self.regexes.insert(regex, resolved);
        }
    }

    /// Has a member be there, if only in name.
    fn admit(&mut self, id: &Arc<str>) {
        if !self.members.contains_key(id) {
            self.members.insert(Arc::clone(id), Member::default());
            self.bytes += member_bytes(id, &Profile::default());
        }
    }

    fn set_profile(&mut self, id: Arc<str>, profile: Profile) {
        self.admit(&id);
        let Some(member) = self.members.get_mut(&id) else { return };
        self.bytes = (self.bytes + profile.bytes()).saturating_sub(member.profile.bytes());
        if let Some(old) = &member.profile.instance_id
            && profile.instance_id.as_ref() != Some(old)
            && self.instances.get(old.as_str()) == Some(&id)
        {
            self.instances.remove(old.as_str());
        }
        if let Some(instance) = &profile.instance_id {
            self.instances.insert(instance.as_str().into(), id);
        }
        member.profile = profile;
    }

    fn remove(&mut self, id: &Arc<str>) {
        let Some(member) = self.members.remove(id) else { return };
        self.bytes = self.bytes.saturating_sub(member_bytes(id, &member.profile));
        if let Some(instance) = &member.profile.instance_id
            && self.instances.get(instance.as_str()) == Some(id)
        {
            self.instances.remove(instance.as_str());
        }
        release(&mut self.owners, id, &member.holding);
    }

    fn set_holding(&mut self, id: &Arc<str>, holding: Holding) {
        self.admit(id);
        let Some(member) = self.members.get_mut(id) else { return };
        release(&mut self.owners, id, &member.holding);
        for partition in holding.partitions() {
            self.owners.insert(partition, Arc::clone(id));
        }
        member.holding = holding;
    }

    /// The owners, from what the members hold: after a replay in which compacted records may have met in odd order.
    pub(super) fn recount_owners(&mut self) {
        self.owners.clear();
        for (id, member) in &self.members {
            for partition in member.holding.partitions() {
                self.owners.insert(partition, Arc::clone(id));
            }
        }
    }
}

/// About what a member takes in memory and on disk, beside the partitions that it has.
pub(super) fn member_bytes(id: &str, profile: &Profile) -> usize {
    2 * id.len() + profile.bytes()
}

impl Resolved {
    /// About what it takes in memory and on disk.
    pub(super) fn bytes(&self, regex: &str) -> usize {
        let topics = self.topics.iter().map(|topic| ENTRY_BYTES + topic.len());
        ENTRY_BYTES + regex.len() + topics.sum::<usize>()
    }
}

fn release(owners: &mut HashMap<super::Partition, Arc<str>>, id: &Arc<str>, holding: &Holding) {
    for partition in holding.partitions() {
        if owners.get(&partition) == Some(id) {
            owners.remove(&partition);
        }
    }
}
