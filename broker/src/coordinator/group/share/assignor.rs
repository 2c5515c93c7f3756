//! The `simple` assignor: who reads which partitions of a share group.
//!
//! Members may share partitions. All partitions have about the same number of members, and all members about the same number
//! of partitions; a partition is never without a member. Who has a partition keeps it where that is no unfairer. Members
//! with the same subscription are balanced over all their topics, others topic by topic. The same members and topics give
//! the same assignment.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// Partitions by topic.
pub type Assignment = BTreeMap<Uuid, BTreeSet<i32>>;

/// A partition of a topic.
type TopicPartition = (Uuid, i32);

/// A member, as the assignor sees it.
#[derive(Debug)]
pub struct Subscriber<'a> {
    /// The topics that it reads.
    pub topics: BTreeSet<Uuid>,
    /// What it has now.
    pub current: &'a Assignment,
}

/// Assigns partitions of `topics` to `members`; the results are in the order of the members.
pub fn assign(members: &[Subscriber<'_>], topics: &BTreeMap<Uuid, BTreeSet<i32>>) -> Vec<Assignment> {
    let mut assignments = vec![Assignment::new(); members.len()];
    let is_uniform = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
    let mut spread = |topics: &[(&Uuid, &BTreeSet<i32>)]| {
        let subscribed = members
            .iter()
            .enumerate()
            .filter(|(_, member)| topics.iter().any(|(topic, _)| member.topics.contains(*topic)));
        let subscribed: Vec<usize> = subscribed.map(|(index, _)| index).collect();
        let flat =
            topics.iter().flat_map(|(topic, partitions)| partitions.iter().map(|index| (**topic, *index)));
        let partitions: Vec<TopicPartition> = flat.collect();
        let current: Vec<&Assignment> = subscribed.iter().map(|index| members[*index].current).collect();
        for (member, given) in subscribed.iter().zip(Spread::over(&partitions, &current)) {
            for (topic, partition) in given {
                assignments[*member].entry(topic).or_default().insert(partition);
            }
        }
    };
    if is_uniform {
        let wanted = |topic: &Uuid| members.first().is_some_and(|member| member.topics.contains(topic));
        let all: Vec<_> = topics.iter().filter(|(topic, _)| wanted(topic)).collect();
        spread(&all);
    } else {
        topics.iter().for_each(|topic| spread(&[topic]));
    }
    assignments
}

/// Partitions on their way to members that all may have all of them.
struct Spread {
    /// Members of each partition.
    holders: Vec<BTreeSet<usize>>,
    /// Partitions of each member.
    given: Vec<BTreeSet<TopicPartition>>,
}

impl Spread {
    fn over(partitions: &[TopicPartition], current: &[&Assignment]) -> Vec<BTreeSet<TopicPartition>> {
        let members = current.len();
        if members == 0 || partitions.is_empty() {
            return vec![BTreeSet::new(); members];
        }
        let sharing = members.div_ceil(partitions.len());
        let quotas = quotas(partitions, current, sharing * partitions.len());
        let mut spread =
            Self { holders: vec![BTreeSet::new(); partitions.len()], given: vec![BTreeSet::new(); members] };
        for (member, quota) in quotas.iter().enumerate() {
            let has = |(topic, index): &TopicPartition| {
                current[member].get(topic).is_some_and(|indexes| indexes.contains(index))
            };
            let kept = partitions.iter().enumerate().filter(|(_, partition)| has(partition));
            for (at, partition) in kept {
                if spread.given[member].len() < *quota && spread.holders[at].len() < sharing {
                    spread.give(at, *partition, member);
                }
            }
        }
        spread.fill(partitions, &quotas, sharing);
        spread.given
    }

    /// Gives what is missing to those that have the most to get.
    fn fill(&mut self, partitions: &[TopicPartition], quotas: &[usize], sharing: usize) {
        let open =
            |given: &BTreeSet<TopicPartition>, member: usize| quotas[member].saturating_sub(given.len());
        let wanting = (0..quotas.len()).map(|member| (Reverse(open(&self.given[member], member)), member));
        let mut wanting: BTreeSet<(Reverse<usize>, usize)> =
            wanting.filter(|(Reverse(missing), _)| 0 < *missing).collect();
        for (at, partition) in partitions.iter().enumerate() {
            let missing = sharing - self.holders[at].len();
            let taking: Vec<(Reverse<usize>, usize)> = wanting
                .iter()
                .filter(|(_, member)| !self.holders[at].contains(member))
                .take(missing)
                .copied()
                .collect();
            for entry in taking {
                wanting.remove(&entry);
                let (Reverse(missing), member) = entry;
                self.give(at, *partition, member);
                if 1 < missing {
                    wanting.insert((Reverse(missing - 1), member));
                }
            }
            if self.holders[at].is_empty() {
                // What others kept left nobody that lacks one; a partition needs somebody all the same.
                let least = (0..quotas.len()).min_by_key(|member| self.given[*member].len());
                least.into_iter().for_each(|member| self.give(at, *partition, member));
            }
        }
    }

    fn give(&mut self, at: usize, partition: TopicPartition, member: usize) {
        self.holders[at].insert(member);
        self.given[member].insert(partition);
    }
}

/// How many partitions each member gets. Who has more now may keep one more.
fn quotas(partitions: &[TopicPartition], current: &[&Assignment], total: usize) -> Vec<usize> {
    let (base, more) = (total / current.len(), total % current.len());
    let count = |assignment: &Assignment| {
        let has = |(topic, index): &&TopicPartition| {
            assignment.get(topic).is_some_and(|indexes| indexes.contains(index))
        };
        partitions.iter().filter(has).count()
    };
    let mut order: Vec<(Reverse<usize>, usize)> = current
        .iter()
        .enumerate()
        .map(|(member, assignment)| (Reverse(count(assignment).min(base + 1)), member))
        .collect();
    order.sort_unstable();
    let mut quotas = vec![base; current.len()];
    order.iter().take(more).for_each(|(_, member)| quotas[*member] += 1);
    quotas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topics(counts: &[i32]) -> BTreeMap<Uuid, BTreeSet<i32>> {
        let ids = (1u128..).map(Uuid::from_u128);
        ids.zip(counts).map(|(id, count)| (id, (0..*count).collect())).collect()
    }

    /// Assigns to members that read these topics and have this.
    fn run(topics: &BTreeMap<Uuid, BTreeSet<i32>>, members: &[(Vec<usize>, Assignment)]) -> Vec<Assignment> {
        let ids: Vec<Uuid> = topics.keys().copied().collect();
        let members = members.iter().map(|(wanted, current)| Subscriber {
            topics: wanted.iter().filter_map(|index| ids.get(*index).copied()).collect(),
            current,
        });
        assign(&members.collect::<Vec<_>>(), topics)
    }

    fn sizes(assignments: &[Assignment]) -> Vec<usize> {
        assignments.iter().map(|one| one.values().map(BTreeSet::len).sum()).collect()
    }

    fn members(count: usize) -> Vec<(Vec<usize>, Assignment)> {
        vec![((0..10).collect(), Assignment::new()); count]
    }

    #[test]
    fn few_members_divide_the_partitions_and_many_share_them() {
        assert_eq!(sizes(&run(&topics(&[6]), &members(2))), [3, 3]);
        assert_eq!(sizes(&run(&topics(&[2, 3]), &members(2))), [3, 2]);
        assert_eq!(sizes(&run(&topics(&[2]), &members(4))), [1, 1, 1, 1]);
        assert_eq!(sizes(&run(&topics(&[1]), &members(5))), [1; 5]);
        assert_eq!(sizes(&run(&topics(&[2]), &members(3))), [2, 1, 1]);
        assert_eq!(sizes(&run(&topics(&[]), &members(3))), [0; 3]);
        assert!(run(&topics(&[3]), &[]).is_empty());
    }

    #[test]
    fn a_member_keeps_what_it_may_have() {
        let topics = topics(&[4]);
        let mut group = members(2);
        for (member, given) in group.iter_mut().zip(run(&topics, &members(2))) {
            member.1 = given;
        }
        let before = group.clone();
        group.push(((0..10).collect(), Assignment::new()));
        let after = run(&topics, &group);
        for (member, given) in before.iter().zip(&after) {
            let kept = |topic: &Uuid| given[topic].intersection(&member.1[topic]).count();
            assert_eq!(given.keys().map(kept).sum::<usize>(), sizes(std::slice::from_ref(given))[0]);
        }
        assert_eq!(sizes(&after).iter().sum::<usize>(), 4);
    }

    proptest! {
        #[test]
        fn every_partition_has_a_member_and_nobody_what_it_does_not_read(
            counts in prop::collection::vec(1..6i32, 1..4),
            rounds in prop::collection::vec(prop::collection::vec(prop::collection::vec(0..4usize, 1..4), 1..8), 1..4),
        ) {
            let topics = topics(&counts);
            let ids: Vec<Uuid> = topics.keys().copied().collect();
            let mut current: Vec<Assignment> = Vec::new();
            for round in rounds {
                current.resize(round.len(), Assignment::new());
                let members: Vec<_> = round.into_iter().zip(current).collect();
                let after = run(&topics, &members);
                for ((wanted, _), given) in members.iter().zip(&after) {
                    let may = |topic: &Uuid| wanted.iter().any(|index| ids.get(*index) == Some(topic));
                    prop_assert!(given.keys().all(may));
                }
                for (index, (topic, partitions)) in topics.iter().enumerate() {
                    let readers = members.iter().filter(|(wanted, _)| wanted.contains(&index)).count();
                    let sharing = readers.div_ceil(partitions.len());
                    for partition in partitions {
                        let holders = after.iter().filter(|one| {
                            one.get(topic).is_some_and(|given| given.contains(partition))
                        });
                        let holders = holders.count();
                        prop_assert!(readers == 0 || 0 < holders, "nobody reads {topic} {partition}");
                        prop_assert!(holders <= sharing.max(1));
                    }
                }
                let is_uniform = members.windows(2).all(|pair| {
                    let set = |wanted: &[usize]| wanted.iter().filter(|index| **index < ids.len()).copied().collect::<BTreeSet<_>>();
                    set(&pair[0].0) == set(&pair[1].0)
                });
                let sizes = sizes(&after);
                if is_uniform {
                    let (min, max) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
                    prop_assert!(max - min <= 2, "{:?}", sizes);
                }
                current = after;
            }
        }
    }
}
