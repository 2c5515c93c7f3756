//! The changes of a consumer group that are stored, one a record.
//!
//! The stored state changes by [`ConsumerGroup::apply`] and by nothing else, whether an event makes the change or the log
//! brings it back: a group that was replayed is the group that wrote the log.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::ConsumerGroup;
use super::member::{Holding, Profile};
use crate::coordinator::group::assign::Assignment;

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
            Change::Regex(regex, Some(resolved)) => drop(self.regexes.insert(regex, resolved)),
            Change::Regex(regex, None) => drop(self.regexes.remove(&regex)),
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

    fn set_profile(&mut self, id: Arc<str>, profile: Profile) {
        let member = self.members.entry(Arc::clone(&id)).or_default();
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
        if let Some(instance) = &member.profile.instance_id
            && self.instances.get(instance.as_str()) == Some(id)
        {
            self.instances.remove(instance.as_str());
        }
        release(&mut self.owners, id, &member.holding);
    }

    fn set_holding(&mut self, id: &Arc<str>, holding: Holding) {
        let member = self.members.entry(Arc::clone(id)).or_default();
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

fn release(owners: &mut HashMap<super::Partition, Arc<str>>, id: &Arc<str>, holding: &Holding) {
    for partition in holding.partitions() {
        if owners.get(&partition) == Some(id) {
            owners.remove(&partition);
        }
    }
}
