//! A producer that records what it does.

use std::collections::VecDeque;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::failures::Failures;
use super::plan::Target;
use crate::batches;
use crate::checker::payload::{self, Identity};
use crate::checker::{Event, ProducerKind, Recorder};
use crate::kafka::{Kafka, Produce, ProduceFailure, Producer, error_name};

/// Sizes of batches, and how many records they have at most.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Least.
    pub bytes_min: usize,
    /// Most; small ones are as frequent as large ones, by powers of two.
    pub bytes_max: usize,
    /// Most.
    pub records_max: u32,
}

/// Why shipping ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShipEnd {
    /// All was sent and answered.
    Done,
    /// The broker is gone.
    ConnectionLost,
}

/// A producer to one log. After its connection was lost it repeats what its kind repeats.
#[derive(Debug)]
pub struct Shipper {
    id: u32,
    kind: ProducerKind,
    target: Target,
    acks: i16,
    identity: Option<Producer>,
    sizes: Sizes,
    next_sequence: u64,
    unanswered: VecDeque<Sending>,
    random: SmallRng,
}

#[derive(Clone, Debug)]
struct Sending {
    sequence: u64,
    count: u32,
    batch: Bytes,
    /// Event of its last sending.
    sent: u64,
}

impl Shipper {
    /// A producer that has sent nothing; the history gets to know it. An idempotent one needs an identity.
    pub fn new(
        recorder: &Recorder,
        (id, kind): (u32, ProducerKind),
        target: &Target,
        identity: Option<Producer>,
        sizes: Sizes,
    ) -> Self {
        recorder.record(&Event::Producer { producer: id, kind });
        let acks = if kind == ProducerKind::Ordered { 1 } else { -1 };
        let identity = identity.filter(|_| kind == ProducerKind::Idempotent);
        let random = SmallRng::seed_from_u64(recorder.run() ^ (u64::from(id) << 32));
        let target = target.clone();
        let unanswered = VecDeque::new();
        Self { id, kind, target, acks, identity, sizes, next_sequence: 0, unanswered, random }
    }

    /// Sends up to so many new batches, some of them at a time, until all are answered or the broker is gone; calls
    /// `on_ack` for every acknowledgement.
    pub fn ship(
        &mut self,
        kafka: &mut Kafka,
        (recorder, failures): (&Recorder, &Failures),
        batches_max: usize,
        mut on_ack: impl FnMut(),
    ) -> ShipEnd {
        if self.kind == ProducerKind::Ordered {
            self.unanswered.clear();
        }
        for index in 0..self.unanswered.len() {
            if self.send(kafka, recorder, index).is_err() {
                return ShipEnd::ConnectionLost;
            }
        }
        let mut left = batches_max;
        loop {
            while self.unanswered.len() < self.in_flight_max() && 0 < left {
                left -= 1;
                let sending = self.next_batch(recorder.run());
                self.unanswered.push_back(sending);
                if self.send(kafka, recorder, self.unanswered.len() - 1).is_err() {
                    return ShipEnd::ConnectionLost;
                }
            }
            let Some(sent) = self.unanswered.front().map(|sending| sending.sent) else {
                return ShipEnd::Done;
            };
            match kafka.receive_ack() {
                Ok(offset) => {
                    recorder.record(&Event::Acked { send: sent, offset });
                    self.unanswered.pop_front();
                    on_ack();
                }
                Err(ProduceFailure::Closed(_)) => return ShipEnd::ConnectionLost,
                Err(ProduceFailure::Refused(code)) => {
                    let who = format!("producer {} ({:?}), line {sent}", self.id, self.kind);
                    failures.add(format!("{who}: refused with {}", error_name(code)));
                    return ShipEnd::ConnectionLost;
                }
            }
        }
    }

    /// Kafka lets an idempotent producer have five; a repeating one keeps its order with one only.
    fn in_flight_max(&self) -> usize {
        if self.kind == ProducerKind::Repeating { 1 } else { 5 }
    }

    fn send(&mut self, kafka: &mut Kafka, recorder: &Recorder, index: usize) -> std::io::Result<()> {
        let sending = &mut self.unanswered[index];
        sending.sent = recorder.record(&Event::Send {
            producer: self.id,
            log: self.target.log,
            sequence: sending.sequence,
            count: sending.count,
            digest: payload::digest(&sending.batch),
        });
        let to = Produce { topic: &self.target.topic, partition: self.target.partition, acks: self.acks };
        kafka.send_batch(to, &sending.batch)
    }

    fn next_batch(&mut self, run: u64) -> Sending {
        let Sizes { bytes_min, bytes_max, records_max } = self.sizes;
        let doublings = (bytes_max / bytes_min).ilog2();
        let about = bytes_min << self.random.random_range(0..=doublings);
        let bytes = self.random.random_range(about / 2..=about).clamp(bytes_min, bytes_max);
        let count = self.random.random_range(1..=records_max);
        let sequence = self.next_sequence;
        self.next_sequence += u64::from(count);
        let value = |sequence| {
            let who = Identity { run, producer: self.id, log: self.target.log, sequence };
            who.value(bytes / count as usize)
        };
        let values: Vec<Vec<u8>> = (sequence..self.next_sequence).map(value).collect();
        let batch = match self.identity {
            Some(producer) => {
                let base_sequence = i32::try_from(sequence).expect("a run sends fewer than 2^31 records");
                batches::numbered(producer, base_sequence, &values)
            }
            None => batches::of(&values),
        };
        Sending { sequence, count, batch, sent: 0 }
    }
}
