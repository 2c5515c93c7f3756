//! The batches of one partition on their way: their order, their sequence, and what a broker's answer means for both.
//!
//! Order across retries: after a retriable failure nothing more is sent until every batch in flight has come back; those
//! that failed are queued again by number and go one at a time until each is written. So a batch never overtakes one that is
//! being retried, and no more than four are ever written after one whose fate is open: a broker remembers the last five, and
//! must recognise it if it is there already.
//!
//! Sequences (KIP-98, KIP-360): every batch of an idempotent producer carries the number of its first record. A gap
//! makes the broker refuse a batch. If the refused batch is the oldest one without an answer, what should have come
//! before it is lost for good (it expired, or the broker refused or forgot it); the partition then starts over with the next
//! epoch and sequence 0. If it is not the oldest, it is merely early, and goes again. In both cases the broker has not
//! written it, nor anything after it, so that starting over duplicates nothing.
//!
//! A broker that does not know a producer takes its first batch with whatever sequence. If that is not the first one sent,
//! because the first one failed, the first one would follow later, out of order. So only one batch is in flight until
//! the broker is known to know.

use std::collections::{BTreeSet, VecDeque};

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::records::{ProducerStamp, increment_sequence};
use tokio::time::Instant;

use super::accumulator::PartitionName;
use super::batch::{Batch, FailedBuild, Fate};
use super::delivery::Acknowledged;
use crate::backoff::Backoff;
use crate::error::{BrokerError, ClientError};

/// Who an idempotent producer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
}

/// What became of an attempt to send a batch.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The broker has it.
    Written { base_offset: i64, log_append_time: i64 },
    /// The answer did not come; the broker may have it or not.
    Lost(ClientError),
    /// The broker does not have it, says this.
    Refused { topic: String, error: BrokerError },
    /// It was never sent and cannot be.
    Unsendable(ClientError),
}

