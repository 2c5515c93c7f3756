//! One story each.

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::ConsumerGroupHeartbeatRequest;

use super::*;
use crate::coordinator::group::commit::CommitCheck;

fn code(answer: Result<ConsumerGroupHeartbeatResponse, Refused>) -> ErrorCode {
    answer.unwrap_err().code
}

/// `a` has all of `t`, then `b` comes; `a` has not been heard of since.
fn two(world: &mut World) {
    assert_eq!(received(&world.heartbeat(&join("a", &["t"])).unwrap()), Some(world.all_of("t")));
    world.pass(2000);
    let joined = world.heartbeat(&join("b", &["t"])).unwrap();
    assert_eq!((joined.member_epoch, received(&joined)), (2, Some(Assignment::new())), "nothing is free yet");
}

#[test]
fn a_member_alone_gets_everything_at_once() {
    let mut world = World::new(&[("t", 3), ("u", 1)], &[]);
    let joined = world.heartbeat(&join("a", &["t"])).unwrap();
    assert_eq!((joined.member_id.as_deref(), joined.member_epoch), (Some("a"), 1));
    assert_eq!(received(&joined), Some(world.all_of("t")));
    assert_eq!(world.group.state_name(), "Stable");
    let beat = world.heartbeat(&beat("a", 1)).unwrap();
    assert_eq!((beat.member_epoch, beat.assignment), (1, None), "what has not changed is not said again");
    world.check_stored();
}

#[test]
fn partitions_are_given_up_before_they_are_given() {
    let mut world = World::new(&[("t", 4)], &[]);
    two(&mut world);
    assert_eq!(world.group.state_name(), "Reconciling");
    let told = world.heartbeat(&beat("a", 1)).unwrap();
    let keeps = received(&told).unwrap();
    assert_eq!((told.member_epoch, world.size("a")), (1, 2), "it stays in its epoch until it has let go");
    let shown = world.event(|group, env, _| group.describe(env));
    let a = shown.members.iter().find(|member| member.member_id == "a").unwrap();
    assert_eq!(
        a.assignment.topic_partitions[0].partitions,
        [0, 1, 2, 3],
        "it may still read what it gives up"
    );
    assert_eq!(received(&world.heartbeat(&beat("b", 2)).unwrap()), None, "nor is it the others' until then");
    assert_eq!(world.heartbeat(&own("a", 1, &world.all_of("t"))).unwrap().member_epoch, 1, "it still reads");
    assert_eq!(world.heartbeat(&own("a", 1, &keeps)).unwrap().member_epoch, 2);
    let gets = received(&world.heartbeat(&beat("b", 2)).unwrap()).unwrap();
    assert_eq!(gets.values().map(BTreeSet::len).sum::<usize>(), 2);
    assert_eq!(world.group.state_name(), "Stable");
    world.check_stored();
}

#[test]
fn members_of_a_group_that_changes_come_more_often() {
    let mut world = World::new(&[("t", 4)], &[]);
    two(&mut world);
    let told = world.heartbeat(&beat("a", 1)).unwrap();
    assert_eq!(told.heartbeat_interval_ms, 500);
    let keeps = received(&told).unwrap();
    world.heartbeat(&own("a", 1, &keeps)).unwrap();
    let gets = received(&world.heartbeat(&beat("b", 2)).unwrap()).unwrap();
    assert_eq!(
        world.heartbeat(&own("b", 2, &gets)).unwrap().heartbeat_interval_ms,
        500,
        "it may go on changing"
    );
    world.pass(30_000);
    assert_eq!(world.heartbeat(&beat("b", 2)).unwrap().heartbeat_interval_ms, 5000);
}

#[test]
fn one_that_does_not_let_go_in_time_is_put_out() {
    let mut world = World::new(&[("t", 4)], &[]);
    two(&mut world);
    world.heartbeat(&beat("a", 1)).unwrap();
    for _ in 0..3 {
        world.pass(20_000);
        if world.group.members.contains_key("a") {
            world.heartbeat(&own("a", 1, &world.all_of("t"))).unwrap();
        }
        world.heartbeat(&beat("b", world.group.holding("b").epoch)).unwrap();
    }
    assert_eq!(world.assigned("b"), world.all_of("t"));
    assert_eq!(code(world.heartbeat(&beat("a", 1))), ErrorCode::UnknownMemberId);
    assert!(world.heartbeat(&join("a", &["t"])).is_ok(), "it may come back");
    world.check_stored();
}

