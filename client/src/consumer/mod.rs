//! The consumer: reads assigned partitions, fetching ahead within a bound.
//!
//! One task ([`fetcher`]) keeps a fetch in flight to every leader and puts record sets into a queue ([`state`]); `poll` takes
//! them from there and decodes ([`chunk`]), so that a slow application slows nothing but itself.

mod chunk;
mod fetcher;
mod state;

use std::sync::Arc;
use std::time::Duration;

use sendlog_protocol::records::Record;
use tokio::time::Instant;

pub use state::{Assignment, Start};

use crate::backoff::Backoff;
use crate::cluster::Cluster;
use crate::config::{ClientConfig, ConsumerConfig};
use crate::error::ClientError;
use chunk::{DecodeLimits, OpenChunk};
use fetcher::Fetcher;
use state::{Shared, Target};

/// What a poll returns: records of one partition, in order.
#[derive(Debug, Clone, Default)]
pub struct Polled {
    /// Topic; empty if nothing came in time.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Records; they share the memory of the answer they came in.
    pub records: Vec<Record>,
    /// The end of the log for consumers, as of the latest answer about this partition.
    pub high_watermark: i64,
}

/// Reads assigned partitions. Records of transactions are delivered as they are written, committed or not; control
/// records never are.
#[derive(Debug)]
pub struct Consumer {
    cluster: Arc<Cluster>,
    config: ConsumerConfig,
    shared: Arc<Shared>,
    open: Option<OpenChunk>,
}

impl Consumer {
    /// Connects to a broker of the list and starts the fetch task.
    ///
    /// # Errors
    /// [`ClientError::NoBroker`].
    pub async fn connect(client: ClientConfig, config: ConsumerConfig) -> Result<Self, ClientError> {
        let cluster = Arc::new(Cluster::connect(client, false).await?);
        let shared = Arc::new(Shared::default());
        let fetcher = Fetcher::new(Arc::clone(&cluster), Arc::clone(&shared), config.clone());
        tokio::spawn(fetcher.run());
        Ok(Self { cluster, config, shared, open: None })
    }

    /// Brokers and topics, for look-ups beside the consumption.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Replaces the partitions to read. Whether they exist shows in [`poll`](Self::poll).
    pub fn assign(&mut self, assignments: impl IntoIterator<Item = Assignment>) {
        let client = self.cluster.config();
        let backoff = Backoff::new(client.retry_backoff, client.retry_backoff_max);
        self.close_chunk();
        self.shared.lock().assign(assignments.into_iter(), &backoff);
        self.shared.fetch.notify_one();
    }

    /// Moves an assigned partition.
    ///
    /// # Errors
    /// [`ClientError::NotAssigned`].
    pub fn seek(&mut self, topic: &str, partition: i32, start: Start) -> Result<(), ClientError> {
        let open = self.open.as_ref().map(|open| open.generation);
        let mut state = self.shared.lock();
        let is_open = state.named(topic, partition).map(|slot| slot.generation) == open;
        let found = state.seek(topic, partition, start);
        drop(state);
        if !found {
            return Err(ClientError::NotAssigned { topic: topic.to_owned(), partition });
        }
        if is_open {
            self.close_chunk();
        }
        self.shared.fetch.notify_one();
        Ok(())
    }

