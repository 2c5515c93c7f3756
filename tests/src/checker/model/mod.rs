//! A broker in memory with its clients, one random step after the other, which writes the history of what they saw: as it
//! should be, or with a fault.

mod clients;
mod fault;
mod log;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use self::clients::{ModelProducer, ModelReader, Request, State};
use self::log::{ModelLog, Stored};
use super::event::{Event, Fetched, ProducerKind, SeenBatch};

pub use fault::Fault;

/// What to play.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The same seed plays the same history.
    pub seed: u64,
    /// Ends after so many batches were sent for the first time.
    pub batches: u64,
    /// Records in a batch, at most.
    pub records_max: u32,
    /// A crash about every so many steps.
    pub steps_between_crashes: u32,
    /// What is wrong, and on which of the occasions; the first is 0.
    pub fault: Option<(Fault, u64)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { seed: 0, batches: 2000, records_max: 5, steps_between_crashes: 1500, fault: None }
    }
}

/// Plays a plan, giving every event with its number to `out`; returns how often the fault happened.
pub fn play(plan: &Plan, out: &mut dyn FnMut(u64, &Event)) -> u64 {
    let mut model = Model::new(*plan, out);
    model.announce();
    while model.sent < plan.batches {
        model.step();
    }
    model.settle();
    model.crash();
    model.planted
}

const LOGS: usize = 3;
const FETCHED_MAX: usize = 50;
const KAFKA_STORAGE_ERROR: i16 = 56;

struct Model<'a> {
    plan: Plan,
    random: SmallRng,
    out: &'a mut dyn FnMut(u64, &Event),
    last: u64,
    logs: Vec<ModelLog>,
    producers: Vec<ModelProducer>,
    readers: Vec<ModelReader>,
    /// Batches sent for the first time.
    sent: u64,
    /// Times that the fault could have happened, and did.
    occasions: u64,
    planted: u64,
}

impl<'a> Model<'a> {
    fn new(plan: Plan, out: &'a mut dyn FnMut(u64, &Event)) -> Self {
        let kinds = [ProducerKind::Idempotent, ProducerKind::Ordered, ProducerKind::Repeating];
        let to = |log: usize| kinds.map(|kind| ModelProducer::new(kind, log));
        Self {
            plan,
            random: SmallRng::seed_from_u64(plan.seed),
            out,
            last: 1,
            logs: vec![ModelLog::default(); LOGS],
            producers: (0..LOGS).flat_map(to).collect(),
            readers: (0..LOGS).map(ModelReader::new).collect(),
            sent: 0,
            occasions: 0,
            planted: 0,
        }
    }

    fn emit(&mut self, event: &Event) -> u64 {
        self.last += 1;
        (self.out)(self.last, event);
        self.last
    }

    /// Whether the fault shall happen here, where it can.
    fn fails(&mut self, fault: Fault) -> bool {
        let Some((planned, occasion)) = self.plan.fault.filter(|(planned, _)| *planned == fault) else {
            return false;
        };
        let is_now = self.occasions == occasion;
        self.occasions += 1;
        self.planted += u64::from(is_now && planned == fault);
        is_now
    }

    fn announce(&mut self) {
        for log in 0..LOGS {
            let event = Event::Log {
                log: id(log),
                topic: "model".to_owned(),
                partition: log as i32,
                retention: false,
            };
            self.emit(&event);
        }
        for producer in 0..self.producers.len() {
            let kind = self.producers[producer].kind;
            self.emit(&Event::Producer { producer: id(producer), kind });
        }
    }

    fn step(&mut self) {
        let producer = self.random.random_range(0..self.producers.len());
        let log = self.random.random_range(0..LOGS);
        match self.random.random_range(0..100) {
            0..30 => self.send_new(producer),
            30..55 => self.append(producer),
            55..65 => self.sync(log),
            65..90 => self.answer(producer),
            90..94 => self.readers[log].ask(self.last),
            94..98 => self.answer_fetch(log),
            98 => self.commit(log),
            _ if self.random.random_ratio(1, 20) => self.delete_records(log),
            _ => {}
        }
        if self.random.random_ratio(1, self.plan.steps_between_crashes) {
            self.crash();
        }
    }

