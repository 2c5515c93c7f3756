//! How much a fetch returns, and when: KIP-74, whole batches, `min_bytes` and `max_wait_ms`.

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DeleteTopicState, DeleteTopicsRequest, FetchPartition, FetchRequest, FetchTopic,
};
use sendlog_tests::canary::Canary;
use sendlog_tests::sample_batches;
use sendlog_tests::syscall_trace::SyscallTrace;
use sendlog_tests::vitals;
use sendlog_tests::wire_client::{Due, WireClient};
use sendlog_tests::wire_requests::{self, FETCH_VERSION, FetchFrom, FetchLimits, Topic};
use sendlog_tests::{Broker, BrokerOptions};

/// Records in each batch of these tests.
const RECORDS: usize = 3;
/// A wait that no test waits for to its end: an answer means that the fetch was woken.
const LONG_WAIT_MS: i32 = 50_000;

/// A broker with a topic of two partitions, each with eight batches of the same size.
struct Scene {
    broker: Broker,
    client: WireClient,
    topic: Topic,
    batch_bytes: i32,
}

impl Scene {
    fn new() -> Self {
        let broker = Broker::start(BrokerOptions::default());
        let mut client = WireClient::connect(broker.address());
        let topic = wire_requests::create_topic(&mut client, "limits", 2, &[]);
        let batches: Vec<_> = (0..8).map(|seed| sample_batches::batch(seed, RECORDS, 700)).collect();
        wire_requests::append(&mut client, "limits", 0, &batches);
        wire_requests::append(&mut client, "limits", 1, &batches);
        let batch_bytes = i32::try_from(batches[0].len()).expect("small");
        assert!(batches.iter().all(|batch| batch.len() == batches[0].len()));
        Self { broker, client, topic, batch_bytes }
    }

    /// Base offsets of the batches that each partition returns.
    fn fetch(&mut self, version: i16, from: &[(i32, i64, i32)], max_bytes: i32) -> Vec<Vec<i64>> {
        let topic = &self.topic;
        let from: Vec<_> = from
            .iter()
            .map(|&(partition, offset, max_bytes)| FetchFrom { topic, partition, offset, max_bytes })
            .collect();
        let limits = FetchLimits { max_bytes, ..FetchLimits::default() };
        let response = self.client.call(version, &wire_requests::fetch_request(&from, limits));
        let base_offsets = |records: &Bytes| {
            sample_batches::split(records).iter().map(|batch| sample_batches::base_offset(batch)).collect()
        };
        let partitions = wire_requests::partitions(response);
        partitions
            .iter()
            .map(|data| {
                assert_eq!(data.error_code, ErrorCode::None.code());
                base_offsets(&wire_requests::records(data))
            })
            .collect()
    }
}

#[test]
fn the_first_batch_comes_whole_and_later_ones_obey() {
    let mut scene = Scene::new();
    let size = scene.batch_bytes;
    let all = i32::MAX;
    for version in [4, 11, 12, 17] {
        // However little is asked for, a reader gets on; one batch is enough for that.
        for little in [i32::MIN, -1, 0, 1, size - 1, size] {
            assert_eq!(scene.fetch(version, &[(0, 0, little)], all), [[0]], "partition limit {little}");
            assert_eq!(scene.fetch(version, &[(0, 0, all)], little), [[0]], "limit {little}");
        }
        for (limit, batches) in [(size + 1, 1), (2 * size - 1, 1), (2 * size, 2), (5 * size + 7, 5), (all, 8)]
        {
            let expected: Vec<i64> = (0..batches).map(|batch| 3 * batch).collect();
            assert_eq!(
                scene.fetch(version, &[(0, 0, limit)], all),
                std::slice::from_ref(&expected),
                "partition limit {limit}"
            );
            assert_eq!(scene.fetch(version, &[(0, 0, all)], limit), [expected], "limit {limit}");
        }
    }
}

#[test]
fn partitions_share_the_limit_in_their_order() {
    let mut scene = Scene::new();
    let size = scene.batch_bytes;
    let all = i32::MAX;
    let none: [i64; 0] = [];
    // Only the first partition that has something may exceed the limit.
    assert_eq!(scene.fetch(12, &[(0, 0, all), (1, 0, all)], 1), [&[0][..], &none]);
    assert_eq!(scene.fetch(12, &[(1, 3, 1), (0, 0, 1)], all), [&[3][..], &none]);
    assert_eq!(scene.fetch(12, &[(0, 24, all), (1, 0, all)], 1), [&none[..], &[0]]);
    // Three and a half batches: two by the partition's limit, then one that still fits.
    let shared = [(0, 0, 2 * size), (1, 6, all)];
    assert_eq!(scene.fetch(12, &shared, 7 * size / 2), [&[0, 3][..], &[6]]);
    assert_eq!(scene.fetch(17, &shared, 4 * size), [&[0, 3][..], &[6, 9]]);
    // A later partition whose first batch does not fit gets nothing, not a part of a batch.
    assert_eq!(scene.fetch(12, &[(0, 0, size), (1, 0, size - 1)], all), [&[0][..], &none]);
}

