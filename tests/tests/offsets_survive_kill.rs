//! kill -9 under commits: an acknowledged offset never goes back, and none appears that nobody sent.

use std::sync::mpsc;
use std::thread;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_tests::offsets::LOADING;
use sendlog_tests::{Broker, BrokerOptions, Kafka};

const TOPIC: &str = "t";
const PARTITIONS: i32 = 3;
const GROUPS: usize = 8;
const KILLS: usize = 10;

/// What a group was told of a partition.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    sent: i64,
    acknowledged: i64,
}

/// One group, which commits for its partitions in turn.
#[derive(Debug)]
struct Committer {
    group: String,
    promises: [Promise; PARTITIONS as usize],
}

impl Committer {
    fn commit_until_killed(&mut self, mut kafka: Kafka, acknowledged: &mpsc::Sender<()>) {
        loop {
            for (partition, promise) in (0..).zip(&mut self.promises) {
                promise.sent += 1;
                match kafka.try_commit(&self.group, TOPIC, partition, promise.sent) {
                    Ok(0) => promise.acknowledged = promise.sent,
                    // Nothing of it was done, so the offset is free for the next round.
                    Ok(LOADING) => promise.sent -= 1,
                    Ok(code) => panic!("{}: error {code}", self.group),
                    Err(_) => return,
                }
                // The killer counts no further than it has to.
                let _ = acknowledged.send(());
            }
        }
    }

    fn check(&mut self, kafka: &mut Kafka) {
        let partitions: Vec<i32> = (0..PARTITIONS).collect();
        let found = kafka.committed(&self.group, TOPIC, &partitions);
        for (promise, found) in self.promises.iter_mut().zip(found) {
            let found = found.max(0);
            assert!(
                (promise.acknowledged..=promise.sent).contains(&found),
                "{}: {found} for {promise:?}",
                self.group
            );
            // What is seen once stays.
            *promise = Promise { sent: promise.sent, acknowledged: found };
        }
    }
}

#[test]
fn acknowledged_offsets_never_go_back() {
    // Small segments, so that rolls are hit too.
    let mut broker = Broker::start(BrokerOptions::with_args(["--set", "offsets.topic.segment.bytes=16384"]));
    Kafka::open(broker.address()).create_topic(TOPIC, PARTITIONS, &[]);
    let committer = |number| Committer { group: format!("group {number}"), promises: Default::default() };
    let mut committers: Vec<Committer> = (0..GROUPS).map(committer).collect();
    let mut random = SmallRng::seed_from_u64(24);
    for _ in 0..KILLS {
        let commits = random.random_range(1..1500);
        let (acknowledged, acknowledgements) = mpsc::channel();
        thread::scope(|scope| {
            for committer in &mut committers {
                let (kafka, acknowledged) = (Kafka::open(broker.address()), acknowledged.clone());
                scope.spawn(move || committer.commit_until_killed(kafka, &acknowledged));
            }
            acknowledgements.iter().take(commits).for_each(drop);
            broker.kill();
        });
        broker.restart();
        let mut kafka = Kafka::open(broker.address());
        committers.iter_mut().for_each(|committer| committer.check(&mut kafka));
    }
    assert_eq!(broker.terminate().code(), Some(0), "{}", broker.stderr().text());
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    committers.iter_mut().for_each(|committer| committer.check(&mut kafka));
    let total: i64 =
        committers.iter().flat_map(|committer| &committer.promises).map(|one| one.acknowledged).sum();
    assert!(1000 < total, "only {total} commits");
}
