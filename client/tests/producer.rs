//! The producer keeps order and writes every record once, whatever happens to its requests.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod fake;

use std::time::{Duration, Instant};

use fake::{FakeCluster, Fault, State};
use sendlog_client::{
    Acks, ClientConfig, ClientError, Compression, NewRecord, Producer, ProducerConfig, murmur2,
};
use sendlog_protocol::error_code::ErrorCode;

fn client(cluster: &FakeCluster) -> ClientConfig {
    ClientConfig {
        request_timeout: Duration::from_millis(500),
        retry_backoff: Duration::from_millis(1),
        retry_backoff_max: Duration::from_millis(5),
        ..ClientConfig::new(cluster.address())
    }
}

/// Small batches, so that there are many.
fn small() -> ProducerConfig {
    ProducerConfig { batch_bytes: 200, linger: Duration::ZERO, ..ProducerConfig::default() }
}

async fn producer(cluster: &FakeCluster, config: ProducerConfig) -> Producer {
    Producer::connect(client(cluster), config).await.unwrap()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Sends numbers one after another and checks that each arrives at its place.
async fn send_numbers(producer: &Producer, topic: &str, range: std::ops::Range<usize>) {
    let mut deliveries = Vec::new();
    for number in range.clone() {
        let value = number.to_string();
        deliveries.push(producer.send(topic, NewRecord::value(&value).partition(0)).await.unwrap());
    }
    for (number, delivery) in range.zip(deliveries) {
        let at = delivery.await.unwrap();
        assert_eq!((at.partition, at.offset), (0, i64::try_from(number).unwrap()));
    }
}

#[tokio::test]
async fn records_arrive_with_key_headers_and_time() {
    for compression in Compression::ALL {
        let cluster = FakeCluster::start("t", 1).await;
        let config = ProducerConfig { compression, ..ProducerConfig::default() };
        let producer = producer(&cluster, config).await;
        let value = "value ".repeat(50);
        let record = NewRecord::value(&value).key("key").timestamp(1234);
        let record = record.header("a", Some(b"1")).header("a", None);
        let at = producer.send("t", record).await.unwrap().await.unwrap();
        assert_eq!((at.partition, at.offset, at.timestamp), (0, 0, 1234));
        let at = producer.send("t", NewRecord::tombstone("gone")).await.unwrap().await.unwrap();
        assert_eq!((at.partition, at.offset), (0, 1));
        assert!(1_600_000_000_000 < at.timestamp, "the time of the machine");
        producer.close().await.unwrap();
        let records = cluster.with_log("t", 0, |log| log.records());
        assert_eq!(records[0].value.as_deref(), Some(value.as_bytes()));
        assert_eq!(records[0].key.as_deref(), Some(b"key".as_slice()));
        assert_eq!(records[0].timestamp, 1234);
        assert_eq!(records[0].headers.len(), 2);
        assert_eq!((records[1].key.as_deref(), &records[1].value), (Some(b"gone".as_slice()), &None));
        let stored = cluster.with_log("t", 0, |log| log.batches[0].header.attributes.compression());
        assert_eq!(stored, Ok(compression));
    }
}

#[tokio::test]
async fn many_records_keep_their_order() {
    let cluster = FakeCluster::start("t", 1).await;
    let producer = producer(&cluster, small()).await;
    send_numbers(&producer, "t", 0..5000).await;
    producer.close().await.unwrap();
    assert_eq!(cluster.values("t", 0), numbers(0..5000));
    assert!(100 < cluster.with_log("t", 0, |log| log.batches.len()));
}

/// A small generator for fault plans.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn fault(&mut self) -> Fault {
        match self.roll(12) {
            0 => Fault::CloseBefore,
            1 => Fault::CloseAfter,
            2 => Fault::Error(ErrorCode::NotLeaderOrFollower),
            3 => Fault::Error(ErrorCode::RequestTimedOut),
            4 => Fault::Error(ErrorCode::KafkaStorageError),
            5 => Fault::Delay(Duration::from_millis(self.roll(5))),
            _ => Fault::None,
        }
    }
}

#[tokio::test]
async fn faults_neither_lose_nor_repeat_nor_reorder() {
    for seed in 0..10 {
        let mut dice = Dice(seed);
        let cluster = FakeCluster::start("t", 1).await;
        cluster.fail_produce((0..150).map(|_| dice.fault()));
        let compression = if seed % 3 == 0 { Compression::Lz4 } else { Compression::None };
        let producer = producer(&cluster, ProducerConfig { compression, ..small() }).await;
        send_numbers(&producer, "t", 0..2000).await;
        producer.close().await.unwrap();
        assert_eq!(cluster.values("t", 0), numbers(0..2000), "seed {seed}");
    }
}