#[test]
fn an_offset_within_a_batch_returns_the_whole_batch() {
    let mut scene = Scene::new();
    for version in [4, 12, 17] {
        for offset in 0..24 {
            assert_eq!(
                scene.fetch(version, &[(0, offset, 1)], i32::MAX),
                [[offset / 3 * 3]],
                "offset {offset}"
            );
        }
    }
}

#[test]
fn offsets_out_of_range_are_errors_and_the_end_is_not() {
    let mut scene = Scene::new();
    for (offset, code) in [
        (-1, ErrorCode::OffsetOutOfRange),
        (i64::MIN, ErrorCode::OffsetOutOfRange),
        (25, ErrorCode::OffsetOutOfRange),
        (i64::MAX, ErrorCode::OffsetOutOfRange),
        (24, ErrorCode::None),
    ] {
        // An error is answered at once, however long the fetch would wait.
        let max_wait_ms = if code == ErrorCode::None { 1 } else { LONG_WAIT_MS };
        let from = FetchFrom { topic: &scene.topic, partition: 0, offset, max_bytes: i32::MAX };
        let limits = FetchLimits { max_wait_ms, ..FetchLimits::default() };
        let data = wire_requests::fetch(&mut scene.client, from, limits);
        assert_eq!(data.error_code, code.code(), "offset {offset}");
        assert!(wire_requests::records(&data).is_empty());
    }
}

/// Java's consumer says good-bye with one when it closes (KIP-227).
#[test]
fn a_fetch_of_nothing_is_answered_at_once() {
    let mut scene = Scene::new();
    let mut waiting = WireClient::connect(scene.broker.address());
    park(&scene, &mut waiting, FETCH_VERSION, 1);
    let request = FetchRequest {
        max_wait_ms: LONG_WAIT_MS,
        min_bytes: 1,
        session_epoch: -1,
        ..FetchRequest::default()
    };
    scene.client.call(FETCH_VERSION, &request);
    assert!(!waiting.has_input(), "one that waits as long, and was there before, still does");
}

/// Kafka cuts a batch where the limit is, and so has what was waited for.
#[test]
fn what_a_limit_leaves_out_is_not_waited_for() {
    let mut scene = Scene::new();
    let mut waiting = WireClient::connect(scene.broker.address());
    park(&scene, &mut waiting, FETCH_VERSION, 1);
    let one_and_a_half = scene.batch_bytes + scene.batch_bytes / 2;
    let wishes = [
        (one_and_a_half, i32::MAX, one_and_a_half),
        (one_and_a_half, i32::MAX, 2 * one_and_a_half),
        (i32::MAX, one_and_a_half, one_and_a_half),
        (i32::MAX, one_and_a_half, i32::MAX),
    ];
    for (of_each, of_all, at_least) in wishes {
        let from = |partition| FetchFrom { topic: &scene.topic, partition, offset: 0, max_bytes: of_each };
        let limits = FetchLimits { max_wait_ms: LONG_WAIT_MS, min_bytes: at_least, max_bytes: of_all };
        let request = wire_requests::fetch_request(&[from(0), from(1)], limits);
        let data = wire_requests::partitions(scene.client.call(FETCH_VERSION, &request));
        assert_eq!(sample_batches::split(&wire_requests::records(&data[0])).len(), 1);
        assert!(!waiting.has_input(), "one that waits as long, and was there before, still does");
    }
}

/// A read ends with its segment, and there is more behind it.
#[test]
fn the_end_of_a_segment_is_not_waited_at() {
    let mut scene = Scene::new();
    let mut waiting = WireClient::connect(scene.broker.address());
    park(&scene, &mut waiting, FETCH_VERSION, 1);
    let bytes = (2 * scene.batch_bytes).to_string();
    let rolled =
        wire_requests::create_topic(&mut scene.client, "rolled", 1, &[("segment.bytes", bytes.as_str())]);
    let batches: Vec<_> = (0..3).map(|seed| sample_batches::batch(seed, RECORDS, 700)).collect();
    wire_requests::append(&mut scene.client, "rolled", 0, &batches);
    let from = FetchFrom { topic: &rolled, partition: 0, offset: 0, max_bytes: i32::MAX };
    let min_bytes = 3 * scene.batch_bytes;
    let limits = FetchLimits { max_wait_ms: LONG_WAIT_MS, min_bytes, ..FetchLimits::default() };
    let data = wire_requests::fetch(&mut scene.client, from, limits);
    assert_eq!(sample_batches::split(&wire_requests::records(&data)).len(), 2);
    assert!(!waiting.has_input(), "one that waits as long, and was there before, still does");
}