#[test]
fn one_that_is_silent_is_put_out() {
    let mut world = World::new(&[("t", 2)], &[]);
    two(&mut world);
    for _ in 0..5 {
        world.pass(10_000);
        world.heartbeat(&beat("b", world.group.holding("b").epoch)).unwrap();
    }
    assert_eq!(world.assigned("b"), world.all_of("t"));
    world.pass(45_000);
    assert!(world.group.is_empty() && world.group.next_deadline_ms().is_none());
    assert_eq!(world.group.state_name(), "Empty");
    world.check_stored();
}

#[test]
fn epochs_fence_those_who_are_behind_or_ahead() {
    let mut world = World::new(&[("t", 4)], &[]);
    two(&mut world);
    let keeps = received(&world.heartbeat(&beat("a", 1)).unwrap()).unwrap();
    world.heartbeat(&own("a", 1, &keeps)).unwrap();
    // The answer is lost: with the epoch before it is heard, as long as it owns nothing that it should not.
    assert_eq!(world.heartbeat(&own("a", 1, &keeps)).unwrap().member_epoch, 2);
    assert_eq!(code(world.heartbeat(&own("a", 1, &world.all_of("t")))), ErrorCode::FencedMemberEpoch);
    assert_eq!(code(world.heartbeat(&beat("a", 1))), ErrorCode::FencedMemberEpoch);
    assert_eq!(code(world.heartbeat(&beat("a", 3))), ErrorCode::FencedMemberEpoch);
    assert_eq!(code(world.heartbeat(&beat("c", 3))), ErrorCode::UnknownMemberId);
    let again = world.heartbeat(&join("a", &["t"])).unwrap();
    assert_eq!(received(&again), Some(keeps), "one that comes back gets what it had");
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    let mut world = World::new(&[], &["group.consumer.assignors=range"]);
    let good = || join("a", &["t"]);
    let cases: Vec<(ConsumerGroupHeartbeatRequest, &str)> = vec![
        (ConsumerGroupHeartbeatRequest { member_id: String::new(), ..good() }, "MemberId can't be empty."),
        (ConsumerGroupHeartbeatRequest { group_id: String::new(), ..good() }, "GroupId can't be empty."),
        (
            ConsumerGroupHeartbeatRequest { instance_id: Some(String::new()), ..good() },
            "InstanceId can't be empty.",
        ),
        (ConsumerGroupHeartbeatRequest { rack_id: Some(String::new()), ..good() }, "RackId can't be empty."),
        (ConsumerGroupHeartbeatRequest { member_epoch: -3, ..good() }, "MemberEpoch is invalid."),
        (ConsumerGroupHeartbeatRequest { member_epoch: -2, ..good() }, "InstanceId can't be null."),
        (
            ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..good() },
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            ConsumerGroupHeartbeatRequest { topic_partitions: None, ..good() },
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..good() },
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
    ];
    for (request, message) in cases {
        let refused = world.heartbeat(&request).unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (ErrorCode::InvalidRequest, message));
    }
    let unknown = ConsumerGroupHeartbeatRequest { server_assignor: Some("uniform".to_owned()), ..good() };
    let refused = world.heartbeat(&unknown).unwrap_err();
    assert_eq!(refused.code, ErrorCode::UnsupportedAssignor);
    assert_eq!(refused.message, "ServerAssignor uniform is not supported. Supported assignors: range.");
    assert!(world.group.is_vacant());
}

#[test]
fn a_client_of_version_0_is_given_an_id() {
    let mut world = World::new(&[("t", 1)], &[]);
    let request = ConsumerGroupHeartbeatRequest { member_id: String::new(), ..join("", &["t"]) };
    let joined = world.event(|group, env, fx| {
        check(&request, 0, env.config).unwrap();
        group.heartbeat(request.clone(), CALLER, env, fx).unwrap()
    });
    let id = joined.member_id.unwrap();
    assert!(world.group.members.contains_key(id.as_str()) && 16 < id.len());
}

