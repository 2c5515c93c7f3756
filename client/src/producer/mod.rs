//! The producer: batches, compresses, sends, retries, and keeps order while at it.
//!
//! `send` writes a record into the open batch of its partition ([`accumulator`]); one task ([`sender`]) seals full or
//! lingering batches, sends them to the leaders of their partitions and settles the answers ([`partition`] decides what an
//! answer means). Memory is bounded by `buffer_bytes`: `send` waits when it is used up.

mod accumulator;
mod batch;
mod delivery;
mod partition;
mod partitioner;
mod record;
mod sender;

use std::sync::Arc;
use std::time::Duration;

pub use delivery::Delivery;
pub use partitioner::murmur2;
pub use record::{NewRecord, RecordMetadata};

use crate::clock::now_ms;
use crate::cluster::Cluster;
use crate::config::{ClientConfig, ProducerConfig};
use crate::error::ClientError;
use accumulator::Accumulator;
use sender::Sender;

/// Sends records; clones share batches, connections and memory.
///
/// Idempotent by default: whatever is retried, a record is in the log once, and records of a partition are in the order
/// in which `send` took them. A batch that is refused, or not delivered within the delivery timeout, fails as a whole;
/// later batches go on.
///
/// Dropping the last clone sends what was taken, without waiting for it; [`close`](Self::close) waits.
#[derive(Debug, Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    accumulator: Arc<Accumulator>,
    send_timeout: Duration,
    sender: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Producer {
    /// Connects to a broker of the list and starts the sender task.
    ///
    /// # Errors
    /// [`ClientError::Config`] for settings that contradict each other, [`ClientError::NoBroker`].
    pub async fn connect(client: ClientConfig, config: ProducerConfig) -> Result<Self, ClientError> {
        config.check()?;
        let cluster = Arc::new(Cluster::connect(client, true).await?);
        let accumulator = Arc::new(Accumulator::new(&config));
        let send_timeout = config.send_timeout;
        let sender = Sender::new(Arc::clone(&cluster), Arc::clone(&accumulator), config);
        let sender = tokio::sync::Mutex::new(Some(tokio::spawn(sender.run())));
        Ok(Self { shared: Arc::new(Shared { cluster, accumulator, send_timeout, sender }) })
    }

    /// Takes a record for a topic, which the broker may create. Returns once the record is in a batch, with a future of where it
    /// ends up; waits while the memory is used up or the topic is not known yet.
    ///
    /// Cancel safe: a record is taken as a whole or not at all.
    ///
    /// # Errors
    /// The topic cannot be had, it has no such partition, the record is too large, or the producer is closed or fenced.
    pub async fn send(&self, topic: &str, record: NewRecord<'_>) -> Result<Delivery, ClientError> {
        // A loop of sends that never have to wait would keep the sender task from running.
        tokio::task::consume_budget().await;
        let metadata = self.shared.cluster.topic(topic, self.shared.send_timeout).await?;
        self.shared.accumulator.add(topic, metadata.partitions.len(), &record, now_ms()).await
    }

    /// Waits until every record that was taken before has been acknowledged or failed; nothing lingers meanwhile.
    ///
    /// # Errors
    /// The first failure of a record since the last flush.
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.shared.accumulator.flush().await
    }

    /// Takes no more records and waits for those that were taken.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    pub async fn close(self) -> Result<(), ClientError> {
        self.shared.accumulator.close(ClientError::Closed);
        let flushed = self.flush().await;
        if let Some(sender) = self.shared.sender.lock().await.take() {
            // It ends when everything has its result, and does not panic.
            let _ = sender.await;
        }
        flushed
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.accumulator.close(ClientError::Closed);
    }
}
