//! Idempotent producers: what a partition remembers of each producer id (KIP-98, KIP-360).
//!
//! Of every producer the last five batches are kept, as in Apache Kafka: a client has at most five
//! requests in flight, so a retry repeats one of these. A repeated batch gets its first offset
//! again, a gap is refused, and an older epoch is fenced.

use std::collections::HashMap;
use thiserror::Error;

use sendlog_protocol::records::BatchHeader;

/// Batches remembered per producer (Kafka: `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const BATCHES_KEPT: usize = 5;

/// The header field's value for "no producer".
pub const NO_PRODUCER_ID: i64 = -1;

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSeen {
    /// Sequence of the first record.
    pub first_sequence: i32,
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Largest timestamp of the batch, in ms.
    pub timestamp_ms: i64,
}

/// What is remembered of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    /// The newest epoch seen.
    pub epoch: i16,
    /// When the broker last appended for it, in ms of wall-clock time: what expiry goes by.
    pub last_append_ms: i64,
    /// Oldest first; at most five.
    pub batches: Vec<BatchSeen>,
}

impl ProducerEntry {
    fn last(&self) -> Option<&BatchSeen> {
        self.batches.last()
    }
}

/// What a batch turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceCheck {
    /// Not seen before: append it.
    Fresh,
    /// Appended before; this is where.
    Duplicate(BatchSeen),
}

/// Why a batch of an idempotent producer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SequenceError {
    /// A sequence number is missing before this batch.
    #[error("producer {producer_id} sent sequence {found} where {expected} was due")]
    Gap {
        /// The producer.
        producer_id: i64,
        /// The sequence that was due.
        expected: i32,
        /// The sequence that came.
        found: i32,
    },
    /// A newer instance of this producer has written already.
    #[error("producer {producer_id} has epoch {found}, a newer instance has {current}")]
    Fenced {
        /// The producer.
        producer_id: i64,
        /// The newest epoch.
        current: i16,
        /// The epoch that came.
        found: i16,
    },
}

/// All producers of one partition.
#[derive(Debug, Default)]
pub struct ProducerStates {
    entries: HashMap<i64, ProducerEntry>,
}

/// The entry of one producer before an append, to put back if the append fails.
#[derive(Debug)]
pub struct Undo {
    producer_id: i64,
    before: Option<ProducerEntry>,
}

impl ProducerStates {
    /// Restores what a snapshot held.
    pub fn restore(entries: impl IntoIterator<Item = (i64, ProducerEntry)>) -> Self {
        Self { entries: entries.into_iter().collect() }
    }

    /// Every producer and what is remembered of it.
    pub fn entries(&self) -> impl Iterator<Item = (i64, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// Compares a batch with what its producer sent before.
    ///
    /// A producer that is not known may start with any sequence: its state may have expired.
    ///
    /// # Errors
    /// [`SequenceError`] if the batch must not be appended.
    pub fn check(&self, header: &BatchHeader) -> Result<SequenceCheck, SequenceError> {
        let producer_id = header.producer_id;
        let Some(entry) = self.entries.get(&producer_id) else {
            return Ok(SequenceCheck::Fresh);
        };
        if header.producer_epoch < entry.epoch {
            let (current, found) = (entry.epoch, header.producer_epoch);
            return Err(SequenceError::Fenced { producer_id, current, found });
        }
        let found = header.base_sequence;
        if entry.epoch < header.producer_epoch {
            return match found {
                0 => Ok(SequenceCheck::Fresh),
                _ => Err(SequenceError::Gap { producer_id, expected: 0, found }),
            };
        }
        let last_sequence = header.last_sequence();
        let repeated = entry
            .batches
            .iter()
            .find(|seen| seen.first_sequence == found && seen.last_sequence == last_sequence);
        if let Some(seen) = repeated {
            return Ok(SequenceCheck::Duplicate(*seen));
        }
        let expected = entry.last().map_or(0, |seen| next_sequence(seen.last_sequence));
        if found == expected || entry.batches.is_empty() {
            return Ok(SequenceCheck::Fresh);
        }
        Err(SequenceError::Gap { producer_id, expected, found })
    }

    /// Remembers an appended batch (its base offset is the assigned one).
    pub fn record(&mut self, header: &BatchHeader, now_ms: i64) {
        let seen = BatchSeen {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            timestamp_ms: header.max_timestamp,
        };
        let entry = self.entries.entry(header.producer_id).or_insert_with(|| ProducerEntry {
            epoch: header.producer_epoch,
            last_append_ms: now_ms,
            batches: Vec::with_capacity(BATCHES_KEPT),
        });
        if entry.epoch != header.producer_epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
        }
        if entry.batches.len() == BATCHES_KEPT {
            entry.batches.remove(0);
        }
        entry.batches.push(seen);
        // A clock that was set back makes nobody silent.
        entry.last_append_ms = now_ms.max(entry.last_append_ms);
    }

