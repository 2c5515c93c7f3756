//! Groups on their way from one protocol to the other.

use bytes::Bytes;
use sendlog_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, ConsumerProtocolTopicPartition,
};
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, LeaveGroupRequest,
    MemberIdentity, SyncGroupRequest,
};

use super::*;
use crate::coordinator::group::Ticket;
use crate::coordinator::group::classic::{ClassicGroup, Joiner, Member};

const UNKNOWN: i16 = ErrorCode::UnknownMemberId.code();

const JOINER: Joiner<'_> = Joiner {
    client_id: "classic",
    client_host: "/192.0.2.2",
    needs_id_first: true,
    can_skip_assignment: true,
};

fn topics_of(owned: &[(&str, &[i32])]) -> Vec<ConsumerProtocolTopicPartition> {
    let topic = |(topic, partitions): &(&str, &[i32])| ConsumerProtocolTopicPartition {
        topic: (*topic).to_owned(),
        partitions: partitions.to_vec(),
    };
    owned.iter().map(topic).collect()
}

fn subscription(topics: &[&str], owned: &[(&str, &[i32])]) -> Bytes {
    let subscription = ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        owned_partitions: topics_of(owned),
        ..Default::default()
    };
    subscription.to_metadata(1).unwrap()
}

fn assigned(assignment: &Bytes) -> Vec<(String, Vec<i32>)> {
    let read = ConsumerProtocolAssignment::from_metadata(assignment.clone()).unwrap();
    read.assigned_partitions.into_iter().map(|topic| (topic.topic, topic.partitions)).collect()
}

fn join_group(id: &str, owned: &[(&str, &[i32])]) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: 20_000,
        rebalance_timeout_ms: 30_000,
        member_id: id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "cooperative-sticky".to_owned(),
            metadata: subscription(&["t"], owned),
        }],
        ..Default::default()
    }
}

fn sync_group(id: &str, generation: i32) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: "g".to_owned(),
        generation_id: generation,
        member_id: id.to_owned(),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("cooperative-sticky".to_owned()),
        ..Default::default()
    }
}

impl World {
    fn join_group(&mut self, id: &str, owned: &[(&str, &[i32])]) -> JoinGroupResponse {
        let request = join_group(id, owned);
        self.event(|group, env, fx| group.join_classic(request, JOINER, env, fx)).unwrap()
    }

    fn sync_group(&mut self, id: &str, generation: i32) -> Result<Vec<(String, Vec<i32>)>, ErrorCode> {
        let request = sync_group(id, generation);
        let answer = self.event(|group, env, _| group.sync_classic(&request, env));
        answer.map(|answer| assigned(&answer.assignment)).map_err(|refused| refused.code)
    }

    fn classic_heartbeat(&mut self, id: &str, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: "g".to_owned(),
            generation_id: generation,
            member_id: id.to_owned(),
            group_instance_id: None,
        };
        match self.event(|group, env, _| group.heartbeat_classic(&request, env)) {
            Ok(answer) => ErrorCode::from_code(answer.error_code).unwrap(),
            Err(refused) => refused.code,
        }
    }

    /// The errors of those who leave, by id and instance id; the answer names them as the request did.
    fn leave_group(&mut self, leaving: &[(&str, Option<&str>)]) -> Vec<i16> {
        let identity = |(id, instance): &(&str, Option<&str>)| MemberIdentity {
            member_id: (*id).to_owned(),
            group_instance_id: instance.map(str::to_owned),
            ..Default::default()
        };
        let members = leaving.iter().map(identity).collect();
        let request = LeaveGroupRequest { group_id: "g".to_owned(), members, ..Default::default() };
        let left = self.event(|group, env, fx| group.leave_by_name(request, env, fx)).members;
        let named = left.iter().map(|member| (&*member.member_id, member.group_instance_id.as_deref()));
        assert!(named.eq(leaving.iter().copied()));
        left.iter().map(|member| member.error_code).collect()
    }

    /// A classic group of one member, `c`, which has all of `t`; `waits`: its JoinGroup waits for the next generation.
    fn classic(&self, assignment: Bytes) -> ClassicGroup {
        let member = Member {
            id: "c".into(),
            instance_id: None,
            client_id: "classic".to_owned(),
            client_host: "/192.0.2.2".to_owned(),
            rebalance_timeout_ms: 30_000,
            session_timeout_ms: 20_000,
            protocols: join_group("c", &[]).protocols,
            assignment,
            is_new: false,
            awaiting_join: Some(Ticket(7)),
            awaiting_sync: None,
            session_deadline_ms: i64::MAX,
        };
        let env = Env {
            now: Moment { wall_ms: 0, steady_ms: self.now_ms },
            config: &self.config,
            group: &GroupConfig::resolve(&self.config.groups, &Overrides::new()),
            topics: &self.image,
            fresh_id: Uuid::nil(),
        };
        ClassicGroup::of_consumers(&"g".into(), 5, vec![member], &env)
    }

    fn upgrade(&mut self, assignment: Bytes) -> Result<Effects, Refused> {
        let mut classic = self.classic(assignment);
        let env = Env {
            now: Moment { wall_ms: 0, steady_ms: self.now_ms },
            config: &self.config,
            group: &GroupConfig::resolve(&self.config.groups, &Overrides::new()),
            topics: &self.image,
            fresh_id: Uuid::nil(),
        };
        let mut fx = Effects::default();
        self.group = ConsumerGroup::from_classic(&mut classic, &env, &mut fx)?;
        self.log.extend(fx.records.iter().cloned());
        Ok(fx)
    }
}

