//! Groups of the consumer protocol over the wire: partitions move without ever having two owners, members of both protocols
//! share a group, and a killed broker comes back with its groups as they were.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_protocol::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatTopicPartitions,
    JoinGroupRequest, JoinGroupRequestProtocol, OffsetCommitRequest, SyncGroupRequest,
};
use sendlog_tests::offsets::{LOADING, commit_request};
use sendlog_tests::{Broker, BrokerOptions, Kafka};

const TOPIC: &str = "t";
const GROUP: &str = "g";

/// Ends a test whose group does not settle.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

fn broker() -> Broker {
    // Members come one right after the other here.
    Broker::start(BrokerOptions::with_args(["--set", "group.consumer.assignment.interval.ms=0"]))
}

/// A member that does at once what it is told.
struct Member {
    id: &'static str,
    epoch: i32,
    owned: Vec<ConsumerGroupHeartbeatTopicPartitions>,
}

impl Member {
    fn new(id: &'static str) -> Self {
        Self { id, epoch: 0, owned: Vec::new() }
    }

    fn partitions(&self) -> BTreeSet<i32> {
        self.owned.iter().flat_map(|topic| topic.partitions.iter().copied()).collect()
    }

    /// Reports, and takes over what the broker says. It joins first.
    fn heartbeat(&mut self, kafka: &mut Kafka) -> i16 {
        let joins = self.epoch == 0;
        let request = ConsumerGroupHeartbeatRequest {
            group_id: GROUP.to_owned(),
            member_id: self.id.to_owned(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if joins { 60_000 } else { -1 },
            subscribed_topic_names: joins.then(|| vec![TOPIC.to_owned()]),
            topic_partitions: Some(self.owned.clone()),
            ..Default::default()
        };
        let answer = kafka.ask(1, &request);
        if answer.error_code == 0 {
            self.epoch = answer.member_epoch;
            if let Some(assignment) = answer.assignment {
                self.owned = assignment.topic_partitions;
            }
        }
        answer.error_code
    }
}

/// Everyone reports until each has so many partitions; nobody ever has another's.
fn settle(kafka: &mut Kafka, members: &mut [Member], each: usize) {
    let started = Instant::now();
    while members.iter().any(|member| member.partitions().len() != each) {
        assert!(started.elapsed() < SETTLE_LIMIT, "the group does not settle");
        for member in members.iter_mut() {
            assert_eq!(member.heartbeat(kafka), 0);
        }
        let all: Vec<i32> = members.iter().flat_map(Member::partitions).collect();
        assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len(), "a partition has one owner");
    }
}

fn state(kafka: &mut Kafka) -> String {
    let request = ConsumerGroupDescribeRequest { group_ids: vec![GROUP.to_owned()], ..Default::default() };
    kafka.ask(1, &request).groups.remove(0).group_state
}

fn commit(kafka: &mut Kafka, member: &Member, partition: i32) -> ErrorCode {
    let request = OffsetCommitRequest {
        member_id: member.id.to_owned(),
        generation_id_or_member_epoch: member.epoch,
        ..commit_request(GROUP, TOPIC, &[(partition, 7)])
    };
    let answer = kafka.ask(9, &request);
    ErrorCode::from_code(answer.topics[0].partitions[0].error_code).unwrap()
}

