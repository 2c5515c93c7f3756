//! Who may commit, and which offsets stay.

use super::*;
use crate::coordinator::group::commit::CommitCheck;

fn commit(bench: &mut Bench, member_id: &str, instance_id: Option<&str>, generation: i32) -> ErrorCode {
    let check = CommitCheck { member_id, instance_id, generation_or_epoch: generation, version: 8 };
    bench.happen(|group, env, _| group.check_commit(&check, env)).err().unwrap_or(ErrorCode::None)
}

/// A consumer's metadata: version 0, these topics.
fn subscribed_to(topics: &[&str]) -> Bytes {
    let mut metadata = vec![0, 0, 0, 0, 0, u8::try_from(topics.len()).unwrap()];
    for topic in topics {
        metadata.extend([0, u8::try_from(topic.len()).unwrap()]);
        metadata.extend(topic.as_bytes());
    }
    metadata.extend([0xff; 4]);
    metadata.into()
}

#[test]
fn a_member_commits_in_its_generation() {
    let (mut bench, ids) = Bench::stable(1);
    assert_eq!(commit(&mut bench, &ids[0], None, 1), ErrorCode::None);
    assert_eq!(commit(&mut bench, &ids[0], None, 0), ErrorCode::IllegalGeneration);
    assert_eq!(commit(&mut bench, "stranger", None, 1), ErrorCode::UnknownMemberId);
    assert_eq!(commit(&mut bench, &ids[0], Some("i"), 1), ErrorCode::UnknownMemberId);
    assert_eq!(commit(&mut bench, "", None, -1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_commit_keeps_the_member() {
    let (mut bench, ids) = Bench::stable(1);
    bench.pass(SESSION_MS - 1);
    assert_eq!(commit(&mut bench, &ids[0], None, 1), ErrorCode::None);
    bench.pass(SESSION_MS - 1);
    assert_eq!(bench.group.members().len(), 1);
}

#[test]
fn a_member_commits_what_it_has_done_before_it_joins_again() {
    let (mut bench, ids) = Bench::stable(1);
    bench.add();
    assert_eq!(commit(&mut bench, &ids[0], None, 1), ErrorCode::None);
    bench.rejoin(&ids);
    assert_eq!(bench.group.state_name(), "CompletingRebalance");
    assert_eq!(commit(&mut bench, &ids[0], None, 2), ErrorCode::RebalanceInProgress);
}

#[test]
fn anyone_commits_to_an_empty_group_without_a_generation() {
    let mut bench = Bench::new();
    assert_eq!(commit(&mut bench, "", None, -1), ErrorCode::None);
    assert_eq!(commit(&mut bench, "m", None, 0), ErrorCode::UnknownMemberId);
}

#[test]
fn topics_are_those_of_all_members() {
    let mut bench = Bench::new();
    for topics in [["a", "b"], ["b", "c"]] {
        let mut member = joining("");
        member.request.protocols[0].metadata = subscribed_to(&topics);
        bench.add_as(&member);
    }
    assert!(bench.group.is_subscribed("x"), "not known yet");
    bench.gather();
    let subscribed = ["a", "b", "c", "x"].map(|topic| bench.group.is_subscribed(topic));
    assert_eq!(subscribed, [true, true, true, false]);
    let ids: Vec<String> = bench.group.members().map(|member| member.id.to_string()).collect();
    bench.sync_all(&ids);
    assert_eq!(bench.group.retention_base_ms(7), Some(7));
    let next = bench.restarted(&[]);
    assert!(next.group.is_subscribed("c") && !next.group.is_subscribed("x"));
    let members: Vec<_> = ids.iter().map(|id| (id.as_str(), None)).collect();
    bench.leave(&members);
    assert!(!bench.group.is_subscribed("a"));
    assert_eq!(bench.group.retention_base_ms(7), Some(bench.now_ms + 5));
}

#[test]
fn offsets_of_members_whose_topics_are_not_known_stay() {
    let (mut bench, _) = Bench::stable(1);
    assert!(bench.group.is_subscribed("x"));
    assert_eq!(bench.group.retention_base_ms(7), None);
    assert_eq!(bench.group.check_offset_delete(), Ok(()));
    bench.group.protocol_type = Some("connect".to_owned());
    assert_eq!(bench.group.check_offset_delete(), Err(ErrorCode::NonEmptyGroup));
}