    /// Remembers a batch found in the log by recovery, which may overlap what a snapshot holds.
    pub fn replay(&mut self, header: &BatchHeader, now_ms: i64) {
        if header.producer_id == NO_PRODUCER_ID {
            return;
        }
        if header.attributes.is_control() {
            // A marker ends a transaction and has no sequence: the producer's next batch follows the one before it.
            self.raise_epoch(header, now_ms);
            return;
        }
        let known = self.entries.get(&header.producer_id).and_then(ProducerEntry::last);
        if known.is_none_or(|last| last.last_offset < header.base_offset) {
            self.record(header, now_ms);
        }
    }

    fn raise_epoch(&mut self, header: &BatchHeader, now_ms: i64) {
        let Some(entry) = self.entries.get_mut(&header.producer_id) else { return };
        entry.last_append_ms = now_ms;
        if entry.epoch < header.producer_epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
        }
    }

    /// The present entry of a producer, for [`ProducerStates::undo`].
    pub fn before(&self, producer_id: i64) -> Undo {
        Undo { producer_id, before: self.entries.get(&producer_id).cloned() }
    }

    /// Puts an entry back as it was.
    pub fn undo(&mut self, undo: Undo) {
        match undo.before {
            Some(entry) => self.entries.insert(undo.producer_id, entry),
            None => self.entries.remove(&undo.producer_id),
        };
    }

    /// Forgets producers that have not written since `before_ms`; returns how many.
    pub fn expire(&mut self, before_ms: i64) -> usize {
        let count = self.entries.len();
        self.entries.retain(|_, entry| before_ms <= entry.last_append_ms);
        count - self.entries.len()
    }

    /// Forgets the producers that have been silent longest until at most `limit` are left.
    pub fn shrink_to(&mut self, limit: usize) {
        let Some(excess) = self.entries.len().checked_sub(limit).filter(|excess| 0 < *excess) else {
            return;
        };
        let mut by_age: Vec<(i64, i64)> =
            self.entries.iter().map(|(id, entry)| (entry.last_append_ms, *id)).collect();
        by_age.sort_unstable();
        for (_, producer_id) in by_age.into_iter().take(excess) {
            self.entries.remove(&producer_id);
        }
    }
}

