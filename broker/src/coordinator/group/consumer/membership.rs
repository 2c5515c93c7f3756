//! Which member a request comes from, and whether it may be that.

use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::ConsumerGroupHeartbeatTopicPartitions;

use super::ConsumerGroup;
use super::change::{Change, member_bytes};
use super::member::{AWAY_EPOCH, Holding, JOIN_EPOCH, Member, Owned, Profile};
use super::refused::Refused;
use crate::coordinator::group::{Effects, Env};

/// The place of a request's sender in the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It is a member.
    Present(Arc<str>),
    /// It becomes one.
    New(Arc<str>),
    /// A static member is back under another id.
    Returns { was: Arc<str>, is: Arc<str> },
}

impl ConsumerGroup {
    /// Whether one more may join, if this one is no member.
    pub(super) fn check_room(
        &self,
        id: &str,
        instance_id: Option<&str>,
        env: &Env<'_>,
    ) -> Result<(), Refused> {
        let size_max = env.config.groups.consumer.size_max;
        let is_member = self.members.contains_key(id)
            || instance_id.is_some_and(|instance| self.instances.contains_key(instance));
        if is_member || self.members.len() < size_max {
            return Ok(());
        }
        let message = format!("The consumer group has reached its maximum capacity of {size_max} members.");
        Err(Refused::new(ErrorCode::GroupMaxSizeReached, message))
    }

    /// Whether there is memory for what a member says of itself. One that says no more than before is not put out.
    pub(super) fn check_bytes(&self, place: &Place, profile: &Profile, env: &Env<'_>) -> Result<(), Refused> {
        let (Place::Present(id) | Place::New(id) | Place::Returns { is: id, .. }) = place;
        let held = match place {
            Place::New(_) => 0,
            Place::Present(was) | Place::Returns { was, .. } => {
                self.members.get(was).map_or(0, |member| member_bytes(was, &member.profile))
            }
        };
        let wanted = member_bytes(id, profile);
        let limit = env.config.groups.classic.members_bytes_max;
        if wanted <= held || (self.bytes + wanted).saturating_sub(held) <= limit {
            return Ok(());
        }
        let message = format!(
            "The members of the consumer group would take more than {limit} bytes (sendlog.group.members.bytes.max)."
        );
        Err(Refused::new(ErrorCode::GroupMaxSizeReached, message))
    }

    /// Finds the sender's place. `joins`: it may become a member. `is_classic`: it speaks the classic protocol, which takes a
    /// static member's place without waiting for it to leave.
    pub(super) fn place(
        &self,
        id: &str,
        instance_id: Option<&str>,
        joins: bool,
        is_classic: bool,
    ) -> Result<Place, Refused> {
        let Some(instance) = instance_id else { return self.dynamic_place(id, joins) };
        let Some(holder) = self.instances.get(instance) else {
            return if joins { Ok(Place::New(id.into())) } else { Err(unknown_instance(instance)) };
        };
        if **holder == *id {
            return Ok(Place::Present(Arc::clone(holder)));
        }
        if !joins {
            let message =
                format!("Static member {id} with instance id {instance} was fenced by member {holder}.");
            return Err(Refused::new(ErrorCode::FencedInstanceId, message));
        }
        let is_taken = self.members.get(holder).is_some_and(|member| {
            !is_classic && !member.profile.is_classic() && member.holding.epoch != AWAY_EPOCH
        });
        if is_taken {
            let message = format!(
                "Static member {id} with instance id {instance} cannot join the group because the instance id is owned by \
                 {holder} member."
            );
            return Err(Refused::new(ErrorCode::UnreleasedInstanceId, message));
        }
        if self.members.contains_key(id) {
            // Its id is another member's: two members cannot become one.
            return Err(Refused::invalid("MemberId is in use by a member with another InstanceId."));
        }
        Ok(Place::Returns { was: Arc::clone(holder), is: id.into() })
    }

    fn dynamic_place(&self, id: &str, joins: bool) -> Result<Place, Refused> {
        match self.members.get_key_value(id) {
            Some((id, _)) => Ok(Place::Present(Arc::clone(id))),
            None if joins => Ok(Place::New(id.into())),
            None => Err(self.unknown_member(id)),
        }
    }

