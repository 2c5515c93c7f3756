//! A tour of the library, for any Kafka broker: `cargo run --example tour -- 127.0.0.1:9092`.
//!
//! It creates a topic of its own, uses everything there is, checks the results, and deletes the topic.

#![allow(clippy::unwrap_used, reason = "an example stops at the first surprise")]

use std::time::Duration;

use sendlog_client::{
    Admin, Assignment, ClientConfig, ClientError, Compression, ConfigChange, ConfigResource, Consumer,
    ConsumerConfig, NewRecord, NewTopic, OffsetQuery, Producer, ProducerConfig, Start,
};

const WAIT: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let bootstrap = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let client = ClientConfig::new(&bootstrap);
    let topic = format!("tour-{}", std::process::id());

    let admin = Admin::connect(client.clone()).await?;
    let cluster = admin.cluster_info().await?;
    println!("cluster {:?} with {} brokers", cluster.cluster_id, cluster.brokers.len());
    topics(&admin, &topic).await?;
    configs(&admin, &topic).await?;
    let codecs = produce(&client, &topic).await?;
    consume(&client, &topic, codecs).await?;
    offsets(&admin, &topic).await?;
    admin.delete_topic(&topic).await?;
    eventually(async || Ok(admin.describe_topic(&topic).await.is_err()), true).await?;
    println!("deleted: {}", admin.describe_topic(&topic).await.unwrap_err());
    Ok(())
}

/// Apache Kafka answers before all of it knows: asks until the answer is the wanted one.
async fn eventually<T: PartialEq + std::fmt::Debug>(
    ask: impl AsyncFn() -> Result<T, ClientError>,
    wanted: T,
) -> Result<(), ClientError> {
    for _ in 0..100 {
        if ask().await? == wanted {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask().await?, wanted);
    Ok(())
}

async fn topics(admin: &Admin, topic: &str) -> Result<(), ClientError> {
    admin.create_topic(&NewTopic::new(topic).partitions(2).config("max.message.bytes", "2000000")).await?;
    let error = admin.create_topic(&NewTopic::new(topic)).await.unwrap_err();
    println!("once is enough: {error}");
    admin.create_partitions(topic, 3).await?;
    eventually(async || Ok(admin.describe_topic(topic).await?.partitions.len()), 3).await?;
    let described = admin.describe_topic(topic).await?;
    assert!(admin.list_topics().await?.contains_key(topic));
    println!("topic {} has id {}", described.name, described.id);
    let error = admin.create_topic(&NewTopic::new("not/a/name")).await.unwrap_err();
    println!("not any name: {error}");
    Ok(())
}

async fn configs(admin: &Admin, topic: &str) -> Result<(), ClientError> {
    let resource = ConfigResource::Topic(topic.to_owned());
    let value = async |name: &str| {
        let configs = admin.describe_configs(&resource).await?;
        let entry = configs.into_iter().find(|entry| entry.name == name).unwrap();
        Ok::<_, ClientError>((entry.value.unwrap(), entry.is_default))
    };
    assert_eq!(value("max.message.bytes").await?, ("2000000".to_owned(), false));
    let (flush, is_default) = value("flush.messages").await?;
    assert!(is_default);
    let set = ConfigChange::Set("flush.messages".to_owned(), "123456789".to_owned());
    admin.alter_configs(&resource, &[set]).await?;
    eventually(async || value("flush.messages").await, ("123456789".to_owned(), false)).await?;
    assert_eq!(value("max.message.bytes").await?, ("2000000".to_owned(), false));
    admin.alter_configs(&resource, &[ConfigChange::Delete("flush.messages".to_owned())]).await?;
    eventually(async || value("flush.messages").await, (flush, true)).await?;
    let nonsense = ConfigChange::Set("no.such.config".to_owned(), "1".to_owned());
    println!("not any config: {}", admin.alter_configs(&resource, &[nonsense]).await.unwrap_err());
    Ok(())
}

/// A hundred records of each codec to partition 0; returns how many codecs there were.
async fn produce(client: &ClientConfig, topic: &str) -> Result<i64, ClientError> {
    for (round, compression) in (0..).zip(Compression::ALL) {
        let config = ProducerConfig { compression, ..ProducerConfig::default() };
        let producer = Producer::connect(client.clone(), config).await?;
        let mut deliveries = Vec::new();
        for number in 0..100 {
            let text = format!("record {number} with {}", compression.name());
            let record = NewRecord::value(&text).key("key").header("codec", None).header("codec", Some(b"2"));
            let timestamp = 1_000_000 + round * 1000 + number;
            deliveries.push(producer.send(topic, record.partition(0).timestamp(timestamp)).await?);
        }
        for (number, delivery) in (0..).zip(deliveries) {
            assert_eq!(delivery.await?.offset, round * 100 + number);
        }
        producer.close().await?;
    }
    let producer = Producer::connect(client.clone(), ProducerConfig::default()).await?;
    let error = producer.send(topic, NewRecord::value("x").partition(9)).await.unwrap_err();
    println!("not any partition: {error}");
    let keyed = producer.send(topic, NewRecord::value("x").key("a-little-bit-long-string")).await?.await?;
    assert_eq!(keyed.partition, 2, "as with every other client");
    producer.close().await?;
    Ok(5)
}

async fn consume(client: &ClientConfig, topic: &str, codecs: i64) -> Result<(), ClientError> {
    let mut consumer = Consumer::connect(client.clone(), ConsumerConfig::default()).await?;
    for (start, first) in [
        (Start::Earliest, 0),
        (Start::Offset(123), 123),
        (Start::Timestamp(1_002_050), 250),
        (Start::Latest, codecs * 100),
    ] {
        consumer.assign([Assignment::new(topic, 0, start)]);
        let mut next = first;
        while next < codecs * 100 {
            let polled = consumer.poll(WAIT).await?;
            assert!(!polled.records.is_empty(), "nothing after {next} from {start:?}");
            for record in polled.records {
                assert_eq!(record.offset, next);
                assert_eq!(record.timestamp, 1_000_000 + next / 100 * 1000 + next % 100);
                assert_eq!(record.headers.len(), 2);
                next += 1;
            }
        }
        while !consumer.is_at_end(topic, 0) {
            assert!(consumer.poll(Duration::from_millis(50)).await?.records.is_empty());
        }
    }
    consumer.seek(topic, 0, Start::Offset(1_000_000))?;
    println!("not any offset: {}", consumer.poll(WAIT).await.unwrap_err());
    Ok(())
}

async fn offsets(admin: &Admin, topic: &str) -> Result<(), ClientError> {
    let look_up = async |query| admin.list_offset(topic, 0, query).await;
    assert_eq!(look_up(OffsetQuery::Earliest).await?, Some(0));
    assert_eq!(look_up(OffsetQuery::Latest).await?, Some(500));
    assert_eq!(look_up(OffsetQuery::MaxTimestamp).await?, Some(499));
    assert_eq!(look_up(OffsetQuery::Timestamp(1_001_030)).await?, Some(130));
    assert_eq!(look_up(OffsetQuery::Timestamp(9_999_999)).await?, None);
    assert_eq!(admin.delete_records(topic, 0, Some(77)).await?, 77);
    assert_eq!(look_up(OffsetQuery::Earliest).await?, Some(77));
    assert_eq!(admin.delete_records(topic, 0, None).await?, 500);
    println!("beyond the end: {}", admin.delete_records(topic, 0, Some(501)).await.unwrap_err());
    Ok(())
}
