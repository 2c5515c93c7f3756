//! Records between `send` and the sender task: collected into batches, bounded in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sendlog_protocol::records::BatchBuilder;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::batch::{Fate, OpenBatch};
use super::delivery::{Acknowledged, Completion, Delivery, Outcome};
use super::partitioner::{Sticky, partition_of_key};
use super::record::NewRecord;
use crate::backoff::Random;
use crate::config::ProducerConfig;
use crate::error::ClientError;

/// A topic and partition, as the producer numbers them in order of first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionName {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
}

#[derive(Debug)]
pub(super) struct Accumulator {
    batch_bytes: usize,
    linger: Duration,
    record_bytes_max: usize,
    send_timeout: Duration,
    queues: Mutex<Queues>,
    /// Free bytes.
    memory: Semaphore,
    memory_waiters: AtomicUsize,
    /// How many wait for all that was sent before: nothing lingers meanwhile.
    flushes: AtomicUsize,
    /// Tells the sender task that there is something to look at.
    wake: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    topics: HashMap<Arc<str>, Topic>,
    partitions: Vec<Queue>,
    /// Every batch without a result, for `flush`.
    incomplete: HashMap<u64, Arc<Outcome>>,
    next_id: u64,
    closed: Option<ClientError>,
    /// The first failure since the last flush.
    failure: Option<ClientError>,
}

#[derive(Debug)]
struct Topic {
    sticky: Sticky,
    /// Place in `Queues::partitions` by partition number.
    places: HashMap<i32, usize>,
}

#[derive(Debug)]
struct Queue {
    name: PartitionName,
    /// All but the last are full.
    batches: VecDeque<OpenBatch>,
}

impl Accumulator {
    pub(super) fn new(config: &ProducerConfig) -> Self {
        Self {
            batch_bytes: config.batch_bytes,
            linger: config.linger,
            record_bytes_max: config.request_bytes_max.min(config.buffer_bytes),
            send_timeout: config.send_timeout,
            queues: Mutex::default(),
            memory: Semaphore::new(config.buffer_bytes),
            memory_waiters: AtomicUsize::new(0),
            flushes: AtomicUsize::new(0),
            wake: Notify::new(),
        }
    }

    /// Adds a record; waits while the memory is used up.
    ///
    /// # Errors
    /// [`ClientError::RecordTooLarge`], [`ClientError::UnknownPartition`], [`ClientError::TimedOut`] waiting for memory, or
    /// why the producer is closed.
    pub(super) async fn add(
        &self,
        topic: &str,
        partitions: usize,
        record: &NewRecord<'_>,
        now_ms: i64,
    ) -> Result<Delivery, ClientError> {
        let for_batch = record.for_batch(now_ms);
        let bytes = BatchBuilder::size_max_of(&for_batch);
        let with_header = BatchBuilder::new().size().saturating_add(bytes);
        if self.record_bytes_max < with_header {
            return Err(ClientError::RecordTooLarge { bytes: with_header, limit: self.record_bytes_max });
        }
        self.reserve(bytes).await?;
        let added = self.append(topic, partitions, record, &for_batch, bytes);
        if added.is_err() {
            self.memory.add_permits(bytes);
        }
        added
    }

