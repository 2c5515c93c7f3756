//! The log of the model broker.

use std::collections::BTreeMap;

/// A batch in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub offset: i64,
    pub count: u32,
    pub epoch: i32,
    pub producer: u32,
    pub sequence: u64,
    pub digest: u32,
}

impl Stored {
    pub fn end(&self) -> i64 {
        self.offset + i64::from(self.count)
    }
}

/// A log: what is durable, and what a crash may take.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelLog {
    pub batches: Vec<Stored>,
    /// Of the batches, how many are durable.
    pub durable: usize,
    pub start: i64,
    pub next: i64,
    pub epoch: i32,
    /// By idempotent producer, its batches by sequence.
    pub numbered: BTreeMap<(u32, u64), i64>,
    /// What crashes took.
    pub lost: Vec<Stored>,
}

impl ModelLog {
    pub fn append(&mut self, batch: Stored) -> i64 {
        let offset = self.next;
        self.batches.push(Stored { offset, epoch: self.epoch, ..batch });
        self.next += i64::from(batch.count);
        self.numbered.entry((batch.producer, batch.sequence)).or_insert(offset);
        offset
    }

    pub fn high_watermark(&self) -> i64 {
        self.durable.checked_sub(1).map_or(self.start, |last| self.batches[last].end())
    }

    /// Whether all below an offset is durable.
    pub fn is_durable(&self, offset: i64) -> bool {
        offset < self.high_watermark()
    }

    /// The place of the batch that has an offset, or of the next one.
    pub fn find(&self, offset: i64) -> usize {
        self.batches.partition_point(|batch| batch.end() <= offset)
    }

    /// Keeps so many of the batches that are not durable.
    pub fn crash(&mut self, kept: usize) {
        let kept = (self.durable + kept).min(self.batches.len());
        let lost = self.batches.split_off(kept);
        self.next = self.batches.last().map_or(self.start, Stored::end);
        for batch in &lost {
            self.numbered.remove(&(batch.producer, batch.sequence));
        }
        self.lost.extend(lost);
        self.durable = kept;
        self.epoch += 1;
    }
}