#[test]
fn a_full_group_takes_no_more() {
    let mut world = World::new(&[("t", 1)], &["group.consumer.max.size=1"]);
    let of_static =
        |id: &str| ConsumerGroupHeartbeatRequest { instance_id: Some("i".to_owned()), ..join(id, &["t"]) };
    world.heartbeat(&of_static("a")).unwrap();
    assert_eq!(code(world.heartbeat(&join("b", &["t"]))), ErrorCode::GroupMaxSizeReached);
    assert!(world.heartbeat(&of_static("a")).is_ok(), "a member may come again");
    let away = ConsumerGroupHeartbeatRequest { instance_id: Some("i".to_owned()), ..beat("a", -2) };
    world.heartbeat(&away).unwrap();
    assert!(world.heartbeat(&of_static("b")).is_ok(), "and so may a static one under another id");
}

#[test]
fn topics_that_come_grow_and_go_reach_members_with_their_next_heartbeat() {
    let mut world = World::new(&[("t", 1)], &[]);
    world.heartbeat(&join("a", &["t", "later"])).unwrap();
    assert_eq!(world.assigned("a"), world.all_of("t"));
    world.pass(2000);
    world.set_topic("unrelated", 1);
    assert_eq!(world.heartbeat(&beat("a", 1)).unwrap().member_epoch, 1);
    world.set_topic("later", 2);
    let told = world.heartbeat(&beat("a", 1)).unwrap();
    assert_eq!((told.member_epoch, world.size("a")), (2, 3));
    world.pass(2000);
    world.set_topic("t", 4);
    world.heartbeat(&beat("a", 2)).unwrap();
    assert_eq!(world.size("a"), 6);
    world.pass(2000);
    world.set_topic("t", 0);
    let told = world.heartbeat(&beat("a", 3)).unwrap();
    assert_eq!(received(&told), Some(world.all_of("later")));
    assert_eq!(world.heartbeat(&own("a", 3, &world.all_of("later"))).unwrap().member_epoch, 4);
    world.check_stored();
}

#[test]
fn members_that_come_together_are_assigned_together() {
    let mut world = World::new(&[("t", 6)], &[]);
    world.heartbeat(&join("a", &["t"])).unwrap();
    let b = world.heartbeat(&join("b", &["t"])).unwrap();
    assert_eq!((b.member_epoch, b.heartbeat_interval_ms), (1, 500), "the next assignment is a moment away");
    assert_eq!(world.group.state_name(), "Assigning");
    world.heartbeat(&join("c", &["t"])).unwrap();
    world.pass(1000);
    let told = world.heartbeat(&beat("a", 1)).unwrap();
    assert_eq!(world.size("a"), 2, "one assignment for both: {told:?}");
    world.check_stored();
}

#[test]
fn members_that_take_too_much_memory_find_no_room() {
    let mut world = World::new(&[("t", 2)], &["sendlog.group.members.bytes.max=65536"]);
    let names: Vec<String> = (0..400).map(|number| format!("{number:050}")).collect();
    let heavy =
        |request| ConsumerGroupHeartbeatRequest { subscribed_topic_names: Some(names.clone()), ..request };
    world.heartbeat(&heavy(join("a", &[]))).unwrap();
    assert_eq!(code(world.heartbeat(&heavy(join("b", &[])))), ErrorCode::GroupMaxSizeReached);
    let b = world.heartbeat(&join("b", &["t"])).unwrap();
    assert_eq!(code(world.heartbeat(&heavy(beat("b", b.member_epoch)))), ErrorCode::GroupMaxSizeReached);
    // Nobody is put out who says what was said before, and what was had is not counted twice.
    world.config.groups.classic.members_bytes_max = 0;
    assert!(world.heartbeat(&heavy(beat("a", 1))).is_ok());
    assert!(world.heartbeat(&beat("b", b.member_epoch)).is_ok());
    world.config.groups.classic.members_bytes_max = 65_536;
    world.heartbeat(&beat("a", -1)).unwrap();
    assert!(world.heartbeat(&heavy(beat("b", b.member_epoch))).is_ok());
    world.check_stored();
}

