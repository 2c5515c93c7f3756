//! What the broker owes at a moment, from what clients had been told and had read by then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::mark::{Keeping, Mark, Place};
use crate::batches;

/// Everything that was promised.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    /// Every topic that anybody ever asked for.
    pub topics: BTreeMap<Arc<str>, TopicPromise>,
    /// Every offset that a group has sent, by group and partition.
    pub offsets: BTreeMap<(Arc<str>, Place), OffsetPromise>,
}

/// What is known of a group's offset. It never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffsetPromise {
    /// The last one that was sent.
    pub sent: i64,
    /// The last one that was acknowledged, or read.
    pub committed: i64,
}

/// What is known of a topic.
#[derive(Clone, Debug)]
pub struct TopicPromise {
    /// Whether it must be there.
    pub presence: Presence,
    /// How it is to be kept.
    pub keeping: Keeping,
    /// One for each partition.
    pub logs: Vec<LogPromise>,
}

/// Whether a topic must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It was asked for, and not answered.
    Open,
    /// It must be.
    There(Uuid),
    /// It was to be deleted, which was not answered.
    Leaving(Uuid),
    /// It must not be.
    Gone,
}

/// What is known of a partition.
#[derive(Clone, Debug, Default)]
pub struct LogPromise {
    /// Every batch that was sent, and its offset once it was acknowledged.
    pub sent: HashMap<Bytes, Option<i64>>,
    /// What was read, by base offset.
    pub read: BTreeMap<i64, Bytes>,
    /// Records below this are gone.
    pub start_min: i64,
    /// Records from here on were not asked to be deleted.
    pub start_max: i64,
    /// What each idempotent producer sent, in order.
    pub numbered: BTreeMap<i64, Vec<Bytes>>,
}

impl Promises {
    /// Learns what clients learned.
    pub fn learn<'a>(&mut self, marks: impl IntoIterator<Item = &'a Mark>) {
        marks.into_iter().for_each(|mark| self.learn_one(mark));
    }

    fn learn_one(&mut self, mark: &Mark) {
        match mark {
            Mark::TopicAsked(name, keeping) => {
                let known = self.topics.get(name).map(|topic| topic.presence);
                if !matches!(known, Some(Presence::There(_) | Presence::Open)) {
                    self.topics.insert(Arc::clone(name), TopicPromise::new(*keeping));
                }
            }
            Mark::TopicThere(name, id) => self.topic(name).presence = Presence::There(*id),
            Mark::TopicUnwanted(name) => {
                let topic = self.topic(name);
                if let Presence::There(id) = topic.presence {
                    topic.presence = Presence::Leaving(id);
                }
            }
            Mark::TopicGone(name) => self.topic(name).presence = Presence::Gone,
            Mark::Sent(place, batch) => self.log_mut(place).send(batch),
            Mark::Acknowledged(place, batch, offset) => {
                let before = self.log_mut(place).sent.insert(batch.clone(), Some(*offset)).flatten();
                assert!(
                    before.is_none_or(|before| before == *offset),
                    "{place:?}: {before:?} became {offset}"
                );
            }
            Mark::Read(place, stored) => {
                self.log_mut(place).read.insert(batches::header(stored).base_offset, stored.clone());
            }
            Mark::RecordsUnwanted(place, before) => {
                let log = self.log_mut(place);
                log.start_max = log.start_max.max(*before);
            }
            Mark::RecordsGone(place, start) => {
                let log = self.log_mut(place);
                log.start_min = log.start_min.max(*start);
            }
            Mark::OffsetSent(group, place, offset) => {
                let promise = self.offset_mut(group, place);
                promise.sent = promise.sent.max(*offset);
            }
            Mark::OffsetCommitted(group, place, offset) => {
                let promise = self.offset_mut(group, place);
                promise.committed = promise.committed.max(*offset);
            }
        }
    }

    /// How many records were acknowledged in topics that keep them.
    pub fn acknowledged_records(&self) -> u64 {
        let strict = self.topics.values().filter(|topic| topic.keeping.is_strict);
        let logs = strict.flat_map(|topic| &topic.logs);
        let batches = logs.flat_map(|log| &log.sent).filter(|(_, offset)| offset.is_some());
        batches.map(|(batch, _)| u64::from(batches::header(batch).record_count.unsigned_abs())).sum()
    }

    /// The promises after a start that found what is read: that is as good as any other now, and a clean stop keeps it
    /// all. What a relaxed topic has lost is forgotten.
    #[must_use]
    pub fn settled(mut self) -> Self {
        for topic in self.topics.values_mut().filter(|topic| !topic.keeping.is_strict) {
            topic.keeping.is_strict = true;
            for log in &mut topic.logs {
                log.read.clear();
                log.sent.values_mut().for_each(|offset| *offset = None);
            }
        }
        self
    }

    /// What is known of a partition.
    ///
    /// # Panics
    /// When nobody ever asked for its topic.
    pub fn log(&self, place: &Place) -> &LogPromise {
        &self.topics[&place.topic].logs[index(place)]
    }

    fn offset_mut(&mut self, group: &Arc<str>, place: &Place) -> &mut OffsetPromise {
        self.offsets.entry((Arc::clone(group), place.clone())).or_default()
    }

    fn topic(&mut self, name: &Arc<str>) -> &mut TopicPromise {
        self.topics.get_mut(name).unwrap_or_else(|| panic!("{name} was never asked for"))
    }

    fn log_mut(&mut self, place: &Place) -> &mut LogPromise {
        &mut self.topic(&place.topic).logs[index(place)]
    }
}

fn index(place: &Place) -> usize {
    usize::try_from(place.partition).expect("not negative")
}

impl TopicPromise {
    fn new(keeping: Keeping) -> Self {
        let partitions = usize::try_from(keeping.partitions).expect("not negative");
        let logs = vec![LogPromise::default(); partitions];
        Self { presence: Presence::Open, keeping, logs }
    }
}

impl LogPromise {
    fn send(&mut self, batch: &Bytes) {
        if self.sent.contains_key(batch) {
            return;
        }
        self.sent.insert(batch.clone(), None);
        let producer = batches::header(batch).producer_id;
        if 0 <= producer {
            self.numbered.entry(producer).or_default().push(batch.clone());
        }
    }
}