    pub(super) fn unknown_member(&self, id: &str) -> Refused {
        let message = format!("Member {id} is not a member of group {}.", self.id);
        Refused::new(ErrorCode::UnknownMemberId, message)
    }

    /// The member that a request which must come from one comes from.
    pub(super) fn present(
        &self,
        id: &str,
        instance_id: Option<&str>,
    ) -> Result<(Arc<str>, &Member), Refused> {
        let id = match self.place(id, instance_id, false, false)? {
            Place::Present(id) | Place::New(id) | Place::Returns { is: id, .. } => id,
        };
        let member = self.members.get(&id).ok_or_else(|| self.unknown_member(&id))?;
        Ok((id, member))
    }

    /// Whether a member may act in this epoch. With 0 it joins again, after it gave up all; with its previous epoch it has
    /// not heard of the present one, which is no harm unless it owns what it should not.
    pub(super) fn check_epoch(
        &self,
        id: &str,
        received: i32,
        reported: Option<&[ConsumerGroupHeartbeatTopicPartitions]>,
    ) -> Result<(), Refused> {
        let holding = self.holding(id);
        if received == JOIN_EPOCH || received == holding.epoch {
            return Ok(());
        }
        let is_behind = received == holding.previous_epoch && received < holding.epoch;
        if is_behind && reported.is_some_and(|reported| owns_all(&holding.assigned, reported)) {
            return Ok(());
        }
        let than = if holding.epoch < received { "greater" } else { "smaller" };
        let message = format!(
            "The consumer group member has a {than} member epoch ({received}) than the one known by the group coordinator \
             ({}). The member must abandon all its partitions and rejoin.",
            holding.epoch
        );
        Err(Refused::new(ErrorCode::FencedMemberEpoch, message))
    }

    /// The profile of whoever has the place now.
    pub(super) fn profile_before(&self, place: &Place) -> Option<&Profile> {
        let (Place::Present(id) | Place::New(id) | Place::Returns { was: id, .. }) = place;
        self.members.get(id).map(|member| &member.profile)
    }

    /// Gives a returning static member what it had; tells the id that holds the place now.
    pub(super) fn take_place(&mut self, place: &Place, fx: &mut Effects) -> Arc<str> {
        let (was, is) = match place {
            Place::Present(id) | Place::New(id) => return Arc::clone(id),
            Place::Returns { was, is } => (was, is),
        };
        let Some(member) = self.members.get(was) else { return Arc::clone(is) };
        let profile = member.profile.clone();
        let holding = Holding { epoch: JOIN_EPOCH, previous_epoch: JOIN_EPOCH, ..member.holding.clone() };
        let target = self.targets.get(was).cloned().unwrap_or_default();
        tracing::debug!(group = %self.id, member = ?is, ?was, "a static member is back");
        self.remove_member(was, fx);
        self.emit(Change::Profile(Arc::clone(is), Some(profile)), fx);
        self.emit(Change::Target(Arc::clone(is), Some(target)), fx);
        self.emit(Change::Holding(Arc::clone(is), Some(holding)), fx);
        Arc::clone(is)
    }

    /// Takes a member out; the order is Kafka's.
    pub(super) fn remove_member(&mut self, id: &Arc<str>, fx: &mut Effects) {
        self.emit(Change::Holding(Arc::clone(id), None), fx);
        self.emit(Change::Target(Arc::clone(id), None), fx);
        self.emit(Change::Profile(Arc::clone(id), None), fx);
    }
}

pub(super) fn unknown_instance(instance: &str) -> Refused {
    Refused::new(ErrorCode::UnknownMemberId, format!("Instance id {instance} is unknown."))
}

fn owns_all(assigned: &Owned, reported: &[ConsumerGroupHeartbeatTopicPartitions]) -> bool {
    reported.iter().all(|topic| {
        let owned = assigned.get(&topic.topic_id);
        owned.is_some_and(|owned| topic.partitions.iter().all(|partition| owned.contains_key(partition)))
    })
}