    async fn reserve(&self, bytes: usize) -> Result<(), ClientError> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Ok(permit) = self.memory.try_acquire_many(permits) {
            permit.forget();
            return Ok(());
        }
        self.memory_waiters.fetch_add(1, Ordering::SeqCst);
        let waiting = Guard(&self.memory_waiters);
        // What lingers is worth less than the memory it holds.
        self.wake.notify_one();
        let permit = tokio::time::timeout(self.send_timeout, self.memory.acquire_many(permits)).await;
        drop(waiting);
        match permit {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(())
            }
            Ok(Err(_closed)) => Err(self.lock().closed.clone().unwrap_or(ClientError::Closed)),
            Err(_) => Err(ClientError::TimedOut {
                what: "memory for a record (buffer_bytes)".to_owned(),
                timeout_ms: self.send_timeout.as_millis(),
                last: None,
            }),
        }
    }

    fn append(
        &self,
        topic: &str,
        partitions: usize,
        record: &NewRecord<'_>,
        for_batch: &sendlog_protocol::records::NewRecord<'_>,
        bytes: usize,
    ) -> Result<Delivery, ClientError> {
        let mut queues = self.lock();
        if let Some(reason) = &queues.closed {
            return Err(reason.clone());
        }
        let count = i32::try_from(partitions).unwrap_or(i32::MAX);
        let partition = match (record.partition, record.key) {
            (Some(partition), _) if !(0..count).contains(&partition) => {
                return Err(ClientError::UnknownPartition { topic: topic.to_owned(), partition, partitions });
            }
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of_key(key, count),
            (None, None) => queues.topic(topic).1.sticky.choose(count, bytes, self.batch_bytes),
        };
        let place = queues.place(topic, partition);
        let opened = queues.open_batch(place, bytes, self.batch_bytes);
        // Both were there or were just made.
        let Some(batch) = queues.partitions.get_mut(place).and_then(|queue| queue.batches.back_mut()) else {
            return Err(ClientError::Closed);
        };
        let delivery = batch.add(for_batch, bytes).map_err(|source| ClientError::Batch {
            topic: topic.to_owned(),
            partition,
            offset: -1,
            source,
        })?;
        let is_full = self.batch_bytes <= batch.size();
        drop(queues);
        if opened || is_full {
            self.wake.notify_one();
        }
        Ok(delivery)
    }

    /// Names of partitions from place `known` on.
    pub(super) fn new_partitions(&self, known: usize) -> Vec<PartitionName> {
        self.lock().partitions.iter().skip(known).map(|queue| queue.name.clone()).collect()
    }

    /// The oldest batch of a partition, if it is full, has lingered, or nothing may linger.
    pub(super) fn take_due(&self, place: usize, now: Instant) -> Option<OpenBatch> {
        let linger = self.effective_linger();
        let mut queues = self.lock();
        let closed = queues.closed.is_some();
        let queue = queues.partitions.get_mut(place)?;
        let oldest = queue.batches.front()?;
        let is_full = 1 < queue.batches.len() || self.batch_bytes <= oldest.size();
        if !is_full && !closed && now < oldest.created + linger {
            return None;
        }
        queue.batches.pop_front()
    }

    /// When the next batch is due that is not yet, if any is being filled.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let linger = self.effective_linger();
        let queues = self.lock();
        let oldest = queues.partitions.iter().filter_map(|queue| queue.batches.front());
        oldest.map(|batch| batch.created + linger).min()
    }

    /// Batches created before `limit`.
    pub(super) fn take_older(&self, limit: Instant) -> Vec<OpenBatch> {
        let mut expired = Vec::new();
        for queue in &mut self.lock().partitions {
            while queue.batches.front().is_some_and(|batch| batch.created < limit) {
                expired.extend(queue.batches.pop_front());
            }
        }
        expired
    }

    /// Tells the senders of a batch what became of it and frees its memory.
    pub(super) fn complete(&self, fate: Fate, result: Result<Acknowledged, ClientError>) {
        let Fate { id, outcome, reserved } = fate;
        let mut queues = self.lock();
        queues.incomplete.remove(&id);
        if let Err(error) = &result {
            queues.failure.get_or_insert_with(|| error.clone());
        }
        drop(queues);
        self.memory.add_permits(reserved);
        outcome.complete(result);
    }

    /// Waits until every record that was added before has its result; returns the first failure since the last flush.
    pub(super) async fn flush(&self) -> Result<(), ClientError> {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        let flushing = Guard(&self.flushes);
        self.wake.notify_one();
        let incomplete: Vec<Arc<Outcome>> = self.lock().incomplete.values().map(Arc::clone).collect();
        for outcome in incomplete {
            // Failures are collected in `complete`, whoever waits.
            let _ = Completion::of(outcome).await;
        }
        drop(flushing);
        self.lock().failure.take().map_or(Ok(()), Err)
    }

    /// Refuses records from now on; what is there is due.
    pub(super) fn close(&self, reason: ClientError) {
        self.lock().closed.get_or_insert(reason);
        self.memory.close();
        self.wake.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Whether no record waits here.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().partitions.iter().all(|queue| queue.batches.is_empty())
    }

    /// Waits until there may be something to do.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn effective_linger(&self) -> Duration {
        let urgent =
            0 < self.memory_waiters.load(Ordering::SeqCst) || 0 < self.flushes.load(Ordering::SeqCst);
        if urgent { Duration::ZERO } else { self.linger }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // No code that can panic runs under this lock.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn topic(&mut self, name: &str) -> (Arc<str>, &mut Topic) {
        if !self.topics.contains_key(name) {
            let topic = Topic { sticky: Sticky::new(Random::new()), places: HashMap::new() };
            self.topics.insert(Arc::from(name), topic);
        }
        let (name, _) = self.topics.get_key_value(name).expect("inserted above if it was missing");
        let name = Arc::clone(name);
        let topic = self.topics.get_mut(&name).expect("the same key");
        (name, topic)
    }

    fn place(&mut self, topic: &str, partition: i32) -> usize {
        let next = self.partitions.len();
        let (topic, entry) = self.topic(topic);
        if let Some(place) = entry.places.get(&partition) {
            return *place;
        }
        entry.places.insert(partition, next);
        let name = PartitionName { topic, partition };
        self.partitions.push(Queue { name, batches: VecDeque::new() });
        next
    }

    /// Makes sure that the last batch of a queue has room; returns whether it is a new one.
    fn open_batch(&mut self, place: usize, bytes: usize, batch_bytes: usize) -> bool {
        let Some(queue) = self.partitions.get_mut(place) else { return false };
        let has_room = queue.batches.back().is_some_and(|batch| {
            batch.size().saturating_add(bytes) <= batch_bytes || batch.record_count() == 0
        });
        if has_room {
            return false;
        }
        let batch = OpenBatch::new(self.next_id, Instant::now());
        self.incomplete.insert(self.next_id, Arc::clone(batch.outcome()));
        queue.batches.push_back(batch);
        self.next_id += 1;
        true
    }
}

/// Counts down when dropped, also when the future that holds it is.
struct Guard<'a>(&'a AtomicUsize);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
