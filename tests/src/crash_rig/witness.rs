//! A client that notes in the recording what it asks, is answered, and reads.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use bytes::Bytes;

use super::mark::{Keeping, Mark, Place};
use super::recorder::Disk;
use crate::kafka::{Fetched, Kafka, Produce, ProduceFailure, Producer, error_name};
use crate::offsets::LOADING;

/// Asks ListOffsets for the log start.
const EARLIEST: i64 = -2;

/// The broker is gone: the end of a client.
#[derive(Debug)]
pub struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// A connection whose talk is noted.
#[derive(Debug)]
pub struct Witness {
    kafka: Kafka,
    disk: Disk,
    /// Told of every acknowledgement.
    acked: Sender<()>,
    /// Batches that have no answer yet, in the order in which they were sent.
    unanswered: VecDeque<(Place, Bytes)>,
    last_offset: i64,
}

impl Witness {
    /// A client that notes in `disk`, and tells `acked` of every acknowledgement.
    pub fn new(kafka: Kafka, disk: Disk, acked: Sender<()>) -> Self {
        Self { kafka, disk, acked, unanswered: VecDeque::new(), last_offset: -1 }
    }

    /// Creates a topic unless there is one.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn topic(
        &mut self,
        name: &str,
        keeping: Keeping,
        configs: &[(&str, &str)],
    ) -> Result<Arc<str>, Gone> {
        let topic: Arc<str> = Arc::from(name);
        let found = self.kafka.try_describe_topic(name)?;
        let id = if found.error_code == 0 {
            found.topic_id
        } else {
            self.disk.mark(Mark::TopicAsked(Arc::clone(&topic), keeping));
            self.kafka.try_create_topics(&[name], keeping.partitions, configs)?[0]
        };
        self.disk.mark(Mark::TopicThere(Arc::clone(&topic), id));
        Ok(topic)
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn delete_topic(&mut self, topic: &Arc<str>) -> Result<(), Gone> {
        self.disk.mark(Mark::TopicUnwanted(Arc::clone(topic)));
        self.kafka.try_delete_topic(topic)?;
        self.disk.mark(Mark::TopicGone(Arc::clone(topic)));
        Ok(())
    }

    /// Deletes the records of partition 0 below an offset.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn delete_records(&mut self, topic: &Arc<str>, before: i64) -> Result<(), Gone> {
        let place = Place { topic: Arc::clone(topic), partition: 0 };
        self.disk.mark(Mark::RecordsUnwanted(place.clone(), before));
        let start = self.kafka.try_delete_records(topic, before)?;
        self.disk.mark(Mark::RecordsGone(place, start));
        Ok(())
    }

    /// Commits a group's offset of a partition.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Panics
    /// When the broker refuses, other than because it is loading its groups.
    pub fn commit(&mut self, group: &Arc<str>, place: &Place, offset: i64) -> Result<(), Gone> {
        self.disk.mark(Mark::OffsetSent(Arc::clone(group), place.clone(), offset));
        loop {
            match self.kafka.try_commit(group, &place.topic, place.partition, offset)? {
                0 => break,
                LOADING => std::thread::yield_now(),
                code => panic!("{group} {place:?}: {}", error_name(code)),
            }
        }
        self.disk.mark(Mark::OffsetCommitted(Arc::clone(group), place.clone(), offset));
        // Nobody counts when nobody is going to be killed.
        let _ = self.acked.send(());
        Ok(())
    }

    /// The offset of the batch that was acknowledged last.
    pub fn last_offset(&self) -> i64 {
        self.last_offset
    }

    /// An identity for an idempotent producer.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn producer(&mut self) -> Result<Producer, Gone> {
        Ok(self.kafka.try_init_producer()?)
    }

    /// Sends a batch, and waits for answers until no more than `in_flight` are open.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Panics
    /// When a batch is refused.
    pub fn send(&mut self, place: &Place, batch: Bytes, in_flight: usize) -> Result<(), Gone> {
        self.disk.mark(Mark::Sent(place.clone(), batch.clone()));
        self.kafka.send_batch(produce(place), &batch)?;
        self.unanswered.push_back((place.clone(), batch));
        self.settle(in_flight)
    }

    /// Waits for answers until no more than so many are open.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Panics
    /// When a batch is refused.
    pub fn settle(&mut self, in_flight: usize) -> Result<(), Gone> {
        while in_flight < self.unanswered.len() {
            let answer = self.kafka.receive_ack();
            let (place, batch) = self.unanswered.pop_front().expect("more are open than may be");
            match answer {
                Ok(offset) => {
                    self.last_offset = offset;
                    self.disk.mark(Mark::Acknowledged(place, batch, offset));
                    // Nobody counts when nobody is going to be killed.
                    let _ = self.acked.send(());
                }
                Err(ProduceFailure::Refused(code)) => panic!("{place:?}: {}", error_name(code)),
                Err(ProduceFailure::Closed(_)) => return Err(Gone),
            }
        }
        Ok(())
    }

    /// Reads what is there at an offset, waiting for it.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn read(&mut self, place: &Place, offset: i64) -> Result<Fetched, Gone> {
        let fetched = self.kafka.fetch_when_there(&place.topic, place.partition, offset)?;
        for batch in &fetched.batches {
            self.disk.mark(Mark::Read(place.clone(), batch.clone()));
        }
        Ok(fetched)
    }

    /// Where a partition begins.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn start(&mut self, place: &Place) -> Result<i64, Gone> {
        Ok(self.kafka.try_offset_in(&place.topic, place.partition, EARLIEST)?)
    }
}

fn produce(place: &Place) -> Produce<'_> {
    Produce { partition: place.partition, ..Produce::to(&place.topic) }
}
