//! The Rust client rskafka, which knows Fetch 4 alone.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rskafka::BackoffConfig;
use rskafka::chrono::{DateTime, TimeDelta, Utc};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::{Record, RecordAndOffset};
use sendlog_tests::conformance::{self, Report};
use sendlog_tests::target::Target;
use uuid::Uuid;

const COUNT: usize = 60;
const LIMIT_MS: i32 = 30_000;

type Outcome = Result<(), String>;

#[test]
fn rskafka() {
    let client = conformance::Client { name: "rskafka", tools: &[] };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    conformance::run_on_target(client, version(), |target, report| runtime.block_on(checks(target, report)));
}

/// The version that the tests were built with.
fn version() -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let after = lock.split("name = \"rskafka\"\nversion = \"").nth(1);
    after.and_then(|rest| rest.split('"').next()).expect("rskafka is a dependency")
}

async fn checks(target: &Target, report: &mut Report) {
    let suite = match Suite::connect(target).await {
        Ok(suite) => suite,
        Err(reason) => return report.check("connect", Err::<(), _>(reason)),
    };
    let codecs = [
        ("none", Compression::NoCompression),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    for (name, codec) in codecs {
        report.check(&format!("round trip, offsets and times: {name}"), suite.round_trip(name, codec).await);
    }
    report.check("create and list topics", suite.topics().await);
    report.check("create topics: existing and invalid", suite.bad_topics().await);
    report.check("delete records, offset out of range", suite.delete_records().await);
    report.check("unknown partition", suite.unknown_partition().await);
    report.check("delete topics", suite.delete_topics().await);
}

struct Suite {
    client: Client,
    is_eventual: bool,
}

impl Suite {
    async fn connect(target: &Target) -> Result<Self, String> {
        // Without an end to its retries this client would hide errors.
        let backoff = BackoffConfig { deadline: Some(Duration::from_secs(30)), ..BackoffConfig::default() };
        let builder = ClientBuilder::new(vec![target.bootstrap().to_owned()]).backoff_config(backoff);
        let client = builder.build().await.map_err(told)?;
        Ok(Self { client, is_eventual: target.is_eventual() })
    }

    async fn create(&self, topic: &str, partitions: i32) -> Result<(), Error> {
        self.client.controller_client()?.create_topic(topic, partitions, 1, LIMIT_MS).await
    }

    async fn partition(&self, topic: &str, partition: i32) -> Result<PartitionClient, String> {
        let found = self.client.partition_client(topic, partition, UnknownTopicHandling::Retry).await;
        found.map_err(told)
    }

    async fn round_trip(&self, name: &str, codec: Compression) -> Outcome {
        let topic = unique(&format!("rskafka-codec-{name}"));
        self.create(&topic, 1).await.map_err(told)?;
        let partition = self.partition(&topic, 0).await?;
        let records = samples(name);
        for half in 0..2 {
            let batch = records[half * COUNT / 2..][..COUNT / 2].to_vec();
            let placed = partition.produce(batch, codec).await.map_err(told)?;
            let first = i64::try_from(half * COUNT / 2).map_err(told)?;
            equal(&placed, &(first..first + 30).collect(), "offsets of produced records")?;
        }
        equal(&read(&partition, 0, COUNT).await?, &with_offsets(&records, 0), "records")?;
        for offset in [1, 17, COUNT / 2 + 5, COUNT - 1] {
            let found = read(&partition, i64::try_from(offset).map_err(told)?, 1).await?;
            equal(&found[0], &with_offsets(&records, 0)[offset], "record at an offset")?;
        }
        self.times(&partition, &records).await
    }

    async fn times(&self, partition: &PartitionClient, records: &[Record]) -> Outcome {
        for number in [0, 1, 29, 42, COUNT - 1] {
            let time = records[number].timestamp;
            for at in [time, time - TimeDelta::milliseconds(1)] {
                let found = partition.get_offset(OffsetAt::Timestamp(at)).await.map_err(told)?;
                equal(&found, &i64::try_from(number).map_err(told)?, "offset for a time")?;
            }
        }
        equal(&partition.get_offset(OffsetAt::Earliest).await.map_err(told)?, &0, "earliest offset")?;
        equal(&partition.get_offset(OffsetAt::Latest).await.map_err(told)?, &60, "latest offset")
    }

    async fn topics(&self) -> Outcome {
        let topic = unique("rskafka-wide");
        self.create(&topic, 4).await.map_err(told)?;
        self.eventually(async || {
            let topics = self.client.list_topics().await.map_err(told)?;
            let found =
                topics.into_iter().find(|found| found.name == topic).ok_or("the topic is not listed")?;
            equal(&found.partitions.len(), &4, "partitions")
        })
        .await?;
        for number in 0..4 {
            let partition = self.partition(&topic, number).await?;
            let records = samples(&format!("partition {number}"));
            partition.produce(records.clone(), Compression::NoCompression).await.map_err(told)?;
            equal(&read(&partition, 0, COUNT).await?, &with_offsets(&records, 0), "records")?;
        }
        Ok(())
    }

    async fn bad_topics(&self) -> Outcome {
        let topic = unique("rskafka-twice");
        self.create(&topic, 1).await.map_err(told)?;
        is_refused(self.create(&topic, 1).await, ProtocolError::TopicAlreadyExists, "creating it again")?;
        is_refused(self.create("a/b", 1).await, ProtocolError::InvalidTopicException, "name a/b")?;
        is_refused(self.create(&unique("p"), 0).await, ProtocolError::InvalidPartitions, "no partitions")
    }

    async fn delete_records(&self) -> Outcome {
        let topic = unique("rskafka-deleted");
        self.create(&topic, 1).await.map_err(told)?;
        let partition = self.partition(&topic, 0).await?;
        let records = samples("deleted");
        partition.produce(records.clone(), Compression::NoCompression).await.map_err(told)?;
        partition.delete_records(7, LIMIT_MS).await.map_err(told)?;
        equal(&partition.get_offset(OffsetAt::Earliest).await.map_err(told)?, &7, "earliest offset")?;
        equal(&read(&partition, 7, COUNT - 7).await?, &with_offsets(&records[7..], 7), "records left")?;
        let below = partition.fetch_records(2, 1..1_000_000, 1_000).await;
        is_refused(below, ProtocolError::OffsetOutOfRange, "reading below the log start")
    }

    async fn unknown_partition(&self) -> Outcome {
        let topic = unique("rskafka-narrow");
        self.create(&topic, 1).await.map_err(told)?;
        let found = self.client.partition_client(&topic, 1, UnknownTopicHandling::Error).await;
        // The client itself looks for the partition in the metadata of the topic.
        found.err().map(drop).ok_or_else(|| "an unknown partition: no error".to_owned())
    }

    async fn delete_topics(&self) -> Outcome {
        let topic = unique("rskafka-gone");
        self.create(&topic, 1).await.map_err(told)?;
        let controller = self.client.controller_client().map_err(told)?;
        controller.delete_topic(&topic, LIMIT_MS).await.map_err(told)?;
        self.eventually(async || {
            let topics = self.client.list_topics().await.map_err(told)?;
            equal(&topics.iter().any(|found| found.name == topic), &false, "whether the topic is listed")
        })
        .await
    }

    /// Tries once, as sendlog has done what it has answered; with Apache Kafka for some seconds.
    async fn eventually<F: Future<Output = Outcome>>(&self, check: impl Fn() -> F) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(if self.is_eventual { 10 } else { 0 });
        loop {
            let outcome = check().await;
            if outcome.is_ok() || deadline <= Instant::now() {
                return outcome;
            }
        }
    }
}

