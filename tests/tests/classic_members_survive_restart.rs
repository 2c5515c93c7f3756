//! A restart of the broker, a killed one too, costs no member of a classic group its place, and what a member was told of a
//! generation is so afterwards.

use std::io;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use sendlog_tests::classic_member::{ClassicMember, describe, rebalance};
use sendlog_tests::offsets::commit_request;
use sendlog_tests::{Broker, BrokerOptions, Kafka};

const GROUP: &str = "g";
const TOPIC: &str = "t";
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;

fn options() -> BrokerOptions {
    BrokerOptions::with_args([
        "--set",
        "group.initial.rebalance.delay.ms=0",
        "--set",
        "group.min.session.timeout.ms=100",
        "--set",
        "offsets.topic.num.partitions=3",
    ])
}

/// A stable group of so many; the first one leads.
fn stable(broker: &Broker, count: usize) -> Vec<ClassicMember> {
    let mut members: Vec<ClassicMember> = Vec::new();
    for _ in 0..count {
        // The newest one comes first and does not lead.
        members.insert(0, ClassicMember::new(broker.address(), GROUP));
        rebalance(&mut members.iter_mut().collect::<Vec<_>>());
    }
    members.reverse();
    members
}

fn commit(member: &mut ClassicMember, offset: i64) -> i16 {
    let request = OffsetCommitRequest {
        generation_id_or_member_epoch: member.generation,
        member_id: member.id.clone(),
        ..commit_request(GROUP, TOPIC, &[(0, offset)])
    };
    let answer: OffsetCommitResponse = member.kafka().ask(8, &request);
    answer.topics[0].partitions[0].error_code
}

#[test]
fn members_go_on_after_every_kind_of_restart() {
    let mut broker = Broker::start(options());
    Kafka::open(broker.address()).create_topic(TOPIC, 1, &[]);
    let mut members = stable(&broker, 3);
    for is_clean in [true, false, true, false] {
        if is_clean {
            assert_eq!(broker.terminate().code(), Some(0));
        }
        broker.restart();
        let described = describe(&mut Kafka::open(broker.address()), GROUP);
        assert_eq!((described.group_state.as_str(), described.members.len()), ("Stable", 3));
        for (offset, member) in (0..).zip(&mut members) {
            member.reconnect(broker.address());
            assert_eq!(member.heartbeat(), 0, "{member:?}");
            assert_eq!(commit(member, offset), 0);
            member.ask_to_sync();
            assert_eq!(member.synced(), member.id.as_bytes());
        }
    }
    // It is a group as before: one that leaves makes the others join again.
    members.pop().expect("three members").leave();
    rebalance(&mut members.iter_mut().collect::<Vec<_>>());
}

#[test]
fn static_members_come_back_to_their_place() {
    let mut broker = Broker::start(options());
    let mut member = ClassicMember::of_instance(broker.address(), GROUP, "i");
    rebalance(&mut [&mut member]);
    broker.restart();
    describe(&mut Kafka::open(broker.address()), GROUP);
    let mut back = ClassicMember::of_instance(broker.address(), GROUP, "i");
    back.ask_to_join();
    assert_eq!(back.joined().generation_id, 1);
    back.to_assign.clear();
    back.ask_to_sync();
    assert_eq!(back.synced(), member.id.as_bytes());
    // Its new id has been stored before it was told.
    broker.restart();
    describe(&mut Kafka::open(broker.address()), GROUP);
    back.reconnect(broker.address());
    assert_eq!(back.heartbeat(), 0);
}

#[test]
fn members_that_stay_away_are_removed() {
    let mut broker = Broker::start(options());
    let mut gone = ClassicMember::new(broker.address(), GROUP);
    gone.session_timeout_ms = 1000;
    rebalance(&mut [&mut gone]);
    broker.restart();
    let mut next = ClassicMember::new(broker.address(), GROUP);
    describe(next.kafka(), GROUP);
    // Answered when the session of the other one is over, which began with the start.
    rebalance(&mut [&mut next]);
    assert_eq!(next.to_assign, [next.id.clone()]);
}

/// Joins and syncs of which some are on their way when the broker is killed.
fn rebalance_until(steps: &mut usize, members: &mut [ClassicMember]) -> io::Result<()> {
    let mut step = || match steps.checked_sub(1) {
        Some(left) => {
            *steps = left;
            Ok(())
        }
        None => Err(io::Error::other("as far as it goes")),
    };
    let mut is_first = true;
    for member in &mut *members {
        step()?;
        if std::mem::take(&mut is_first) { member.try_ask_to_join()? } else { member.rejoin_when_told()? }
    }
    for member in &mut *members {
        step()?;
        member.try_joined()?;
    }
    for member in &mut *members {
        step()?;
        member.try_ask_to_sync()?;
    }
    for member in &mut *members {
        step()?;
        assert_eq!(member.try_synced()?.error_code, 0);
    }
    Ok(())
}

#[test]
fn a_generation_that_a_member_has_its_part_of_is_never_taken_back() {
    let mut broker = Broker::start(options());
    let mut members = stable(&broker, 3);
    let mut random = SmallRng::seed_from_u64(5);
    for _ in 0..30 {
        let stands = members[0].generation;
        let steps_before: usize = random.random_range(0..13);
        let mut steps = steps_before;
        let is_done = rebalance_until(&mut steps, &mut members).is_ok();
        broker.restart();
        let described = describe(&mut Kafka::open(broker.address()), GROUP);
        assert_eq!((described.group_state.as_str(), described.members.len()), ("Stable", 3));
        // Nine steps and one more: somebody has got its part.
        let is_told = is_done || 10 <= steps_before;
        for member in &mut members {
            member.reconnect(broker.address());
            let next = stands + 1;
            member.generation = next;
            let is_next = match member.heartbeat() {
                0 => true,
                ILLEGAL_GENERATION => false,
                UNKNOWN_MEMBER_ID => panic!("a member is lost"),
                code => panic!("error {code}"),
            };
            assert!(is_next || !is_told, "generation {next} is taken back after {steps_before} steps");
            member.generation = if is_next { next } else { stands };
            assert_eq!(member.heartbeat(), 0);
        }
        rebalance(&mut members.iter_mut().collect::<Vec<_>>());
    }
}
