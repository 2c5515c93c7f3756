//! The `range` assignor: of every topic, each member gets one run of partitions.
//!
//! Members stand in one order for all topics: static members by instance id, then the others by member id. Topics with equal
//! numbers of partitions and the same subscribers are therefore split alike, which joins of such topics need.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Assignment, PartitionCounts, Subscriber};

/// How far a topic has been handed out.
#[derive(Debug)]
struct Split {
    next: i32,
    /// Partitions that every subscriber gets.
    share: i32,
    /// Subscribers, from the first one, that get one more.
    extra: i32,
}

/// See [`super::Assignor::assign`].
pub(super) fn assign(members: &[Subscriber<'_>], counts: &PartitionCounts) -> Vec<Assignment> {
    let mut splits = splits(members, counts);
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|a, b| place(&members[*a], &members[*b]));
    let mut targets = vec![Assignment::new(); members.len()];
    for index in order {
        for topic in members[index].topics {
            let Some(split) = splits.get_mut(topic) else { continue };
            let more = i32::from(0 < split.extra);
            split.extra -= more;
            let end = split.next + split.share + more;
            if split.next < end {
                targets[index].insert(*topic, (split.next..end).collect());
            }
            split.next = end;
        }
    }
    targets
}

fn splits(members: &[Subscriber<'_>], counts: &PartitionCounts) -> BTreeMap<Uuid, Split> {
    let mut subscribers: BTreeMap<Uuid, i32> = BTreeMap::new();
    for topic in members.iter().flat_map(|member| member.topics) {
        *subscribers.entry(*topic).or_default() += 1;
    }
    let split = |(topic, subscribers): (Uuid, i32)| {
        let count = *counts.get(&topic)?;
        Some((topic, Split { next: 0, share: count / subscribers, extra: count % subscribers }))
    };
    subscribers.into_iter().filter_map(split).collect()
}

fn place(a: &Subscriber<'_>, b: &Subscriber<'_>) -> Ordering {
    match (a.instance_id, b.instance_id) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.member_id.cmp(b.member_id),
    }
}
