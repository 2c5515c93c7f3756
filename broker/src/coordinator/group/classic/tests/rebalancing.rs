//! From one generation to the next.

use super::*;

#[test]
fn followers_wait_for_the_assignment_of_the_leader() {
    let mut bench = Bench::new();
    let ids = [bench.add().0, bench.add().0];
    bench.gather();
    let follower = bench.ask_sync(&ids[1], 1, &[]);
    assert!(bench.is_waiting(follower));
    assert_eq!(bench.log, []);
    let leader = bench.ask_sync(&ids[0], 1, &[(&ids[1], "all of it"), ("stranger", "nothing")]);
    assert_eq!(bench.synced(follower).assignment, b"all of it".as_slice());
    assert_eq!(bench.synced(follower).protocol_name.as_deref(), Some("range"));
    assert_eq!(bench.synced(leader).assignment, Bytes::new());
    // Once it is there it can be had again.
    let again = bench.ask_sync(&ids[1], 1, &[]);
    assert_eq!(bench.synced(again).assignment, b"all of it".as_slice());
}

#[test]
fn a_generation_is_stored_when_its_assignment_arrives() {
    let (bench, ids) = Bench::stable(2);
    assert_eq!(bench.log.len(), 1);
    let stored = bench.stored();
    assert_eq!((stored.generation, stored.protocol.as_deref()), (1, Some("range")));
    assert_eq!(stored.leader.as_ref(), Some(&ids[0]));
    assert_eq!(stored.protocol_type, "consumer");
    assert_eq!(stored.current_state_timestamp, bench.now_ms + 5);
    let member = &stored.members[1];
    assert_eq!((&member.member_id, &member.assignment[..]), (&ids[1], ids[1].as_bytes()));
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("client", "/192.0.2.1"));
    assert_eq!(
        (i64::from(member.session_timeout), i64::from(member.rebalance_timeout)),
        (SESSION_MS, REBALANCE_MS)
    );
    assert_eq!(member.subscription, b"topics".as_slice());
}

#[test]
fn a_new_member_has_all_others_join_again() {
    let (mut bench, ids) = Bench::stable(2);
    let (third_id, third) = bench.add();
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::RebalanceInProgress);
    let early = bench.ask_sync(&ids[1], 1, &[]);
    assert_eq!(bench.sync_error(early), ErrorCode::RebalanceInProgress);
    let rejoined = bench.rejoin(&ids);
    assert_eq!(bench.joined(third).generation_id, 2);
    assert_eq!(bench.joined(rejoined[0]).members.len(), 3);
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::IllegalGeneration);
    bench.sync_all(&[ids[0].clone(), ids[1].clone(), third_id]);
    assert_eq!(bench.stored().generation, 2);
}

#[test]
fn a_leader_that_joins_again_starts_a_rebalance_and_an_unchanged_follower_does_not() {
    let (mut bench, ids) = Bench::stable(2);
    let follower = bench.ask_join(&joining(&ids[1]));
    let answer = bench.joined(follower);
    assert_eq!((answer.generation_id, &answer.leader, answer.members.len()), (1, &ids[0], 0));
    assert_eq!(bench.group.state_name(), "Stable");
    let leader = bench.ask_join(&joining(&ids[0]));
    assert!(bench.is_waiting(leader));
    assert_eq!(bench.group.state_name(), "PreparingRebalance");
}

#[test]
fn a_follower_with_other_metadata_starts_a_rebalance() {
    let (mut bench, ids) = Bench::stable(2);
    let mut changed = joining(&ids[1]);
    changed.request.protocols = vec![protocol("range", b"other topics")];
    let changed = bench.ask_join(&changed);
    assert!(bench.is_waiting(changed));
    let leader = bench.ask_join(&joining(&ids[0]));
    assert_eq!(bench.joined(changed).generation_id, 2);
    assert_eq!(bench.joined(leader).members[1].metadata, b"other topics".as_slice());
}

#[test]
fn a_member_that_missed_its_answer_gets_it_again() {
    let mut bench = Bench::new();
    let ids = [bench.add().0, bench.add().0];
    bench.gather();
    let leader = bench.ask_join(&joining(&ids[0]));
    assert_eq!((bench.joined(leader).generation_id, bench.joined(leader).members.len()), (1, 2));
    let follower = bench.ask_join(&joining(&ids[1]));
    assert_eq!((bench.joined(follower).generation_id, bench.joined(follower).members.len()), (1, 0));
    assert_eq!(bench.group.state_name(), "CompletingRebalance");
}

