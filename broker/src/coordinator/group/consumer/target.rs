//! What every member is to own.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::ConsumerGroup;
use super::change::{Change, TargetEpoch};
use super::pace::assignment_interval_ms;
use crate::config::Config;
use crate::coordinator::group::assign::{Assignment, Assignor, PartitionCounts, Subscriber};
use crate::coordinator::group::{Effects, Env};

impl ConsumerGroup {
    /// Makes targets for the group's epoch, if they are of an earlier one and not too new.
    ///
    /// Members that come at the same time get one assignment together (KIP-1263).
    pub(super) fn assign_if_due(&mut self, env: &Env<'_>, fx: &mut Effects) {
        let age_ms = env.now.wall_ms.saturating_sub(self.target_epoch.at_ms);
        if (0..assignment_interval_ms(env)).contains(&age_ms) {
            return;
        }
        self.assign(env, fx);
    }

    /// Makes targets for the group's epoch, if they are of an earlier one.
    pub(super) fn assign(&mut self, env: &Env<'_>, fx: &mut Effects) {
        if self.epoch.epoch <= self.target_epoch.epoch {
            return;
        }
        for (id, target) in self.new_targets(env) {
            // A member without any is written down too, as Kafka does.
            if self.targets.get(&id) != Some(&target) {
                self.emit(Change::Target(id, Some(target)), fx);
            }
        }
        let target_epoch = TargetEpoch { epoch: self.epoch.epoch, at_ms: env.now.wall_ms };
        self.emit(Change::TargetEpoch(Some(target_epoch)), fx);
    }

    fn new_targets(&self, env: &Env<'_>) -> Vec<(Arc<str>, Assignment)> {
        let none = Assignment::new();
        // Most members of a group subscribe alike: each subscription is looked up once.
        let mut subscriptions: HashMap<(&BTreeSet<String>, &str), BTreeSet<Uuid>> = HashMap::new();
        for member in self.members.values() {
            let profile = &member.profile;
            subscriptions
                .entry((&profile.topic_names, &profile.topic_regex))
                .or_insert_with(|| self.subscribed_ids(profile, env.topics));
        }
        let mut subscribers = Vec::with_capacity(self.members.len());
        for (id, member) in &self.members {
            let profile = &member.profile;
            let Some(topics) = subscriptions.get(&(&profile.topic_names, profile.topic_regex.as_str()))
            else {
                continue;
            };
            subscribers.push(Subscriber {
                member_id: id,
                instance_id: profile.instance_id.as_deref(),
                topics,
                assigned: self.targets.get(id).unwrap_or(&none),
            });
        }
        let topics = subscriptions.values().flatten();
        let counts: PartitionCounts =
            topics.filter_map(|id| env.topics.by_id(*id)).map(|topic| (topic.id, topic.partitions)).collect();
        let targets = self.assignor(env).assign(&subscribers, &counts);
        self.members.keys().cloned().zip(targets).collect()
    }

    /// The assignor that most members ask for; the broker's first one if they do not ask, or for a tie.
    pub(super) fn assignor(&self, env: &Env<'_>) -> Assignor {
        let served = served_assignors(env.config);
        let votes = |assignor: Assignor| {
            let asked = self.members.values().filter_map(|member| member.profile.assignor.as_deref());
            asked.filter(|name| Assignor::named(name) == Some(assignor)).count()
        };
        // The last of equal maxima is taken, so the first in the settings stands last.
        served.into_iter().rev().max_by_key(|assignor| votes(*assignor)).unwrap_or(Assignor::Uniform)
    }
}

/// `group.consumer.assignors`.
pub(super) fn served_assignors(config: &Config) -> Vec<Assignor> {
    config.groups.consumer.assignors.iter().filter_map(|name| Assignor::named(name)).collect()
}
