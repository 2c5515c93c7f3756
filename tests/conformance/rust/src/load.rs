//! Topics and what is written to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use confluent_kafka::admin::{Admin, AdminClient, AdminClientConfig, NewTopic};
use confluent_kafka::common::Error;
use confluent_kafka::common::serialization::ByteArraySerializer;
use confluent_kafka::producer::{KafkaProducer, Producer, ProducerConfig, ProducerRecord};
use tokio::task::JoinHandle;

use crate::checks::{Outcome, told, unique, until};
use crate::member::properties;

/// An admin of the broker.
pub fn admin() -> Outcome<Box<dyn Admin>> {
    AdminClientConfig::new(&properties(&[])).and_then(AdminClient::create).map_err(told("an admin"))
}

/// Makes a topic of a name of its own.
pub async fn topic(what: &str, partitions: i32) -> Outcome<String> {
    let name = unique(what);
    create(&name, partitions).await?;
    Ok(name)
}

/// Makes a topic.
pub async fn create(name: &str, partitions: i32) -> Outcome {
    created(name, partitions).await.map_err(told("creating a topic"))
}

/// As [`create`], of a topic that may be there.
pub async fn create_unless_there(name: &str, partitions: i32) -> Outcome {
    match created(name, partitions).await {
        Err(error) if !error.is_topic_exists_error() => Err(told("creating a topic")(error)),
        _ => Ok(()),
    }
}

async fn created(name: &str, partitions: i32) -> Result<(), Error> {
    let topic = NewTopic::with_num_partitions_replication_factor(name, Some(partitions), Some(1));
    let admin = AdminClient::create(AdminClientConfig::new(&properties(&[]))?)?;
    let created = admin.create_topics(&[topic]).all().get().await;
    admin.close().await;
    created
}

/// Writes and waits for the acknowledgements.
pub struct Writer(KafkaProducer<Vec<u8>, Vec<u8>>);

impl Writer {
    pub fn new(further: &[(&str, &str)]) -> Outcome<Self> {
        let config = ProducerConfig::new(&properties(further)).map_err(told("configuring a producer"))?;
        let producer =
            KafkaProducer::new(config, ByteArraySerializer::default(), ByteArraySerializer::default());
        producer.map(Self).map_err(told("a producer"))
    }

    /// Writes values to partitions; the offsets they got.
    pub async fn write(&self, topic: &str, pairs: &[(i32, String)]) -> Outcome<Vec<i64>> {
        let record = |(partition, value): &(i32, String)| {
            let value = Some(value.clone().into_bytes());
            ProducerRecord::with_partition_key(topic.to_owned(), Some(*partition), None, value)
        };
        self.send(pairs.iter().map(record).collect::<Result<_, _>>().map_err(told("a record"))?).await
    }

    /// Writes records; the offsets they got.
    pub async fn send(&self, records: Vec<ProducerRecord<Vec<u8>, Vec<u8>>>) -> Outcome<Vec<i64>> {
        let mut sent = Vec::new();
        for record in records {
            sent.push(Producer::send(&self.0, record).await.map_err(told("sending"))?);
        }
        let mut offsets = Vec::new();
        for sent in sent {
            offsets.push(sent.get().await.map_err(told("producing"))?.offset());
        }
        Ok(offsets)
    }

    pub async fn close(&self) -> Outcome {
        self.0.close().await.map_err(told("closing a producer"))
    }
}

/// Writes the numbers to the partitions in turn.
pub async fn fill(topic: &str, from: usize, to: usize, partitions: usize) -> Outcome {
    let writer = Writer::new(&[])?;
    writer.write(topic, &pairs(from, to, partitions)).await?;
    writer.close().await
}

fn pairs(from: usize, to: usize, partitions: usize) -> Vec<(i32, String)> {
    let partition = |number: usize| i32::try_from(number % partitions).unwrap_or_default();
    (from..to).map(|number| (partition(number), number.to_string())).collect()
}

/// Numbers written to all partitions, some hundred in a second, until it is stopped.
pub struct Load {
    written: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Outcome>,
}

impl Load {
    pub fn start(topic: &str, partitions: usize) -> Self {
        let (written, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (topic, count, ends) = (topic.to_owned(), Arc::clone(&written), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let writer = Writer::new(&[])?;
            while !ends.load(Ordering::Relaxed) {
                let number = count.load(Ordering::Relaxed);
                writer.write(&topic, &pairs(number, number + 10, partitions)).await?;
                count.store(number + 10, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            writer.close().await
        });
        Self { written, stop, task }
    }

    pub fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits until the count is well above what it was.
    pub async fn goes_on(&self, before: usize) -> Outcome {
        until(async || {
            let written = self.written();
            Ok((written < before + 100)
                .then(|| format!("the producer wrote {before} before and {written} after")))
        })
        .await
    }

    /// Ends the load; how many it wrote.
    pub async fn end(self) -> Outcome<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.map_err(told("the load"))??;
        Ok(self.written.load(Ordering::Relaxed))
    }
}
