//! What a restart of the coordinator leaves of a group.

use super::*;

#[test]
fn members_of_a_stable_group_do_not_notice() {
    let (bench, ids) = Bench::stable(2);
    let mut next = bench.restarted(&[]);
    assert_eq!(next.group.state_name(), "Stable");
    assert_eq!(next.group.leader().map(ToString::to_string).as_ref(), Some(&ids[0]));
    next.pass(SESSION_MS - 1);
    for id in &ids {
        assert_eq!(next.heartbeat(id, 1), ErrorCode::None);
        let sync = next.ask_sync(id, 1, &[]);
        assert_eq!(next.synced(sync).assignment, id.as_bytes());
    }
    assert_eq!(next.group.describe(), bench.group.describe());
}

#[test]
fn members_that_are_gone_time_out_after_a_restart() {
    let (bench, _) = Bench::stable(2);
    let mut next = bench.restarted(&[]);
    next.pass(SESSION_MS);
    assert_eq!(next.group.state_name(), "Empty");
}

#[test]
fn a_generation_that_was_being_made_is_forgotten() {
    let (mut bench, ids) = Bench::stable(2);
    let (new_id, _) = bench.add();
    bench.rejoin(&ids);
    assert_eq!(bench.group.generation(), 2);
    let mut next = bench.restarted(&[]);
    assert_eq!((next.group.state_name(), next.group.generation()), ("Stable", 1));
    assert_eq!(next.heartbeat(&ids[0], 2), ErrorCode::IllegalGeneration);
    assert_eq!(next.heartbeat(&new_id, 2), ErrorCode::UnknownMemberId);
    let rejoined = next.rejoin(&ids);
    assert_eq!(next.joined(rejoined[0]).generation_id, 2);
}

#[test]
fn instances_come_back_to_their_place_after_a_restart() {
    let mut bench = Bench::new();
    let ids =
        [bench.add_as(&joining("").of_instance("i0")).0, bench.add_as(&joining("").of_instance("i1")).0];
    bench.gather();
    bench.sync_all(&ids);
    let mut next = bench.restarted(&[]);
    let back = next.ask_join(&joining("").of_instance("i1"));
    let answer = next.joined(back);
    assert_eq!((answer.error_code, answer.generation_id), (0, 1));
    let sync = next.ask_sync(&answer.member_id, 1, &[]);
    assert_eq!(next.synced(sync).assignment, ids[1].as_bytes());
}

#[test]
fn a_group_that_has_become_too_large_loses_those_that_come_last() {
    let (bench, ids) = Bench::stable(3);
    let mut next = bench.restarted(&["group.max.size=2"]);
    assert_eq!(next.group.state_name(), "PreparingRebalance");
    assert_eq!(next.heartbeat(&ids[2], 1), ErrorCode::RebalanceInProgress);
    let rejoined = next.rejoin(&ids);
    assert_eq!(next.join_error(rejoined[2]), ErrorCode::GroupMaxSizeReached);
    assert_eq!(next.joined(rejoined[0]).members.len(), 2);
}

#[test]
fn an_empty_group_is_empty_since_it_was_stored() {
    let (mut bench, ids) = Bench::stable(1);
    bench.leave(&[(&ids[0], None)]);
    let emptied_ms = bench.now_ms + 5;
    let next = bench.restarted(&[]);
    assert_eq!((next.group.state_name(), next.group.generation()), ("Empty", 2));
    assert_eq!(next.group.retention_base_ms(1), Some(emptied_ms));
}

#[test]
fn a_tombstone_leaves_nothing() {
    let (bench, _) = Bench::stable(2);
    let mut next = bench.restarted(&[]);
    for tombstone in next.group.tombstones() {
        next.group.replay(&tombstone);
    }
    assert!(next.group.is_blank());
}

#[test]
fn a_snapshot_is_the_last_whole_generation() {
    let (mut bench, ids) = Bench::stable(2);
    assert_eq!(bench.group.snapshot(), bench.log);
    bench.add();
    assert_eq!(bench.group.snapshot(), []);
    bench.pass(REBALANCE_MS + INITIAL_DELAY_MS);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_record_before_rebalance_time_outs_has_the_one_of_the_session() {
    let (bench, _) = Bench::stable(1);
    let mut old = bench.stored().clone();
    old.members[0].rebalance_timeout = -1;
    let GroupRecord::GroupMetadata(key, _) = bench.log[0].clone() else { panic!("another record") };
    let mut next = Bench::new();
    next.group.replay(&GroupRecord::GroupMetadata(key, Some(old)));
    assert_eq!(i64::from(next.group.members().next().unwrap().rebalance_timeout_ms), SESSION_MS);
}
