//! A compacted topic of a running broker: while it is written and read its segments shrink, and the last value of every key stays, also
//! over kill -9 and a restart; a real client reads it like any other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::UnknownTopicHandling;
use sendlog_protocol::records::Compression;
use sendlog_tests::batches::{self, EPOCH_MS};
use sendlog_tests::data_check::CheckRun;
use sendlog_tests::keyed::{self, Keyed, KeyedSource};
use sendlog_tests::{Broker, BrokerOptions, Kafka, data_files};

const TOPIC: &str = "t";
/// Ends a test in which nothing is compacted.
const LIMIT: Duration = Duration::from_secs(60);
/// More than one segment of `segment.bytes` has.
const SEGMENT_RECORDS_MAX: i64 = 100;

fn eager() -> BrokerOptions {
    BrokerOptions::with_args([
        "--set",
        "log.cleaner.backoff.ms=10",
        "--set",
        "log.retention.check.interval.ms=20",
    ])
}

fn create(kafka: &mut Kafka, more: &[(&str, &str)]) {
    let configs =
        [("cleanup.policy", "compact"), ("segment.bytes", "4096"), ("min.cleanable.dirty.ratio", "0.01")];
    let configs: Vec<_> = configs.iter().chain(more).copied().collect();
    kafka.create_topic(TOPIC, 1, &configs);
}

/// Appends batches; what a reader of all that was appended ends up with.
fn fill(kafka: &mut Kafka, source: &mut KeyedSource, count: usize, table: &mut BTreeMap<Bytes, Bytes>) {
    for at in 0..count {
        let batch = source.batch(3, 80, Compression::ALL[at % Compression::ALL.len()], None);
        kafka.produce(TOPIC, &batch);
        for record in keyed::records(&[batch]) {
            match record.value {
                Some(value) => table.insert(record.key, value),
                None => table.remove(&record.key),
            };
        }
    }
}

fn read(kafka: &mut Kafka) -> Vec<Keyed> {
    keyed::records(&kafka.read_all(TOPIC, 0))
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LIMIT, "it does not come to that");
        std::thread::yield_now();
    }
}

fn until_compacted(kafka: &mut Kafka) -> Vec<Keyed> {
    let end = kafka.offset(TOPIC, -1) - SEGMENT_RECORDS_MAX;
    wait_until(|| keyed::superseded(&read(kafka), end) == 0);
    read(kafka)
}

/// Has `check` agree with all batches. If it does not, there must be other batches by then: those that had just been
/// closed are compacted as soon as a checkpoint covers them.
fn while_nothing_is_compacted(kafka: &mut Kafka, check: impl Fn(&mut Kafka, &[Bytes]) -> Result<(), String>) {
    loop {
        let all = kafka.read_all(TOPIC, 0);
        match check(kafka, &all) {
            Ok(()) => return,
            Err(difference) => assert!(kafka.read_all(TOPIC, 0) != all, "{difference}"),
        }
    }
}

#[test]
fn values_stay_while_segments_shrink_and_over_every_restart() {
    let mut broker = Broker::start(eager());
    let mut kafka = Kafka::open(broker.address());
    create(&mut kafka, &[]);
    let mut source = KeyedSource::new(3, EPOCH_MS, 10, 20);
    let mut table = BTreeMap::new();
    for round in 0..3 {
        fill(&mut kafka, &mut source, 200, &mut table);
        assert_eq!(keyed::table(&read(&mut kafka)), table, "while it is compacted");
        let records = until_compacted(&mut kafka);
        assert_eq!(keyed::table(&records), table);
        assert!(records.len() < 400, "{} of {} records are left", records.len(), 600 * (round + 1));
        // Some more may be compacted meanwhile.
        assert_eq!(keyed::table(&with_a_real_client(&broker)), table);
        match round {
            0 => broker.kill(),
            _ => assert!(broker.terminate().success()),
        }
        broker.restart();
        kafka = Kafka::open(broker.address());
        assert_eq!(keyed::table(&read(&mut kafka)), table);
    }
    let log = broker.stderr().text();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    assert!(broker.terminate().success());
    let checked = CheckRun::on(broker.data_dir(), &["--records"]);
    assert!(checked.bad().is_empty(), "{checked:?}");
    let is_unfinished = |path: &std::path::PathBuf| {
        ["cleaned", "replaces", "deleted", "tmp"]
            .iter()
            .any(|extension| data_files::has_extension(path, extension))
    };
    let files = data_files::all(broker.data_dir());
    assert!(!files.iter().any(is_unfinished), "{files:?}");
}

