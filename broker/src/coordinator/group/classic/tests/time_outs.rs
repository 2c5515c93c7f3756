//! Members that are silent, late or gone.

use super::*;

#[test]
fn a_silent_member_is_removed_after_its_session() {
    let (mut bench, ids) = Bench::stable(2);
    bench.pass_with_heartbeats(SESSION_MS - 1, &[&ids[0]]);
    assert_eq!(bench.group.members().len(), 2);
    bench.pass(1);
    assert_eq!(bench.group.members().len(), 1);
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress);
    let rejoined = bench.rejoin(&ids[..1]);
    assert_eq!(bench.joined(rejoined[0]).generation_id, 2);
}

#[test]
fn a_group_whose_members_are_all_silent_is_empty_then() {
    let (mut bench, _) = Bench::stable(3);
    bench.pass(SESSION_MS);
    assert_eq!((bench.group.state_name(), bench.stored().generation), ("Empty", 2));
}

#[test]
fn heartbeats_keep_a_member_for_ever_and_move_no_timer() {
    let (mut bench, ids) = Bench::stable(1);
    let due_ms = bench.group.next_deadline_ms();
    bench.pass(SESSION_MS - 1);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::None);
    assert_eq!(bench.group.next_deadline_ms(), due_ms);
    bench.pass(1);
    assert_eq!(bench.group.next_deadline_ms(), Some(bench.now_ms + SESSION_MS - 1));
    bench.pass_with_heartbeats(100 * SESSION_MS, &[&ids[0]]);
    assert_eq!(bench.group.state_name(), "Stable");
}

#[test]
fn members_that_do_not_join_again_in_time_are_left_behind() {
    let (mut bench, ids) = Bench::stable(3);
    let leader_back = bench.rejoin(&ids[..2]);
    bench.pass_with_heartbeats(REBALANCE_MS - 1, &[&ids[2]]);
    assert!(bench.is_waiting(leader_back[0]));
    bench.pass(1);
    assert_eq!(bench.joined(leader_back[0]).members.len(), 2);
    assert_eq!(bench.heartbeat(&ids[2], 2), ErrorCode::UnknownMemberId);
}

#[test]
fn a_leader_that_does_not_join_again_in_time_is_succeeded() {
    let (mut bench, ids) = Bench::stable(2);
    bench.add();
    let follower = bench.rejoin(&ids[1..]);
    bench.pass_with_heartbeats(REBALANCE_MS, &[&ids[0]]);
    assert_ne!(bench.joined(follower[0]).leader, ids[0]);
    assert_eq!(bench.group.members().len(), 2);
}

#[test]
fn one_that_waits_to_join_needs_no_heartbeats_and_has_a_full_session_after_it() {
    let (mut bench, ids) = Bench::stable(2);
    let waiting = bench.rejoin(&ids[..1]);
    bench.pass_with_heartbeats(3 * SESSION_MS, &[&ids[1]]);
    assert!(bench.is_waiting(waiting[0]));
    bench.rejoin(&ids[1..]);
    assert_eq!(bench.joined(waiting[0]).generation_id, 2);
    bench.pass(SESSION_MS - 1);
    assert_eq!(bench.heartbeat(&ids[0], 2), ErrorCode::None);
}

#[test]
fn one_that_waits_for_its_assignment_needs_no_heartbeats() {
    let mut bench = Bench::new();
    let ids = [bench.add().0, bench.add().0];
    bench.gather();
    let sync = bench.ask_sync(&ids[1], 1, &[]);
    bench.pass_with_heartbeats(3 * SESSION_MS, &[&ids[0]]);
    assert!(bench.is_waiting(sync));
    bench.ask_sync(&ids[0], 1, &[]);
    assert_eq!(bench.sync_error(sync), ErrorCode::None);
    bench.pass(SESSION_MS - 1);
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::None);
}

#[test]
fn a_leader_that_does_not_assign_in_time_is_removed() {
    let mut bench = Bench::new();
    let ids = [bench.add().0, bench.add().0];
    bench.gather();
    let sync = bench.ask_sync(&ids[1], 1, &[]);
    bench.pass_with_heartbeats(REBALANCE_MS, &[&ids[0]]);
    assert_eq!(bench.sync_error(sync), ErrorCode::RebalanceInProgress);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::UnknownMemberId);
    let rejoined = bench.rejoin(&ids[1..]);
    assert_eq!(bench.joined(rejoined[0]).leader, ids[1]);
}

#[test]
fn a_follower_that_does_not_ask_for_its_assignment_in_time_is_removed() {
    let mut bench = Bench::new();
    let ids = [bench.add().0, bench.add().0];
    bench.gather();
    bench.ask_sync(&ids[0], 1, &[]);
    assert_eq!(bench.group.state_name(), "Stable");
    bench.pass_with_heartbeats(REBALANCE_MS, &[&ids[0], &ids[1]]);
    assert_eq!(bench.group.state_name(), "PreparingRebalance");
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_new_member_whose_client_gave_up_is_not_waited_for_for_ever() {
    let (mut bench, ids) = Bench::stable(1);
    let mut patient = joining("");
    patient.request.rebalance_timeout_ms = 600_000;
    let (_, new) = bench.add_as(&patient);
    bench.pass_with_heartbeats(5 * 60 * 1000, &[&ids[0]]);
    assert_eq!(bench.join_error(new), ErrorCode::UnknownMemberId);
    assert_eq!(bench.group.members().len(), 1);
}

#[test]
fn a_member_that_leaves_completes_what_only_it_held_up() {
    let (mut bench, ids) = Bench::stable(3);
    let rejoined = bench.rejoin(&ids[..2]);
    bench.leave(&[(&ids[2], None)]);
    assert_eq!(bench.joined(rejoined[1]).generation_id, 2);
}

#[test]
fn an_id_that_is_not_used_completes_what_only_it_held_up() {
    let (mut bench, ids) = Bench::stable(1);
    bench.ask_join(&Joining { needs_id_first: true, ..joining("") });
    let rejoined = bench.rejoin(&ids);
    bench.pass(SESSION_MS);
    assert_eq!(bench.joined(rejoined[0]).generation_id, 2);
}
