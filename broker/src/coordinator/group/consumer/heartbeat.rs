//! ConsumerGroupHeartbeat: how members of the consumer protocol join, stay, change and leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::regex::Regex;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ConsumerGroupHeartbeatAssignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatTopicPartitions,
};

use super::ConsumerGroup;
use super::change::Change;
use super::member::{AWAY_EPOCH, Holding, JOIN_EPOCH, LEAVE_EPOCH, Owned, Profile};
use super::membership::Place;
use super::reconcile::{Goal, step};
use super::refused::Refused;
use super::regex;
use super::target::served_assignors;
use crate::config::Config;
use crate::coordinator::group::assign::{Assignment, Assignor};
use crate::coordinator::group::{Effects, Env};

/// First version in which a member makes its own id (KIP-1082).
const OWN_MEMBER_ID_FROM: i16 = 1;

/// Who sends a request.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// What the client calls itself.
    pub client_id: &'a str,
    /// Where it connects from, with a slash before it.
    pub client_host: &'a str,
}

/// What a member's request makes of it.
pub(super) struct Update<'a> {
    pub(super) place: Place,
    pub(super) profile: Profile,
    /// The profile's regular expression, if it is new to the group.
    pub(super) compiled: Option<Regex>,
    /// What the member says that it owns.
    pub(super) reported: Option<&'a [ConsumerGroupHeartbeatTopicPartitions]>,
    /// The targets are made now, however new the last ones are.
    pub(super) assigns_now: bool,
}

/// A member after its request.
pub(super) struct Updated {
    pub(super) id: Arc<str>,
    pub(super) has_new_assignment: bool,
}

/// What is wrong with a request, whatever the group.
///
/// # Errors
/// `INVALID_REQUEST`, `UNSUPPORTED_ASSIGNOR`.
pub fn check(request: &ConsumerGroupHeartbeatRequest, version: i16, config: &Config) -> Result<(), Refused> {
    let epoch = request.member_epoch;
    let must_have_id = OWN_MEMBER_ID_FROM <= version || JOIN_EPOCH < epoch || epoch == LEAVE_EPOCH;
    let is_blank = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
    let problem = if must_have_id && request.member_id.trim().is_empty() {
        "MemberId can't be empty."
    } else if request.group_id.trim().is_empty() {
        "GroupId can't be empty."
    } else if is_blank(&request.instance_id) {
        "InstanceId can't be empty."
    } else if is_blank(&request.rack_id) {
        "RackId can't be empty."
    } else if epoch < AWAY_EPOCH {
        "MemberEpoch is invalid."
    } else if epoch == AWAY_EPOCH && request.instance_id.is_none() {
        "InstanceId can't be null."
    } else if epoch == JOIN_EPOCH && request.rebalance_timeout_ms == -1 {
        "RebalanceTimeoutMs must be provided in first request."
    } else if epoch == JOIN_EPOCH && request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
        "TopicPartitions must be empty when (re-)joining."
    } else if epoch == JOIN_EPOCH
        && request.subscribed_topic_names.is_none()
        && request.subscribed_topic_regex.is_none()
    {
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
    } else {
        return check_assignor(request.server_assignor.as_deref(), config);
    };
    Err(Refused::invalid(problem))
}

fn check_assignor(name: Option<&str>, config: &Config) -> Result<(), Refused> {
    let Some(name) = name else { return Ok(()) };
    let served = served_assignors(config);
    if Assignor::named(name).is_some_and(|assignor| served.contains(&assignor)) {
        return Ok(());
    }
    let names: Vec<&str> = served.into_iter().map(Assignor::name).collect();
    let shown: String = name.chars().take(256).collect();
    let message =
        format!("ServerAssignor {shown} is not supported. Supported assignors: {}.", names.join(", "));
    Err(Refused::new(ErrorCode::UnsupportedAssignor, message))
}

/// The answer to a request that is refused.
#[must_use]
pub fn refuse(refused: Refused) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: refused.code.code(),
        error_message: Some(refused.message),
        ..Default::default()
    }
}

impl ConsumerGroup {
    /// Serves a heartbeat that [`check`] has passed.
    ///
    /// # Errors
    /// What Kafka answers. Nothing has changed then.
    pub fn heartbeat(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
        caller: Caller<'_>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refused> {
        if request.member_epoch < JOIN_EPOCH {
            return self.leave(&request, env, fx);
        }
        let id =
            if request.member_id.is_empty() { env.fresh_id.to_string() } else { request.member_id.clone() };
        let instance_id = request.instance_id.as_deref();
        self.check_room(&id, instance_id, env)?;
        let place = self.place(&id, instance_id, request.member_epoch == JOIN_EPOCH, false)?;
        if let Place::Present(id) = &place {
            self.check_epoch(id, request.member_epoch, request.topic_partitions.as_deref())?;
        }
        let is_full = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && request.topic_partitions.is_some();
        let gets_all = is_full || request.member_epoch == JOIN_EPOCH;
        let reported = request.topic_partitions.clone();
        let profile = self.described(&place, request, caller);
        let compiled = self.compile_new(&profile)?;
        let update = Update { place, profile, compiled, reported: reported.as_deref(), assigns_now: false };
        let updated = self.update(update, env, fx)?;
        self.renew_session(&updated.id, env);
        let holding = self.holding(&updated.id);
        Ok(ConsumerGroupHeartbeatResponse {
            member_id: Some(updated.id.to_string()),
            member_epoch: holding.epoch,
            heartbeat_interval_ms: self.heartbeat_interval_ms(holding, env),
            assignment: (gets_all || updated.has_new_assignment).then(|| assignment(&holding.assigned)),
            ..Default::default()
        })
    }