#[test]
fn members_go_on_after_the_broker_was_killed() {
    let mut broker = broker();
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 6, &[]);
    let mut members = vec![Member::new("a")];
    settle(&mut kafka, &mut members, 6);
    members.push(Member::new("b"));
    settle(&mut kafka, &mut members, 3);
    members.push(Member::new("c"));
    settle(&mut kafka, &mut members, 2);
    let owned: Vec<BTreeSet<i32>> = members.iter().map(Member::partitions).collect();
    let first = *owned[0].first().unwrap();
    assert_eq!(commit(&mut kafka, &members[0], first), ErrorCode::None);

    broker.kill();
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    for (member, owned) in members.iter_mut().zip(&owned) {
        while member.heartbeat(&mut kafka) == LOADING {}
        assert_eq!(&member.partitions(), owned, "nothing has moved");
    }
    assert_eq!(state(&mut kafka), "Stable");
    assert_eq!(commit(&mut kafka, &members[0], first), ErrorCode::None);
    let ahead = Member { epoch: members[0].epoch + 1, ..Member::new("a") };
    assert_eq!(commit(&mut kafka, &ahead, first), ErrorCode::StaleMemberEpoch);
    assert_eq!(
        commit(&mut kafka, &Member { epoch: 1, ..Member::new("x") }, first),
        ErrorCode::UnknownMemberId
    );

    // A topic that grows reaches all of them.
    let request = sendlog_protocol::messages::CreatePartitionsRequest {
        topics: vec![sendlog_protocol::messages::CreatePartitionsTopic {
            name: TOPIC.to_owned(),
            count: 9,
            assignments: None,
        }],
        timeout_ms: 10_000,
        ..Default::default()
    };
    assert_eq!(kafka.ask(3, &request).results[0].error_code, 0);
    settle(&mut kafka, &mut members, 3);
}

fn join_group(kafka: &mut Kafka, member_id: &str) -> sendlog_protocol::messages::JoinGroupResponse {
    let subscription = ConsumerProtocolSubscription { topics: vec![TOPIC.to_owned()], ..Default::default() };
    let metadata = subscription.to_metadata(1).unwrap();
    let request = JoinGroupRequest {
        group_id: GROUP.to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), metadata }],
        ..Default::default()
    };
    kafka.ask(9, &request)
}

fn sync_group(kafka: &mut Kafka, member_id: &str, generation_id: i32) -> Result<Bytes, ErrorCode> {
    let request = SyncGroupRequest {
        group_id: GROUP.to_owned(),
        generation_id,
        member_id: member_id.to_owned(),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        ..Default::default()
    };
    let answer = kafka.ask(5, &request);
    if answer.error_code == 0 {
        Ok(answer.assignment)
    } else {
        Err(ErrorCode::from_code(answer.error_code).unwrap())
    }
}

#[test]
fn a_classic_member_shares_the_group() {
    let broker = broker();
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 4, &[]);
    let mut members = vec![Member::new("a")];
    settle(&mut kafka, &mut members, 4);
    let id = join_group(&mut kafka, "").member_id;
    let started = Instant::now();
    // It owns nothing yet, so that it may join until what the other gives up is there.
    let assigned = loop {
        assert!(started.elapsed() < SETTLE_LIMIT, "the group does not settle");
        let joined = join_group(&mut kafka, &id);
        assert_eq!(joined.error_code, 0);
        let generation = joined.generation_id;
        assert_eq!(members[0].heartbeat(&mut kafka), 0);
        let Ok(assignment) = sync_group(&mut kafka, &id, generation) else { continue };
        let assigned = ConsumerProtocolAssignment::from_metadata(assignment).unwrap().assigned_partitions;
        if let [topic] = assigned.as_slice() {
            break topic.partitions.iter().copied().collect::<BTreeSet<i32>>();
        }
    };
    assert_eq!(assigned.len(), 2);
    assert!(assigned.is_disjoint(&members[0].partitions()));
    // The last member of the new protocol leaves: what is left is a classic group.
    let leave = ConsumerGroupHeartbeatRequest {
        group_id: GROUP.to_owned(),
        member_id: "a".to_owned(),
        member_epoch: -1,
        ..Default::default()
    };
    assert_eq!(kafka.ask(1, &leave).error_code, 0);
    let request = ConsumerGroupDescribeRequest { group_ids: vec![GROUP.to_owned()], ..Default::default() };
    assert_eq!(kafka.ask(1, &request).groups[0].error_code, ErrorCode::GroupIdNotFound.code());
}
