//! Retention deletes segments while slow consumers are in the midst of them: every byte of what was found arrives, the
//! space comes back when they are through, and nobody can keep it by reading as slowly as possible.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files, vitals};

const TOPIC: &str = "t";
const CONSUMERS: usize = 40;
/// Less than any answer has.
const RECEIVE_BUFFER: usize = 32 << 10;
const BATCH_BYTES: usize = 900_000;
const BATCHES: usize = 24;

#[test]
fn every_byte_arrives_and_the_space_comes_back() {
    let mut scene = Scene::new(&[]);
    let sent = scene.fill();
    let starts: Vec<usize> = (0..CONSUMERS).map(|number| number * 4 % (BATCHES - 8)).collect();
    let mut consumers: Vec<Kafka> = starts.iter().map(|start| scene.begin_fetch(*start)).collect();
    scene.delete_all_but_the_last();
    assert!(0 < deleted_files(&scene.broker), "somebody reads a deleted segment, or this shows nothing");
    for (start, consumer) in starts.iter().zip(&mut consumers) {
        let fetched = consumer.receive_fetched().expect("the answer that was begun comes to its end");
        assert!(1 < fetched.batches.len());
        for (batch, sent) in fetched.batches.iter().zip(&sent[*start..]) {
            assert!(batches::as_sent(batch) == *sent, "other bytes");
        }
    }
    let mut other = Kafka::open(scene.broker.address());
    vitals::eventually(
        "no deleted file is held",
        || drop(other.describe_topic(TOPIC)),
        || deleted_files(&scene.broker) == 0,
    );
}

/// A consumer that takes a little of its answer now and then never stalls. It has some time for segments that were deleted
/// meanwhile (`log.segment.delete.delay.ms`), and then it is through.
#[test]
fn reading_slowly_keeps_no_space_for_ever() {
    for args in [
        &["--set", "log.segment.delete.delay.ms=100"][..],
        &["--set", "log.segment.delete.delay.ms=100", "--no-sendfile"],
    ] {
        let mut scene = Scene::new(args);
        scene.fill();
        let mut deleted = scene.begin_fetch(0);
        let mut live = scene.begin_fetch(BATCHES - 1);
        scene.delete_all_but_the_last();
        assert_eq!(deleted_files(&scene.broker), 1);
        let mut byte = [0];
        vitals::eventually(
            "the space comes back",
            || {
                // It may be over.
                let _ = deleted.raw().stream().read(&mut byte);
                let _ = scene.kafka.describe_topic(TOPIC);
            },
            || deleted_files(&scene.broker) == 0,
        );
        let rest = deleted.receive_fetched();
        assert!(rest.is_err(), "the answer is cut off");
        assert_eq!(live.receive_fetched().expect("nothing is wrong with that one").batches.len(), 1);
        scene.broker.wait_for_log("log.segment.delete.delay.ms");
    }
}

struct Scene {
    broker: Broker,
    kafka: Kafka,
}

impl Scene {
    fn new(args: &[&str]) -> Self {
        let mut options =
            BrokerOptions::with_args(["--set", "log.retention.check.interval.ms=20", "--log-level", "debug"]);
        options.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        let broker = Broker::start(options);
        let mut kafka = Kafka::open(broker.address());
        let settings = [("segment.bytes", "10485760"), ("retention.ms", "-1")];
        kafka.create_topic(TOPIC, 1, &settings);
        Self { broker, kafka }
    }

    fn fill(&mut self) -> Vec<Bytes> {
        let sent: Vec<Bytes> =
            (0..BATCHES).map(|index| batches::sized(&format!("batch {index}"), BATCH_BYTES)).collect();
        for batch in &sent {
            self.kafka.produce(TOPIC, batch);
        }
        sent
    }

    /// A consumer whose answer has begun and waits for it to be taken.
    fn begin_fetch(&self, offset: usize) -> Kafka {
        let mut consumer = Kafka::open(self.broker.address());
        let stream = consumer.raw().stream();
        rustix::net::sockopt::set_socket_recv_buffer_size(&*stream, RECEIVE_BUFFER)
            .expect("sockets have buffers");
        consumer.send_large_fetch(TOPIC, 0, i64::try_from(offset).expect("few")).expect("it is taken");
        consumer.raw().stream().peek(&mut [0]).expect("the answer begins");
        consumer
    }

    fn delete_all_but_the_last(&mut self) {
        self.kafka.set_topic_config(TOPIC, "retention.bytes", "1");
        vitals::eventually(
            "retention removes segments",
            || drop(self.kafka.describe_topic(TOPIC)),
            || data_files::segments(self.broker.data_dir(), "t-0").len() == 1,
        );
    }
}

/// Files that the broker has open and that have no name any more.
fn deleted_files(broker: &Broker) -> usize {
    let descriptors = Path::new("/proc").join(broker.process_id().to_string()).join("fd");
    let links = fs::read_dir(descriptors).expect("the broker lives");
    let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().ends_with(".log.deleted (deleted)")).count()
}
