//! Members that speak the classic protocol in a group of the consumer protocol, while it is migrated.
//!
//! The broker assigns for them too. JoinGroup is their step towards the target: what a member says that it owns shows what
//! it has given up. SyncGroup fetches what it then has; Heartbeat tells it when to join again. Nobody waits for anybody, and
//! nobody leads.

use std::collections::BTreeSet;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse, SyncGroupRequest,
    SyncGroupResponse,
};

use super::ConsumerGroup;
use super::embedded::{owned_ids, read_subscription, write_assignment};
use super::heartbeat::{Update, names};
use super::member::{ClassicProfile, ClassicProtocol, Member, State, without_epochs};
use super::membership::unknown_instance;
use super::refused::Refused;
use crate::coordinator::group::classic::Joiner;
use crate::coordinator::group::{Effects, Env};

/// The protocol type of consumers.
const CONSUMERS: &str = "consumer";

impl ConsumerGroup {
    /// Serves JoinGroup.
    ///
    /// # Errors
    /// What Kafka answers. Nothing has changed then.
    pub fn join_classic(
        &mut self,
        request: JoinGroupRequest,
        joiner: Joiner<'_>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Result<JoinGroupResponse, Refused> {
        let is_unknown = request.member_id.is_empty();
        let id = if is_unknown { env.fresh_id.to_string() } else { request.member_id };
        let instance_id = request.group_instance_id;
        self.check_room(&id, instance_id.as_deref(), env)?;
        self.check_protocols(&id, &request.protocol_type, &request.protocols)?;
        if is_unknown && instance_id.is_none() && joiner.needs_id_first {
            let error_code = ErrorCode::MemberIdRequired.code();
            return Ok(JoinGroupResponse { error_code, member_id: id, ..Default::default() });
        }
        let place = self.place(&id, instance_id.as_deref(), instance_id.is_none() || is_unknown, true)?;
        let first = request.protocols.first().map(|protocol| protocol.metadata.clone()).unwrap_or_default();
        let subscription = read_subscription(first)?;
        let reported = owned_ids(&subscription, env.topics);
        let mut profile = self.profile_before(&place).cloned().unwrap_or_default();
        profile.instance_id = instance_id.or(profile.instance_id);
        profile.rack_id = subscription.rack_id.filter(|rack| !rack.is_empty()).or(profile.rack_id);
        if request.rebalance_timeout_ms != -1 {
            profile.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        profile.topic_names = names(subscription.topics);
        profile.topic_regex.clear();
        joiner.client_id.clone_into(&mut profile.client_id);
        joiner.client_host.clone_into(&mut profile.client_host);
        let protocols = classic_protocols(request.protocols);
        let protocol_name = protocols.first().map(|protocol| protocol.name.clone());
        profile.classic = Some(ClassicProfile { session_timeout_ms: request.session_timeout_ms, protocols });
        let wait_ms = i64::from(profile.rebalance_timeout_ms.max(0));
        // It cannot be told to come back in a while: with an epoch behind the group's it would join again at once.
        let update = Update { place, profile, compiled: None, reported: Some(&reported), assigns_now: true };
        let updated = self.update(update, env, fx)?;
        self.renew_session(&updated.id, env);
        self.set_deadlines(&updated.id, |deadlines| {
            deadlines.join_ms = None;
            deadlines.sync_ms = Some(env.now.steady_ms + wait_ms);
        });
        Ok(JoinGroupResponse {
            generation_id: self.holding(&updated.id).epoch,
            protocol_type: Some(CONSUMERS.to_owned()),
            protocol_name,
            member_id: updated.id.to_string(),
            ..Default::default()
        })
    }

    /// Whether a member with these protocols can be in the group: one of them must be known to all classic members.
    fn check_protocols(
        &self,
        id: &str,
        protocol_type: &str,
        protocols: &[JoinGroupRequestProtocol],
    ) -> Result<(), Refused> {
        let mut classic = self.members.values().filter_map(|member| member.profile.classic.as_ref());
        let knows =
            |classic: &ClassicProfile, name: &str| classic.protocols.iter().any(|known| known.name == name);
        let others: Vec<&ClassicProfile> = classic.by_ref().collect();
        let is_common =
            |protocol: &JoinGroupRequestProtocol| others.iter().all(|other| knows(other, &protocol.name));
        if protocol_type == CONSUMERS && protocols.iter().any(is_common) {
            return Ok(());
        }
        let message = format!("Member {id}'s protocols are not supported.");
        Err(Refused::new(ErrorCode::InconsistentGroupProtocol, message))
    }

    /// Serves SyncGroup.
    ///
    /// # Errors
    /// What Kafka answers. Nothing has changed then, but that the member is expected to join again.
    pub fn sync_classic(
        &mut self,
        request: &SyncGroupRequest,
        env: &Env<'_>,
    ) -> Result<SyncGroupResponse, Refused> {
        let (id, member, classic) =
            self.classic(&request.member_id, request.group_instance_id.as_deref(), request.generation_id)?;
        let first = classic.protocols.first();
        let differs =
            |said: &Option<String>, is: Option<&str>| said.as_deref().is_some_and(|said| Some(said) != is);
        if differs(&request.protocol_type, Some(CONSUMERS))
            || differs(&request.protocol_name, first.map(|protocol| protocol.name.as_str()))
        {
            let message = "The protocol is not the one of the join response.";
            return Err(Refused::new(ErrorCode::InconsistentGroupProtocol, message));
        }
        // With partitions to give up it has joined already, and goes on when it has.
        if member.holding.epoch < self.epoch.epoch && member.holding.state != State::UnrevokedPartitions {
            self.expect_join(&id, env);
            let message = format!("A new rebalance is triggered in group {}.", self.id);
            return Err(Refused::new(ErrorCode::RebalanceInProgress, message));
        }
        let metadata = first.map(|first| &first.metadata[..]).unwrap_or_default();
        let assignment = write_assignment(metadata, &without_epochs(&member.holding.assigned), env.topics);
        self.set_deadlines(&id, |deadlines| deadlines.sync_ms = None);
        self.renew_session(&id, env);
        Ok(SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment,
            ..Default::default()
        })
    }

