//! Members of a share group get different records of one partition; what one gives back another gets, and what one accepts
//! nobody does.

use std::time::Duration;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DeleteGroupsRequest, DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
    ShareGroupDescribeRequest,
};
use sendlog_tests::sample_batches;
use sendlog_tests::share_member::{self, ACCEPT, REJECT, RELEASE, RENEW, SHARE_VERSION, ShareMember};
use sendlog_tests::wire_client::WireClient;
use sendlog_tests::wire_requests::{self, Topic};
use sendlog_tests::{Broker, BrokerOptions, Kafka};

const GROUP: &str = "workers";

/// A broker with a topic of batches of these sizes, and a group that begins with the first.
fn begin(sizes: &[usize], options: BrokerOptions) -> (Broker, WireClient, Topic) {
    let broker = Broker::start(options);
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "jobs", 1, &[]);
    let batches: Vec<Bytes> = sizes.iter().map(|size| sample_batches::batch(1, *size, 100)).collect();
    wire_requests::append(&mut client, &topic.name, 0, &batches);
    share_member::begin_at(&mut client, GROUP, &topic, 0);
    (broker, client, topic)
}

#[test]
fn every_record_goes_to_one_member_until_it_comes_back() {
    let (broker, mut client, topic) = begin(&[10, 10, 10], BrokerOptions::default());
    let mut first = ShareMember::join(broker.address(), GROUP, "first", &topic);
    let mut second = ShareMember::join(broker.address(), GROUP, "second", &topic);
    assert_eq!(first.fetch(10), [(0, 9, 1)]);
    assert_eq!(second.fetch(15), [(10, 29, 1)]);
    assert!(first.fetch(10).is_empty());
    assert_eq!(first.say(0, 4, ACCEPT), 0);
    assert_eq!(first.say(5, 5, REJECT), 0);
    assert_eq!(first.say(6, 9, RELEASE), 0);
    assert_eq!(first.say(0, 4, ACCEPT), 0, "done with already");
    assert_eq!(second.say(6, 9, ACCEPT), ErrorCode::InvalidRecordState.code());
    assert_eq!(second.fetch(10), [(6, 9, 2)]);
    assert_eq!(second.say(12, 13, ACCEPT), 0);
    assert_eq!(second.say(6, 9, RENEW), 0);
    let request = DescribeShareGroupOffsetsRequest {
        groups: vec![DescribeShareGroupOffsetsRequestGroup { group_id: GROUP.to_owned(), topics: None }],
    };
    let described = client.call(1, &request);
    let partition = &described.groups[0].topics[0].partitions[0];
    assert_eq!((partition.start_offset, partition.lag), (6, 22), "{described:?}");
}

#[test]
fn a_waiting_fetch_gets_what_comes_back_and_what_is_new() {
    let (broker, mut client, topic) = begin(&[5], BrokerOptions::default());
    let mut holder = ShareMember::join(broker.address(), GROUP, "holder", &topic);
    let mut waiting = ShareMember::join(broker.address(), GROUP, "waiting", &topic);
    assert_eq!(holder.fetch(5), [(0, 4, 1)]);
    let due = waiting.send_fetch(5, 60_000);
    holder.say(1, 2, RELEASE);
    assert_eq!(share_member::acquired(&waiting.client.receive(&due)), [(1, 2, 2)]);
    let due = waiting.send_fetch(5, 60_000);
    wire_requests::append(&mut client, &topic.name, 0, &[sample_batches::batch(2, 3, 10)]);
    assert_eq!(share_member::acquired(&waiting.client.receive(&due)), [(5, 7, 1)]);
    // A connection that is gone gives back what it had.
    let due = waiting.send_fetch(10, 60_000);
    drop(holder);
    assert_eq!(share_member::acquired(&waiting.client.receive(&due)), [(0, 0, 2), (3, 4, 2)]);
}