/// The sequence after `sequence`; it wraps from 2^31 - 1 to 0.
fn next_sequence(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendlog_protocol::records::Attributes;

    fn batch(epoch: i16, base_sequence: i32, count: i32, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            batch_length: 49,
            leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: Attributes(0),
            last_offset_delta: count - 1,
            base_timestamp: 0,
            max_timestamp: 7,
            producer_id: 9,
            producer_epoch: epoch,
            base_sequence,
            record_count: count,
        }
    }

    fn after(batches: &[BatchHeader]) -> ProducerStates {
        let mut states = ProducerStates::default();
        for header in batches {
            assert_eq!(states.check(header), Ok(SequenceCheck::Fresh));
            states.record(header, 1);
        }
        states
    }

    #[test]
    fn a_repeated_batch_gets_its_first_offset() {
        let states = after(&[batch(0, 0, 3, 100), batch(0, 3, 2, 103)]);
        let Ok(SequenceCheck::Duplicate(seen)) = states.check(&batch(0, 0, 3, 0)) else {
            panic!("not seen as a duplicate")
        };
        assert_eq!((seen.base_offset, seen.last_offset), (100, 102));
    }

    #[test]
    fn only_five_batches_are_remembered() {
        let batches: Vec<_> = (0..6).map(|i| batch(0, i, 1, i64::from(i))).collect();
        let states = after(&batches);
        assert!(matches!(states.check(&batch(0, 1, 1, 0)), Ok(SequenceCheck::Duplicate(_))));
        assert!(matches!(states.check(&batch(0, 0, 1, 0)), Err(SequenceError::Gap { expected: 6, .. })));
    }

    #[test]
    fn gaps_and_old_epochs_are_refused() {
        let states = after(&[batch(1, 0, 3, 0)]);
        assert!(matches!(states.check(&batch(1, 4, 1, 0)), Err(SequenceError::Gap { expected: 3, .. })));
        assert!(matches!(states.check(&batch(0, 3, 1, 0)), Err(SequenceError::Fenced { current: 1, .. })));
        assert!(matches!(states.check(&batch(2, 3, 1, 0)), Err(SequenceError::Gap { expected: 0, .. })));
        assert_eq!(states.check(&batch(2, 0, 1, 0)), Ok(SequenceCheck::Fresh));
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere_and_sequences_wrap() {
        let mut states = ProducerStates::default();
        let near_the_end = batch(0, i32::MAX - 1, 2, 0);
        assert_eq!(states.check(&near_the_end), Ok(SequenceCheck::Fresh));
        states.record(&near_the_end, 1);
        assert_eq!(states.check(&batch(0, 0, 1, 0)), Ok(SequenceCheck::Fresh));
    }

    #[test]
    fn an_append_that_failed_leaves_no_trace() {
        let mut states = after(&[batch(0, 0, 1, 0)]);
        let undo = states.before(9);
        states.record(&batch(0, 1, 1, 1), 2);
        states.undo(undo);
        assert_eq!(states.check(&batch(0, 1, 1, 1)), Ok(SequenceCheck::Fresh));
        let undo = ProducerStates::default().before(9);
        states.undo(undo);
        assert!(states.entries.is_empty());
    }

    #[test]
    fn a_transaction_marker_raises_the_epoch_and_leaves_the_sequence() {
        const CONTROL: Attributes = Attributes(0b11_0000);
        let mut states = after(&[batch(0, 0, 3, 0)]);
        let marker = BatchHeader { attributes: CONTROL, ..batch(0, -1, 1, 3) };
        states.replay(&marker, 2);
        assert_eq!(states.check(&batch(0, 3, 1, 4)), Ok(SequenceCheck::Fresh));
        states.replay(&BatchHeader { producer_epoch: 1, ..marker }, 2);
        assert!(matches!(states.check(&batch(0, 3, 1, 5)), Err(SequenceError::Fenced { current: 1, .. })));
        assert_eq!(states.check(&batch(1, 0, 1, 5)), Ok(SequenceCheck::Fresh));
        states.replay(&BatchHeader { producer_id: 10, ..marker }, 2);
        assert!(!states.entries.contains_key(&10), "a marker alone makes no producer");
    }

    #[test]
    fn silent_producers_are_forgotten_first() {
        let mut states = ProducerStates::default();
        for (id, at) in [(1, 30), (2, 10), (3, 20)] {
            states.record(&BatchHeader { producer_id: id, ..batch(0, 0, 1, 0) }, at);
        }
        states.shrink_to(2);
        assert!(!states.entries.contains_key(&2));
        assert_eq!(states.expire(25), 1);
        assert_eq!(states.entries.len(), 1);
    }
}