    /// Until nothing is under way.
    fn settle(&mut self) {
        for producer in 0..self.producers.len() {
            while self.producers[producer].has_waiting() {
                self.append(producer);
            }
            self.sync(self.producers[producer].log);
            while !self.producers[producer].requests.is_empty() {
                self.answer(producer);
            }
        }
    }

    fn send_new(&mut self, producer: usize) {
        if self.producers[producer].is_full() {
            return;
        }
        let count = self.random.random_range(1..=self.plan.records_max);
        let sequence = self.producers[producer].next_sequence;
        self.producers[producer].next_sequence += u64::from(count);
        self.sent += 1;
        self.send(producer, sequence, count);
    }

    fn send(&mut self, producer: usize, sequence: u64, count: u32) {
        let log = id(self.producers[producer].log);
        let digest = digest(producer, sequence);
        let event = Event::Send { producer: id(producer), log, sequence, count, digest };
        let sent = self.emit(&event);
        let request = Request { sent, sequence, count, digest, state: State::Waiting };
        self.producers[producer].requests.push_back(request);
    }

    /// The broker takes a producer's next request.
    fn append(&mut self, producer: usize) {
        let kind = self.producers[producer].kind;
        let log = self.producers[producer].log;
        let Some(mut place) = self.producers[producer].next_waiting() else { return };
        let waiting = self.producers[producer].requests.len() - place;
        if 1 < waiting && kind == ProducerKind::Ordered && self.fails(Fault::Reordered) {
            place += 1;
        }
        let request = self.producers[producer].requests[place];
        let batch = Stored {
            offset: 0,
            count: request.count,
            epoch: 0,
            producer: id(producer),
            sequence: request.sequence,
            digest: request.digest,
        };
        let known = match kind {
            ProducerKind::Idempotent => {
                self.logs[log].numbered.get(&(id(producer), request.sequence)).copied()
            }
            ProducerKind::Ordered | ProducerKind::Repeating => None,
        };
        let state = match known {
            Some(offset) if !self.fails(Fault::DuplicateOnRetry) => State::Appended(offset),
            Some(offset) => {
                self.logs[log].append(batch);
                State::Appended(offset)
            }
            None if kind != ProducerKind::Idempotent && self.random.random_ratio(1, 50) => {
                self.refuse(log, batch)
            }
            None if kind == ProducerKind::Idempotent && self.fails(Fault::SkippedSequence) => {
                // Answered by nobody: the connection seems to hang.
                State::Forgotten
            }
            None => State::Appended(self.append_batch(log, kind, batch)),
        };
        self.producers[producer].requests[place].state = state;
    }

    fn refuse(&mut self, log: usize, batch: Stored) -> State {
        if self.fails(Fault::BaseOffsetZeroOnError) {
            return State::Appended(0);
        }
        if self.fails(Fault::RefusedButPresent) {
            self.logs[log].append(batch);
        }
        State::Refused
    }

    fn append_batch(&mut self, log: usize, kind: ProducerKind, batch: Stored) -> i64 {
        if self.fails(Fault::Gap) {
            self.logs[log].next += 1;
        }
        if self.fails(Fault::Invented) {
            self.logs[log].append(Stored { sequence: u64::MAX, count: 1, ..batch });
        }
        let offset = self.logs[log].append(batch);
        if kind != ProducerKind::Repeating && self.fails(Fault::DuplicateUnasked) {
            self.logs[log].append(batch);
        }
        offset
    }

    fn sync(&mut self, log: usize) {
        self.logs[log].durable = self.logs[log].batches.len();
    }

