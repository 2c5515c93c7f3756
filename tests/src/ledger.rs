//! What producers sent to a partition and what was acknowledged, to be compared with what the partition holds.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::batches;
use crate::kafka::{Kafka, Produce, ProduceFailure, Producer, error_name};

/// The batches of one partition. No two may be equal.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every batch that was sent, and its offset once it was acknowledged.
    sent: HashMap<Bytes, Option<i64>>,
}

impl Ledger {
    /// The batch is on its way, perhaps again.
    pub fn send(&mut self, batch: &Bytes) {
        self.sent.entry(batch.clone()).or_default();
    }

    /// The batch was acknowledged.
    ///
    /// # Panics
    /// When it was never sent, or was acknowledged before at another offset.
    pub fn acknowledge(&mut self, batch: &Bytes, offset: i64) {
        let known = self.sent.get_mut(batch).expect("only what was sent is acknowledged");
        assert_eq!(*known.get_or_insert(offset), offset, "a batch has one offset, however often it is sent");
    }

    /// How many batches were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.sent.values().flatten().count()
    }

    /// Compares with the whole log, which begins at offset 0.
    ///
    /// # Panics
    /// When offsets do not follow one another, a batch was never sent, is there twice or has other bytes, or an
    /// acknowledged batch is not at its offset.
    pub fn check(&self, log: &[Bytes]) {
        batches::assert_dense(log, 0);
        let mut found = HashSet::new();
        for stored in log {
            let batch = batches::as_sent(stored);
            let offset = batches::header(stored).base_offset;
            let acknowledged = self.sent.get(&batch);
            let acknowledged =
                acknowledged.unwrap_or_else(|| panic!("nobody sent what is at offset {offset}"));
            assert!(
                acknowledged.is_none_or(|at| at == offset),
                "{acknowledged:?} was promised, it is at {offset}"
            );
            assert!(found.insert(batch), "the batch at offset {offset} is there twice");
        }
        for (batch, offset) in &self.sent {
            let is_safe = offset.is_none() || found.contains(batch);
            assert!(is_safe, "the acknowledged batch at offset {offset:?} is lost");
        }
    }
}

/// Why a producer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShipEnd {
    /// Everything was sent and acknowledged.
    Done,
    /// The broker was gone.
    ConnectionLost,
    /// The broker answered a batch with this error code.
    Refused(i16),
}

/// A producer that keeps some batches in flight. With an identity it repeats, after its connection was lost, what it
/// has no answer for; without one it forgets about that.
#[derive(Debug)]
pub struct Shipper {
    /// Names its batches.
    pub name: String,
    /// Topic and partition, and when to be answered.
    pub to: Produce<'static>,
    /// For an idempotent producer.
    pub identity: Option<Producer>,
    /// How many batches may be without an answer.
    pub in_flight_max: usize,
    /// It ends by itself after so many batches.
    pub batches_max: usize,
    batches: usize,
    records: i32,
    unanswered: VecDeque<Bytes>,
}

impl Shipper {
    /// A producer that has sent nothing.
    pub fn new(name: String, to: Produce<'static>, identity: Option<Producer>) -> Self {
        let unanswered = VecDeque::new();
        let (in_flight_max, batches_max) = (5, usize::MAX);
        Self { name, to, identity, in_flight_max, batches_max, batches: 0, records: 0, unanswered }
    }

    /// Sends and receives until all is done or the connection ends, calling `on_ack` for every acknowledgement.
    ///
    /// # Panics
    /// When the broker refuses a batch.
    pub fn ship(&mut self, kafka: Kafka, ledger: &Mutex<Ledger>, mut on_ack: impl FnMut()) -> ShipEnd {
        let end = self.ship_while(kafka, ledger, || {
            on_ack();
            true
        });
        if let ShipEnd::Refused(code) = end {
            panic!("{}: {}", self.name, error_name(code));
        }
        end
    }