#[test]
fn a_partition_that_is_not_there_ends_no_wait() {
    let mut scene = Scene::new();
    let mut waiting = WireClient::connect(scene.broker.address());
    let from = |partition, offset| FetchFrom { topic: &scene.topic, partition, offset, max_bytes: i32::MAX };
    let limits = FetchLimits { max_wait_ms: LONG_WAIT_MS, ..FetchLimits::default() };
    let (first, ask) = waiting.frame(2, &wire_requests::list_offsets_request("limits", 0, -1));
    let request = wire_requests::fetch_request(&[from(9, 0), from(0, 24)], limits);
    let (due, fetch) = waiting.frame(FETCH_VERSION, &request);
    waiting.send_bytes(&[ask, fetch].concat()).expect("the broker takes requests");
    waiting.receive(&first);
    let batch = sample_batches::batch(50, RECORDS, 700);
    wire_requests::append(&mut scene.client, "limits", 0, &[batch]);
    let data = wire_requests::partitions(waiting.receive(&due));
    assert_eq!(data[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(sample_batches::split(&wire_requests::records(&data[1])).len(), 1);
}

/// Sends a fetch from the end of both partitions that waits long, and returns once the broker has read it.
fn park(scene: &Scene, waiting: &mut WireClient, version: i16, min_bytes: i32) -> Due<FetchRequest> {
    let from = |partition| FetchFrom { topic: &scene.topic, partition, offset: 24, max_bytes: i32::MAX };
    let limits = FetchLimits { max_wait_ms: LONG_WAIT_MS, min_bytes, ..FetchLimits::default() };
    let (first, ask) = waiting.frame(2, &wire_requests::list_offsets_request("limits", 0, -1));
    let (due, fetch) = waiting.frame(version, &wire_requests::fetch_request(&[from(0), from(1)], limits));
    waiting.send_bytes(&[ask, fetch].concat()).expect("the broker takes requests");
    // Its turn has come once the request before it is answered.
    waiting.receive(&first);
    due
}

#[test]
fn a_waiting_fetch_is_woken_by_what_it_waits_for() {
    let mut scene = Scene::new();
    let mut waiting = WireClient::connect(scene.broker.address());
    let size = scene.batch_bytes;
    let due = park(&scene, &mut waiting, FETCH_VERSION, 3 * size);
    let batch = sample_batches::batch(50, RECORDS, 700);
    for partition in [1, 0] {
        wire_requests::append(&mut scene.client, "limits", partition, std::slice::from_ref(&batch));
    }
    assert!(!waiting.has_input(), "two of three batches are not enough");
    wire_requests::append(&mut scene.client, "limits", 1, std::slice::from_ref(&batch));
    let data = wire_requests::partitions(waiting.receive(&due));
    let batches: Vec<_> =
        data.iter().map(|data| sample_batches::split(&wire_requests::records(data)).len()).collect();
    assert_eq!(batches, [1, 2], "the wait ends with all three, of both partitions");
}

/// On a broker to which nothing was ever appended, so that nothing else has a reason to wake up.
#[test]
fn a_fetch_that_waits_in_vain_returns_nothing_and_costs_nothing() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "in-vain", 1, &[]);
    let trace = SyscallTrace::attach(broker.process_id(), &[]);
    let from = FetchFrom { topic: &topic, partition: 0, offset: 0, max_bytes: i32::MAX };
    let limits = FetchLimits { max_wait_ms: 1500, ..FetchLimits::default() };
    let data = wire_requests::fetch(&mut client, from, limits);
    let calls = trace.map(SyscallTrace::finish).unwrap_or_default();
    assert_eq!((data.error_code, data.high_watermark), (ErrorCode::None.code(), 0));
    assert!(wire_requests::records(&data).is_empty());
    // Looking again every 50 ms would be 30 times, and several calls each time.
    assert!(calls.len() < 40, "{} system calls during a wait: {calls:?}", calls.len());
}

#[test]
fn a_fetch_that_waits_on_a_deleted_topic_ends() {
    for (version, code) in [(12, ErrorCode::UnknownTopicOrPartition), (17, ErrorCode::UnknownTopicId)] {
        let mut scene = Scene::new();
        let mut waiting = WireClient::connect(scene.broker.address());
        let due = park(&scene, &mut waiting, version, 1);
        let topic = DeleteTopicState { name: Some("limits".to_owned()), ..DeleteTopicState::default() };
        let request = DeleteTopicsRequest { topics: vec![topic], ..DeleteTopicsRequest::default() };
        let deleted = scene.client.call(6, &request);
        assert_eq!(deleted.responses[0].error_code, ErrorCode::None.code());
        // The first partition to go ends the wait; the other one may still be there.
        let data = wire_requests::partitions(waiting.receive(&due));
        let codes: Vec<_> = data.iter().map(|data| data.error_code).collect();
        let acceptable = [code.code(), ErrorCode::UnknownTopicOrPartition.code()];
        assert!(codes.iter().any(|code| acceptable.contains(code)), "v{version}: errors {codes:?}");
    }
}