#[test]
fn a_subscription_that_changes_takes_topics_away_at_once() {
    let mut world = World::new(&[("t", 2), ("u", 2)], &[]);
    world.heartbeat(&join("a", &["t", "u"])).unwrap();
    let unsubscribes =
        ConsumerGroupHeartbeatRequest { subscribed_topic_names: Some(vec!["u".to_owned()]), ..beat("a", 1) };
    let told = world.heartbeat(&unsubscribes).unwrap();
    assert_eq!(
        (told.member_epoch, received(&told)),
        (1, Some(world.all_of("u"))),
        "though no target is due yet"
    );
    world.pass(2000);
    assert_eq!(world.heartbeat(&own("a", 1, &world.all_of("u"))).unwrap().member_epoch, 2);
    world.check_stored();
}

#[test]
fn a_static_member_that_bounces_keeps_its_partitions() {
    let mut world = World::new(&[("t", 4)], &[]);
    let of_static = |request| ConsumerGroupHeartbeatRequest { instance_id: Some("i".to_owned()), ..request };
    world.heartbeat(&of_static(join("a", &["t"]))).unwrap();
    let epoch = world.group.epoch.epoch;
    assert_eq!(code(world.heartbeat(&of_static(join("a2", &["t"])))), ErrorCode::UnreleasedInstanceId);
    let away = world.heartbeat(&of_static(beat("a", -2))).unwrap();
    assert_eq!((away.member_epoch, away.assignment), (-2, None));
    let back = world.heartbeat(&of_static(join("a2", &["t"]))).unwrap();
    assert_eq!(received(&back), Some(world.all_of("t")));
    assert_eq!((back.member_epoch, world.group.epoch.epoch), (epoch, epoch), "nobody else hears of it");
    assert_eq!(code(world.heartbeat(&of_static(beat("a", epoch)))), ErrorCode::FencedInstanceId);
    let unknown = ConsumerGroupHeartbeatRequest { instance_id: Some("j".to_owned()), ..beat("a2", epoch) };
    assert_eq!(code(world.heartbeat(&unknown)), ErrorCode::UnknownMemberId);
    world.check_stored();
    world.heartbeat(&of_static(beat("a2", -2))).unwrap();
    world.pass(45_000);
    assert!(world.group.is_empty(), "away for too long");
    world.check_stored();
}

#[test]
fn a_static_member_that_was_fenced_may_join_again_under_its_id() {
    let mut world = World::new(&[("t", 1)], &[]);
    let of_static = |request| ConsumerGroupHeartbeatRequest { instance_id: Some("i".to_owned()), ..request };
    world.heartbeat(&of_static(join("a", &["t"]))).unwrap();
    assert_eq!(code(world.heartbeat(&of_static(beat("a", 9)))), ErrorCode::FencedMemberEpoch);
    assert_eq!(received(&world.heartbeat(&of_static(join("a", &["t"]))).unwrap()), Some(world.all_of("t")));
}

fn by_regex(id: &str, regex: &str) -> ConsumerGroupHeartbeatRequest {
    let subscribed_topic_regex = Some(regex.to_owned());
    ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, subscribed_topic_regex, ..join(id, &[]) }
}

#[test]
fn a_regular_expression_subscribes_to_what_it_matches_now_and_later() {
    let mut world = World::new(&[("t1", 1), ("u1", 1)], &[]);
    assert_eq!(received(&world.heartbeat(&by_regex("a", "t.*")).unwrap()), Some(world.all_of("t1")));
    assert!(world.group.is_subscribed("t1") && !world.group.is_subscribed("u1"));
    world.pass(2000);
    world.set_topic("t2", 3);
    world.heartbeat(&beat("a", 1)).unwrap();
    assert_eq!(world.size("a"), 4);
    world.pass(2000);
    let changes =
        ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some("u.".to_owned()), ..beat("a", 2) };
    let told = world.heartbeat(&changes).unwrap();
    assert_eq!(received(&told), Some(Assignment::new()), "what is no longer matched goes first");
    assert_eq!(
        received(&world.heartbeat(&own("a", 2, &Assignment::new())).unwrap()),
        Some(world.all_of("u1"))
    );
    assert_eq!(world.group.regexes.keys().map(|regex| &**regex).collect::<Vec<_>>(), ["u."]);
    world.check_stored();
    world.heartbeat(&beat("a", -1)).unwrap();
    assert!(world.group.regexes.is_empty(), "nobody has it any more");
    world.check_stored();
}

