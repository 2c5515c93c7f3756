//! Promises of the assignors, over random groups that change.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::{Assignment, Assignor, PartitionCounts, Subscriber};

fn topic(number: u128) -> Uuid {
    Uuid::from_u128(number + 1)
}

fn topics(numbers: &[u128]) -> BTreeSet<Uuid> {
    numbers.iter().copied().map(topic).collect()
}

/// A member's name and its topics.
type Member = (String, BTreeSet<Uuid>);

fn run(
    assignor: Assignor,
    members: &[Member],
    counts: &PartitionCounts,
    before: &BTreeMap<String, Assignment>,
) -> BTreeMap<String, Assignment> {
    let none = Assignment::new();
    let subscribers: Vec<Subscriber<'_>> = members
        .iter()
        .map(|(name, topics)| Subscriber {
            member_id: name,
            instance_id: None,
            topics,
            assigned: before.get(name).unwrap_or(&none),
        })
        .collect();
    let targets = assignor.assign(&subscribers, counts);
    members.iter().map(|(name, _)| name.clone()).zip(targets).collect()
}

fn size(assignment: &Assignment) -> usize {
    assignment.values().map(BTreeSet::len).sum()
}

fn owners(targets: &BTreeMap<String, Assignment>) -> BTreeMap<(Uuid, i32), &str> {
    let mut owners = BTreeMap::new();
    for (name, assignment) in targets {
        for (topic, partitions) in assignment {
            assert!(!partitions.is_empty(), "topics without partitions are left out");
            for partition in partitions {
                assert_eq!(owners.insert((*topic, *partition), name.as_str()), None, "one owner a partition");
            }
        }
    }
    owners
}

/// Partitions that some member had before and another one has now.
fn moves(before: &BTreeMap<String, Assignment>, after: &BTreeMap<String, Assignment>) -> usize {
    let now = owners(after);
    owners(before)
        .iter()
        .filter(|(partition, name)| now.get(*partition).is_some_and(|owner| owner != *name))
        .count()
}

fn check_valid(members: &[Member], counts: &PartitionCounts, targets: &BTreeMap<String, Assignment>) {
    let owners = owners(targets);
    let subscribed: BTreeSet<Uuid> = members.iter().flat_map(|(_, topics)| topics).copied().collect();
    let all = counts.iter().filter(|(topic, _)| subscribed.contains(topic));
    let all: BTreeSet<(Uuid, i32)> =
        all.flat_map(|(topic, count)| (0..*count).map(|partition| (*topic, partition))).collect();
    assert_eq!(
        owners.keys().copied().collect::<BTreeSet<_>>(),
        all,
        "every partition has an owner, and no other"
    );
    for (name, topics) in members {
        assert!(
            targets[name].keys().all(|topic| topics.contains(topic)),
            "{name} owns what it subscribes to"
        );
    }
}

/// No move of one partition would make two shares more equal.
fn check_balanced(members: &[Member], targets: &BTreeMap<String, Assignment>) {
    for (name, _) in members {
        for owned in targets[name].keys() {
            for (other, topics) in members.iter().filter(|(_, topics)| topics.contains(owned)) {
                let (has, would) = (size(&targets[name]), size(&targets[other]) + 1);
                assert!(has <= would, "{name} has {has}, {other} has {} of {topics:?}", would - 1);
            }
        }
    }
}

/// The fewest moves that equal shares allow: what members have beyond the quotas, the larger quotas given to those with most.
fn fewest_moves(
    members: &[Member],
    counts: &PartitionCounts,
    before: &BTreeMap<String, Assignment>,
) -> usize {
    let subscribed = &members[0].1;
    let valid = |assignment: &Assignment| -> usize {
        let of = |(topic, partitions): (&Uuid, &BTreeSet<i32>)| {
            partitions
                .iter()
                .filter(|partition| subscribed.contains(topic) && **partition < counts[topic])
                .count()
        };
        assignment.iter().map(of).sum()
    };
    let total: usize = subscribed.iter().map(|topic| usize::try_from(counts[topic]).unwrap()).sum();
    let mut kept: Vec<usize> = members.iter().map(|(name, _)| before.get(name).map_or(0, valid)).collect();
    kept.sort_unstable_by_key(|kept| std::cmp::Reverse(*kept));
    let quota = |rank| total / members.len() + usize::from(rank < total % members.len());
    kept.iter().enumerate().map(|(rank, kept)| kept.saturating_sub(quota(rank))).sum()
}

#[derive(Debug, Clone)]
enum Change {
    Join(u8, u8),
    Leave(u8),
    Subscribe(u8, u8),
    Grow(u8, u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Change::Join(a, b)),
        any::<u8>().prop_map(Change::Leave),
        (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Change::Subscribe(a, b)),
        (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Change::Grow(a, b)),
    ]
}

/// Bits of `mask` as topics, never none.
fn masked(mask: u8) -> BTreeSet<Uuid> {
    let chosen: Vec<u128> = (0..4).filter(|bit| mask & (1 << bit) != 0).collect();
    if chosen.is_empty() { topics(&[0]) } else { topics(&chosen) }
}