    fn answer(&mut self, producer: usize) {
        let log = self.producers[producer].log;
        let Some(request) = self.producers[producer].requests.front().copied() else { return };
        match request.state {
            State::Waiting => return,
            State::Forgotten => {}
            State::Refused => {
                self.emit(&Event::Refused { send: request.sent, code: KAFKA_STORAGE_ERROR });
            }
            State::Appended(offset) => {
                if !self.logs[log].is_durable(offset) && !self.fails(Fault::AckBeforeSync) {
                    return;
                }
                let is_durable = self.logs[log].is_durable(offset);
                self.emit(&Event::Acked { send: request.sent, offset });
                if !is_durable {
                    self.crash_and_keep(0);
                    return;
                }
                self.damage(log, offset);
            }
        }
        self.producers[producer].requests.pop_front();
    }

    /// What can happen to an acknowledged batch.
    fn damage(&mut self, log: usize, offset: i64) {
        if offset < self.logs[log].start {
            return;
        }
        let place = self.logs[log].find(offset);
        let batch = self.logs[log].batches[place];
        // An idempotent producer's may have been there before the crash.
        let is_new = 0 < batch.epoch && self.producers[batch.producer as usize].kind == ProducerKind::Ordered;
        if self.fails(Fault::AlteredByte) {
            self.logs[log].batches[place].digest ^= 0x10;
        } else if is_new && self.fails(Fault::WrongEpoch) {
            self.logs[log].batches[place].epoch -= 1;
        }
        let has_neighbour = place + 1 < self.logs[log].durable;
        if has_neighbour && self.fails(Fault::DroppedBatch) {
            self.logs[log].batches.remove(place);
            self.logs[log].durable -= 1;
        } else if has_neighbour && self.fails(Fault::Swapped) {
            let batches = &mut self.logs[log].batches;
            let (first, second) = (batches[place], batches[place + 1]);
            let middle = first.offset + i64::from(second.count);
            batches[place] = Stored { offset: first.offset, epoch: first.epoch, ..second };
            batches[place + 1] = Stored { offset: middle, epoch: second.epoch, ..first };
        }
    }

    fn answer_fetch(&mut self, log: usize) {
        let Some((since, from)) = self.readers[log].asked.take() else { return };
        let next = self.fetch(log, since, from);
        self.readers[log].next = next;
    }

    /// A fetch and its answer; returns where the next one begins.
    fn fetch(&mut self, log: usize, since: u64, from: i64) -> i64 {
        let from = from.max(self.logs[log].start);
        let mut end = self.logs[log].high_watermark();
        let mut place = self.logs[log].find(from);
        let mut limit = self.logs[log].durable;
        let mut crash = false;
        if limit < self.logs[log].batches.len() && self.fails(Fault::ReadBeforeSync) {
            limit = self.logs[log].batches.len();
            end = self.logs[log].next;
            crash = true;
        }
        if 0 < place && place < limit && self.fails(Fault::StaleIndexHit) {
            place -= 1;
        }
        let mut batches: Vec<SeenBatch> =
            self.logs[log].batches[place.min(limit)..limit].iter().take(FETCHED_MAX).map(seen).collect();
        let next = batches.last().map_or(from, |last| last.offset + i64::from(last.count));
        if 0 < end && batches.is_empty() && self.fails(Fault::WatermarkFalls) {
            end -= 1;
        }
        if !batches.is_empty() && next == end && self.fails(Fault::BeyondWatermark) {
            end -= 1;
        }
        if !batches.is_empty() && self.fails(Fault::Withheld) {
            batches.clear();
        }
        if !batches.is_empty() && self.readers[log].has_seen(from) && self.fails(Fault::ChangedEpoch) {
            batches[0].epoch += 1;
        }
        let start = self.logs[log].start;
        let count = u32::try_from(batches.len()).expect("a few");
        let fetched = Fetched { client: id(log), log: id(log), since, from, start, end, batches: count };
        self.emit(&Event::Fetched(fetched));
        batches.into_iter().for_each(|batch| _ = self.emit(&Event::Batch(batch)));
        self.readers[log].seen = self.readers[log].seen.max(next);
        if crash {
            self.crash_and_keep(0);
        }
        next
    }