#[test]
fn a_regular_expression_that_is_none_changes_nothing() {
    let mut world = World::new(&[("t", 1)], &[]);
    assert_eq!(code(world.heartbeat(&by_regex("a", "("))), ErrorCode::InvalidRegularExpression);
    assert!(world.group.is_vacant());
    world.heartbeat(&join("a", &["t"])).unwrap();
    let changes =
        ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some("[".to_owned()), ..beat("a", 1) };
    assert_eq!(code(world.heartbeat(&changes)), ErrorCode::InvalidRegularExpression);
    assert_eq!(world.assigned("a"), world.all_of("t"));
}

#[test]
fn names_and_expressions_share_a_group() {
    let mut world = World::new(&[("t", 2), ("u", 2)], &[]);
    world.heartbeat(&by_regex("a", ".")).unwrap();
    world.pass(2000);
    world.heartbeat(&join("b", &["u"])).unwrap();
    let keeps = received(&world.heartbeat(&beat("a", 1)).unwrap()).unwrap();
    world.heartbeat(&own("a", 1, &keeps)).unwrap();
    assert_eq!(received(&world.heartbeat(&beat("b", 2)).unwrap()), Some(world.all_of("u")));
    assert_eq!(world.assigned("a"), world.all_of("t"));
    world.check_stored();
}

#[test]
fn most_members_choose_the_assignor() {
    let mut world = World::new(&[("t", 2), ("u", 2)], &[]);
    let with = |id: &str, assignor: &str| ConsumerGroupHeartbeatRequest {
        server_assignor: Some(assignor.to_owned()),
        ..join(id, &["t", "u"])
    };
    world.heartbeat(&with("a", "range")).unwrap();
    world.pass(2000);
    world.heartbeat(&with("b", "range")).unwrap();
    let target = &world.group.targets["a"];
    assert!(target.len() == 2 && target.values().all(|partitions| partitions.contains(&0)), "{target:?}");
    world.pass(2000);
    let epoch = world.group.epoch.epoch;
    let chooses = |id: &str| ConsumerGroupHeartbeatRequest {
        server_assignor: Some("uniform".to_owned()),
        ..beat(id, 0)
    };
    for id in ["a", "b"] {
        let held = world.group.holding(id).epoch;
        world.heartbeat(&ConsumerGroupHeartbeatRequest { member_epoch: held, ..chooses(id) }).unwrap();
    }
    assert_eq!(world.group.epoch.epoch, epoch + 1, "with the second vote the group changes its mind");
    world.check_stored();
}

#[test]
fn a_restart_keeps_members_and_gives_them_their_time() {
    let mut world = World::new(&[("t", 4)], &[]);
    two(&mut world);
    world.pass(40_000);
    world.restart();
    world.pass(10_000);
    let told = world.heartbeat(&beat("a", 1)).unwrap();
    assert_eq!((told.error_code, world.size("a")), (0, 2), "a member goes on as if nothing was");
    world.pass(34_000);
    assert_eq!(world.group.members.len(), 2);
    world.pass(1000);
    assert_eq!(world.group.members.len(), 1, "one that was not heard of since is gone");
    world.restart();
    world.check_stored();
}

#[test]
fn leaving_frees_what_the_member_had() {
    let mut world = World::new(&[("t", 2)], &[]);
    two(&mut world);
    let left = world.heartbeat(&beat("a", -1)).unwrap();
    assert_eq!((left.member_epoch, left.member_id.as_deref()), (-1, Some("a")));
    assert_eq!(code(world.heartbeat(&beat("a", -1))), ErrorCode::UnknownMemberId);
    world.pass(2000);
    assert_eq!(received(&world.heartbeat(&beat("b", 2)).unwrap()), Some(world.all_of("t")));
    world.check_stored();
}

