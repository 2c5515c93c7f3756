//! A Kafka client: [`Producer`], [`Consumer`] and [`Admin`] for sendlog and for Apache Kafka.
//!
//! ```text
//! Producer, Consumer, Admin        what applications use
//!   Cluster                        brokers, topics, leaders; one connection for each broker and purpose
//!     Connection                   one socket: requests matched to answers in order, poisoned on any doubt
//!       sendlog_protocol           bytes
//! ```
//!
//! Everything runs on a tokio runtime with time and I/O enabled. Nothing here blocks it: large batches are compressed on
//! the blocking pool. All settings are fields of plain structs with defaults; see [`ClientConfig`],
//! [`ProducerConfig`] and [`ConsumerConfig`].
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use sendlog_client::{Assignment, ClientConfig, Consumer, ConsumerConfig, NewRecord, Producer, ProducerConfig, Start};
//!
//! let client = ClientConfig::new("127.0.0.1:9092");
//! let producer = Producer::connect(client.clone(), ProducerConfig::default()).await?;
//! let delivery = producer.send("demo", NewRecord::value("hello")).await?;
//! println!("on disk at offset {}", delivery.await?.offset);
//! producer.close().await?;
//!
//! let mut consumer = Consumer::connect(client, ConsumerConfig::default()).await?;
//! consumer.assign([Assignment::new("demo", 0, Start::Earliest)]);
//! for record in consumer.poll(std::time::Duration::from_secs(1)).await?.records {
//!     println!("{}: {:?}", record.offset, record.value);
//! }
//! # Ok(()) }
//! ```

mod admin;
mod backoff;
mod clock;
mod cluster;
mod config;
mod connection;
mod consumer;
mod error;
mod metadata;
mod offsets;
mod producer;
mod versions;

pub use admin::{
    Admin, ClusterInfo, ConfigChange, ConfigEntry, ConfigResource, NewTopic, OffsetQuery, TopicInfo,
};
pub use cluster::{Cluster, Lane};
pub use config::{Acks, ClientConfig, ConfigError, ConsumerConfig, OutOfRange, ProducerConfig};
pub use connection::{Answer, Connection};
pub use consumer::{Assignment, Consumer, Polled, Start};
pub use error::{BrokerError, ClientError, ConnectionError};
pub use metadata::{Broker, Leader, Metadata, PartitionMetadata, TopicMetadata};
pub use producer::{Delivery, NewRecord, Producer, RecordMetadata, murmur2};
pub use sendlog_protocol::records::{Compression, Record, RecordHeader};
pub use versions::VersionTable;