    /// As [`ship`](Self::ship), of a broker that may refuse a batch. Every acknowledgement counts only if `counts` says
    /// so. An idempotent producer ends with the first that does not, to repeat that batch some day; another goes on.
    ///
    /// # Panics
    /// When a batch gets another offset than before.
    pub fn ship_while(
        &mut self,
        mut kafka: Kafka,
        ledger: &Mutex<Ledger>,
        mut counts: impl FnMut() -> bool,
    ) -> ShipEnd {
        if self.identity.is_none() {
            self.unanswered.clear();
        }
        let again: Vec<Bytes> = self.unanswered.iter().cloned().collect();
        if again.iter().any(|batch| kafka.send_batch(self.to, batch).is_err()) {
            return ShipEnd::ConnectionLost;
        }
        loop {
            while self.unanswered.len() < self.in_flight_max && self.batches < self.batches_max {
                let batch = self.next_batch();
                lock(ledger).send(&batch);
                self.unanswered.push_back(batch.clone());
                if kafka.send_batch(self.to, &batch).is_err() {
                    return ShipEnd::ConnectionLost;
                }
            }
            if self.unanswered.is_empty() {
                return ShipEnd::Done;
            }
            match kafka.receive_ack() {
                Ok(offset) => {
                    let counts = counts();
                    if !counts && self.identity.is_some() {
                        return ShipEnd::ConnectionLost;
                    }
                    let batch = self.unanswered.pop_front().expect("an answer belongs to a request");
                    if counts {
                        lock(ledger).acknowledge(&batch, offset);
                    }
                }
                Err(ProduceFailure::Closed(_)) => return ShipEnd::ConnectionLost,
                Err(ProduceFailure::Refused(code)) => return ShipEnd::Refused(code),
            }
        }
    }

    /// One to three records of uneven sizes.
    fn next_batch(&mut self) -> Bytes {
        let count = self.batches % 3 + 1;
        let value = |record| {
            let name = format!("{} batch {} record {record}", self.name, self.batches);
            batches::padded(&name, 40 + self.batches * 37 % 700)
        };
        let values: Vec<Vec<u8>> = (0..count).map(value).collect();
        let batch = match self.identity {
            Some(producer) => batches::numbered(producer, self.records, &values),
            None => batches::of(&values),
        };
        self.batches += 1;
        self.records += i32::try_from(count).expect("three at most");
        batch
    }
}

/// The ledger, even after a panic of another thread, which is reported anyway.
pub fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::Ledger;
    use crate::batches;
    use bytes::Bytes;

    fn stored(batch: &Bytes, offset: u8) -> Bytes {
        let mut bytes = batch.to_vec();
        bytes[7] = offset;
        Bytes::from(bytes)
    }

    fn ledger(acknowledged: &[(&Bytes, i64)], sent: &[&Bytes]) -> Ledger {
        let mut ledger = Ledger::default();
        sent.iter().for_each(|batch| ledger.send(batch));
        for (batch, offset) in acknowledged {
            ledger.send(batch);
            ledger.acknowledge(batch, *offset);
        }
        ledger
    }

    #[test]
    fn a_log_with_all_that_was_promised_is_right() {
        let [one, two] = ["one", "two"].map(|name| batches::of(&[name]));
        ledger(&[(&one, 0)], &[&two]).check(&[stored(&one, 0)]);
        ledger(&[(&one, 0)], &[&two]).check(&[stored(&one, 0), stored(&two, 1)]);
    }

    #[test]
    #[should_panic(expected = "is lost")]
    fn a_lost_batch_is_found_out() {
        let [one, two] = ["one", "two"].map(|name| batches::of(&[name]));
        ledger(&[(&one, 0), (&two, 1)], &[]).check(&[stored(&one, 0)]);
    }

    #[test]
    #[should_panic(expected = "was promised")]
    fn a_moved_batch_is_found_out() {
        let [one, two] = ["one", "two"].map(|name| batches::of(&[name]));
        ledger(&[(&one, 0)], &[&two]).check(&[stored(&two, 0), stored(&one, 1)]);
    }

    #[test]
    #[should_panic(expected = "there twice")]
    fn a_repeated_batch_is_found_out() {
        let one = batches::of(&["one"]);
        ledger(&[], &[&one]).check(&[stored(&one, 0), stored(&one, 1)]);
    }

    #[test]
    #[should_panic(expected = "nobody sent")]
    fn an_invented_batch_is_found_out() {
        let [one, two] = ["one", "two"].map(|name| batches::of(&[name]));
        ledger(&[(&one, 0)], &[]).check(&[stored(&one, 0), stored(&two, 1)]);
    }

    #[test]
    #[should_panic(expected = "follow one another")]
    fn a_gap_is_found_out() {
        let [one, two] = ["one", "two"].map(|name| batches::of(&[name]));
        ledger(&[(&one, 0)], &[&two]).check(&[stored(&one, 0), stored(&two, 2)]);
    }
}