#[test]
fn commits_are_taken_of_members_for_what_they_hold() {
    let mut world = World::new(&[("t", 4)], &[]);
    let (topic, _) = world.topics["t"];
    let admin = CommitCheck { member_id: "", instance_id: None, generation_or_epoch: -1, version: 9 };
    let of = |generation_or_epoch| CommitCheck { member_id: "a", generation_or_epoch, ..admin };
    let whole = |world: &mut World, check: &CommitCheck<'_>| {
        world.event(|group, env, _| group.check_commit(check, env))
    };
    assert_eq!(whole(&mut world, &admin), Ok(()), "nobody is there to be disturbed");
    two(&mut world);
    assert_eq!(whole(&mut world, &admin), Err(ErrorCode::UnknownMemberId));
    let keeps = received(&world.heartbeat(&beat("a", 1)).unwrap()).unwrap();
    world.heartbeat(&own("a", 1, &keeps)).unwrap();
    assert_eq!(whole(&mut world, &of(3)), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(whole(&mut world, &CommitCheck { version: 8, ..of(2) }), Err(ErrorCode::UnsupportedVersion));
    for epoch in [1, 2] {
        assert_eq!(whole(&mut world, &of(epoch)), Ok(()));
    }
    // Behind by an epoch, it may commit what it has had all along.
    let kept = *keeps[&topic].first().unwrap();
    let given = (0..4).find(|partition| !keeps[&topic].contains(partition)).unwrap();
    assert_eq!(world.group.check_commit_of(&of(1), topic, kept), Ok(()));
    assert_eq!(world.group.check_commit_of(&of(0), topic, kept), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(world.group.check_commit_of(&of(1), topic, given), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(world.group.check_fetch(None, -1), Ok(()));
    assert_eq!(world.group.check_fetch(Some("a"), 2), Ok(()));
    assert_eq!(world.group.check_fetch(Some("a"), 1), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(world.group.check_fetch(Some("x"), 1), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn tools_see_members_and_what_they_have() {
    let mut world = World::new(&[("t", 2)], &[]);
    let request = ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".to_owned()),
        rack_id: Some("r".to_owned()),
        server_assignor: Some("range".to_owned()),
        ..join("a", &["t"])
    };
    world.heartbeat(&request).unwrap();
    let described = world.event(|group, env, _| group.describe(env));
    assert_eq!((described.group_state.as_str(), described.assignor_name.as_str()), ("Stable", "range"));
    assert_eq!((described.group_epoch, described.assignment_epoch), (1, 1));
    let member = &described.members[0];
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("client", "/192.0.2.1"));
    assert_eq!((member.rack_id.as_deref(), member.instance_id.as_deref()), (Some("r"), Some("i")));
    assert_eq!((member.member_epoch, member.member_type), (1, 1));
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!(member.assignment.topic_partitions[0].topic_name, "t");
    assert_eq!(member.assignment.topic_partitions[0].partitions, [0, 1]);
}

#[test]
fn a_heartbeat_that_changes_nothing_stores_nothing() {
    let mut world = World::new(&[("t", 1000)], &["group.consumer.assignment.interval.ms=0"]);
    for member in 0..100 {
        world.heartbeat(&join(&format!("m{member}"), &["t"])).unwrap();
    }
    // Each gives up and gets until all are there.
    for _ in 0..3 {
        for member in 0..100 {
            let id = format!("m{member}");
            let (epoch, owned) = (world.group.holding(&id).epoch, world.assigned(&id));
            world.heartbeat(&own(&id, epoch, &owned)).unwrap();
        }
    }
    assert_eq!(world.group.state_name(), "Stable");
    assert!((0..100).all(|member| world.size(&format!("m{member}")) == 10));
    let stored = world.log.len();
    for member in 0..100 {
        let id = format!("m{member}");
        world.heartbeat(&beat(&id, world.group.holding(&id).epoch)).unwrap();
    }
    assert_eq!(world.log.len(), stored);
}