/// What the sender has to do about it.
#[derive(Debug)]
pub(super) enum Settled {
    /// The batch is done: tell its senders.
    Done(Fate, Result<Acknowledged, ClientError>),
    /// The batch goes again.
    Again {
        /// Whether the leader may be another one by now.
        ask_for_leader: bool,
    },
    /// The producer is finished, and this batch with it.
    Fatal(Fate, ClientError),
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) name: PartitionName,
    is_idempotent: bool,
    /// Built, by number.
    ready: VecDeque<Batch>,
    in_flight: BTreeSet<u64>,
    is_building: bool,
    /// Something failed and goes again, alone, once all in flight have come back.
    is_recovering: bool,
    starts_over: bool,
    identity: Option<Identity>,
    /// Whether the leader has written a batch under this identity.
    is_known: bool,
    next_sequence: i32,
    next_number: u64,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Partition {
    pub(super) fn new(name: PartitionName, is_idempotent: bool, backoff: Backoff) -> Self {
        Self {
            name,
            is_idempotent,
            ready: VecDeque::new(),
            in_flight: BTreeSet::new(),
            is_building: false,
            is_recovering: false,
            starts_over: false,
            identity: None,
            is_known: false,
            next_sequence: 0,
            next_number: 0,
            backoff,
            not_before: None,
        }
    }

    /// Whether one more batch may be built ahead.
    pub(super) fn has_room(&self, ready_max: usize) -> bool {
        !self.is_building && !self.starts_over && self.ready.len() < ready_max
    }

    /// Number and stamp for the next batch. `identity` is the producer's; a partition keeps the one it began with.
    pub(super) fn begin_build(
        &mut self,
        record_count: i32,
        identity: Option<Identity>,
    ) -> (u64, Option<ProducerStamp>) {
        self.is_building = true;
        let number = self.next_number;
        self.next_number += 1;
        self.identity = self.identity.or(identity);
        let stamp =
            self.identity.filter(|_| self.is_idempotent).map(|identity| self.stamp(identity, record_count));
        (number, stamp)
    }

    /// The next place in the sequence.
    fn stamp(&mut self, identity: Identity, record_count: i32) -> ProducerStamp {
        let base_sequence = self.next_sequence;
        self.next_sequence = increment_sequence(base_sequence, record_count);
        ProducerStamp { producer_id: identity.producer_id, producer_epoch: identity.epoch, base_sequence }
    }

    /// Takes what [`begin_build`](Self::begin_build) began; a failed build is done.
    pub(super) fn end_build(&mut self, built: Result<Batch, FailedBuild>) -> Option<(Fate, ClientError)> {
        self.is_building = false;
        let failed = match built {
            Ok(batch) => {
                self.queue(batch);
                return None;
            }
            Err(failed) => failed,
        };
        if 0 < failed.record_count {
            // Its place in the sequence stays empty.
            self.starts_over = self.is_idempotent;
        }
        let PartitionName { topic, partition } = &self.name;
        let error = ClientError::Batch {
            topic: topic.to_string(),
            partition: *partition,
            offset: -1,
            source: failed.error,
        };
        Some((failed.fate, error))
    }

    /// Puts a batch where its number says.
    fn queue(&mut self, batch: Batch) {
        let place = self.ready.partition_point(|other| other.number < batch.number);
        self.ready.insert(place, batch);
    }

    /// Whether a batch may be sent now.
    pub(super) fn may_send(&self, now: Instant, in_flight_max: usize) -> bool {
        let one_at_a_time = self.is_recovering || (self.is_idempotent && !self.is_known);
        !self.ready.is_empty()
            && !self.starts_over
            && self.in_flight.len() < in_flight_max
            && (!one_at_a_time || self.in_flight.is_empty())
            && self.not_before.is_none_or(|at| at <= now)
    }

    /// Size of the batch that [`take`](Self::take) would take.
    pub(super) fn next_size(&self) -> usize {
        self.ready.front().map_or(0, |batch| batch.bytes.len())
    }

    /// The next batch to send; it is in flight until [`settle`](Self::settle).
    pub(super) fn take(&mut self) -> Option<Batch> {
        let batch = self.ready.pop_front()?;
        self.not_before = None;
        self.in_flight.insert(batch.number);
        Some(batch)
    }

    /// When something may be sent again that waits for a pause to end.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.ready.is_empty())
    }

    /// Makes the partition wait before it tries again, for there is nobody to send to.
    pub(super) fn wait_for_leader(&mut self, now: Instant) {
        let PartitionName { topic, partition } = &self.name;
        let reason = ClientError::NoLeader { topic: topic.to_string(), partition: *partition };
        if let Some(batch) = self.ready.front_mut() {
            batch.last_error = Some(reason);
        }
        self.pause(now);
    }

    fn pause(&mut self, now: Instant) {
        self.not_before = Some(now + self.backoff.next());
    }

    /// Whether nothing is here or on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.in_flight.is_empty() && !self.is_building
    }

    /// Takes back a batch whose attempt ended.
    pub(super) fn settle(&mut self, mut batch: Batch, attempt: Attempt, now: Instant) -> Settled {
        self.in_flight.remove(&batch.number);
        let partition = self.name.partition;
        let (topic, error) = match attempt {
            Attempt::Written { base_offset, log_append_time } => {
                self.backoff.reset();
                self.is_known = true;
                self.is_recovering = self.ready.iter().any(|batch| batch.last_error.is_some());
                let written = Acknowledged { partition, base_offset, log_append_time };
                return Settled::Done(batch.fate, Ok(written));
            }
            Attempt::Lost(error) => {
                batch.was_sent = true;
                return self.again(batch, error, now, true);
            }
            Attempt::Unsendable(error) => {
                self.starts_over |= batch.stamp.is_some();
                return Settled::Done(batch.fate, Err(error));
            }
            Attempt::Refused { topic, error } => (topic, error),
        };
        let known = error.error_code();
        let failure = ClientError::broker(format!("{topic}-{partition}"), error.clone());
        match known {
            // It came twice and the first one is more than five batches ago: it is there.
            Some(ErrorCode::DuplicateSequenceNumber) if self.is_idempotent => {
                let written = Acknowledged { partition, base_offset: -1, log_append_time: -1 };
                Settled::Done(batch.fate, Ok(written))
            }
            Some(ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId)
                if self.is_idempotent =>
            {
                if self.is_oldest(batch.number) {
                    self.starts_over = true;
                }
                self.again(batch, failure, now, false)
            }
            Some(
                ErrorCode::InvalidProducerEpoch
                | ErrorCode::ProducerFenced
                | ErrorCode::InvalidProducerIdMapping,
            ) => Settled::Fatal(batch.fate, ClientError::Fenced { error }),
            _ if error.is_retriable() => {
                // Some of these mean "written, but not replicated in time".
                batch.was_sent = true;
                self.again(batch, failure, now, true)
            }
            _ => {
                // Refused for good, so its place in the sequence stays empty.
                self.starts_over |= batch.stamp.is_some();
                Settled::Done(batch.fate, Err(failure))
            }
        }
    }

    fn is_oldest(&self, number: u64) -> bool {
        let before = |other: u64| other < number;
        !self.in_flight.first().copied().is_some_and(before)
            && !self.ready.front().is_some_and(|batch| before(batch.number))
    }

    fn again(&mut self, mut batch: Batch, error: ClientError, now: Instant, ask_for_leader: bool) -> Settled {
        batch.last_error = Some(error);
        self.queue(batch);
        self.is_recovering = true;
        if ask_for_leader {
            self.pause(now);
        }
        Settled::Again { ask_for_leader }
    }

    /// Takes the batches that were created before `limit` and are not in flight.
    pub(super) fn take_older(&mut self, limit: Instant) -> Vec<Batch> {
        let mut expired = Vec::new();
        while self.ready.front().is_some_and(|batch| batch.created < limit) {
            if let Some(batch) = self.ready.pop_front() {
                // If a broker may have it, those after it keep their places: one of them will tell.
                self.starts_over |= batch.stamp.is_some() && !batch.was_sent;
                expired.push(batch);
            }
        }
        expired
    }

    /// Takes all batches that are not in flight.
    pub(super) fn take_all(&mut self) -> Vec<Batch> {
        self.ready.drain(..).collect()
    }

    /// Starts over under the next epoch, if that is due and possible: nothing is in flight. Returns whether a new producer id
    /// is needed first, because the epochs of this one are used up.
    pub(super) fn start_over_if_due(&mut self, producer: Option<Identity>) -> bool {
        if !self.starts_over || !self.in_flight.is_empty() || self.is_building {
            return false;
        }
        let next = match self.identity {
            Some(identity) if identity.epoch < i16::MAX => {
                Some(Identity { epoch: identity.epoch + 1, ..identity })
            }
            Some(used_up) => producer.filter(|producer| producer.producer_id != used_up.producer_id),
            None => producer,
        };
        let Some(identity) = next else { return true };
        self.identity = Some(identity);
        self.is_known = false;
        self.next_sequence = 0;
        self.starts_over = false;
        let mut ready = std::mem::take(&mut self.ready);
        for batch in &mut ready {
            let stamp = self.stamp(identity, batch.record_count);
            batch.restamp(stamp);
        }
        self.ready = ready;
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sendlog_protocol::records::{BatchHeader, Compression, NewRecord, check_stored};

    use super::super::batch::OpenBatch;
    use super::*;

    fn partition() -> Partition {
        let name = PartitionName { topic: "t".into(), partition: 3 };
        Partition::new(name, true, Backoff::new(Duration::ZERO, Duration::ZERO))
    }

    /// Builds a batch of two records and queues it.
    fn build(partition: &mut Partition, identity: Identity) {
        let mut open = OpenBatch::new(0, Instant::now());
        for _ in 0..2 {
            drop(open.add(&NewRecord::default(), 10).unwrap());
        }
        let (number, stamp) = partition.begin_build(2, Some(identity));
        assert!(partition.end_build(open.build(number, Compression::None, stamp)).is_none());
    }

    fn refused(code: ErrorCode) -> Attempt {
        Attempt::Refused { topic: "t".to_owned(), error: code.into() }
    }

    fn written() -> Attempt {
        Attempt::Written { base_offset: 0, log_append_time: -1 }
    }

    /// Epoch and sequence as they are in the bytes, whose checksum is right.
    fn place(batch: &Batch) -> (i64, i16, i32) {
        let header: BatchHeader = check_stored(&batch.bytes).unwrap();
        (header.producer_id, header.producer_epoch, header.base_sequence)
    }

    const IDENTITY: Identity = Identity { producer_id: 7, epoch: 0 };

    /// A partition that the broker knows, with one batch written.
    fn known() -> Partition {
        let mut partition = partition();
        build(&mut partition, IDENTITY);
        let now = Instant::now();
        assert!(partition.may_send(now, 5));
        let first = partition.take().unwrap();
        assert_eq!(place(&first), (7, 0, 0));
        build(&mut partition, IDENTITY);
        assert!(!partition.may_send(now, 5), "one at a time until the broker knows the producer");
        assert!(matches!(partition.settle(first, written(), now), Settled::Done(_, Ok(_))));
        partition
    }

    #[test]
    fn batches_that_failed_go_again_alone_and_in_order() {
        let now = Instant::now();
        let mut partition = known();
        build(&mut partition, IDENTITY);
        let (one, two) = (partition.take().unwrap(), partition.take().unwrap());
        assert_eq!((place(&one).2, place(&two).2), (2, 4));
        build(&mut partition, IDENTITY);
        // The second one comes back first.
        partition.settle(two, refused(ErrorCode::OutOfOrderSequenceNumber), now);
        assert!(!partition.may_send(now, 5), "the first one is still on its way");
        partition.settle(one, Attempt::Lost(ClientError::Closed), now);
        for sequence in [2, 4, 6] {
            assert!(partition.may_send(Instant::now(), 5));
            let batch = partition.take().unwrap();
            assert_eq!(place(&batch), (7, 0, sequence), "the same place as before");
            assert!(!partition.may_send(Instant::now(), 5));
            partition.settle(batch, written(), now);
        }
        assert!(partition.is_idle());
    }

    #[test]
    fn a_gap_before_the_oldest_starts_over_with_the_next_epoch() {
        let now = Instant::now();
        let mut partition = known();
        build(&mut partition, IDENTITY);
        let (one, two) = (partition.take().unwrap(), partition.take().unwrap());
        partition.settle(one, refused(ErrorCode::OutOfOrderSequenceNumber), now);
        assert!(!partition.start_over_if_due(Some(IDENTITY)), "not while one is on its way");
        assert!(!partition.may_send(now, 5));
        partition.settle(two, refused(ErrorCode::OutOfOrderSequenceNumber), now);
        assert!(!partition.start_over_if_due(Some(IDENTITY)));
        let one = partition.take().unwrap();
        assert_eq!(place(&one), (7, 1, 0));
        partition.settle(one, written(), now);
        assert_eq!(place(&partition.take().unwrap()), (7, 1, 2));
    }

    #[test]
    fn when_the_epochs_are_used_up_a_new_id_is_needed() {
        let last = Identity { producer_id: 7, epoch: i16::MAX };
        let mut partition = partition();
        build(&mut partition, last);
        let batch = partition.take().unwrap();
        partition.settle(batch, refused(ErrorCode::UnknownProducerId), Instant::now());
        assert!(partition.start_over_if_due(Some(last)), "the same id does not help");
        assert!(!partition.may_send(Instant::now(), 5));
        assert!(!partition.start_over_if_due(Some(Identity { producer_id: 8, epoch: 0 })));
        assert_eq!(place(&partition.take().unwrap()), (8, 0, 0));
    }

    #[test]
    fn what_expires_unsent_leaves_a_gap_and_what_may_be_there_does_not() {
        let later = Instant::now() + Duration::from_secs(10);
        let mut unsent = known();
        assert_eq!(unsent.take_older(later).len(), 1);
        assert!(!unsent.start_over_if_due(Some(IDENTITY)));
        build(&mut unsent, IDENTITY);
        assert_eq!(place(&unsent.take().unwrap()), (7, 1, 0));

        let mut lost = known();
        let batch = lost.take().unwrap();
        lost.settle(batch, Attempt::Lost(ClientError::Closed), Instant::now());
        assert_eq!(lost.take_older(later).len(), 1);
        build(&mut lost, IDENTITY);
        assert!(!lost.start_over_if_due(Some(IDENTITY)));
        assert_eq!(place(&lost.take().unwrap()), (7, 0, 4), "the broker tells if there is a gap");
    }
}
