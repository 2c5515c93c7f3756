//! Becoming a member.

use super::*;

#[test]
fn the_first_members_are_given_time_to_come_together() {
    let mut bench = Bench::new();
    let (first_id, first) = bench.add();
    bench.pass(INITIAL_DELAY_MS - 1);
    let (second_id, second) = bench.add();
    assert_eq!(bench.group.state_name(), "PreparingRebalance");
    // The second one has begun another delay.
    bench.pass(INITIAL_DELAY_MS);
    assert!(bench.is_waiting(first) && bench.is_waiting(second));
    bench.pass(1);
    let (led, followed) = (bench.joined(first), bench.joined(second));
    assert_eq!((led.generation_id, followed.generation_id), (1, 1));
    assert_eq!((led.leader.as_str(), followed.leader.as_str()), (first_id.as_str(), first_id.as_str()));
    assert_eq!(
        led.members.iter().map(|member| &member.member_id).collect::<Vec<_>>(),
        [&first_id, &second_id]
    );
    assert!(led.members.iter().all(|member| member.metadata == b"topics".as_slice()));
    assert_eq!(followed.members, []);
    assert_eq!(followed.protocol_name.as_deref(), Some("range"));
    assert_eq!(followed.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(bench.group.state_name(), "CompletingRebalance");
}

#[test]
fn the_first_delay_ends_with_the_rebalance_time_out() {
    let mut bench = Bench::new();
    let short = || {
        let mut short = joining("");
        short.request.rebalance_timeout_ms = 7000;
        short
    };
    let (_, first) = bench.add_as(&short());
    for _ in 0..5 {
        bench.add_as(&short());
        bench.pass(1400);
    }
    assert!(!bench.is_waiting(first), "7 s are over, whoever came meanwhile");
}

#[test]
fn without_a_delay_the_first_member_begins_at_once() {
    let mut bench = Bench::with(&["group.initial.rebalance.delay.ms=0"]);
    let (_, asked) = bench.add();
    bench.pass(0);
    assert_eq!(bench.joined(asked).generation_id, 1);
}

#[test]
fn a_member_is_given_its_id_and_joins_with_it() {
    let mut bench = Bench::new();
    let first = Joining { needs_id_first: true, ..joining("") };
    let asked = bench.ask_join(&first);
    let answer = bench.joined(asked);
    assert_eq!(answer.error_code, ErrorCode::MemberIdRequired.code());
    assert!(answer.member_id.starts_with("client-") && answer.member_id.len() == "client-".len() + 36);
    assert_eq!(bench.group.members().len(), 0);
    assert!(!bench.group.is_blank());
    let asked = bench.ask_join(&Joining { needs_id_first: true, ..joining(&answer.member_id) });
    bench.pass(INITIAL_DELAY_MS);
    assert_eq!(bench.joined(asked).member_id, answer.member_id);
}

#[test]
fn an_id_that_is_not_used_expires() {
    let mut bench = Bench::new();
    let asked = bench.ask_join(&Joining { needs_id_first: true, ..joining("") });
    let id = bench.joined(asked).member_id;
    bench.pass(SESSION_MS);
    assert!(bench.group.is_blank());
    let late = bench.ask_join(&joining(&id));
    assert_eq!(bench.join_error(late), ErrorCode::UnknownMemberId);
}

#[test]
fn a_rebalance_waits_for_one_that_was_given_an_id() {
    let (mut bench, ids) = Bench::stable(1);
    let asked = bench.ask_join(&Joining { needs_id_first: true, ..joining("") });
    let id = bench.joined(asked).member_id;
    let rejoined = bench.rejoin(&ids);
    assert!(bench.is_waiting(rejoined[0]));
    let joined = bench.ask_join(&joining(&id));
    assert_eq!(bench.joined(joined).generation_id, 2);
    assert_eq!(bench.joined(rejoined[0]).members.len(), 2);
}

#[test]
fn one_that_was_given_an_id_cannot_turn_static() {
    let mut bench = Bench::new();
    let asked = bench.ask_join(&Joining { needs_id_first: true, ..joining("") });
    let id = bench.joined(asked).member_id;
    let turned = bench.ask_join(&joining(&id).of_instance("i"));
    assert_eq!(bench.join_error(turned), ErrorCode::UnknownMemberId);
}

#[test]
fn an_unknown_id_is_refused() {
    let (mut bench, _) = Bench::stable(1);
    let asked = bench.ask_join(&joining("stranger"));
    assert_eq!(bench.join_error(asked), ErrorCode::UnknownMemberId);
    assert_eq!(bench.joined(asked).member_id, "stranger");
}

#[test]
fn members_without_a_common_protocol_are_refused() {
    let (mut bench, _) = Bench::stable(1);
    let other_type = |mut joining: Joining| {
        joining.request.protocol_type = "connect".to_owned();
        joining
    };
    for refused in
        [joining("").with_protocols(&["sticky"]), other_type(joining("")), joining("").with_protocols(&[])]
    {
        let asked = bench.ask_join(&refused);
        assert_eq!(bench.join_error(asked), ErrorCode::InconsistentGroupProtocol);
    }
    assert_eq!(bench.group.state_name(), "Stable");
}

#[test]
fn an_empty_group_wants_a_protocol() {
    let mut bench = Bench::new();
    let mut untyped = joining("");
    untyped.request.protocol_type = String::new();
    for refused in [untyped, joining("").with_protocols(&[])] {
        let asked = bench.ask_join(&refused);
        assert_eq!(bench.join_error(asked), ErrorCode::InconsistentGroupProtocol);
    }
    assert!(bench.group.is_blank());
}

#[test]
fn an_empty_group_may_change_its_type() {
    let (mut bench, ids) = Bench::stable(1);
    bench.leave(&[(&ids[0], None)]);
    assert_eq!(bench.group.protocol_type(), "consumer");
    let mut connect = joining("");
    connect.request.protocol_type = "connect".to_owned();
    let (_, asked) = bench.add_as(&connect);
    bench.pass(INITIAL_DELAY_MS);
    assert_eq!(bench.joined(asked).protocol_type.as_deref(), Some("connect"));
}

#[test]
fn the_protocol_is_the_one_with_most_votes_among_those_that_all_know() {
    let mut bench = Bench::new();
    let (_, first) = bench.add_as(&joining("").with_protocols(&["only-mine", "range", "sticky"]));
    bench.add_as(&joining("").with_protocols(&["sticky", "range"]));
    bench.add_as(&joining("").with_protocols(&["sticky", "range"]));
    bench.gather();
    assert_eq!(bench.joined(first).protocol_name.as_deref(), Some("sticky"));
}

#[test]
fn with_as_many_votes_the_leader_decides() {
    let mut bench = Bench::new();
    let (_, first) = bench.add_as(&joining("").with_protocols(&["sticky", "range"]));
    bench.add_as(&joining("").with_protocols(&["range", "sticky"]));
    bench.gather();
    assert_eq!(bench.joined(first).protocol_name.as_deref(), Some("sticky"));
}

#[test]
fn a_full_group_turns_new_members_away() {
    let mut bench = Bench::with(&["group.max.size=2"]);
    let ids = [bench.add().0, bench.add().0];
    let third = bench.ask_join(&joining(""));
    assert_eq!(bench.join_error(third), ErrorCode::GroupMaxSizeReached);
    assert_eq!(bench.joined(third).member_id, "");
    bench.gather();
    bench.sync_all(&ids);
    let third = bench.ask_join(&joining(""));
    assert_eq!(bench.join_error(third), ErrorCode::GroupMaxSizeReached);
    assert_eq!(bench.group.state_name(), "Stable");
    let rejoined = bench.rejoin(&ids);
    assert!(rejoined.iter().all(|asked| bench.joined(*asked).generation_id == 2));
}

#[test]
fn a_group_that_takes_too_much_memory_turns_members_away() {
    let mut bench = Bench::with(&["sendlog.group.members.bytes.max=65536"]);
    let heavy = |member_id: &str| {
        let mut heavy = joining(member_id);
        heavy.request.protocols[0].metadata = Bytes::from(vec![0; 40_000]);
        heavy
    };
    let (id, _) = bench.add_as(&heavy(""));
    let second = bench.ask_join(&heavy(""));
    assert_eq!(bench.join_error(second), ErrorCode::GroupMaxSizeReached);
    // What a member had is not counted twice.
    bench.pass(INITIAL_DELAY_MS);
    bench.sync_all(std::slice::from_ref(&id));
    let again = bench.ask_join(&heavy(&id));
    assert_eq!(bench.joined(again).generation_id, 2);
    // Ids that nobody comes back with count too.
    let pending = Joining { needs_id_first: true, ..joining("") };
    let asked: Vec<Asked> = (0..1000).map(|_| bench.ask_join(&pending)).collect();
    let refused = |asked: &&Asked| bench.join_error(**asked) == ErrorCode::GroupMaxSizeReached;
    assert!(800 < asked.iter().filter(refused).count());
}

#[test]
fn a_long_client_id_is_cut_in_the_member_id() {
    let mut bench = Bench::new();
    let long = "\u{e4}".repeat(10_000);
    let joiner =
        Joiner { client_id: &long, client_host: "", needs_id_first: true, can_skip_assignment: true };
    let request = joining("").request;
    let answer = bench.happen(|group, env, fx| group.join(request, joiner, Ticket(0), env, fx)).unwrap();
    assert_eq!(answer.member_id.len(), 254 + 37);
}
