//! Share groups by scenarios, and their records against their memory.

use std::sync::Arc;

use clap::Parser;
use proptest::prelude::*;
use sendlog_protocol::group_records::GroupRecord;
use uuid::Uuid;

use sendlog_protocol::error_code::ErrorCode;

use super::*;
use crate::config::group_config::GroupConfig;
use crate::config::scope::Overrides;
use crate::config::{Args, Config};
use crate::coordinator::group::{Moment, TopicImage};

fn topics(version: u64, counts: &[i32]) -> TopicsImage {
    let images = (0u8..).zip(counts).map(|(index, count)| TopicImage {
        name: format!("t{index}").into(),
        id: topic_id(index),
        partitions: *count,
    });
    TopicsImage::new(version, images)
}

fn topic_id(index: u8) -> Uuid {
    Uuid::from_u128(u128::from(index) + 1)
}

/// A group, its log and the world.
struct World {
    group: ShareGroup,
    log: Vec<GroupRecord>,
    left: Vec<Arc<str>>,
    config: Config,
    topics: TopicsImage,
    now_ms: i64,
}

impl World {
    fn new() -> Self {
        Self::with(&["group.share.max.size=4"])
    }

    fn with(settings: &[&str]) -> Self {
        let mut args = vec!["broker", "--data-dir", "/nowhere"];
        args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        Self {
            group: ShareGroup::new("g"),
            log: Vec::new(),
            left: Vec::new(),
            config: Config::load(&Args::parse_from(args)).unwrap(),
            topics: topics(1, &[4, 2]),
            now_ms: 0,
        }
    }