    fn commit(&mut self, log: usize) {
        let offset = self.readers[log].next;
        let (group, log_id) = (7, id(log));
        if offset <= self.readers[log].committed {
            return;
        }
        let request = self.emit(&Event::Commit { group, log: log_id, offset });
        self.emit(&Event::Committed { request });
        let before = std::mem::replace(&mut self.readers[log].committed, offset);
        let read = if self.fails(Fault::CommitForgotten) { before } else { offset };
        let since = self.last;
        self.emit(&Event::CommittedRead { group, log: log_id, since, offset: read });
    }

    /// Deletes some of what was read.
    fn delete_records(&mut self, log: usize) {
        let (start, seen) = (self.logs[log].start, self.readers[log].next);
        let below = start + (seen - start) / 2;
        if below <= start {
            return;
        }
        let request = self.emit(&Event::DeleteRecords { log: id(log), below });
        let new_start = if self.fails(Fault::DeletesTooMuch) { seen.max(below + 1) } else { below };
        self.logs[log].start = new_start;
        self.emit(&Event::RecordsDeleted { request, start: new_start });
        self.readers[log].deleted = true;
    }

    fn crash(&mut self) {
        let kept = self.random.random_range(0..4);
        self.crash_and_keep(kept);
    }

    fn crash_and_keep(&mut self, kept: usize) {
        self.emit(&Event::Crash);
        for log in 0..LOGS {
            self.logs[log].crash(kept);
            if self.readers[log].deleted && self.fails(Fault::LogStartReturns) {
                self.logs[log].start = 0;
            }
            // Once there is something that was sent after it was lost.
            let is_later =
                |lost: &Stored, batch: &Stored| batch.producer % 3 == 1 && lost.epoch < batch.epoch;
            let batches = &self.logs[log].batches;
            let is_old =
                |lost: &&Stored| lost.producer % 3 == 1 && batches.iter().any(|batch| is_later(lost, batch));
            let lost = self.logs[log].lost.last().filter(is_old).copied();
            if let Some(batch) = lost.filter(|_| self.fails(Fault::LateReplay)) {
                self.logs[log].append(batch);
            }
            self.sync(log);
        }
        self.emit(&Event::Start);
        for log in 0..LOGS {
            self.look_at(log);
        }
        for producer in 0..self.producers.len() {
            for request in self.producers[producer].take_repetitions() {
                self.send(producer, request.sequence, request.count);
            }
        }
    }

    /// After a start: everything is read.
    fn look_at(&mut self, log: usize) {
        let since = self.last;
        let epoch = self.logs[log].epoch;
        self.emit(&Event::Leader { log: id(log), since, epoch });
        self.readers[log].asked = None;
        let mut next = self.logs[log].start;
        let end = self.logs[log].high_watermark();
        loop {
            let (since, from) = (self.last, next);
            next = self.fetch(log, since, from);
            if self.logs[log].epoch != epoch {
                return;
            }
            if end <= next || next <= from {
                break;
            }
        }
        let asked = (epoch - 2).max(0);
        let mut end =
            self.logs[log].batches.iter().find(|batch| asked < batch.epoch).map_or(end, |b| b.offset);
        let has_later = self.logs[log].batches.last().is_some_and(|last| asked < last.epoch);
        if has_later && self.fails(Fault::EpochEndWrong) {
            end += 1;
        }
        let since = self.last;
        self.emit(&Event::EpochEnd { log: id(log), since, epoch: asked, end });
    }
}

fn id(index: usize) -> u32 {
    u32::try_from(index).expect("a few")
}

fn digest(producer: usize, sequence: u64) -> u32 {
    crc32fast::hash(&[producer.to_le_bytes(), sequence.to_le_bytes()].concat())
}

fn seen(batch: &Stored) -> SeenBatch {
    let Stored { offset, count, epoch, producer, sequence, digest } = *batch;
    SeenBatch { offset, count, epoch, identity: Some((producer, sequence)), digest }
}
