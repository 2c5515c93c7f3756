//! Classic groups over the wire: members come, go, fail and come back, in every version of the requests.

use sendlog_protocol::messages::HeartbeatRequest;
use sendlog_tests::classic_member::{ClassicMember, REBALANCE_IN_PROGRESS, Versions, describe, rebalance};
use sendlog_tests::{Broker, BrokerOptions, Kafka};

const GROUP: &str = "g";
const UNKNOWN_MEMBER_ID: i16 = 25;
const FENCED_INSTANCE_ID: i16 = 82;
/// Of members that are to fail.
const SHORT_SESSION_MS: i32 = 1000;

fn broker() -> Broker {
    Broker::start(BrokerOptions::with_args([
        "--set",
        "group.initial.rebalance.delay.ms=0",
        "--set",
        "group.min.session.timeout.ms=100",
    ]))
}

#[test]
fn members_come_and_go() {
    let broker = broker();
    let mut first = ClassicMember::new(broker.address(), GROUP);
    rebalance(&mut [&mut first]);
    assert_eq!(first.heartbeat(), 0);
    let mut second = ClassicMember::new(broker.address(), GROUP);
    rebalance(&mut [&mut second, &mut first]);
    assert_eq!((first.generation, first.to_assign.len(), second.to_assign.len()), (2, 2, 0));
    let mut third = ClassicMember::new(broker.address(), GROUP);
    rebalance(&mut [&mut third, &mut second, &mut first]);
    assert_eq!(describe(third.kafka(), GROUP).members.len(), 3);
    first.leave();
    assert_eq!(second.heartbeat(), REBALANCE_IN_PROGRESS);
    assert_eq!(first.heartbeat(), UNKNOWN_MEMBER_ID);
    rebalance(&mut [&mut second, &mut third]);
    assert_eq!((second.generation, second.to_assign.len() + third.to_assign.len()), (4, 2));
    second.leave();
    third.leave();
    let left = describe(third.kafka(), GROUP);
    assert_eq!((left.group_state.as_str(), left.protocol_type.as_str()), ("Empty", "consumer"));
}

#[test]
fn a_group_shows_its_members_with_what_they_want_and_have() {
    let broker = broker();
    let mut member = ClassicMember::of_instance(broker.address(), GROUP, "i");
    rebalance(&mut [&mut member]);
    let described = describe(member.kafka(), GROUP);
    assert_eq!((described.group_state.as_str(), described.protocol_data.as_str()), ("Stable", "range"));
    let shown = &described.members[0];
    assert_eq!((&shown.member_id, shown.group_instance_id.as_deref()), (&member.id, Some("i")));
    assert_eq!((shown.client_id.as_str(), shown.client_host.as_str()), ("scenario", "/127.0.0.1"));
    assert_eq!(shown.member_assignment, member.id.as_bytes());
    assert!(shown.member_metadata.ends_with(b"t\xff\xff\xff\xff"));
}

#[test]
fn a_silent_member_holds_nobody_up() {
    let broker = broker();
    let mut silent = ClassicMember::new(broker.address(), GROUP);
    silent.session_timeout_ms = SHORT_SESSION_MS;
    rebalance(&mut [&mut silent]);
    let mut next = ClassicMember::new(broker.address(), GROUP);
    // Answered when the session of the silent one is over: its rebalance time-out is minutes away.
    rebalance(&mut [&mut next]);
    assert_eq!(next.to_assign, [next.id.clone()]);
    assert_eq!(silent.heartbeat(), UNKNOWN_MEMBER_ID);
}

#[test]
fn a_client_that_goes_while_it_waits_is_forgotten() {
    let broker = broker();
    let mut stays = ClassicMember::new(broker.address(), GROUP);
    rebalance(&mut [&mut stays]);
    let mut goes = ClassicMember::new(broker.address(), GROUP);
    goes.session_timeout_ms = SHORT_SESSION_MS;
    goes.ask_to_join();
    stays.rejoin_when_told().expect("the broker is there");
    drop(goes);
    assert_eq!(stays.joined().members.len(), 2, "nobody knows yet");
    while stays.heartbeat() != REBALANCE_IN_PROGRESS {}
    rebalance(&mut [&mut stays]);
    assert_eq!(stays.to_assign, [stays.id.clone()]);
}

#[test]
fn a_static_member_bounces_without_a_rebalance() {
    let broker = broker();
    let mut leader = ClassicMember::of_instance(broker.address(), GROUP, "i0");
    rebalance(&mut [&mut leader]);
    let mut follower = ClassicMember::of_instance(broker.address(), GROUP, "i1");
    rebalance(&mut [&mut follower, &mut leader]);
    for instance in ["i1", "i0"] {
        let old = if instance == "i0" { &mut leader } else { &mut follower };
        let mut back = ClassicMember::of_instance(broker.address(), GROUP, instance);
        back.ask_to_join();
        let answer = back.joined();
        assert_eq!((answer.generation_id, answer.skip_assignment), (2, instance == "i0"));
        back.to_assign.clear();
        back.ask_to_sync();
        assert_eq!(back.synced(), old.id.as_bytes(), "it gets what its old self had");
        assert_eq!(back.heartbeat(), 0);
        assert_eq!(old.heartbeat(), FENCED_INSTANCE_ID);
        *old = back;
    }
    assert_eq!((leader.heartbeat(), follower.heartbeat()), (0, 0));
    assert_eq!(describe(leader.kafka(), GROUP).group_state, "Stable");
}

#[test]
fn every_version_of_the_requests_takes_a_member_through_its_life() {
    let broker = broker();
    for join in 0..=9 {
        let versions = Versions { join, sync: join.min(5), heartbeat: join.min(4), leave: join.min(5) };
        let mut member = ClassicMember::new(broker.address(), GROUP);
        member.versions = versions;
        rebalance(&mut [&mut member]);
        assert_eq!(member.heartbeat(), 0, "{versions:?}");
        member.leave();
        assert_eq!(member.heartbeat(), UNKNOWN_MEMBER_ID, "{versions:?}");
    }
}

#[test]
fn requests_that_name_no_group_or_none_that_is_there_are_refused() {
    const INVALID_GROUP_ID: i16 = 24;
    const INVALID_SESSION_TIMEOUT: i16 = 26;
    let broker = broker();
    let mut stranger = ClassicMember::new(broker.address(), "nobody's");
    assert_eq!(stranger.heartbeat(), UNKNOWN_MEMBER_ID);
    stranger.ask_to_sync();
    assert_eq!(stranger.try_synced().expect("an answer").error_code, UNKNOWN_MEMBER_ID);
    stranger.id = "stranger".to_owned();
    stranger.ask_to_join();
    let answer = stranger.try_joined().expect("an answer");
    assert_eq!((answer.error_code, answer.member_id.as_str()), (UNKNOWN_MEMBER_ID, "stranger"));
    stranger.session_timeout_ms = 99;
    stranger.ask_to_join();
    assert_eq!(stranger.try_joined().expect("an answer").error_code, INVALID_SESSION_TIMEOUT);
    let mut kafka = Kafka::open(broker.address());
    assert_eq!(kafka.ask(4, &HeartbeatRequest::default()).error_code, INVALID_GROUP_ID);
}