#[test]
fn a_change_while_the_assignment_is_made_sends_those_that_wait_for_it_back() {
    let mut bench = Bench::new();
    let ids = [bench.add().0, bench.add().0];
    bench.gather();
    let follower = bench.ask_sync(&ids[1], 1, &[]);
    bench.add();
    assert_eq!(bench.sync_error(follower), ErrorCode::RebalanceInProgress);
    let late = bench.ask_sync(&ids[0], 1, &[(&ids[0], "everything")]);
    assert_eq!(bench.sync_error(late), ErrorCode::RebalanceInProgress);
    assert_eq!(bench.log, []);
}

#[test]
fn a_member_that_joins_twice_gets_both_answers() {
    let (mut bench, ids) = Bench::stable(2);
    let first = bench.ask_join(&joining(&ids[0]));
    let second = bench.ask_join(&joining(&ids[0]));
    assert_eq!(bench.join_error(first), ErrorCode::RebalanceInProgress);
    assert_eq!(bench.joined(first).member_id, ids[0]);
    let other = bench.ask_join(&joining(&ids[1]));
    assert_eq!((bench.joined(second).generation_id, bench.joined(other).generation_id), (2, 2));
}

#[test]
fn a_member_that_syncs_twice_gets_both_answers() {
    let mut bench = Bench::new();
    let ids = [bench.add().0, bench.add().0];
    bench.gather();
    let first = bench.ask_sync(&ids[1], 1, &[]);
    let second = bench.ask_sync(&ids[1], 1, &[]);
    assert_eq!(bench.sync_error(first), ErrorCode::RebalanceInProgress);
    bench.ask_sync(&ids[0], 1, &[(&ids[1], "half")]);
    assert_eq!(bench.synced(second).assignment, b"half".as_slice());
}

#[test]
fn a_sync_must_be_of_the_member_the_generation_and_the_protocol() {
    let (mut bench, ids) = Bench::stable(1);
    let request = |generation_id, member_id: &str| SyncGroupRequest {
        generation_id,
        member_id: member_id.to_owned(),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        ..SyncGroupRequest::default()
    };
    let other_name = SyncGroupRequest { protocol_name: Some("sticky".to_owned()), ..request(1, &ids[0]) };
    let other_type = SyncGroupRequest { protocol_type: Some("connect".to_owned()), ..request(1, &ids[0]) };
    for (request, expected) in [
        (request(1, &ids[0]), ErrorCode::None),
        (request(1, "stranger"), ErrorCode::UnknownMemberId),
        (request(2, &ids[0]), ErrorCode::IllegalGeneration),
        (other_name, ErrorCode::InconsistentGroupProtocol),
        (other_type, ErrorCode::InconsistentGroupProtocol),
    ] {
        let asked = bench.ask_sync_as(request);
        assert_eq!(bench.sync_error(asked), expected);
    }
}

#[test]
fn an_assignment_that_is_too_large_is_refused_whole() {
    let mut bench = Bench::with(&["sendlog.group.members.bytes.max=65536"]);
    let ids = [bench.add().0, bench.add().0];
    bench.gather();
    let follower = bench.ask_sync(&ids[1], 1, &[]);
    let leader = bench.ask_sync(&ids[0], 1, &[(&ids[1], &"x".repeat(65_536))]);
    assert_eq!(bench.sync_error(follower), ErrorCode::UnknownServerError);
    assert_eq!(bench.sync_error(leader), ErrorCode::UnknownServerError);
    assert_eq!(bench.log, []);
    let rejoined = bench.rejoin(&ids);
    assert_eq!(bench.joined(rejoined[0]).generation_id, 2);
    bench.sync_all(&ids);
}

