//! Records of every codec, written, and read from the beginning, from an offset and from a time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use confluent_kafka::common::header::{Header, Headers, RecordHeader, RecordHeaders};
use confluent_kafka::common::serialization::ByteArrayDeserializer;
use confluent_kafka::common::{Error, TopicPartition};
use confluent_kafka::consumer::{Consumer, ConsumerConfig, KafkaConsumer};
use confluent_kafka::producer::{ProducerRecord, ProducerRecordOptionsBuilder};

use crate::checks::{Outcome, equal, holds, now, run, told};
use crate::load::{Writer, topic};
use crate::member::properties;

/// How many records a codec gets.
const COUNT: usize = 100;
/// The one to begin at, in the middle of a batch.
const MIDDLE: usize = 42;
/// Ends a read of what does not come.
const LIMIT: Duration = Duration::from_secs(30);

type Headed = Vec<(String, Option<Vec<u8>>)>;

/// All that a record has, its offset apart.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Record {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Headed,
}

/// All these checks.
pub async fn checks() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        run(&format!("round trip, offsets and times: {codec}"), round_trip(codec)).await;
    }
}

async fn round_trip(codec: &str) -> Outcome {
    let topic = topic(&format!("codec-{codec}"), 1).await?;
    let records = records()?;
    let made = records.iter().map(|record| made(&topic, record)).collect::<Outcome<_>>()?;
    // A batch has more than one record when the producer waits for them.
    let writer = Writer::new(&[("compression.type", codec), ("linger.ms", "100")])?;
    let offsets = writer.send(made).await?;
    writer.close().await?;
    let expected: Vec<_> = (0_i64..).zip(records).collect();
    equal(offsets, expected.iter().map(|(offset, _)| *offset).collect(), "offsets of the records")?;
    let mut reader = Reader::new(&topic).await.map_err(told("a consumer"))?;
    holds(reader.read(0, COUNT).await? == expected, || "what is read is not what was written".to_owned())?;
    let middle = &expected[MIDDLE..];
    holds(reader.read(middle[0].0, middle.len()).await? == middle, || {
        "from an offset, other records come".to_owned()
    })?;
    let found = reader.at_time(middle[0].1.timestamp).await.map_err(told("offsets for times"))?;
    equal(found, Some((middle[0].0, middle[0].1.timestamp)), "the first record of a time")?;
    equal(
        reader.at_time(i64::MAX / 2).await.map_err(told("offsets for times"))?,
        None,
        "the record of a later time",
    )?;
    reader.0.close().await.map_err(told("closing the consumer"))
}

/// Keys, values and headers that are null, empty, binary and long; two headers of one name.
fn records() -> Outcome<Vec<Record>> {
    let now = i64::try_from(now().as_millis()).map_err(told("the clock"))?;
    let start = now - 1_000_000;
    let twice = || vec![("twice".to_owned(), Some(vec![0, 255])), ("twice".to_owned(), None)];
    let record = |(number, timestamp): (usize, i64)| Record {
        timestamp,
        key: [None, Some(Vec::new()), Some(format!("key {number}").into_bytes())][number % 3].clone(),
        value: [
            None,
            Some(Vec::new()),
            Some(vec![0, 159, 146, 150]),
            Some("grüße ".repeat(number).into_bytes()),
        ][number % 4]
            .clone(),
        headers: if number % 5 == 0 { twice() } else { Vec::new() },
    };
    Ok((0..COUNT).zip((start..).step_by(10)).map(record).collect())
}

fn made(topic: &str, record: &Record) -> Outcome<ProducerRecord<Vec<u8>, Vec<u8>>> {
    let headers = record.headers.iter().map(|(key, value)| RecordHeader::new(key.clone(), value.clone()));
    let builder = ProducerRecordOptionsBuilder::new()
        .set_topic(topic.to_owned())
        .set_partition(Some(0))
        .set_timestamp(Some(record.timestamp))
        .set_key(record.key.clone())
        .set_value(record.value.clone())
        .set_headers(Some(RecordHeaders::with_header_iter(headers)));
    ProducerRecord::with_options(builder.build().map_err(told("a record"))?).map_err(told("a record"))
}

/// A consumer of one partition, in no group.
struct Reader(KafkaConsumer<Vec<u8>, Vec<u8>>, TopicPartition);

impl Reader {
    async fn new(topic: &str) -> Result<Self, Error> {
        let config = ConsumerConfig::new(&properties(&[
            ("group.protocol", "consumer"),
            ("enable.auto.commit", "false"),
        ]))?;
        let mut consumer =
            KafkaConsumer::new(config, ByteArrayDeserializer::default(), ByteArrayDeserializer::default())?;
        let partition = TopicPartition::new(topic, 0);
        consumer.assign(vec![partition.clone()]).await?;
        Ok(Self(consumer, partition))
    }

    async fn read(&mut self, from: i64, count: usize) -> Outcome<Vec<(i64, Record)>> {
        self.0.seek_with_offset(self.1.clone(), from).await.map_err(told("seeking"))?;
        let deadline = Instant::now() + LIMIT;
        let mut read = Vec::new();
        while read.len() < count {
            holds(Instant::now() < deadline, || format!("{count} records, but {} came", read.len()))?;
            let records = self.0.poll(Duration::from_millis(100)).await.map_err(told("reading"))?;
            read.extend(records.into_iter().map(|record| {
                let headers = record.headers().iter();
                let headers =
                    headers.map(|header| (header.key().to_owned(), header.value().map(<[u8]>::to_vec)));
                let (key, value) = (record.key().cloned(), record.value().cloned());
                (
                    record.offset(),
                    Record { timestamp: record.timestamp(), key, value, headers: headers.collect() },
                )
            }));
        }
        Ok(read)
    }

    async fn at_time(&mut self, timestamp: i64) -> Result<Option<(i64, i64)>, Error> {
        let found = self.0.offsets_for_times(HashMap::from([(self.1.clone(), timestamp)])).await?;
        Ok(found.get(&self.1).and_then(Option::as_ref).map(|found| (found.offset(), found.timestamp())))
    }
}