/// There are no sessions (KIP-227 allows that): who asks for one is told 0, who has one is told to begin anew.
#[test]
fn every_fetch_is_a_full_one() {
    let mut scene = Scene::new();
    let from = FetchFrom { topic: &scene.topic, partition: 0, offset: 0, max_bytes: 1 };
    for (session_id, session_epoch, code) in [
        (0, -1, ErrorCode::None),
        (0, 0, ErrorCode::None),
        (77, 1, ErrorCode::FetchSessionIdNotFound),
        (-5, i32::MAX, ErrorCode::FetchSessionIdNotFound),
    ] {
        for version in [7, 12, 17] {
            let full = wire_requests::fetch_request(std::slice::from_ref(&from), FetchLimits::default());
            let response = scene.client.call(version, &FetchRequest { session_id, session_epoch, ..full });
            assert_eq!((response.error_code, response.session_id), (code.code(), 0), "session {session_id}");
            let expected = usize::from(code == ErrorCode::None);
            assert_eq!(wire_requests::partitions(response).len(), expected);
        }
    }
}

/// A client that believes in another leader epoch is told so (KIP-320).
#[test]
fn leader_epochs_are_compared() {
    let mut scene = Scene::new();
    let from = FetchFrom { topic: &scene.topic, partition: 0, offset: 0, max_bytes: 1 };
    for (epoch, code) in [(-1, ErrorCode::None), (i32::MAX, ErrorCode::UnknownLeaderEpoch)] {
        let mut request = wire_requests::fetch_request(std::slice::from_ref(&from), FetchLimits::default());
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let data = wire_requests::partitions(scene.client.call(FETCH_VERSION, &request)).remove(0);
        assert_eq!(data.error_code, code.code(), "epoch {epoch}");
    }
}

#[test]
fn absurd_wishes_are_answered_within_bounds() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "absurd", 1, &[]);
    wire_requests::append(&mut client, "absurd", 0, &[sample_batches::batch(1, 1, 100)]);
    let limits = FetchLimits { max_wait_ms: 0, min_bytes: i32::MAX, max_bytes: i32::MAX };
    let before = vitals::memory(broker.process_id()).resident;
    // A hundred thousand partitions that do not exist, and the one that does as often.
    let many = |partition: fn(i32) -> i32| {
        let partition = |index| FetchPartition {
            partition: partition(index),
            partition_max_bytes: i32::MAX,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: topic.name.clone(),
            topic_id: topic.id,
            partitions: (0..100_000).map(partition).collect(),
        };
        FetchRequest { topics: vec![topic], ..wire_requests::fetch_request(&[], limits) }
    };
    let answered = wire_requests::partitions(client.call(FETCH_VERSION, &many(|index| index)));
    assert_eq!(answered.len(), 100_000, "every partition is answered");
    assert!(answered[1..].iter().all(|data| data.error_code == ErrorCode::UnknownTopicOrPartition.code()));
    let answered = wire_requests::partitions(client.call(FETCH_VERSION, &many(|_| 0)));
    assert!(answered.iter().any(|data| !wire_requests::records(data).is_empty()));

    // A wait without end is abandoned with its connection.
    let forever = FetchLimits { max_wait_ms: i32::MAX, ..limits };
    let base_line = vitals::descriptors(broker.process_id());
    let mut leaving = WireClient::connect(broker.address());
    let request = FetchRequest { max_wait_ms: forever.max_wait_ms, ..many(|_| 0) };
    leaving.send(FETCH_VERSION, &request);
    leaving.reset();
    vitals::eventually(
        "the connection is given up",
        || canary.sing(),
        || vitals::descriptors(broker.process_id()) <= base_line,
    );
    // Negative everything means nothing.
    let negative = FetchLimits { max_wait_ms: -1, min_bytes: -1, max_bytes: -1 };
    let from = FetchFrom { topic: &topic, partition: 0, offset: 1, max_bytes: -1 };
    assert!(wire_requests::records(&wire_requests::fetch(&mut client, from, negative)).is_empty());
    let grown = vitals::memory(broker.process_id()).resident_peak.saturating_sub(before);
    assert!(grown < 256 << 20, "memory grew by {grown} bytes");
    canary.expect_unharmed(&broker);
}