#[tokio::test]
async fn faults_on_several_partitions_and_brokers_keep_each_in_order() {
    for seed in 100..104 {
        let mut dice = Dice(seed);
        let cluster = FakeCluster::with(State::default(), 3, "t", 5).await;
        cluster.fail_produce((0..100).map(|_| dice.fault()));
        let producer = producer(&cluster, small()).await;
        let mut sent = vec![Vec::new(); 5];
        for number in 0..3000 {
            if number % 100 == 0 {
                let partition = usize::try_from(dice.roll(5)).unwrap();
                cluster.move_leader("t", partition, i32::try_from(dice.roll(3)).unwrap());
            }
            let partition = usize::try_from(dice.roll(5)).unwrap();
            let value = number.to_string();
            let record = NewRecord::value(&value).partition(i32::try_from(partition).unwrap());
            drop(producer.send("t", record).await.unwrap());
            sent[partition].push(value);
        }
        producer.flush().await.unwrap();
        for (partition, sent) in sent.iter().enumerate() {
            assert_eq!(&cluster.values("t", partition), sent, "seed {seed}, partition {partition}");
        }
    }
}

#[tokio::test]
async fn a_silent_broker_is_left_and_asked_again() {
    let cluster = FakeCluster::start("t", 1).await;
    cluster.fail_produce([Fault::None, Fault::Silence]);
    let producer = producer(&cluster, small()).await;
    send_numbers(&producer, "t", 0..300).await;
    assert_eq!(cluster.values("t", 0), numbers(0..300));
}

#[tokio::test]
async fn a_refused_batch_fails_alone() {
    let cluster = FakeCluster::start("t", 1).await;
    let producer = producer(&cluster, small()).await;
    send_numbers(&producer, "t", 0..10).await;
    cluster.fail_produce([Fault::Error(ErrorCode::InvalidRecord)]);
    let refused = producer.send("t", NewRecord::value("refused")).await.unwrap();
    let mut after = Vec::new();
    for number in 10..200 {
        after.push(producer.send("t", NewRecord::value(&number.to_string())).await.unwrap());
    }
    let error = refused.await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Broker { error, .. }
        if error.error_code() == Some(ErrorCode::InvalidRecord)),
        "{error}"
    );
    for delivery in after {
        // One that shared the batch is refused with it.
        if let Err(error) = delivery.await {
            assert!(error.to_string().contains("INVALID_RECORD"), "{error}");
        }
    }
    let error = producer.flush().await.unwrap_err();
    assert!(error.to_string().contains("INVALID_RECORD"), "flush tells of it: {error}");
    producer.flush().await.expect("once");
    let values = cluster.values("t", 0);
    assert!(values.iter().all(|value| value != "refused"));
    assert!(values.windows(2).all(|pair| pair[0].parse::<i32>().unwrap() < pair[1].parse().unwrap()));
}

