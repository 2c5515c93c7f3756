//! Requests that are written in one go are answered in their order, and what comes later sees what came before.

use std::collections::VecDeque;
use std::net::Shutdown;

use bytes::{Bytes, BytesMut};
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{MetadataRequest, MetadataRequestTopic, ProduceRequest};
use sendlog_tests::sample_batches;
use sendlog_tests::syscall_trace::SyscallTrace;
use sendlog_tests::wire_client::{Due, WireClient};
use sendlog_tests::wire_requests::{self, FETCH_VERSION, FetchFrom, FetchLimits, PRODUCE_VERSION, Topic};
use sendlog_tests::{Broker, BrokerOptions};

/// Checks the frame that answers one of the pipelined requests.
type Check = Box<dyn FnOnce(Bytes)>;

/// Requests that are sent together, and what is expected of each answer.
struct Pipeline<'a> {
    client: &'a mut WireClient,
    frames: BytesMut,
    checks: VecDeque<Check>,
}

impl<'a> Pipeline<'a> {
    fn new(client: &'a mut WireClient) -> Self {
        Self { client, frames: BytesMut::new(), checks: VecDeque::new() }
    }

    fn produce(&mut self, topic: &str, partition: i32, batch: &Bytes, base_offset: i64) {
        let request = wire_requests::produce_request(topic, partition, -1, Some(batch.clone()));
        let (due, frame) = self.client.frame(PRODUCE_VERSION, &request);
        self.frames.extend_from_slice(&frame);
        self.checks.push_back(Box::new(move |frame| {
            let response = due.decode(frame);
            let produced = &response.responses[0].partition_responses[0];
            assert_eq!((produced.error_code, produced.base_offset), (ErrorCode::None.code(), base_offset));
        }));
    }

    /// No answer is due.
    fn produce_without_acks(&mut self, topic: &str, batch: &Bytes) {
        let request = wire_requests::produce_request(topic, 0, 0, Some(batch.clone()));
        let (_, frame): (Due<ProduceRequest>, _) = self.client.frame(PRODUCE_VERSION, &request);
        self.frames.extend_from_slice(&frame);
    }

    fn metadata(&mut self, topic: &str) {
        let name = topic.to_owned();
        let wanted = MetadataRequestTopic { name: Some(name.clone()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![wanted]), ..MetadataRequest::default() };
        let (due, frame) = self.client.frame(9, &request);
        self.frames.extend_from_slice(&frame);
        self.checks.push_back(Box::new(move |frame| {
            let response = due.decode(frame);
            assert_eq!(response.topics[0].name.as_ref(), Some(&name));
            assert_eq!(response.topics[0].error_code, ErrorCode::None.code());
        }));
    }

    fn fetch(&mut self, topic: &Topic, offset: i64) {
        let from = FetchFrom { topic, partition: 0, offset, max_bytes: 1 };
        let request = wire_requests::fetch_request(&[from], FetchLimits::default());
        let (due, frame) = self.client.frame(FETCH_VERSION, &request);
        self.frames.extend_from_slice(&frame);
        self.checks.push_back(Box::new(move |frame| {
            let data = wire_requests::partitions(due.decode(frame)).remove(0);
            assert_eq!(data.error_code, ErrorCode::None.code());
            // What was produced before on this connection is there.
            assert_eq!(sample_batches::base_offset(&wire_requests::records(&data)), offset);
        }));
    }

    fn list_offsets(&mut self, topic: &str, end: i64) {
        let (due, frame) = self.client.frame(2, &wire_requests::list_offsets_request(topic, 0, -1));
        self.frames.extend_from_slice(&frame);
        self.checks.push_back(Box::new(move |frame| {
            let response = due.decode(frame);
            assert_eq!(response.topics[0].partitions[0].offset, end);
        }));
    }