#[test]
fn every_offset_leads_to_the_next_batch_and_every_time_to_its_record() {
    let broker = Broker::start(eager());
    let mut kafka = Kafka::open(broker.address());
    create(&mut kafka, &[]);
    fill(&mut kafka, &mut KeyedSource::new(4, EPOCH_MS, 10, 20), 200, &mut BTreeMap::new());
    until_compacted(&mut kafka);
    let end = kafka.offset(TOPIC, -1);
    while_nothing_is_compacted(&mut kafka, |kafka, all| {
        for offset in (0..end).step_by(7) {
            let fetched = kafka.fetch(TOPIC, 0, offset).expect("it is answered");
            assert_eq!(fetched.error_code, 0);
            let wanted = all.iter().find(|batch| offset < batches::header(batch).next_offset());
            if fetched.batches.first() != wanted {
                return Err(format!("at {offset}: {:?}, not {wanted:?}", fetched.batches.first()));
            }
        }
        let records = keyed::records(all);
        for time in (EPOCH_MS..EPOCH_MS + 1500).step_by(35) {
            let wanted = records.iter().find(|record| time <= record.timestamp).map(|record| record.offset);
            let found = kafka.offset(TOPIC, time);
            if Some(found) != wanted {
                return Err(format!("at time {time}: {found}, not {wanted:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn deleted_keys_are_forgotten_in_time() {
    let broker = Broker::start(eager());
    let mut kafka = Kafka::open(broker.address());
    create(&mut kafka, &[("delete.retention.ms", "0")]);
    kafka.produce(TOPIC, &keyed::of("gone", Some("value")));
    kafka.produce(TOPIC, &keyed::of("gone", None));
    let mut source = KeyedSource::new(5, EPOCH_MS, 10, 20);
    let is_known = |kafka: &mut Kafka| read(kafka).iter().any(|record| record.key == "gone");
    assert!(is_known(&mut kafka));
    // Its horizon comes with a first compaction; it goes with a second one.
    wait_until(|| {
        fill(&mut kafka, &mut source, 20, &mut BTreeMap::new());
        !is_known(&mut kafka)
    });
}

#[test]
fn a_topic_with_both_policies_is_compacted_and_expires() {
    let broker = Broker::start(eager());
    let mut kafka = Kafka::open(broker.address());
    create(&mut kafka, &[("cleanup.policy", "compact,delete"), ("retention.ms", "-1")]);
    let mut table = BTreeMap::new();
    fill(&mut kafka, &mut KeyedSource::new(6, EPOCH_MS, 10, 20), 200, &mut table);
    assert_eq!(keyed::table(&until_compacted(&mut kafka)), table);
    // All of it is old, the last segment too.
    kafka.set_topic_config(TOPIC, "retention.ms", "3600000");
    let end = kafka.offset(TOPIC, -1);
    wait_until(|| kafka.offset(TOPIC, -2) == end);
    assert_eq!(read(&mut kafka), []);
    assert_eq!(kafka.produce(TOPIC, &keyed::of("new", Some("value"))), end);
}

#[test]
fn a_broker_whose_cleaner_is_off_keeps_everything() {
    let mut options = eager();
    options.args.extend(["--set".to_owned(), "log.cleaner.enable=false".to_owned()]);
    let broker = Broker::start(options);
    let mut kafka = Kafka::open(broker.address());
    create(&mut kafka, &[]);
    fill(&mut kafka, &mut KeyedSource::new(7, EPOCH_MS, 10, 20), 100, &mut BTreeMap::new());
    assert_eq!(read(&mut kafka).len(), 300);
}

/// What rskafka reads.
fn with_a_real_client(broker: &Broker) -> Vec<Keyed> {
    let bootstrap = broker.bootstrap();
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let client = ClientBuilder::new(vec![bootstrap]).build().await.expect("it connects");
        let partition =
            client.partition_client(TOPIC, 0, UnknownTopicHandling::Error).await.expect("a partition");
        let (mut all, mut next) = (Vec::new(), 0);
        loop {
            let (records, end) =
                partition.fetch_records(next, 1..1_000_000, 1000).await.expect("it is answered");
            // Of a batch whose last records are gone it tells nothing, and leaves it to the caller to get past it.
            next = records.last().map_or(next, |last| last.offset) + 1;
            all.extend(records.into_iter().map(|found| Keyed {
                offset: found.offset,
                timestamp: found.record.timestamp.timestamp_millis(),
                key: found.record.key.expect("a key").into(),
                value: found.record.value.map(Bytes::from),
            }));
            if end <= next {
                return all;
            }
        }
    })
}