#[tokio::test]
async fn a_broker_that_forgot_the_producer_is_told_anew() {
    let cluster = FakeCluster::start("t", 1).await;
    let producer = producer(&cluster, small()).await;
    send_numbers(&producer, "t", 0..10).await;
    for error in [ErrorCode::UnknownProducerId, ErrorCode::OutOfOrderSequenceNumber] {
        cluster.fail_produce([Fault::Error(error)]);
        let end = usize::try_from(cluster.with_log("t", 0, |log| log.end())).unwrap();
        send_numbers(&producer, "t", end..end + 500).await;
    }
    let epochs = cluster.with_log("t", 0, |log| {
        log.batches.iter().map(|batch| batch.header.producer_epoch).collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(epochs.into_iter().collect::<Vec<_>>(), [0, 1, 2], "an epoch for each new start");
    assert_eq!(cluster.values("t", 0), numbers(0..1010));
}

#[tokio::test]
async fn a_fenced_producer_stops() {
    for code in [ErrorCode::InvalidProducerEpoch, ErrorCode::ProducerFenced] {
        let cluster = FakeCluster::start("t", 1).await;
        let producer = producer(&cluster, small()).await;
        send_numbers(&producer, "t", 0..10).await;
        cluster.fail_produce([Fault::Error(code)]);
        let error = producer.send("t", NewRecord::value("x")).await.unwrap().await.unwrap_err();
        assert!(matches!(error, ClientError::Fenced { .. }), "{error}");
        let error = producer.send("t", NewRecord::value("x")).await.unwrap_err();
        assert!(matches!(error, ClientError::Fenced { .. }), "{error}");
        assert!(producer.close().await.is_err());
        assert_eq!(cluster.values("t", 0), numbers(0..10));
    }
}

#[tokio::test]
async fn a_batch_that_cannot_be_delivered_fails_in_time() {
    let cluster = FakeCluster::start("t", 1).await;
    let config = ProducerConfig { delivery_timeout: Duration::from_millis(300), ..small() };
    let producer = producer(&cluster, config).await;
    send_numbers(&producer, "t", 0..10).await;
    // Nobody leads the partition.
    cluster.move_leader("t", 0, -1);
    let start = Instant::now();
    let error = producer.send("t", NewRecord::value("lost")).await.unwrap().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    assert!((300..3000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    cluster.move_leader("t", 0, 0);
    let at = producer.send("t", NewRecord::value("10")).await.unwrap().await.unwrap();
    assert_eq!(at.offset, 10, "and the partition goes on");
    producer.close().await.expect_err("the lost one");
    assert_eq!(cluster.values("t", 0), numbers(0..11));
}

#[tokio::test]
async fn a_producer_id_is_asked_for_until_it_is_given() {
    let cluster = FakeCluster::start("t", 1).await;
    cluster.state.identity_errors.lock().unwrap().extend([ErrorCode::CoordinatorLoadInProgress; 3]);
    let producer_one = producer(&cluster, small()).await;
    send_numbers(&producer_one, "t", 0..10).await;

    cluster.state.identity_errors.lock().unwrap().push_back(ErrorCode::ClusterAuthorizationFailed);
    let producer_two = producer(&cluster, small()).await;
    let error = producer_two.send("t", NewRecord::value("x")).await.unwrap().await.unwrap_err();
    assert!(error.to_string().contains("CLUSTER_AUTHORIZATION_FAILED"), "{error}");
    assert!(producer_two.send("t", NewRecord::value("x")).await.is_err());
}

#[tokio::test]
async fn acks_zero_asks_for_no_answer() {
    let cluster = FakeCluster::start("t", 1).await;
    let config = ProducerConfig { acks: Acks::None, idempotent: false, ..small() };
    let producer = producer(&cluster, config).await;
    for number in 0..500 {
        let at = producer.send("t", NewRecord::value(&number.to_string())).await.unwrap().await.unwrap();
        assert_eq!(at.offset, -1);
    }
    producer.close().await.unwrap();
    // The broker may still be reading.
    while cluster.with_log("t", 0, |log| log.end()) < 500 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(cluster.values("t", 0), numbers(0..500));
}

#[tokio::test]
async fn a_batch_waits_for_company_and_no_longer() {
    let cluster = FakeCluster::start("t", 1).await;
    let config = ProducerConfig { linger: Duration::from_millis(50), ..ProducerConfig::default() };
    let producer = producer(&cluster, config).await;
    producer.send("t", NewRecord::value("warm up")).await.unwrap().await.unwrap();
    let start = Instant::now();
    let first = producer.send("t", NewRecord::value("a")).await.unwrap();
    let second = producer.send("t", NewRecord::value("b")).await.unwrap();
    second.await.unwrap();
    first.await.unwrap();
    assert!(50 <= start.elapsed().as_millis(), "{:?}", start.elapsed());
    assert_eq!(cluster.with_log("t", 0, |log| log.batches.len()), 2);
}

#[tokio::test]
async fn flush_does_not_linger() {
    let cluster = FakeCluster::start("t", 1).await;
    let config = ProducerConfig { linger: Duration::from_secs(1000), ..ProducerConfig::default() };
    let producer = producer(&cluster, config).await;
    let delivery = producer.send("t", NewRecord::value("a")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), producer.flush()).await.unwrap().unwrap();
    assert_eq!(delivery.await.unwrap().offset, 0);
    drop(producer.send("t", NewRecord::value("b")).await.unwrap());
    tokio::time::timeout(Duration::from_secs(20), producer.close()).await.unwrap().unwrap();
    assert_eq!(cluster.values("t", 0), ["a", "b"]);
}

#[tokio::test]
async fn a_dropped_producer_still_sends_what_it_took() {
    let cluster = FakeCluster::start("t", 1).await;
    let config = ProducerConfig { linger: Duration::from_secs(1000), ..ProducerConfig::default() };
    let producer = producer(&cluster, config).await;
    let delivery = producer.send("t", NewRecord::value("a")).await.unwrap();
    drop(producer);
    assert_eq!(delivery.await.unwrap().offset, 0);
}

#[tokio::test]
async fn memory_is_bounded_and_send_waits() {
    let cluster = FakeCluster::start("t", 1).await;
    cluster.fail_produce([Fault::Delay(Duration::from_millis(100))]);
    let config = ProducerConfig {
        batch_bytes: 1000,
        buffer_bytes: 4000,
        // Memory that somebody waits for does not linger.
        linger: Duration::from_secs(1000),
        ..ProducerConfig::default()
    };
    let producer = producer(&cluster, config).await;
    let value = "v".repeat(300);
    let mut deliveries = Vec::new();
    for _ in 0..100 {
        deliveries.push(producer.send("t", NewRecord::value(&value)).await.unwrap());
    }
    producer.flush().await.unwrap();
    assert_eq!(cluster.values("t", 0).len(), 100);

    let config = ProducerConfig {
        batch_bytes: 1000,
        buffer_bytes: 2000,
        send_timeout: Duration::from_millis(50),
        ..ProducerConfig::default()
    };
    let producer = self::producer(&cluster, config).await;
    cluster.fail_produce([Fault::Delay(Duration::from_millis(400))]);
    let mut last = Ok(());
    for _ in 0..10 {
        last = producer.send("t", NewRecord::value(&value)).await.map(drop);
    }
    assert!(matches!(last, Err(ClientError::TimedOut { .. })), "{last:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_at_once() {
    let cluster = FakeCluster::start("t", 2).await;
    let config = ProducerConfig {
        request_bytes_max: 10_000,
        batch_bytes: 1000,
        send_timeout: Duration::from_millis(50),
        ..ProducerConfig::default()
    };
    let producer = producer(&cluster, config).await;
    let large = vec![b'x'; 10_000];
    let error = producer.send("t", NewRecord::value(&large)).await.unwrap_err();
    assert!(matches!(error, ClientError::RecordTooLarge { limit: 10_000, .. }), "{error}");
    for partition in [-1, 2] {
        let error = producer.send("t", NewRecord::value("x").partition(partition)).await.unwrap_err();
        assert!(matches!(error, ClientError::UnknownPartition { .. }), "{error}");
    }
    let error = producer.send("unknown", NewRecord::value("x")).await.unwrap_err();
    assert!(error.to_string().contains("UNKNOWN_TOPIC_OR_PARTITION"), "{error}");
    // A record larger than a batch has one of its own.
    let large = vec![b'x'; 5000];
    producer.send("t", NewRecord::value(&large)).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn keys_decide_and_records_without_key_spread() {
    let cluster = FakeCluster::start("t", 5).await;
    let producer = producer(&cluster, small()).await;
    for number in 0..200 {
        let key = format!("key {}", number % 20);
        let at = producer.send("t", NewRecord::value("v").key(&key)).await.unwrap().await.unwrap();
        assert_eq!(at.partition, (murmur2(key.as_bytes()) & i32::MAX) % 5);
    }
    let mut partitions = std::collections::BTreeMap::new();
    for _ in 0..500 {
        let at = producer.send("t", NewRecord::value("0123456789")).await.unwrap().await.unwrap();
        *partitions.entry(at.partition).or_insert(0) += 1;
    }
    assert_eq!(partitions.len(), 5, "{partitions:?}");
}

#[tokio::test]
async fn a_send_that_is_dropped_midway_takes_no_memory() {
    let cluster = FakeCluster::start("t", 1).await;
    cluster.fail_produce([Fault::Delay(Duration::from_millis(200))]);
    let config = ProducerConfig { batch_bytes: 500, buffer_bytes: 1000, ..small() };
    let producer = producer(&cluster, ProducerConfig { batch_bytes: 500, ..config }).await;
    let value = "v".repeat(400);
    let mut sent = 0;
    for _ in 0..50 {
        let send = producer.send("t", NewRecord::value(&value));
        if let Ok(delivery) = tokio::time::timeout(Duration::from_millis(1), send).await {
            drop(delivery.unwrap());
            sent += 1;
        }
    }
    producer.flush().await.unwrap();
    assert_eq!(cluster.values("t", 0).len(), sent);
    for _ in 0..20 {
        producer.send("t", NewRecord::value(&value)).await.unwrap().await.unwrap();
    }
}