    /// Offset of the next record that `poll` returns of a partition; `None` while it is being looked up, or if the partition is
    /// not assigned.
    #[must_use]
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        self.shared.lock().named(topic, partition)?.position
    }

    /// The end of the log for consumers, as of the latest answer; `None` before the first one.
    #[must_use]
    pub fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        self.shared.lock().named(topic, partition)?.high_watermark
    }

    /// Whether everything up to the high watermark of the latest answer was returned.
    #[must_use]
    pub fn is_at_end(&self, topic: &str, partition: i32) -> bool {
        let state = self.shared.lock();
        state.named(topic, partition).is_some_and(|slot| {
            let position = slot.position.zip(slot.high_watermark);
            position.is_some_and(|(position, high_watermark)| high_watermark <= position)
        })
    }

    /// Records of one partition, as soon as there are some; none if none come within `timeout`.
    ///
    /// Cancel safe: no record is lost by dropping the future.
    ///
    /// # Errors
    /// [`ClientError::OffsetOutOfRange`] (see [`OutOfRange`](crate::OutOfRange)), [`ClientError::Batch`] for a batch that is
    /// damaged or cannot be decoded, refusals by the broker. The next poll tries again; seek to get past it. Lost
    /// connections and moved leaders are not errors here: they are retried.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Polled, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(polled) = self.read_open().await? {
                return Ok(polled);
            }
            if self.take_next()? {
                continue;
            }
            if tokio::time::timeout_at(deadline, self.shared.arrived.notified()).await.is_err() {
                return Ok(Polled::default());
            }
        }
    }

    /// Reads on in the open record set.
    async fn read_open(&mut self) -> Result<Option<Polled>, ClientError> {
        let limits = DecodeLimits {
            check_crc: self.config.check_crc,
            decompressed_bytes_max: self.config.decompressed_bytes_max,
        };
        let Some(open) = &mut self.open else { return Ok(None) };
        let mut records = Vec::new();
        let read = open.read(limits, self.config.poll_records_max.max(1), &mut records).await;
        let (generation, position) = (open.generation, open.position);
        let mut polled = None;
        let mut name = None;
        if let Some(slot) = self.shared.lock().slot(generation) {
            slot.position = Some(position);
            name = Some((Arc::clone(&slot.topic), slot.partition));
            polled = Some(Polled {
                topic: Arc::clone(&slot.topic),
                partition: slot.partition,
                records,
                high_watermark: slot.high_watermark.unwrap_or(position),
            });
        }
        if read != Ok(true) {
            self.close_chunk();
        }
        let polled = polled.filter(|polled| !polled.records.is_empty());
        match (read, polled, name) {
            // What was read before the damage first; the next poll meets the damage again.
            (Ok(_), polled, _) => Ok(polled),
            (Err(source), polled, name) => {
                let Some((topic, partition)) = name else { return Ok(None) };
                self.refetch(generation, position);
                if polled.is_some() {
                    return Ok(polled);
                }
                Err(ClientError::Batch { topic: topic.to_string(), partition, offset: position, source })
            }
        }
    }

    /// Has a partition fetched again from its position, after a pause.
    fn refetch(&self, generation: u64, position: i64) {
        let mut state = self.shared.lock();
        let found = state.slot(generation).map(|slot| (Arc::clone(&slot.topic), slot.partition));
        let Some((topic, partition)) = found else { return };
        state.seek(&topic, partition, Start::Offset(position));
        if let Some(slot) = state.slots.iter_mut().find(|slot| slot.is_named(&topic, partition)) {
            slot.position = Some(position);
            slot.pause();
        }
        drop(state);
        self.shared.fetch.notify_one();
    }

    /// Opens the next record set; `false` if there is none.
    fn take_next(&mut self) -> Result<bool, ClientError> {
        let mut state = self.shared.lock();
        if let Some((_, error)) = state.failures.pop_front() {
            return Err(error);
        }
        let Some(chunk) = state.chunks.pop_front() else { return Ok(false) };
        let Some(slot) = state.slot(chunk.generation) else {
            return Ok(true);
        };
        let position = slot.position.unwrap_or(match slot.target {
            Target::Fetch(offset) => offset,
            Target::Resolve(_) => 0,
        });
        self.open = Some(OpenChunk::new(chunk.generation, chunk.records, position));
        Ok(true)
    }

    fn close_chunk(&mut self) {
        if let Some(open) = self.open.take() {
            self.shared.lock().release(open.generation, open.bytes);
            self.shared.fetch.notify_one();
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.fetch.notify_one();
    }
}
