//! One step of a member towards its target: give up first, then get what is free.

use std::collections::{BTreeMap, BTreeSet};

use sendlog_protocol::messages::ConsumerGroupHeartbeatTopicPartitions;
use uuid::Uuid;

use super::member::{Holding, Owned, State};
use super::refused::Refused;
use crate::coordinator::group::assign::Assignment;
use sendlog_protocol::error_code::ErrorCode;

/// Where a member is to go, and what is known on the way.
pub(super) struct Goal<'a> {
    /// Epoch of the target.
    pub(super) epoch: i32,
    pub(super) target: &'a Assignment,
    /// Ids of the topics that the member subscribes to.
    pub(super) subscribed: &'a BTreeSet<Uuid>,
    /// The subscription has changed: topics that are no longer in it go at once.
    pub(super) has_new_subscription: bool,
    /// What the member says that it owns; `None` if it does not say.
    pub(super) reported: Option<&'a [ConsumerGroupHeartbeatTopicPartitions]>,
}

impl Goal<'_> {
    /// Whether the member may still read one of these.
    fn still_owns(&self, revoking: &Owned) -> bool {
        let Some(reported) = self.reported else { return true };
        reported.iter().any(|topic| {
            let revoking = revoking.get(&topic.topic_id);
            revoking.is_some_and(|revoking| {
                topic.partitions.iter().any(|partition| revoking.contains_key(partition))
            })
        })
    }
}

/// The member's next holding. `is_free` tells whether nobody else holds a partition.
///
/// # Errors
/// `FENCED_MEMBER_EPOCH` if a broker of another version has left the member in a state that this one does not know.
pub(super) fn step(
    holding: &Holding,
    goal: &Goal<'_>,
    is_free: impl Fn(Uuid, i32) -> bool,
) -> Result<Holding, Refused> {
    match holding.state {
        State::Stable if holding.epoch == goal.epoch => {
            Ok(if goal.has_new_subscription { strip(holding, goal) } else { holding.clone() })
        }
        State::UnrevokedPartitions if goal.still_owns(&holding.revoking) => {
            Ok(if goal.has_new_subscription { strip(holding, goal) } else { holding.clone() })
        }
        State::Stable | State::UnrevokedPartitions | State::UnreleasedPartitions => {
            Ok(advance(holding, goal, is_free))
        }
        State::Unknown if goal.reported.is_some_and(<[_]>::is_empty) => Ok(advance(holding, goal, is_free)),
        State::Unknown => Err(Refused::new(
            ErrorCode::FencedMemberEpoch,
            "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.",
        )),
    }
}

/// Takes away topics that the member no longer subscribes to, and leaves the rest as it is.
fn strip(holding: &Holding, goal: &Goal<'_>) -> Holding {
    let mut next = holding.clone();
    next.assigned.retain(|topic, partitions| {
        let stays = goal.subscribed.contains(topic);
        if !stays {
            next.revoking.entry(*topic).or_default().append(partitions);
        }
        stays
    });
    if next.assigned == holding.assigned {
        return next;
    }
    if goal.still_owns(&next.revoking) {
        next.state = State::UnrevokedPartitions;
    } else {
        next.revoking.clone_from(&holding.revoking);
    }
    next.advance(holding.epoch);
    next
}

fn advance(holding: &Holding, goal: &Goal<'_>, is_free: impl Fn(Uuid, i32) -> bool) -> Holding {
    let mut next = Holding { state: State::Stable, epoch: holding.epoch, ..Holding::default() };
    for (topic, partitions) in &holding.assigned {
        let target = goal.target.get(topic).filter(|_| goal.subscribed.contains(topic));
        let stays = |partition: &i32| target.is_some_and(|target| target.contains(partition));
        let (kept, given): (BTreeMap<i32, i32>, BTreeMap<i32, i32>) = partitions
            .iter()
            .map(|(partition, epoch)| (*partition, *epoch))
            .partition(|(partition, _)| stays(partition));
        put(&mut next.assigned, *topic, kept);
        put(&mut next.revoking, *topic, given);
    }
    if !next.revoking.is_empty() && goal.still_owns(&next.revoking) {
        next.state = State::UnrevokedPartitions;
        next.advance(holding.epoch);
        return next;
    }
    next.revoking.clear();
    for (topic, target) in goal.target.iter().filter(|(topic, _)| goal.subscribed.contains(*topic)) {
        for partition in target {
            if next.assigned.get(topic).is_some_and(|owned| owned.contains_key(partition)) {
                continue;
            }
            if is_free(*topic, *partition) {
                next.assigned.entry(*topic).or_default().insert(*partition, goal.epoch);
            } else {
                next.state = State::UnreleasedPartitions;
            }
        }
    }
    next.previous_epoch = holding.epoch;
    next.epoch = goal.epoch;
    next
}

fn put(owned: &mut Owned, topic: Uuid, partitions: BTreeMap<i32, i32>) {
    if !partitions.is_empty() {
        owned.insert(topic, partitions);
    }
}