    /// The member's profile with what the request says anew; what it leaves out stays.
    fn described(
        &self,
        place: &Place,
        request: ConsumerGroupHeartbeatRequest,
        caller: Caller<'_>,
    ) -> Profile {
        let mut profile = self.profile_before(place).cloned().unwrap_or_default();
        profile.instance_id = request.instance_id.or(profile.instance_id);
        profile.rack_id = request.rack_id.or(profile.rack_id);
        if request.rebalance_timeout_ms != -1 {
            profile.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        profile.assignor = request.server_assignor.or(profile.assignor);
        if let Some(names) = request.subscribed_topic_names {
            profile.topic_names = names.into_iter().collect();
        }
        if let Some(regex) = request.subscribed_topic_regex {
            profile.topic_regex = regex;
        }
        caller.client_id.clone_into(&mut profile.client_id);
        caller.client_host.clone_into(&mut profile.client_host);
        profile.classic = None;
        profile
    }

    fn compile_new(&self, profile: &Profile) -> Result<Option<Regex>, Refused> {
        let pattern = profile.topic_regex.as_str();
        if pattern.is_empty() || self.regexes.contains_key(pattern) {
            return Ok(None);
        }
        regex::compile(pattern).map(Some)
    }

    /// Puts a member where it belongs, sees to it that the targets follow, and takes the member one step towards its own.
    pub(super) fn update(
        &mut self,
        update: Update<'_>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Result<Updated, Refused> {
        let Update { place, profile, compiled, reported, assigns_now } = update;
        self.check_bytes(&place, &profile, env)?;
        let before = self.profile_before(&place).cloned().unwrap_or_default();
        // No other change of a member makes the group's assignor another one, and counting the votes walks over all of them.
        let assignor = (profile.assignor != before.assignor).then(|| self.assignor(env));
        let id = self.take_place(&place, fx);
        let held = self.holding(&id).assigned.clone();
        let has_new_names = profile.topic_names != before.topic_names;
        let has_new_regex = profile.topic_regex != before.topic_regex;
        if self.members.get(&id).is_none_or(|member| member.profile != profile) {
            self.emit(Change::Profile(Arc::clone(&id), Some(profile)), fx);
        }
        if has_new_regex {
            self.forget_unused_regexes(fx);
            let pattern = self.members.get(&id).map(|member| member.profile.topic_regex.clone());
            if let (Some(pattern), Some(compiled)) = (pattern, &compiled) {
                self.resolve(&pattern, compiled, env, fx);
            }
        }
        let topics_changed = self.notice_topics(env, fx);
        let has_new_subscription = has_new_names || has_new_regex;
        let has_new_assignor = assignor.is_some_and(|assignor| assignor != self.assignor(env));
        if self.epoch.epoch == 0 || has_new_subscription || topics_changed || has_new_assignor {
            self.bump(env, fx);
        }
        if assigns_now {
            self.assign(env, fx);
        } else {
            self.assign_if_due(env, fx);
        }
        self.reconcile(&id, has_new_subscription, reported, env, fx)?;
        let has_new_assignment = !same_partitions(&held, &self.holding(&id).assigned);
        Ok(Updated { id, has_new_assignment })
    }

    fn reconcile(
        &mut self,
        id: &Arc<str>,
        has_new_subscription: bool,
        reported: Option<&[ConsumerGroupHeartbeatTopicPartitions]>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        let Some(member) = self.members.get(id) else { return Ok(()) };
        // Kafka has no epoch below 1 for a member that is in the group, with or without a target.
        let epoch = self.target_epoch.epoch.max(1);
        if !has_new_subscription && member.holding.is_reconciled_to(epoch) {
            return Ok(());
        }
        let none = Assignment::new();
        let goal = Goal {
            epoch,
            target: self.targets.get(id).unwrap_or(&none),
            subscribed: &self.subscribed_ids(&member.profile, env.topics),
            has_new_subscription,
            reported,
        };
        let is_free = |topic, partition| self.owners.get(&(topic, partition)).is_none_or(|owner| owner == id);
        let next = step(&member.holding, &goal, is_free)?;
        if next != member.holding {
            self.emit(Change::Holding(Arc::clone(id), Some(next)), fx);
            self.expect_revocation(id, env);
        }
        Ok(())
    }

    /// What a member holds; nothing if it is none.
    pub(super) fn holding(&self, id: &str) -> &Holding {
        static NOTHING: Holding = Holding {
            epoch: 0,
            previous_epoch: 0,
            state: super::member::State::Stable,
            assigned: Owned::new(),
            revoking: Owned::new(),
        };
        self.members.get(id).map_or(&NOTHING, |member| &member.holding)
    }
}

fn same_partitions(a: &Owned, b: &Owned) -> bool {
    let same = |(a, b): (&std::collections::BTreeMap<i32, i32>, &std::collections::BTreeMap<i32, i32>)| {
        a.keys().eq(b.keys())
    };
    a.keys().eq(b.keys()) && a.values().zip(b.values()).all(same)
}

fn assignment(owned: &Owned) -> ConsumerGroupHeartbeatAssignment {
    let topic = |(topic_id, partitions): (&uuid::Uuid, &std::collections::BTreeMap<i32, i32>)| {
        let partitions = partitions.keys().copied().collect();
        ConsumerGroupHeartbeatTopicPartitions { topic_id: *topic_id, partitions }
    };
    ConsumerGroupHeartbeatAssignment { topic_partitions: owned.iter().map(topic).collect() }
}

/// Names without order or repetition.
pub(super) fn names(list: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    list.into_iter().collect()
}
