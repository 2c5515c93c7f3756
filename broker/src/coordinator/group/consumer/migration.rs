//! One kind of group becomes the other while its members go on (KIP-848, `group.consumer.migration.policy`).

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::JoinGroupRequestProtocol;

use super::ConsumerGroup;
use super::change::Change;
use super::embedded::{assigned_ids, read_assignment, read_subscription, write_assignment};
use super::heartbeat::names;
use super::member::{ClassicProfile, ClassicProtocol, Holding, Profile, owned_since};
use super::refused::Refused;
use crate::coordinator::group::assign::Assignment;
use crate::coordinator::group::classic::{ClassicGroup, Member as ClassicMember};
use crate::coordinator::group::{Effects, Env};

impl ConsumerGroup {
    /// Makes a group of the consumer protocol out of a classic one whose first member of the new protocol comes.
    ///
    /// Its members have what its leader has assigned; those that wait for a generation are sent to join again, and are then
    /// served here. On success the classic group's records are deleted and the new ones are there.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND`, as Kafka says it. The classic group is unharmed then.
    pub fn from_classic(
        classic: &mut ClassicGroup,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Result<Self, Refused> {
        let settings = &env.config.groups.consumer;
        let refuse = |reason: &str| {
            let message =
                format!("Cannot upgrade classic group {} to consumer group because {reason}.", classic.id());
            Err(Refused::new(ErrorCode::GroupIdNotFound, message))
        };
        if !settings.may_upgrade {
            return refuse("online upgrade is disabled");
        }
        if !classic.has_consumers() {
            return refuse("the group does not use the consumer embedded protocol");
        }
        if settings.size_max < classic.members().len() {
            return refuse("the group size exceeds the consumer group maximum size");
        }
        let mut changes = Vec::new();
        let mut claimed = HashSet::new();
        for member in classic.members() {
            let Ok((profile, mut assigned, is_plain)) = upgraded(member, env) else {
                return refuse("the embedded consumer protocol is malformed");
            };
            if !is_plain {
                return refuse("an unsupported custom assignor is in use");
            }
            for (topic, partitions) in &mut assigned {
                partitions.retain(|partition| claimed.insert((*topic, *partition)));
            }
            assigned.retain(|_, partitions| !partitions.is_empty());
            changes.push((Arc::clone(&member.id), profile, assigned));
        }
        let generation = classic.generation();
        classic.refuse_waiting(ErrorCode::RebalanceInProgress, fx);
        fx.records.extend(classic.tombstones());
        let mut group = Self::new(classic.id());
        group.take_over(generation, changes, env, fx);
        tracing::info!(group = %group.id, "the classic group is now one of the consumer protocol");
        Ok(group)
    }

    fn take_over(
        &mut self,
        generation: i32,
        members: Vec<(Arc<str>, Profile, Assignment)>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) {
        for (id, profile, _) in &members {
            self.emit(Change::Profile(Arc::clone(id), Some(profile.clone())), fx);
        }
        let epoch = super::change::GroupEpoch { epoch: generation, metadata_hash: 0 };
        self.emit(Change::Epoch(Some(epoch)), fx);
        for (id, _, assigned) in &members {
            self.emit(Change::Target(Arc::clone(id), Some(assigned.clone())), fx);
        }
        // No time of computation: the member that comes has its targets at once.
        let target_epoch = super::change::TargetEpoch { epoch: generation, at_ms: 0 };
        self.emit(Change::TargetEpoch(Some(target_epoch)), fx);
        for (id, _, assigned) in members {
            let assigned = owned_since(&assigned, generation);
            let holding =
                Holding { epoch: generation, previous_epoch: generation, assigned, ..Holding::default() };
            self.emit(Change::Holding(id, Some(holding)), fx);
        }
        self.begin_deadlines(env);
    }

    /// Whether the group is to become a classic one: all members that are left speak the classic protocol.
    #[must_use]
    pub fn wants_downgrade(&self, env: &Env<'_>) -> bool {
        let groups = &env.config.groups;
        groups.consumer.may_downgrade
            && !self.members.is_empty()
            && self.members.len() <= groups.classic.size_max
            && self.members.values().all(|member| member.profile.is_classic())
    }

    /// Makes a classic group out of one that [`Self::wants_downgrade`]. This group's records are deleted and the new ones are
    /// there. Members go on with their targets, or join again if these are not up to date.
    #[must_use]
    pub fn into_classic(self, env: &Env<'_>, fx: &mut Effects) -> ClassicGroup {
        fx.records.extend(self.tombstones());
        let members = self.members.iter().filter_map(|(id, member)| {
            let classic = member.profile.classic.as_ref()?;
            let target = self.targets.get(id).cloned().unwrap_or_default();
            Some(downgraded(id, &member.profile, classic, &target, env))
        });
        let members = members.collect();
        // No member has heard of a later epoch than the targets', and those that have theirs lose nothing by joining again.
        let mut classic = ClassicGroup::of_consumers(&self.id, self.target_epoch.epoch, members, env);
        fx.records.extend(classic.snapshot());
        if self.target_epoch.epoch < self.epoch.epoch {
            classic.rebalance("the last member of the consumer protocol has left", env, fx);
        }
        tracing::info!(group = %self.id, "the group of the consumer protocol is now a classic one");
        classic
    }
}

/// A classic member's profile and assignment; false if the assignment has data that the broker does not understand.
fn upgraded(member: &ClassicMember, env: &Env<'_>) -> Result<(Profile, Assignment, bool), Refused> {
    let first = member.protocols.first().map(|protocol| protocol.metadata.clone()).unwrap_or_default();
    let subscription = read_subscription(first)?;
    let assigned = read_assignment(member.assignment.clone())?;
    let own = |protocol: &JoinGroupRequestProtocol| ClassicProtocol {
        name: protocol.name.clone(),
        metadata: protocol.metadata.clone(),
    };
    let classic = ClassicProfile {
        session_timeout_ms: member.session_timeout_ms,
        protocols: member.protocols.iter().map(own).collect(),
    };
    let profile = Profile {
        instance_id: member.instance_id.clone(),
        rack_id: subscription.rack_id.filter(|rack| !rack.is_empty()),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topic_names: names(subscription.topics),
        topic_regex: String::new(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(classic),
    };
    let is_plain = assigned.user_data.as_ref().is_none_or(Bytes::is_empty);
    Ok((profile, assigned_ids(&assigned, env.topics), is_plain))
}

fn downgraded(
    id: &Arc<str>,
    profile: &Profile,
    classic: &ClassicProfile,
    target: &Assignment,
    env: &Env<'_>,
) -> ClassicMember {
    let own = |protocol: &ClassicProtocol| JoinGroupRequestProtocol {
        name: protocol.name.clone(),
        metadata: protocol.metadata.clone(),
    };
    let metadata = classic.protocols.first().map(|protocol| &protocol.metadata[..]).unwrap_or_default();
    ClassicMember {
        id: Arc::clone(id),
        instance_id: profile.instance_id.clone(),
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        rebalance_timeout_ms: profile.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic.protocols.iter().map(own).collect(),
        assignment: write_assignment(metadata, target, env.topics),
        is_new: false,
        awaiting_join: None,
        awaiting_sync: None,
        session_deadline_ms: i64::MAX,
    }
}