    fn event<R>(&mut self, event: impl FnOnce(&mut ShareGroup, &Env<'_>, &mut Effects) -> R) -> R {
        let now = Moment { wall_ms: 1_000_000 + self.now_ms, steady_ms: self.now_ms };
        let own = GroupConfig::resolve(&self.config.groups, &Overrides::new());
        let (config, topics) = (&self.config, &self.topics);
        let env = Env { now, config, group: &own, topics, fresh_id: Uuid::from_u128(99) };
        let mut fx = Effects::default();
        let result = event(&mut self.group, &env, &mut fx);
        self.log.extend(fx.records);
        self.left.extend(fx.silent_share_members);
        result
    }

    fn report(
        &mut self,
        member: &str,
        epoch: i32,
        topics: Option<&[&str]>,
    ) -> Result<HeartbeatAnswer, ShareGroupError> {
        let report = Heartbeat {
            member_id: member.to_owned(),
            member_epoch: epoch,
            topics: topics.map(|topics| topics.iter().map(|&name| name.to_owned()).collect()),
            client_id: "c".to_owned(),
            client_host: "/192.0.2.1".to_owned(),
            rack_id: None,
        };
        let answer = self.event(|group, env, fx| group.heartbeat(&report, env, fx));
        self.check();
        answer
    }

    /// What a start would make of the log, and of a snapshot.
    fn check(&self) {
        let mut expected = self.group.clone();
        expected.topics_version = None;
        expected.members.values_mut().for_each(|member| member.session_until_ms = i64::MAX);
        for records in [&self.log, &self.group.snapshot()] {
            let mut replayed = ShareGroup::new("g");
            records.iter().for_each(|record| replayed.replay(record));
            assert_eq!(replayed, expected);
        }
        let mut deleted = expected.clone();
        expected.tombstones().iter().for_each(|record| deleted.replay(record));
        assert_eq!(deleted, ShareGroup::new("g"));
    }
}

fn count(answer: &HeartbeatAnswer) -> usize {
    answer.assignment.as_ref().unwrap().values().map(std::collections::BTreeSet::len).sum()
}

#[test]
fn members_join_divide_and_leave() {
    let mut world = World::new();
    let alone = world.report("a", 0, Some(&["t0", "t1"])).unwrap();
    assert_eq!((alone.member_epoch, count(&alone)), (1, 6));
    assert!(world.group.is_initialized(topic_id(1), 1) && !world.group.is_initialized(topic_id(1), 2));
    let second = world.report("b", 0, Some(&["t0", "t1"])).unwrap();
    assert_eq!((second.member_epoch, count(&second)), (2, 3));
    let first = world.report("a", 1, None).unwrap();
    assert_eq!((first.member_epoch, count(&first)), (2, 3));
    assert_eq!(world.report("a", 2, None).unwrap().assignment, None, "no news");
    assert_eq!(world.report("b", -1, None).unwrap().member_epoch, -1);
    assert!(world.left.is_empty(), "its session ends by itself: it may still acknowledge");
    assert_eq!(count(&world.report("a", 2, None).unwrap()), 6);
    assert_eq!(world.group.state_name(), "Stable");
    world.report("a", -1, None).unwrap();
    assert_eq!(world.group.state_name(), "Empty");
}

#[test]
fn epochs_of_others_are_fenced() {
    let mut world = World::new();
    world.report("a", 0, Some(&["t0"])).unwrap();
    world.report("b", 0, Some(&["t0"])).unwrap();
    assert_eq!(world.report("x", 3, None).unwrap_err().code(), ErrorCode::UnknownMemberId);
    assert_eq!(world.report("x", -1, None).unwrap_err().code(), ErrorCode::UnknownMemberId);
    assert_eq!(world.report("a", 9, None).unwrap_err().code(), ErrorCode::FencedMemberEpoch);
    assert_eq!(world.report("a", 1, None).unwrap().member_epoch, 2);
    assert_eq!(world.report("a", 1, None).unwrap().member_epoch, 2, "the answer may have been lost");
    world.report("c", 0, Some(&["t0"])).unwrap();
    world.report("d", 0, Some(&["t0"])).unwrap();
    assert_eq!(world.report("e", 0, Some(&["t0"])).unwrap_err().code(), ErrorCode::GroupMaxSizeReached);
    assert!(world.report("d", 0, Some(&["t0"])).is_ok(), "a member may join again");
}

#[test]
fn a_silent_member_is_given_up_and_a_restart_gives_it_time() {
    let mut world = World::new();
    world.report("a", 0, Some(&["t0"])).unwrap();
    world.now_ms = 30_000;
    world.report("b", 0, Some(&["t0"])).unwrap();
    assert_eq!(world.group.next_deadline_ms(), Some(45_000));
    world.now_ms = 44_999;
    world.event(|group, env, fx| group.on_deadline(env, fx));
    assert_eq!(world.group.members().len(), 2);
    world.now_ms = 45_000;
    world.event(|group, env, fx| group.on_deadline(env, fx));
    assert_eq!(world.left, [Arc::from("a")]);
    world.event(|group, env, fx| group.loaded(env, fx));
    assert_eq!(world.group.next_deadline_ms(), Some(90_000));
    world.check();
}

#[test]
fn topics_that_come_grow_and_go_are_followed() {
    let mut world = World::new();
    assert_eq!(count(&world.report("a", 0, Some(&["t0", "t2"])).unwrap()), 4);
    world.topics = topics(2, &[6, 2, 3]);
    assert_eq!(count(&world.report("a", 1, None).unwrap()), 9);
    let added: Vec<i32> = (0..6).filter(|partition| world.group.is_added(topic_id(0), *partition)).collect();
    assert_eq!(added, [4, 5], "read from their first record");
    assert!(!world.group.is_added(topic_id(2), 0), "a topic that is new to the group");
    world.topics = topics(3, &[6]);
    assert_eq!(count(&world.report("a", 2, None).unwrap()), 6);
    assert!(!world.group.is_initialized(topic_id(2), 0));
    let epoch = world.group.epoch();
    world.topics = topics(4, &[6, 1]);
    world.report("a", epoch, None).unwrap();
    assert_eq!(world.group.epoch(), epoch, "a topic that nobody reads is no news");
}

#[test]
fn partitions_are_initialized_and_forgotten_while_nobody_reads() {
    let mut world = World::new();
    let wanted = [(topic_id(0), Arc::from("t0"), 2)];
    world.event(|group, env, fx| group.initialize(&wanted, env.topics, fx)).unwrap();
    assert!(world.group.is_initialized(topic_id(0), 2) && 0 < world.group.epoch());
    world.check();
    world.report("a", 0, Some(&["t0"])).unwrap();
    assert!(world.group.is_added(topic_id(0), 3) && !world.group.is_added(topic_id(0), 2));
    let refused = world.event(|group, env, fx| group.initialize(&wanted, env.topics, fx));
    assert_eq!(refused, Err(ShareGroupError::NotEmpty));
    assert_eq!(world.event(|group, _, fx| group.forget(topic_id(0), fx)), Err(ShareGroupError::NotEmpty));
    world.report("a", -1, None).unwrap();
    let forgotten = world.event(|group, _, fx| group.forget(topic_id(0), fx)).unwrap();
    assert_eq!(forgotten.len(), 4);
    world.check();
}

proptest! {
    #[test]
    fn the_log_says_what_memory_says(
        steps in prop::collection::vec((0..6usize, -1..6i32, prop::option::of(0..4usize), 0..30_000i64, 0..8u8), 1..40),
    ) {
        let mut world = World::new();
        let subscriptions: [&[&str]; 4] = [&["t0"], &["t1", "t0"], &["t2"], &["nothing"]];
        let members = ["a", "b", "c", "d", "e", "f"];
        let mut version = 1;
        for (member, epoch, wanted, passes, change) in steps {
            world.now_ms += passes;
            world.event(|group, env, fx| group.on_deadline(env, fx));
            if change == 0 {
                version += 1;
                world.topics = topics(version, [[4, 2, 1], [5, 2, 3], [5, 3, 3]][usize::try_from(version % 3).unwrap()].as_slice());
            }
            let before = world.group.epoch();
            let _ = world.report(members[member], epoch, wanted.map(|index| subscriptions[index]));
            prop_assert!(before <= world.group.epoch());
            prop_assert!(world.group.members().len() <= 4);
            for (_, member) in world.group.members() {
                prop_assert!(member.previous_epoch <= member.epoch && member.epoch <= world.group.epoch());
            }
        }
    }
}