#[test]
fn a_lock_that_runs_out_gives_the_records_to_who_waits() {
    let options = BrokerOptions::with_args([
        "--set",
        "group.share.record.lock.duration.ms=1000",
        "--set",
        "group.share.min.record.lock.duration.ms=1000",
    ]);
    let (broker, _, topic) = begin(&[5], options);
    let mut silent = ShareMember::join(broker.address(), GROUP, "silent", &topic);
    let mut waiting = ShareMember::join(broker.address(), GROUP, "waiting", &topic);
    assert_eq!(silent.fetch(5), [(0, 4, 1)]);
    let due = waiting.send_fetch(5, 60_000);
    assert_eq!(share_member::acquired(&waiting.client.receive(&due)), [(0, 4, 2)]);
    assert_eq!(silent.say(0, 4, ACCEPT), ErrorCode::InvalidRecordState.code());
}

#[test]
fn a_share_group_has_no_committed_offsets() {
    let (broker, _, topic) = begin(&[5], BrokerOptions::default());
    let _member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    let mut kafka = Kafka::open(broker.address());
    assert_eq!(kafka.try_committed(GROUP, &topic.name, &[0]), Ok(vec![-1]), "as a group that nobody knows");
    assert_eq!(kafka.try_committed("nobody", &topic.name, &[0]), Ok(vec![-1]));
}

#[test]
fn sessions_are_strict() {
    let (broker, mut client, topic) = begin(&[5], BrokerOptions::default());
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    let mut early = member.acknowledge_request(0, 1, ACCEPT);
    assert_eq!(
        member.client.call(SHARE_VERSION, &early).error_code,
        ErrorCode::InvalidShareSessionEpoch.code()
    );
    early.share_session_epoch = 7;
    assert_eq!(member.client.call(SHARE_VERSION, &early).error_code, ErrorCode::ShareSessionNotFound.code());
    let mut member = ShareMember::join(broker.address(), GROUP, "other", &topic);
    assert_eq!(member.fetch(2), [(0, 4, 1)]);
    let mut request = member.fetch_request(5, 0);
    request.share_session_epoch = 9;
    let refused = member.client.call(SHARE_VERSION, &request);
    assert_eq!(refused.error_code, ErrorCode::InvalidShareSessionEpoch.code());
    request.share_session_epoch = -1;
    request.topics = Vec::new();
    assert_eq!(member.client.call(SHARE_VERSION, &request).error_code, 0);
    request.share_session_epoch = 1;
    let refused = member.client.call(SHARE_VERSION, &request);
    assert_eq!(refused.error_code, ErrorCode::ShareSessionNotFound.code());
    // A strict member gets no more than it wants, of what the closed session gave back.
    let mut strict = ShareMember::join(broker.address(), GROUP, "strict", &topic);
    let mut request = strict.fetch_request(2, 0);
    request.share_acquire_mode = 1;
    assert_eq!(share_member::acquired(&strict.client.call(SHARE_VERSION, &request)), [(0, 1, 2)]);
    let described = client
        .call(1, &ShareGroupDescribeRequest { group_ids: vec![GROUP.to_owned()], ..Default::default() });
    assert_eq!((described.groups[0].group_state.as_str(), described.groups[0].members.len()), ("Stable", 3));
}

#[test]
fn a_deleted_group_begins_anew() {
    let (broker, mut client, topic) = begin(&[5], BrokerOptions::default());
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    assert_eq!(member.fetch(5), [(0, 4, 1)]);
    assert_eq!(member.say(0, 4, ACCEPT), 0);
    let delete = DeleteGroupsRequest { groups_names: vec![GROUP.to_owned()] };
    let refused = client.call(2, &delete);
    assert_eq!(refused.results[0].error_code, ErrorCode::NonEmptyGroup.code());
    member.leave();
    assert_eq!(client.call(2, &delete).results[0].error_code, 0);
    assert_eq!(client.call(2, &delete).results[0].error_code, ErrorCode::GroupIdNotFound.code());
    // Without a setting of its own a group begins with what comes.
    let mut member = ShareMember::join(broker.address(), GROUP, "member", &topic);
    assert!(member.fetch(5).is_empty());
    wire_requests::append(&mut client, &topic.name, 0, &[sample_batches::batch(2, 1, 10)]);
    assert_eq!(member.fetch_for(5, i32::try_from(Duration::from_secs(60).as_millis()).unwrap()), [(5, 5, 1)]);
}