fn apply(change: &Change, same: bool, members: &mut Vec<Member>, counts: &mut PartitionCounts) {
    match *change {
        Change::Join(name, mask) => {
            let name = format!("m{name}");
            if members.iter().all(|(other, _)| *other != name) {
                let topics = if same { members[0].1.clone() } else { masked(mask) };
                members.push((name, topics));
            }
        }
        Change::Leave(index) => {
            if 1 < members.len() {
                members.remove(usize::from(index) % members.len());
            }
        }
        Change::Subscribe(index, mask) => {
            let chosen = usize::from(index) % members.len();
            for (index, (_, topics)) in members.iter_mut().enumerate() {
                if same || index == chosen {
                    *topics = masked(mask);
                }
            }
        }
        Change::Grow(index, more) => {
            *counts.entry(topic(u128::from(index % 4))).or_default() += i32::from(more % 8);
        }
    }
}

fn steps(assignor: Assignor, same: bool, changes: &[Change]) {
    let mut members = vec![("m".to_owned(), topics(&[0, 1]))];
    let mut counts: PartitionCounts = (0..4).map(|number| (topic(number), 5)).collect();
    let mut before = BTreeMap::new();
    for change in changes {
        apply(change, same, &mut members, &mut counts);
        let after = run(assignor, &members, &counts, &before);
        check_valid(&members, &counts, &after);
        if assignor == Assignor::Uniform {
            check_balanced(&members, &after);
            assert_eq!(after, run(assignor, &members, &counts, &after), "a target that stands stays");
            if same {
                let moves = moves_of_members(&before, &after, &members);
                assert_eq!(moves, fewest_moves(&members, &counts, &before), "no needless move");
            }
        }
        before = after;
    }
}

/// Moves away from members that are still there.
fn moves_of_members(
    before: &BTreeMap<String, Assignment>,
    after: &BTreeMap<String, Assignment>,
    members: &[Member],
) -> usize {
    let still: BTreeMap<String, Assignment> = before
        .iter()
        .filter(|(name, _)| members.iter().any(|(member, _)| member == *name))
        .map(|(name, assignment)| (name.clone(), assignment.clone()))
        .collect();
    moves(&still, after)
}

proptest! {
    #[test]
    fn uniform_keeps_its_promises_for_equal_subscriptions(changes in prop::collection::vec(change(), 1..20)) {
        steps(Assignor::Uniform, true, &changes);
    }

    #[test]
    fn uniform_keeps_its_promises_for_different_subscriptions(changes in prop::collection::vec(change(), 1..20)) {
        steps(Assignor::Uniform, false, &changes);
    }

    #[test]
    fn range_assigns_every_partition_once(same: bool, changes in prop::collection::vec(change(), 1..20)) {
        steps(Assignor::Range, same, &changes);
    }
}

#[test]
fn uniform_moves_only_what_a_new_member_needs() {
    let both = topics(&[0, 1]);
    let counts: PartitionCounts = [(topic(0), 6), (topic(1), 6)].into();
    let members =
        |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), both.clone())).collect::<Vec<_>>();
    let alone = run(Assignor::Uniform, &members(&["a"]), &counts, &BTreeMap::new());
    let two = run(Assignor::Uniform, &members(&["a", "b"]), &counts, &alone);
    let three = run(Assignor::Uniform, &members(&["a", "b", "c"]), &counts, &two);
    assert_eq!((moves(&alone, &two), moves(&two, &three)), (6, 4));
    assert_eq!(three.values().map(size).collect::<Vec<_>>(), [4, 4, 4]);
    let back = run(Assignor::Uniform, &members(&["a", "c"]), &counts, &three);
    assert_eq!(moves_of_members(&three, &back, &members(&["a", "c"])), 0, "who stays keeps what it has");
}

#[test]
fn uniform_spreads_a_topic_over_the_members() {
    let both = topics(&[0, 1]);
    let counts: PartitionCounts = [(topic(0), 2), (topic(1), 2)].into();
    let members = vec![("a".to_owned(), both.clone()), ("b".to_owned(), both)];
    let targets = run(Assignor::Uniform, &members, &counts, &BTreeMap::new());
    for assignment in targets.values() {
        assert_eq!(assignment.values().map(BTreeSet::len).collect::<Vec<_>>(), [1, 1]);
    }
}

#[test]
fn range_splits_equal_topics_alike_and_puts_static_members_first() {
    let both = topics(&[0, 1]);
    let counts: PartitionCounts = [(topic(0), 5), (topic(1), 5)].into();
    let none = Assignment::new();
    let member =
        |member_id, instance_id| Subscriber { member_id, instance_id, topics: &both, assigned: &none };
    let targets = Assignor::Range
        .assign(&[member("a", None), member("z", Some("i2")), member("y", Some("i1"))], &counts);
    let of = |range: std::ops::Range<i32>| -> Assignment {
        both.iter().map(|topic| (*topic, range.clone().collect())).collect()
    };
    assert_eq!(targets, [of(4..5), of(2..4), of(0..2)]);
}

#[test]
fn a_group_without_members_or_topics_gets_nothing() {
    for assignor in [Assignor::Uniform, Assignor::Range] {
        assert_eq!(Assignor::named(assignor.name()), Some(assignor));
        assert!(assignor.assign(&[], &PartitionCounts::new()).is_empty());
        let members = vec![("a".to_owned(), BTreeSet::new())];
        assert_eq!(
            run(assignor, &members, &PartitionCounts::new(), &BTreeMap::new())["a"],
            Assignment::new()
        );
    }
    assert_eq!(Assignor::named("sticky"), None);
}
