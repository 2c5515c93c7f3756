//! What the consumer and its fetch task share: assigned partitions, where they are, and what was fetched ahead.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::ClientError;

/// Where to begin in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first record there is.
    Earliest,
    /// At the end: only what is written from now on.
    Latest,
    /// At an offset.
    Offset(i64),
    /// At the first record of that time or later (ms since 1970); at the end if there is none.
    Timestamp(i64),
}

/// A partition to consume, and where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Where to begin.
    pub start: Start,
}

impl Assignment {
    /// A partition of a topic.
    #[must_use]
    pub fn new(topic: impl Into<String>, partition: i32, start: Start) -> Self {
        Self { topic: topic.into(), partition, start }
    }
}

/// Shared by the consumer and its fetch task.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// For the fetch task: there may be something to fetch.
    pub(super) fetch: Notify,
    /// For `poll`: there is something to take.
    pub(super) arrived: Notify,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) slots: Vec<Slot>,
    /// Fetched and not yet taken, oldest first.
    pub(super) chunks: VecDeque<Chunk>,
    /// Bytes of record sets that were fetched and not yet used up, the one that `poll` is at included.
    pub(super) buffered: usize,
    /// Failures for `poll` to return, each with the generation of its partition.
    pub(super) failures: VecDeque<(u64, ClientError)>,
    pub(super) is_closed: bool,
    next_generation: u64,
}

/// An assigned partition.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// New with every assignment and seek, so that what was under way before it is recognised and dropped. Unique in the
    /// consumer.
    pub(super) generation: u64,
    pub(super) target: Target,
    /// Offset of the next record that `poll` returns, once it is known.
    pub(super) position: Option<i64>,
    pub(super) high_watermark: Option<i64>,
    /// Whether a request for it is under way.
    pub(super) is_busy: bool,
    pub(super) buffered: usize,
    pub(super) backoff: Backoff,
    pub(super) not_before: Option<Instant>,
}

/// What to ask a broker about a partition next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Which offset this is.
    Resolve(Start),
    /// Records from this offset on.
    Fetch(i64),
}

/// A record set as it was fetched: whole batches, the last perhaps cut.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) generation: u64,
    pub(super) records: Bytes,
}

impl Slot {
    pub(super) fn is_named(&self, topic: &str, partition: i32) -> bool {
        &*self.topic == topic && self.partition == partition
    }

    pub(super) fn pause(&mut self) {
        self.not_before = Some(Instant::now() + self.backoff.next());
    }
}

impl State {
    pub(super) fn slot(&mut self, generation: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.generation == generation)
    }

    pub(super) fn named(&self, topic: &str, partition: i32) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.is_named(topic, partition))
    }

    /// Replaces the assignment.
    pub(super) fn assign(&mut self, assignments: impl Iterator<Item = Assignment>, backoff: &Backoff) {
        self.slots.clear();
        for Assignment { topic, partition, start } in assignments {
            self.slots.retain(|slot| !slot.is_named(&topic, partition));
            let generation = self.next_generation();
            self.slots.push(Slot {
                topic: Arc::from(topic),
                partition,
                generation,
                target: Target::Resolve(start),
                position: None,
                high_watermark: None,
                is_busy: false,
                buffered: 0,
                backoff: backoff.clone(),
                not_before: None,
            });
        }
        self.drop_stale();
    }

    /// Moves a partition; what was fetched of it is dropped. `false` if it is not assigned.
    pub(super) fn seek(&mut self, topic: &str, partition: i32, start: Start) -> bool {
        let generation = self.next_generation();
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_named(topic, partition)) else {
            return false;
        };
        slot.generation = generation;
        slot.target = Target::Resolve(start);
        slot.position = None;
        slot.is_busy = false;
        slot.buffered = 0;
        slot.not_before = None;
        self.drop_stale();
        true
    }

    fn next_generation(&mut self) -> u64 {
        self.next_generation += 1;
        self.next_generation
    }

    /// Drops what was fetched for earlier generations.
    fn drop_stale(&mut self) {
        let current: Vec<u64> = self.slots.iter().map(|slot| slot.generation).collect();
        let buffered = &mut self.buffered;
        self.chunks.retain(|chunk| {
            let is_current = current.contains(&chunk.generation);
            if !is_current {
                *buffered = buffered.saturating_sub(chunk.records.len());
            }
            is_current
        });
        self.failures.retain(|(generation, _)| current.contains(generation));
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        let bytes = chunk.records.len();
        let Some(slot) = self.slot(chunk.generation) else { return };
        slot.buffered += bytes;
        self.buffered += bytes;
        self.chunks.push_back(chunk);
    }

    /// Gives back the memory of a chunk that was taken from the queue.
    pub(super) fn release(&mut self, generation: u64, bytes: usize) {
        self.buffered = self.buffered.saturating_sub(bytes);
        if let Some(slot) = self.slot(generation) {
            slot.buffered = slot.buffered.saturating_sub(bytes);
        }
    }

    /// Has `poll` return a failure of a partition, unless one waits already.
    pub(super) fn fail(&mut self, generation: u64, error: ClientError) {
        let is_known = self.failures.iter().any(|(failed, _)| *failed == generation);
        if let Some(slot) = self.slot(generation) {
            slot.pause();
            if !is_known {
                self.failures.push_back((generation, error));
            }
        }
    }
}
