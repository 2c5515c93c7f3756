//! What a share group has accepted does not come back after the broker was killed; what it has not does, and its deliveries
//! are remembered.

use sendlog_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsTopic, ShareFetchPartition, ShareFetchTopic,
};
use sendlog_tests::sample_batches;
use sendlog_tests::share_member::{self, ACCEPT, REJECT, RELEASE, SHARE_VERSION, ShareMember};
use sendlog_tests::wire_client::WireClient;
use sendlog_tests::wire_requests;
use sendlog_tests::{Broker, BrokerOptions};

const GROUP: &str = "workers";

#[test]
fn accepted_records_do_not_come_back() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "jobs", 1, &[]);
    wire_requests::append(&mut client, &topic.name, 0, &[sample_batches::batch(1, 20, 100)]);
    share_member::begin_at(&mut client, GROUP, &topic, 0);
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    assert_eq!(member.fetch(20), [(0, 19, 1)]);
    assert_eq!(member.say(0, 3, ACCEPT), 0);
    assert_eq!(member.say(6, 7, RELEASE), 0);
    assert_eq!(member.say(10, 10, REJECT), 0);
    assert_eq!(member.say(12, 13, ACCEPT), 0);
    broker.kill();
    broker.restart();
    // The member is still one, and its session is not.
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    let expected = [(4, 5, 1), (6, 7, 2), (8, 9, 1), (11, 11, 1), (14, 19, 1)];
    assert_eq!(member.fetch(20), expected);
    assert_eq!(member.say(4, 9, ACCEPT), 0);
    broker.terminate();
    broker.restart();
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    // The stop ended the session, so that those were delivered once.
    assert_eq!(member.fetch(20), [(11, 11, 2), (14, 19, 2)]);
    assert_eq!(member.say(11, 11, ACCEPT), 0);
    assert_eq!(member.say(14, 19, ACCEPT), 0);
    assert!(member.fetch(20).is_empty());
}

#[test]
fn many_small_acknowledgements_become_a_snapshot() {
    let mut broker = Broker::start(BrokerOptions::with_args([
        "--set",
        "share.coordinator.snapshot.update.records.per.snapshot=7",
    ]));
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "jobs", 1, &[]);
    wire_requests::append(&mut client, &topic.name, 0, &[sample_batches::batch(1, 60, 10)]);
    share_member::begin_at(&mut client, GROUP, &topic, 0);
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    assert_eq!(member.fetch(60), [(0, 59, 1)]);
    for offset in (1..60).step_by(2) {
        assert_eq!(member.say(offset, offset, ACCEPT), 0);
    }
    broker.kill();
    broker.restart();
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    let expected: Vec<_> = (0..60).step_by(2).map(|offset| (offset, offset, 1)).collect();
    assert_eq!(member.fetch(60), expected);
}

#[test]
fn a_partition_that_is_added_is_read_from_its_first_record() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "jobs", 1, &[]);
    wire_requests::append(&mut client, &topic.name, 0, &[sample_batches::batch(1, 10, 100)]);
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    assert!(member.fetch(20).is_empty(), "a topic that is new to the group is read from its end");
    let grown = CreatePartitionsTopic { name: topic.name.clone(), count: 2, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![grown], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(client.call(3, &request).results[0].error_code, 0);
    // Before the group hears of the partition.
    wire_requests::append(&mut client, &topic.name, 1, &[sample_batches::batch(2, 3, 100)]);
    assert_eq!(member.heartbeat(None).error_code, 0);
    broker.kill();
    broker.restart();
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    let mut request = member.fetch_request(20, 0);
    let added = ShareFetchPartition { partition_index: 1, ..Default::default() };
    request.topics = vec![ShareFetchTopic { topic_id: topic.id, partitions: vec![added] }];
    assert_eq!(share_member::acquired(&member.client.call(SHARE_VERSION, &request)), [(0, 2, 1)]);
}