    /// Serves Heartbeat.
    ///
    /// # Errors
    /// What Kafka answers.
    pub fn heartbeat_classic(
        &mut self,
        request: &HeartbeatRequest,
        env: &Env<'_>,
    ) -> Result<HeartbeatResponse, Refused> {
        let (id, member, _) =
            self.classic(&request.member_id, request.group_instance_id.as_deref(), request.generation_id)?;
        let joins_again = member.holding.epoch < self.epoch.epoch
            || match member.holding.state {
                State::UnrevokedPartitions => true,
                State::UnreleasedPartitions => !self.waits_for_others(&id),
                State::Stable | State::Unknown => false,
            };
        self.renew_session(&id, env);
        if !joins_again {
            return Ok(HeartbeatResponse::default());
        }
        self.expect_join(&id, env);
        Ok(HeartbeatResponse { error_code: ErrorCode::RebalanceInProgress.code(), ..Default::default() })
    }

    /// Serves LeaveGroup, whose members each have their own answer. An administrator removes members of either protocol
    /// by it, static ones by their instance alone. All are looked up before any goes, so one may be named again.
    pub fn leave_by_name(
        &mut self,
        request: LeaveGroupRequest,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> LeaveGroupResponse {
        let mut leaving: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut members = Vec::with_capacity(request.members.len());
        for MemberIdentity { member_id, group_instance_id, .. } in request.members {
            let error = match self.leaver(&member_id, group_instance_id.as_deref()) {
                Ok(id) => {
                    leaving.insert(id);
                    ErrorCode::None
                }
                Err(refused) => refused.code,
            };
            members.push(MemberResponse { member_id, group_instance_id, error_code: error.code() });
        }
        let leaving: Vec<Arc<str>> = leaving.into_iter().collect();
        self.fence(&leaving, env, fx);
        LeaveGroupResponse { members, ..Default::default() }
    }

    fn leaver(&self, member_id: &str, instance_id: Option<&str>) -> Result<Arc<str>, Refused> {
        match instance_id {
            Some(instance) if member_id.is_empty() => {
                self.instances.get(instance).cloned().ok_or_else(|| unknown_instance(instance))
            }
            instance => Ok(self.present(member_id, instance)?.0),
        }
    }

    /// The classic member that a request comes from, in the generation that it believes in.
    fn classic(
        &self,
        id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(Arc<str>, &Member, &ClassicProfile), Refused> {
        let (id, member) = self.present(id, instance_id)?;
        let Some(classic) = &member.profile.classic else { return Err(not_classic(&id)) };
        if member.holding.epoch != generation {
            let message = format!(
                "The request generation id {generation} is not equal to the member epoch {} of member {id}.",
                member.holding.epoch
            );
            return Err(Refused::new(ErrorCode::IllegalGeneration, message));
        }
        Ok((id, member, classic))
    }

    /// The member was told to join again.
    fn expect_join(&mut self, id: &str, env: &Env<'_>) {
        let wait_ms =
            self.members.get(id).map_or(0, |member| i64::from(member.profile.rebalance_timeout_ms.max(0)));
        let until_ms = env.now.steady_ms + wait_ms;
        self.set_deadlines(id, |deadlines| deadlines.join_ms = deadlines.join_ms.or(Some(until_ms)));
    }

    /// Whether all that a member has yet to get is still with others.
    fn waits_for_others(&self, id: &Arc<str>) -> bool {
        let assigned = &self.holding(id).assigned;
        let target = self.targets.get(id).into_iter().flatten();
        let missing = target.flat_map(|(topic, partitions)| {
            let owned = assigned.get(topic);
            let missing = partitions
                .iter()
                .filter(move |partition| owned.is_none_or(|owned| !owned.contains_key(*partition)));
            missing.map(move |partition| (*topic, *partition))
        });
        let mut missing = missing;
        missing.any(|partition| self.owners.get(&partition).is_some_and(|owner| owner != id))
    }
}

fn not_classic(id: &str) -> Refused {
    Refused::new(ErrorCode::UnknownMemberId, format!("Member {id} does not use the classic protocol."))
}

/// In memory of their own: a slice would keep the whole request.
fn classic_protocols(protocols: Vec<JoinGroupRequestProtocol>) -> Vec<ClassicProtocol> {
    let own = |JoinGroupRequestProtocol { name, metadata }| {
        let metadata = bytes::Bytes::copy_from_slice(&metadata);
        ClassicProtocol { name, metadata }
    };
    protocols.into_iter().map(own).collect()
}
