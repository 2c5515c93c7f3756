//! Static members (KIP-345).

use super::*;

/// A stable group of the instances `i0`, `i1` and so on. The first one leads.
fn stable_instances(members: usize) -> (Bench, Vec<String>) {
    let mut bench = Bench::with(&["group.max.size=3"]);
    let ids: Vec<String> =
        (0..members).map(|number| bench.add_as(&joining("").of_instance(&format!("i{number}"))).0).collect();
    bench.gather();
    bench.sync_all(&ids);
    (bench, ids)
}

#[test]
fn an_instance_is_never_asked_to_come_again_with_an_id() {
    let mut bench = Bench::new();
    let (id, asked) = bench.add_as(&Joining { needs_id_first: true, ..joining("").of_instance("i") });
    assert!(id.starts_with("i-") && bench.is_waiting(asked));
}

#[test]
fn a_follower_that_comes_back_gets_its_place_and_its_assignment_without_a_rebalance() {
    let (mut bench, ids) = stable_instances(2);
    let asked = bench.ask_join(&joining("").of_instance("i1"));
    let answer = bench.joined(asked);
    assert_eq!((answer.error_code, answer.generation_id, answer.skip_assignment), (0, 1, false));
    assert_ne!(answer.member_id, ids[1]);
    assert_eq!((&answer.leader, answer.members.len()), (&ids[0], 0));
    assert_eq!(bench.group.state_name(), "Stable");
    let synced = bench.ask_sync(&answer.member_id, 1, &[]);
    assert_eq!(bench.synced(synced).assignment, ids[1].as_bytes());
    assert_eq!(bench.heartbeat(&answer.member_id, 1), ErrorCode::None);
    // The new id is stored before anyone hears of it.
    let stored = bench.stored().members.iter().find(|member| member.member_id == answer.member_id).unwrap();
    assert_eq!(stored.group_instance_id.as_deref(), Some("i1"));
    assert_eq!(stored.assignment, ids[1].as_bytes());
}

#[test]
fn a_leader_that_comes_back_is_told_to_leave_the_assignment_as_it_is() {
    let (mut bench, _) = stable_instances(2);
    let asked = bench.ask_join(&joining("").of_instance("i0"));
    let answer = bench.joined(asked);
    assert_eq!((answer.skip_assignment, &answer.leader), (true, &answer.member_id));
    assert_eq!((answer.generation_id, answer.members.len()), (1, 2));
    assert_eq!(bench.stored().leader.as_ref(), Some(&answer.member_id));
}

#[test]
fn a_leader_that_cannot_be_told_so_believes_that_another_one_leads() {
    let (mut bench, ids) = stable_instances(2);
    let asked = bench.ask_join(&Joining { can_skip_assignment: false, ..joining("").of_instance("i0") });
    let answer = bench.joined(asked);
    assert_eq!((answer.skip_assignment, &answer.leader, answer.members.len()), (false, &ids[0], 0));
    // It does lead: what it sees changing starts a rebalance.
    let again = bench.ask_join(&joining(&answer.member_id).of_instance("i0"));
    assert!(bench.is_waiting(again));
}

#[test]
fn the_old_id_of_an_instance_is_fenced() {
    let (mut bench, ids) = stable_instances(2);
    bench.ask_join(&joining("").of_instance("i1"));
    let beat = HeartbeatRequest {
        generation_id: 1,
        member_id: ids[1].clone(),
        group_instance_id: Some("i1".to_owned()),
        ..HeartbeatRequest::default()
    };
    let answer = bench.happen(|group, env, _| group.heartbeat(&beat, env));
    assert_eq!(answer.error_code, ErrorCode::FencedInstanceId.code());
    let join = bench.ask_join(&joining(&ids[1]).of_instance("i1"));
    assert_eq!(bench.join_error(join), ErrorCode::FencedInstanceId);
    let left = bench.leave(&[(&ids[1], Some("i1")), (&ids[1], Some("unknown"))]);
    let codes: Vec<i16> = left.members.iter().map(|member| member.error_code).collect();
    assert_eq!(codes, [ErrorCode::FencedInstanceId.code(), ErrorCode::UnknownMemberId.code()]);
}

#[test]
fn one_that_waits_under_the_old_id_is_fenced_at_once() {
    let mut bench = Bench::new();
    let (_, first) = bench.add_as(&joining("").of_instance("i0"));
    let second = bench.ask_join(&joining("").of_instance("i0"));
    assert_eq!(bench.join_error(first), ErrorCode::FencedInstanceId);
    bench.gather();
    assert_eq!(bench.joined(second).generation_id, 1);
    assert_eq!(bench.group.members().len(), 1);
}