fn unique(name: &str) -> String {
    format!("conformance-{name}-{}", &Uuid::new_v4().simple().to_string()[..8])
}

/// Keys, values and headers of all kinds that this client has: no header twice, none without a value. The topics have
/// the default retention, because this client sets no configs, so the records must be fresh.
fn samples(codec: &str) -> Vec<Record> {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let start = ten_minutes_ago();
    let record = |i: i32| Record {
        key: match i % 10 {
            3 => None,
            4 => Some(Vec::new()),
            5 => Some(all_bytes.clone()),
            _ => Some(format!("key-{i}").into_bytes()),
        },
        value: match i % 10 {
            5 => None,
            6 => Some(Vec::new()),
            7 => Some(all_bytes.clone()),
            8 => Some(format!("{codec} {i} grüße ").repeat(200).into_bytes()),
            9 => Some(rand::random_iter().take(20_000).collect()),
            _ => Some(format!("value {i} of {codec}").into_bytes()),
        },
        headers: match i % 5 {
            0 => BTreeMap::new(),
            1 => BTreeMap::from([("one".into(), b"1".to_vec())]),
            2 => BTreeMap::from([("empty".into(), Vec::new()), ("bytes".into(), all_bytes.clone())]),
            _ => BTreeMap::from([("schlüssel".into(), "wert é".into())]),
        },
        timestamp: start + TimeDelta::seconds(i.into()),
    };
    (0..60).map(record).collect()
}

/// In whole milliseconds, as records have it.
#[expect(clippy::disallowed_methods, reason = "the broker's clock is the machine's, and so must be this one")]
fn ten_minutes_ago() -> DateTime<Utc> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_secs();
    DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(now).expect("this century") - 600)
}

fn with_offsets(records: &[Record], first: i64) -> Vec<RecordAndOffset> {
    (first..)
        .zip(records)
        .map(|(offset, record)| RecordAndOffset { record: record.clone(), offset })
        .collect()
}

async fn read(partition: &PartitionClient, from: i64, count: usize) -> Result<Vec<RecordAndOffset>, String> {
    let mut records: Vec<RecordAndOffset> = Vec::new();
    while records.len() < count {
        let next = records.last().map_or(from, |last| last.offset + 1);
        let (fetched, _) = partition.fetch_records(next, 1..1_000_000, LIMIT_MS).await.map_err(told)?;
        if fetched.is_empty() {
            return Err(format!("nothing came after {} records", records.len()));
        }
        records.extend(fetched);
    }
    records.truncate(count);
    Ok(records)
}

fn equal<T: PartialEq + std::fmt::Debug>(actual: &T, expected: &T, what: &str) -> Outcome {
    if actual == expected {
        return Ok(());
    }
    let short = |value: &T| format!("{value:?}").chars().take(300).collect::<String>();
    Err(format!("{what}: {}, expected {}", short(actual), short(expected)))
}

fn is_refused<T>(result: Result<T, Error>, expected: ProtocolError, what: &str) -> Outcome {
    match result {
        Err(Error::ServerError { protocol_error, .. }) if protocol_error == expected => Ok(()),
        Err(error) => Err(format!("{what}: {error}")),
        Ok(_) => Err(format!("{what}: no error")),
    }
}

fn told(error: impl Display) -> String {
    error.to_string()
}