fn whole(partitions: &[i32]) -> Bytes {
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: topics_of(&[("t", partitions)]), user_data: None };
    assignment.to_metadata(1).unwrap()
}

#[test]
fn a_classic_group_goes_over_with_what_its_members_have() {
    let mut world = World::new(&[("t", 4)], &[]);
    let fx = world.upgrade(whole(&[0, 1, 2, 3])).unwrap();
    assert!(matches!(fx.records[0], GroupRecord::GroupMetadata(_, None)), "the classic group is deleted");
    assert_eq!(fx.replies.len(), 1, "who waited for a generation is sent to join again");
    assert_eq!((world.group.epoch.epoch, world.assigned("c")), (5, world.all_of("t")));
    world.check_stored();

    // The first member of the new protocol comes; the old one learns of it, gives up half and goes on.
    assert_eq!(world.heartbeat(&join("n", &["t"])).unwrap().member_epoch, 6);
    assert_eq!(world.classic_heartbeat("c", 5), ErrorCode::RebalanceInProgress);
    let all: &[(&str, &[i32])] = &[("t", &[0, 1, 2, 3])];
    let joined = world.join_group("c", all);
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (0, 5, ""));
    assert_eq!(joined.protocol_name.as_deref(), Some("cooperative-sticky"));
    let keeps = world.sync_group("c", 5).unwrap();
    assert_eq!(keeps[0].1.len(), 2);
    assert_eq!(
        world.classic_heartbeat("c", 5),
        ErrorCode::RebalanceInProgress,
        "it has yet to say that it let go"
    );
    let joined = world.join_group("c", &[("t", &keeps[0].1)]);
    assert_eq!(joined.generation_id, 6);
    assert_eq!(world.sync_group("c", 6).unwrap(), keeps);
    assert_eq!(world.classic_heartbeat("c", 6), ErrorCode::None);
    world.heartbeat(&beat("n", 6)).unwrap();
    assert_eq!((world.size("n"), world.group.state_name()), (2, "Stable"));
    let described = world.event(|group, env, _| group.describe(env));
    assert_eq!(described.members.iter().map(|member| member.member_type).collect::<Vec<_>>(), [0, 1]);
    world.check_stored();
}

#[test]
fn a_classic_group_that_cannot_go_over_stays() {
    let custom =
        ConsumerProtocolAssignment { user_data: Some(Bytes::from_static(b"x")), ..Default::default() };
    for (assignment, settings) in [
        (custom.to_metadata(1).unwrap(), [].as_slice()),
        (Bytes::from_static(b"\0"), &[]),
        (whole(&[0]), &["group.consumer.migration.policy=downgrade"]),
        (whole(&[0]), &["group.consumer.migration.policy=disabled"]),
    ] {
        let mut world = World::new(&[("t", 4)], settings);
        assert_eq!(world.upgrade(assignment).unwrap_err().code, ErrorCode::GroupIdNotFound);
    }
    let mut world = World::new(&[("t", 4)], &[]);
    assert!(world.upgrade(Bytes::new()).is_ok(), "a member that has never been assigned anything");
    assert_eq!(world.size("c"), 0);
}

#[test]
fn classic_members_come_and_go_in_a_group_of_the_consumer_protocol() {
    let mut world = World::new(&[("t", 4)], &[]);
    world.heartbeat(&join("n", &["t"])).unwrap();
    world.pass(2000);
    let first = world.join_group("", &[]);
    assert_eq!(first.error_code, ErrorCode::MemberIdRequired.code());
    let id = first.member_id;
    let joined = world.join_group(&id, &[]);
    assert_eq!((joined.error_code, joined.generation_id), (0, 2));
    assert_eq!(world.sync_group(&id, 2), Ok(vec![]), "nothing is free yet");
    assert_eq!(world.classic_heartbeat(&id, 2), ErrorCode::None, "and it waits for that");
    let keeps = received(&world.heartbeat(&beat("n", 1)).unwrap()).unwrap();
    world.heartbeat(&own("n", 1, &keeps)).unwrap();
    assert_eq!(world.classic_heartbeat(&id, 2), ErrorCode::RebalanceInProgress, "now it can have it");
    assert_eq!(world.join_group(&id, &[]).generation_id, 2);
    assert_eq!(world.sync_group(&id, 2).unwrap()[0].1.len(), 2);

    assert_eq!(world.sync_group(&id, 1), Err(ErrorCode::IllegalGeneration));
    assert_eq!(world.sync_group("x", 1), Err(ErrorCode::UnknownMemberId));
    assert_eq!(world.sync_group("n", 2), Err(ErrorCode::UnknownMemberId), "it does not speak this protocol");
    let mut other = join_group("o", &[]);
    other.protocols[0].name = "range".to_owned();
    let refused = world.event(|group, env, fx| group.join_classic(other, JOINER, env, fx)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InconsistentGroupProtocol);

    assert_eq!(world.leave_group(&[(&id, None), (&id, None), ("x", None)]), [0, 0, UNKNOWN]);
    assert_eq!(world.group.members.len(), 1);
    world.check_stored();
}

