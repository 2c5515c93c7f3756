//! Members report: they join, change what they read, learn what they get, and leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::assignor::{self, Assignment, Subscriber};
use super::{ShareGroup, ShareGroupError, ShareMember, session_timeout_ms};
use crate::coordinator::group::{Effects, Env, TopicsImage};

/// The epoch of a member that joins.
const JOIN_EPOCH: i32 = 0;

/// The epoch of a member that leaves.
const LEAVE_EPOCH: i32 = -1;

/// A member's report.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat {
    /// The member, who made its id up.
    pub member_id: String,
    /// The epoch that it knows; 0 joins, -1 leaves.
    pub member_epoch: i32,
    /// Its rack, if it changed.
    pub rack_id: Option<String>,
    /// The topics that it reads, if they changed.
    pub topics: Option<Vec<String>>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
}

/// What a member learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// Its epoch.
    pub member_epoch: i32,
    /// What it reads, if that changed or it may not know.
    pub assignment: Option<Assignment>,
}

impl ShareGroup {
    /// Takes a report over.
    ///
    /// # Errors
    /// [`ShareGroupError`]; nothing changed then.
    pub fn heartbeat(
        &mut self,
        report: &Heartbeat,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Result<HeartbeatAnswer, ShareGroupError> {
        let known = self.members.get_key_value(report.member_id.as_str());
        let known = known.map(|(id, member)| (Arc::clone(id), member.clone()));
        if report.member_epoch == LEAVE_EPOCH {
            let (member_id, _) = known.ok_or_else(|| self.unknown(report))?;
            self.remove(&member_id, env.topics, fx);
            return Ok(HeartbeatAnswer { member_epoch: LEAVE_EPOCH, assignment: None });
        }
        let (member_id, before) = self.admit(report, known, env)?;
        let changed = self.update(&member_id, &before, report, fx);
        self.refresh(changed, env, fx);
        self.reconcile(&member_id, fx);
        let until_ms = env.now.steady_ms.saturating_add(session_timeout_ms(env));
        let Some(member) = self.members.get_mut(&member_id) else { return Err(self.unknown(report)) };
        member.session_until_ms = until_ms;
        let tells = report.member_epoch == JOIN_EPOCH
            || report.topics.is_some()
            || member.assigned != before.assigned;
        let assignment = tells.then(|| member.assigned.clone());
        Ok(HeartbeatAnswer { member_epoch: member.epoch, assignment })
    }

    fn unknown(&self, report: &Heartbeat) -> ShareGroupError {
        let (member_id, group_id) = (report.member_id.clone(), self.id.to_string());
        ShareGroupError::UnknownMember { member_id, group_id }
    }

    /// Whether the member may report so, and as what it is known.
    fn admit(
        &self,
        report: &Heartbeat,
        known: Option<(Arc<str>, ShareMember)>,
        env: &Env<'_>,
    ) -> Result<(Arc<str>, ShareMember), ShareGroupError> {
        let limit = env.config.groups.share.size_max;
        match known {
            None if report.member_epoch != JOIN_EPOCH => Err(self.unknown(report)),
            None if limit <= self.members.len() => Err(ShareGroupError::Full { limit }),
            None => Ok((report.member_id.as_str().into(), ShareMember::default())),
            Some((member_id, member)) => {
                let (found, known, previous) = (report.member_epoch, member.epoch, member.previous_epoch);
                if known < found {
                    return Err(ShareGroupError::Ahead { found, known });
                }
                if found != JOIN_EPOCH && found != known && found != previous {
                    return Err(ShareGroupError::Behind { found, known, previous });
                }
                Ok((member_id, member))
            }
        }
    }

    /// Stores what the member says of itself; whether it reads other topics than before.
    fn update(
        &mut self,
        member_id: &Arc<str>,
        before: &ShareMember,
        report: &Heartbeat,
        fx: &mut Effects,
    ) -> bool {
        let mut member = before.clone();
        if let Some(rack_id) = &report.rack_id {
            member.rack_id = Some(rack_id.clone());
        }
        if let Some(topics) = &report.topics {
            member.topics = topics.iter().map(|name| Arc::from(name.as_str())).collect();
        }
        member.client_id.clone_from(&report.client_id);
        member.client_host.clone_from(&report.client_host);
        let is_new = !self.members.contains_key(member_id);
        let reads_others = is_new || member.topics != before.topics;
        let is_changed = is_new || member != *before;
        self.members.insert(Arc::clone(member_id), member);
        if is_changed {
            self.append_member(member_id, fx);
        }
        reads_others
    }

    /// Follows what changed of members and topics with the group's epoch and the assignment.
    fn refresh(&mut self, is_changed: bool, env: &Env<'_>, fx: &mut Effects) {
        let mut is_changed = is_changed;
        if is_changed || self.topics_version != Some(env.topics.version()) {
            self.topics_version = Some(env.topics.version());
            is_changed |= self.forget_deleted(env.topics, fx);
            is_changed |= self.initialize_subscribed(env.topics, fx);
            is_changed |= self.hash_of(env.topics) != self.metadata_hash;
        }
        if is_changed {
            self.bump(env.topics, fx);
        }
        if self.assignment_epoch < self.epoch {
            self.assign(env.topics, env.now.wall_ms, fx);
        }
    }

    fn assign(&mut self, topics: &TopicsImage, now_ms: i64, fx: &mut Effects) {
        let ids = |member: &ShareMember| {
            member.topics.iter().filter_map(|name| topics.by_name(name)).map(|topic| topic.id).collect()
        };
        let subscribed: BTreeSet<_> =
            self.members.values().flat_map(|member| -> BTreeSet<_> { ids(member) }).collect();
        let assignable = self.initialized.iter().filter(|(id, _)| subscribed.contains(*id));
        let assignable = assignable.map(|(id, topic)| (*id, topic.partitions.clone())).collect();
        let none = Assignment::new();
        let members: Vec<Subscriber<'_>> = self
            .members
            .iter()
            .map(|(id, member)| Subscriber {
                topics: ids(member),
                current: self.target.get(id).unwrap_or(&none),
            })
            .collect();
        let assignments = assignor::assign(&members, &assignable);
        let member_ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for (member_id, assignment) in member_ids.into_iter().zip(assignments) {
            if self.target.get(&member_id) != Some(&assignment) {
                self.target.insert(Arc::clone(&member_id), assignment);
                self.append_target(&member_id, fx);
            }
        }
        self.assignment_epoch = self.epoch;
        self.assignment_timestamp_ms = now_ms;
        self.append_target_metadata(fx);
    }

    /// Gives the member its target.
    fn reconcile(&mut self, member_id: &Arc<str>, fx: &mut Effects) {
        let target = self.target.get(member_id).cloned().unwrap_or_default();
        let epoch = self.assignment_epoch;
        let Some(member) = self.members.get_mut(member_id) else { return };
        if member.epoch == epoch && member.assigned == target {
            return;
        }
        if member.epoch != epoch {
            member.previous_epoch = member.epoch;
            member.epoch = epoch;
        }
        member.assigned = target;
        self.append_current(member_id, fx);
    }
}
