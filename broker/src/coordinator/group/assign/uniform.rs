//! The `uniform` assignor: equal shares first, then as few moves as possible.
//!
//! Members that all subscribe to the same topics get shares that differ by one partition at most, and no other assignment so
//! balanced moves fewer partitions. With different subscriptions, no move of one partition would make two shares more equal.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{Assignment, PartitionCounts, Subscriber};

type Partition = (Uuid, i32);

/// See [`super::Assignor::assign`].
pub(super) fn assign(members: &[Subscriber<'_>], counts: &PartitionCounts) -> Vec<Assignment> {
    let Some(first) = members.first() else { return Vec::new() };
    let mut kept = keep(members, counts);
    let free = unowned(members, counts, &kept);
    if members.iter().all(|member| member.topics == first.topics) {
        level(&mut kept, free);
    } else {
        balance(members, &mut kept, free);
    }
    kept
}

/// What members own and may go on to own. A partition that two of them claim stays with the first.
fn keep(members: &[Subscriber<'_>], counts: &PartitionCounts) -> Vec<Assignment> {
    let mut claimed: HashSet<Partition> = HashSet::new();
    let mut kept = Vec::with_capacity(members.len());
    for member in members {
        let mut own = Assignment::new();
        for (topic, partitions) in member.assigned.iter().filter(|(topic, _)| member.topics.contains(*topic))
        {
            let count = counts.get(topic).copied().unwrap_or(0);
            let valid = partitions.iter().filter(|partition| (0..count).contains(*partition));
            let mine = valid.copied().filter(|partition| claimed.insert((*topic, *partition))).collect();
            own.insert(*topic, mine);
        }
        own.retain(|_, partitions| !partitions.is_empty());
        kept.push(own);
    }
    kept
}

/// Partitions of subscribed topics that nobody keeps, in order.
fn unowned(members: &[Subscriber<'_>], counts: &PartitionCounts, kept: &[Assignment]) -> Vec<Partition> {
    let subscribed: HashSet<Uuid> = members.iter().flat_map(|member| member.topics).copied().collect();
    let owned: HashSet<Partition> = kept.iter().flat_map(partitions_of).collect();
    let all = counts.iter().filter(|(topic, _)| subscribed.contains(topic));
    let all = all.flat_map(|(topic, count)| (0..*count).map(|partition| (*topic, partition)));
    all.filter(|partition| !owned.contains(partition)).collect()
}

fn partitions_of(assignment: &Assignment) -> impl Iterator<Item = Partition> + '_ {
    assignment.iter().flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
}

fn size(assignment: &Assignment) -> usize {
    assignment.values().map(|partitions| partitions.len()).sum()
}

/// The same subscription for all: everyone is brought to the quota, and the larger quotas go to those who have the most.
fn level(targets: &mut [Assignment], mut free: Vec<Partition>) {
    let total = free.len() + targets.iter().map(size).sum::<usize>();
    let (share, extra) = (total / targets.len(), total % targets.len());
    let mut order: Vec<usize> = (0..targets.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(size(&targets[*index])));
    let mut room: Vec<(usize, usize)> = Vec::new();
    for (rank, index) in order.into_iter().enumerate() {
        let quota = share + usize::from(rank < extra);
        let has = size(&targets[index]);
        for _ in quota..has {
            free.extend(take_last(&mut targets[index]));
        }
        if has < quota {
            room.push((index, quota - has));
        }
    }
    free.sort_unstable();
    // In turns, so that the partitions of one topic are spread.
    room.sort_unstable();
    let mut turn = 0;
    for (topic, partition) in free {
        let Some((index, left)) = room.get_mut(turn) else { break };
        targets[*index].entry(topic).or_default().insert(partition);
        *left -= 1;
        if *left == 0 {
            room.remove(turn);
        } else {
            turn += 1;
        }
        if room.len() <= turn {
            turn = 0;
        }
    }
}

fn take_last(assignment: &mut Assignment) -> Option<Partition> {
    let mut entry = assignment.last_entry()?;
    let topic = *entry.key();
    let partition = entry.get_mut().pop_last();
    if entry.get().is_empty() {
        entry.remove();
    }
    partition.map(|partition| (topic, partition))
}

/// Different subscriptions: what is free goes to whoever has least, topics with few readers first; then partitions move from
/// larger to smaller shares while that helps. Every move lowers the sum of the squared shares, so this ends.
fn balance(members: &[Subscriber<'_>], targets: &mut [Assignment], free: Vec<Partition>) {
    let mut readers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        for topic in member.topics {
            readers.entry(*topic).or_default().push(index);
        }
    }
    let mut load: Vec<usize> = targets.iter().map(size).collect();
    let mut free_by_topic: HashMap<Uuid, Vec<i32>> = HashMap::new();
    for (topic, partition) in free {
        free_by_topic.entry(topic).or_default().push(partition);
    }
    let mut topics: Vec<(&Uuid, &Vec<usize>)> = readers.iter().collect();
    topics.sort_by_key(|(topic, readers)| (readers.len(), **topic));
    for (topic, readers) in &topics {
        for partition in free_by_topic.remove(*topic).into_iter().flatten() {
            let Some(index) = readers.iter().copied().min_by_key(|index| load[*index]) else { continue };
            targets[index].entry(**topic).or_default().insert(partition);
            load[index] += 1;
        }
    }
    let mut moved = true;
    while moved {
        moved = false;
        for (topic, readers) in &topics {
            while even_out(**topic, readers, targets, &mut load) {
                moved = true;
            }
        }
    }
}

/// Moves one partition of `topic` from the largest share that has one to the smallest, if they differ by two or more.
fn even_out(topic: Uuid, readers: &[usize], targets: &mut [Assignment], load: &mut [usize]) -> bool {
    let owners = readers.iter().copied().filter(|index| targets[*index].contains_key(&topic));
    let Some(from) = owners.max_by_key(|index| load[*index]) else { return false };
    let Some(to) = readers.iter().copied().min_by_key(|index| load[*index]) else { return false };
    if load[from] < load[to] + 2 {
        return false;
    }
    let Some(partitions) = targets[from].get_mut(&topic) else { return false };
    let Some(partition) = partitions.pop_last() else { return false };
    if partitions.is_empty() {
        targets[from].remove(&topic);
    }
    targets[to].entry(topic).or_default().insert(partition);
    load[from] -= 1;
    load[to] += 1;
    true
}