    fn create_topic(&mut self, name: &str) {
        let request = wire_requests::create_topic_request(name, 1, &[]);
        let (due, frame) = self.client.frame(5, &request);
        self.frames.extend_from_slice(&frame);
        self.checks.push_back(Box::new(move |frame| {
            let response = due.decode(frame);
            assert_eq!(response.topics[0].error_code, ErrorCode::None.code());
        }));
    }

    fn send(&mut self) {
        self.client.send_bytes(&self.frames).expect("the broker takes requests");
    }

    fn expect_answers(self) {
        for (index, check) in self.checks.into_iter().enumerate() {
            let frame = self.client.receive_frame().expect("the broker answers in time");
            check(frame.unwrap_or_else(|| panic!("the connection is closed before answer {index}")));
        }
    }
}

#[test]
fn two_hundred_mixed_requests_are_answered_in_order() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let names = ["order-a", "order-b", "order-c"];
    let topics = names.map(|name| wire_requests::create_topic(&mut client, name, 2, &[]));
    let batch = sample_batches::batch(1, 2, 300);
    let mut pipeline = Pipeline::new(&mut client);
    let mut ends = [0; 3];
    // Without acks nothing waits for the sync before which records are not seen.
    let mut is_seen = [true; 3];
    for round in 0..200 {
        let topic = round % 3;
        match round % 8 {
            0 | 1 | 4 => {
                pipeline.produce(names[topic], 0, &batch, ends[topic]);
                ends[topic] += 2;
                is_seen[topic] = true;
            }
            2 if is_seen[topic] && ends[topic] != 0 => pipeline.fetch(&topics[topic], ends[topic] - 2),
            5 | 7 if is_seen[topic] => pipeline.list_offsets(names[topic], ends[topic]),
            6 => {
                pipeline.produce_without_acks(names[topic], &batch);
                ends[topic] += 2;
                is_seen[topic] = false;
            }
            _ => pipeline.metadata(names[topic]),
        }
    }
    pipeline.send();
    pipeline.expect_answers();
}

#[test]
fn pipelined_produce_requests_share_their_syncs() {
    const REQUESTS: i64 = 60;
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "shared", 1, &[]);
    let batch = sample_batches::batch(1, 1, 300);
    // The first append also syncs new files and folders.
    wire_requests::append(&mut client, "shared", 0, std::slice::from_ref(&batch));
    let trace = SyscallTrace::attach(broker.process_id(), &["-e", "trace=fdatasync,fsync"]);
    let mut pipeline = Pipeline::new(&mut client);
    for offset in 1..=REQUESTS {
        pipeline.produce("shared", 0, &batch, offset);
    }
    pipeline.send();
    pipeline.expect_answers();
    let Some(trace) = trace else { return };
    let syncs = trace.finish().len();
    let requests = usize::try_from(REQUESTS).expect("small");
    assert!((1..=requests / 3).contains(&syncs), "{syncs} syncs for {requests} requests");
}

#[test]
fn a_topic_exists_for_what_follows_its_creation() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let batch = sample_batches::batch(1, 2, 300);
    let mut pipeline = Pipeline::new(&mut client);
    for name in ["new-a", "new-b", "new-c"] {
        pipeline.create_topic(name);
        pipeline.produce(name, 0, &batch, 0);
        pipeline.produce(name, 0, &batch, 2);
        pipeline.list_offsets(name, 4);
    }
    // Metadata creates a topic as well.
    pipeline.metadata("new-d");
    pipeline.produce("new-d", 0, &batch, 0);
    pipeline.send();
    pipeline.expect_answers();
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answers() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "last-words", 1, &[]);
    let batch = sample_batches::batch(1, 2, 300);
    let mut pipeline = Pipeline::new(&mut client);
    for round in 0..10 {
        pipeline.produce(&topic.name, 0, &batch, 2 * round);
        pipeline.metadata(&topic.name);
    }
    pipeline.send();
    pipeline.client.stream().shutdown(Shutdown::Write).expect("the connection stands");
    pipeline.expect_answers();
    assert!(matches!(client.receive_frame(), Ok(None)), "then the broker closes the connection");
}