#[test]
fn members_leave_with_a_result_each() {
    let (mut bench, ids) = Bench::stable(3);
    let answer = bench.leave(&[(&ids[1], None), ("stranger", None), ("", None), (&ids[2], Some("i"))]);
    let codes: Vec<i16> = answer.members.iter().map(|member| member.error_code).collect();
    let unknown = ErrorCode::UnknownMemberId.code();
    assert_eq!((answer.error_code, codes), (0, vec![0, unknown, unknown, unknown]));
    assert_eq!(bench.group.state_name(), "PreparingRebalance");
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId);
    assert_eq!(bench.heartbeat(&ids[2], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn when_the_last_member_leaves_the_empty_group_is_stored() {
    let (mut bench, ids) = Bench::stable(1);
    bench.leave(&[(&ids[0], None)]);
    assert_eq!((bench.group.state_name(), bench.group.is_empty()), ("Empty", true));
    let stored = bench.stored();
    assert_eq!(
        (stored.generation, stored.members.len(), &stored.protocol, &stored.leader),
        (2, 0, &None, &None)
    );
    assert_eq!(stored.protocol_type, "consumer");
    assert_eq!(bench.group.next_deadline_ms(), None);
    assert_eq!(bench.heartbeat(&ids[0], 2), ErrorCode::UnknownMemberId);
}

#[test]
fn a_leader_that_leaves_is_succeeded() {
    let (mut bench, ids) = Bench::stable(2);
    bench.leave(&[(&ids[0], None)]);
    let rejoined = bench.rejoin(&ids[1..]);
    assert_eq!(
        (bench.joined(rejoined[0]).leader, bench.joined(rejoined[0]).members.len()),
        (ids[1].clone(), 1)
    );
}

#[test]
fn what_a_member_waits_for_is_answered_when_it_leaves() {
    let mut bench = Bench::new();
    let (id, join) = bench.add();
    bench.leave(&[(&id, None)]);
    assert_eq!(
        (bench.join_error(join), bench.joined(join).member_id),
        (ErrorCode::UnknownMemberId, String::new())
    );
    bench.pass(INITIAL_DELAY_MS);
    assert_eq!(bench.group.state_name(), "Empty");
    let ids = [bench.add().0, bench.add().0];
    bench.gather();
    let sync = bench.ask_sync(&ids[1], 2, &[]);
    bench.leave(&[(&ids[1], None)]);
    assert_eq!(bench.sync_error(sync), ErrorCode::UnknownMemberId);
}

#[test]
fn one_that_leaves_without_having_joined_disturbs_nobody() {
    let (mut bench, _) = Bench::stable(1);
    let asked = bench.ask_join(&Joining { needs_id_first: true, ..joining("") });
    let id = bench.joined(asked).member_id;
    assert_eq!(bench.leave(&[(&id, None)]).members[0].error_code, 0);
    assert_eq!(bench.group.state_name(), "Stable");
}

#[test]
fn heartbeats_are_taken_before_the_assignment_is_there() {
    let mut bench = Bench::new();
    let (id, _) = bench.add();
    bench.pass(INITIAL_DELAY_MS);
    assert_eq!(bench.heartbeat(&id, 1), ErrorCode::None);
    assert_eq!(bench.heartbeat(&id, 0), ErrorCode::IllegalGeneration);
    assert_eq!(bench.heartbeat("stranger", 1), ErrorCode::UnknownMemberId);
}

#[test]
fn generations_begin_anew_after_the_last_number() {
    let (mut bench, ids) = Bench::stable(1);
    bench.group.generation = i32::MAX;
    let rejoined = bench.rejoin(&ids);
    assert_eq!(bench.joined(rejoined[0]).generation_id, 1);
}

#[test]
fn a_group_shows_metadata_and_protocol_while_it_is_stable() {
    let (mut bench, ids) = Bench::stable(2);
    let stable = bench.group.describe();
    assert_eq!((stable.group_state.as_str(), stable.protocol_data.as_str()), ("Stable", "range"));
    assert_eq!(stable.members[0].member_metadata, b"topics".as_slice());
    assert_eq!(stable.members[0].member_assignment, ids[0].as_bytes());
    bench.add();
    let preparing = bench.group.describe();
    assert_eq!(
        (preparing.group_state.as_str(), preparing.protocol_data.as_str()),
        ("PreparingRebalance", "")
    );
    assert_eq!((preparing.members.len(), &preparing.members[0].member_metadata), (3, &Bytes::new()));
    assert_eq!(preparing.protocol_type, "consumer");
}