#[test]
fn an_administrator_removes_members_of_the_new_protocol() {
    let mut world = World::new(&[("t", 4)], &[]);
    for (id, instance_id) in [("a", None), ("b", Some("i")), ("c", Some("j")), ("d", None)] {
        let instance_id = instance_id.map(str::to_owned);
        world.heartbeat(&ConsumerGroupHeartbeatRequest { instance_id, ..join(id, &["t"]) }).unwrap();
    }
    let epoch = world.group.epoch.epoch;
    let fenced = ErrorCode::FencedInstanceId.code();
    let refused = world.leave_group(&[("", Some("x")), ("b", Some("j")), ("a", Some("x")), ("", None)]);
    assert_eq!(refused, [UNKNOWN, fenced, UNKNOWN, UNKNOWN]);
    assert_eq!((world.group.members.len(), world.group.epoch.epoch), (4, epoch));
    let left = world.leave_group(&[("", Some("i")), ("b", None), ("a", None), ("c", Some("j"))]);
    assert_eq!((left, world.group.epoch.epoch), (vec![0; 4], epoch + 1));
    let stay: Vec<&str> = world.group.members.keys().map(|id| &**id).collect();
    assert_eq!(stay, ["d"]);
    assert_eq!(world.heartbeat(&beat("a", 1)).unwrap_err().code, ErrorCode::UnknownMemberId);
    world.check_stored();
}

#[test]
fn a_classic_member_that_does_not_follow_is_put_out() {
    let mut world = World::new(&[("t", 4)], &[]);
    world.heartbeat(&join("n", &["t"])).unwrap();
    world.join_group("c", &[]);
    for _ in 0..2 {
        world.pass(15_000);
        world.classic_heartbeat("c", world.group.holding("c").epoch);
        world.heartbeat(&beat("n", world.group.holding("n").epoch)).unwrap();
    }
    assert_eq!(world.group.members.len(), 1, "it did not fetch its assignment");
    world.join_group("c", &[]);
    world.pass(20_000);
    assert_eq!(world.group.members.len(), 1, "it was silent");
    world.check_stored();
}

#[test]
fn the_last_member_of_the_new_protocol_leaves_a_classic_group_behind() {
    let mut world = World::new(&[("t", 4)], &[]);
    world.upgrade(whole(&[0, 1, 2, 3])).unwrap();
    world.heartbeat(&join("n", &["t"])).unwrap();
    let wants = |world: &mut World| world.event(|group, env, _| group.wants_downgrade(env));
    assert!(!wants(&mut world));
    world.heartbeat(&beat("n", -1)).unwrap();
    assert!(wants(&mut world));
    let mut fx = Effects::default();
    let classic = world.event(|group, env, _| group.clone().into_classic(env, &mut fx));
    assert_eq!((classic.state_name(), classic.generation()), ("PreparingRebalance", 6));
    let member = classic.member("c").unwrap();
    let target = world.group.targets["c"].values().map(BTreeSet::len).sum::<usize>();
    assert_eq!((assigned(&member.assignment)[0].1.len(), target), (2, 2));
    assert_eq!((member.session_timeout_ms, member.client_id.as_str()), (20_000, "classic"));
    let is_kept = |record: &&GroupRecord| matches!(record, GroupRecord::GroupMetadata(_, Some(_)));
    assert_eq!(fx.records.iter().filter(is_kept).count(), 1);
    world.log.extend(fx.records);
    assert!(world.replayed().is_vacant(), "nothing is left of the other kind");
}

#[test]
fn a_classic_client_takes_the_place_of_its_static_member() {
    let mut world = World::new(&[("t", 4)], &[]);
    let instance_id = Some("i".to_owned());
    world
        .heartbeat(&ConsumerGroupHeartbeatRequest { instance_id: instance_id.clone(), ..join("n", &["t"]) })
        .unwrap();
    let request = JoinGroupRequest { group_instance_id: instance_id, ..join_group("", &[]) };
    let joined = world.event(|group, env, fx| group.join_classic(request, JOINER, env, fx)).unwrap();
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(world.assigned(&joined.member_id), world.all_of("t"));
    assert!(world.event(|group, env, _| group.wants_downgrade(env)));
    let mut fx = Effects::default();
    let classic = world.event(|group, env, _| group.clone().into_classic(env, &mut fx));
    assert_eq!(classic.state_name(), "Stable", "nothing changes for the others");
    world.check_stored();
}
