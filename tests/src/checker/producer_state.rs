//! What producers sent.

use super::event::ProducerKind;

/// Which batch: producer, and place among its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BatchRef {
    pub producer: u32,
    pub index: u32,
}

impl BatchRef {
    /// Of what nobody sent.
    pub const NOBODY: Self = Self { producer: u32::MAX, index: u32::MAX };
}

/// A batch that was sent, once or several times.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentBatch {
    /// The producer's number of its first record.
    pub sequence: u64,
    /// Events of the first and the last sending.
    pub first_sent: u64,
    pub last_sent: u64,
    /// Offset of its acknowledgement, if the producer is idempotent.
    pub offset: Option<i64>,
    pub digest: u32,
    pub count: u32,
    pub log: u32,
    /// How often it was sent, refused, acknowledged, and how many times it is in the log.
    pub sent: u16,
    pub refused: u16,
    pub acked: u16,
    pub copies: u16,
}

impl SentBatch {
    /// Whether it may be in the log without an acknowledgement.
    pub fn is_open(&self) -> bool {
        self.refused + self.acked < self.sent
    }

    /// How often it may be in the log.
    pub fn copies_max(&self, kind: ProducerKind) -> u16 {
        match kind {
            ProducerKind::Idempotent => 1.min(self.sent - self.refused),
            ProducerKind::Ordered | ProducerKind::Repeating => self.sent - self.refused,
        }
    }
}

/// A producer.
#[derive(Clone, Debug)]
pub(super) struct ProducerState {
    pub kind: ProducerKind,
    /// By sequence.
    pub batches: Vec<SentBatch>,
}

impl ProducerState {
    pub fn new(kind: ProducerKind) -> Self {
        Self { kind, batches: Vec::new() }
    }

    /// The batch that begins with this record.
    pub fn find(&self, sequence: u64) -> Option<usize> {
        self.batches.binary_search_by_key(&sequence, |batch| batch.sequence).ok()
    }

    /// Takes note of a sending; returns the batch's place, or what is wrong with that.
    pub fn send(&mut self, event: u64, batch: SentBatch) -> Result<usize, &'static str> {
        let next = self.batches.last().map_or(0, |last| last.sequence + u64::from(last.count));
        if next <= batch.sequence {
            self.batches.push(batch);
            return Ok(self.batches.len() - 1);
        }
        let index = self.find(batch.sequence).ok_or("it overlaps an earlier batch of this producer")?;
        let earlier = &mut self.batches[index];
        if (earlier.count, earlier.digest, earlier.log) != (batch.count, batch.digest, batch.log) {
            return Err("it was sent before with other contents");
        }
        earlier.sent += 1;
        earlier.last_sent = event;
        Ok(index)
    }
}