#[test]
fn one_that_waits_for_its_assignment_under_the_old_id_is_fenced_and_the_others_join_again() {
    let mut bench = Bench::new();
    let ids =
        [bench.add_as(&joining("").of_instance("i0")).0, bench.add_as(&joining("").of_instance("i1")).0];
    bench.gather();
    let sync = bench.ask_sync(&ids[1], 1, &[]);
    let back = bench.ask_join(&joining("").of_instance("i1"));
    assert_eq!(bench.sync_error(sync), ErrorCode::FencedInstanceId);
    assert!(bench.is_waiting(back));
    let leader = bench.ask_join(&joining(&ids[0]).of_instance("i0"));
    assert_eq!((bench.joined(leader).generation_id, bench.joined(back).generation_id), (2, 2));
}

#[test]
fn one_that_comes_back_with_another_preference_starts_a_rebalance() {
    let mut bench = Bench::new();
    let both =
        |id: &str, instance: &str| joining(id).of_instance(instance).with_protocols(&["range", "sticky"]);
    let ids = [bench.add_as(&both("", "i0")).0, bench.add_as(&both("", "i1")).0];
    bench.gather();
    bench.sync_all(&ids);
    let back = bench.ask_join(&joining("").of_instance("i1").with_protocols(&["sticky"]));
    assert!(bench.is_waiting(back));
    let leader = bench.ask_join(&both(&ids[0], "i0"));
    assert_eq!(bench.joined(leader).protocol_name.as_deref(), Some("sticky"));
    assert_eq!(bench.joined(back).generation_id, 2);
}

#[test]
fn instances_keep_their_place_through_a_rebalance_that_they_miss() {
    let (mut bench, ids) = stable_instances(3);
    let rejoined = [0, 1].map(|n: usize| bench.ask_join(&joining(&ids[n]).of_instance(&format!("i{n}"))));
    let mut beats =
        HeartbeatRequest { member_id: ids[2].clone(), generation_id: 1, ..HeartbeatRequest::default() };
    for _ in 0..12 {
        bench.happen(|group, env, _| group.heartbeat(&beats, env));
        bench.pass(REBALANCE_MS / 12);
    }
    assert_eq!(bench.joined(rejoined[0]).members.len(), 3);
    beats.generation_id = 2;
    assert_eq!(bench.happen(|group, env, _| group.heartbeat(&beats, env)).error_code, 0);
}

#[test]
fn while_no_instance_joins_the_rebalance_waits_until_their_sessions_end() {
    let (mut bench, ids) = stable_instances(2);
    let (_, new) = bench.add();
    bench.leave(&[("", Some("i0"))]);
    bench.pass_with_heartbeats(REBALANCE_MS, &[&ids[1]]);
    assert_eq!(bench.joined(new).members.len(), 2, "the new member leads");
}

#[test]
fn a_rebalance_without_anyone_is_tried_again() {
    let (mut bench, ids) = stable_instances(2);
    bench.leave(&[("", Some("i0"))]);
    assert_eq!(bench.group.state_name(), "PreparingRebalance");
    bench.pass_with_heartbeats(3 * REBALANCE_MS, &[&ids[1]]);
    assert_eq!((bench.group.state_name(), bench.group.members().len()), ("PreparingRebalance", 1));
    bench.pass(SESSION_MS);
    assert_eq!(bench.group.state_name(), "Empty");
}

#[test]
fn an_administrator_removes_an_instance_by_its_name() {
    let (mut bench, ids) = stable_instances(2);
    let answer = bench.leave(&[("", Some("i1")), ("", Some("unknown"))]);
    let codes: Vec<i16> = answer.members.iter().map(|member| member.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::UnknownMemberId.code()]);
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn an_instance_finds_its_place_in_a_full_group() {
    let (mut bench, _) = stable_instances(3);
    let back = bench.ask_join(&joining("").of_instance("i2"));
    assert_eq!(bench.join_error(back), ErrorCode::None);
    let fourth = bench.ask_join(&joining("").of_instance("i3"));
    assert_eq!(bench.join_error(fourth), ErrorCode::GroupMaxSizeReached);
}

#[test]
fn an_instance_that_stays_away_longer_than_its_session_is_removed() {
    let (mut bench, ids) = stable_instances(2);
    bench.pass_with_heartbeats(SESSION_MS, &[&ids[0]]);
    assert_eq!(bench.group.members().len(), 1);
    let back = bench.ask_join(&joining("").of_instance("i1"));
    assert!(bench.is_waiting(back), "it is a new member now");
}
