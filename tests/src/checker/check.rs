//! The checker: takes events in order, and complains as soon as two contradict each other. What concerns fetches is in
//! `fetch.rs`, what needs the whole picture in `verdict.rs`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::event::{Event, PositionKind, ProducerKind};
use super::fetch::FetchUnderWay;
use super::floor::{Cause, Step};
use super::log_state::{Commit, LogState, Slot};
use super::producer_state::{BatchRef, ProducerState, SentBatch};
use super::report::{Complaints, Report};
use super::violation::{Violation, ViolationKind};

/// What a history is expected to have.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckerOptions {
    /// Everything acknowledged was read after the last crash, or the verdict says so.
    pub all_read_again: bool,
}

/// Takes a history and finds what must not be. Time: O(n log n) in events; memory: O(batches).
#[derive(Clone, Debug, Default)]
pub struct Checker {
    pub(super) options: CheckerOptions,
    pub(super) logs: BTreeMap<u32, LogState>,
    pub(super) producers: HashMap<u32, ProducerState>,
    /// Sendings without an answer, by event.
    in_flight: HashMap<u64, BatchRef>,
    /// Other requests without an answer, by event.
    requests: HashMap<u64, Event>,
    pub(super) crashes: Vec<u64>,
    pub(super) fetch: Option<FetchUnderWay>,
    pub(super) complaints: Complaints,
    /// The figures that are counted on the way.
    pub(super) figures: Report,
}

/// What a complaint is about.
#[derive(Debug)]
pub(super) struct About {
    pub kind: ViolationKind,
    pub log: u32,
    pub offsets: Range<i64>,
    pub batches: Vec<BatchRef>,
    pub events: Vec<u64>,
}

impl Checker {
    /// A checker that has seen nothing.
    pub fn new(options: CheckerOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// How many complaints there are by now.
    pub fn complaints(&self) -> u64 {
        self.complaints.counts.values().sum()
    }

    /// Takes the next event. Numbers rise.
    pub fn observe(&mut self, number: u64, event: &Event) {
        self.figures.events += 1;
        if let Event::Batch(seen) = event {
            self.batch_fetched(number, seen);
            return;
        }
        self.end_fetch(number);
        match event {
            Event::Send { producer, log, sequence, count, digest } => {
                let batch = SentBatch {
                    sequence: *sequence,
                    first_sent: number,
                    last_sent: number,
                    offset: None,
                    digest: *digest,
                    count: *count,
                    log: *log,
                    sent: 1,
                    refused: 0,
                    acked: 0,
                    copies: 0,
                };
                self.sent(number, *producer, batch);
            }
            Event::Acked { send, offset } => self.acknowledged(number, *send, *offset),
            Event::Refused { send, .. } => match self.in_flight.remove(send) {
                Some(batch) => self.batch_mut(batch).refused += 1,
                None => self.bad_history(number, 0, "it answers no send"),
            },
            Event::Fetched(fetched) => self.fetched(number, *fetched),
            Event::Batch(_) => {}
            Event::Crash => {
                self.crashes.push(number);
                self.in_flight.clear();
                self.requests.clear();
                self.logs.values_mut().for_each(|log| log.start_after_crash(number));
            }
            Event::Start => {}
            _ => self.observe_rare(number, event),
        }
    }

    fn observe_rare(&mut self, number: u64, event: &Event) {
        match event {
            Event::Log { log, topic, partition, retention } => {
                let state = LogState::new(format!("{topic}-{partition}"), *retention);
                self.logs.insert(*log, state);
            }
            Event::Producer { producer, kind } => {
                self.producers.insert(*producer, ProducerState::new(*kind));
            }
            Event::Position { log, since, kind: PositionKind::Start, offset } => {
                self.start_is(number, *log, *since, *offset);
            }
            Event::Position { log, since, kind: PositionKind::End, offset } => {
                self.end_is(number, *log, *since, *offset);
            }
            Event::Leader { log, since, epoch } => self.leader_epoch_is(number, *log, *since, *epoch),
            Event::EpochEnd { log, since, epoch, end } => {
                self.log_mut(number, *log).epoch_ends.push((number, *since, *epoch, *end));
            }
            Event::DeleteRecords { log, below } => {
                let log = self.log_mut(number, *log);
                log.deletion_max = log.deletion_max.max(*below);
                self.requests.insert(number, event.clone());
            }
            Event::Commit { group, log, offset } => {
                let commit = Commit { requested: number, answered: None, offset: *offset };
                self.log_mut(number, *log).commits.entry(*group).or_default().push(commit);
                self.requests.insert(number, event.clone());
            }
            Event::CommittedRead { group, log, since, offset } => {
                self.committed_is(number, (*group, *log), *since, *offset);
            }
            Event::DeleteLog { log } => {
                self.log_mut(number, *log).deletion_requested = number;
                self.requests.insert(number, event.clone());
            }
            Event::RecordsDeleted { request, .. }
            | Event::Committed { request }
            | Event::LogDeleted { request } => match self.requests.remove(request) {
                Some(asked) => self.answered(number, *request, &asked, event),
                None => self.bad_history(number, 0, "it answers no request"),
            },
            _ => {}
        }
    }

    fn sent(&mut self, number: u64, producer: u32, batch: SentBatch) {
        let log = batch.log;
        let Some(state) = self.producers.get_mut(&producer) else {
            self.bad_history(number, log, "the producer has no line of its own");
            return;
        };
        match state.send(number, batch) {
            Ok(index) => {
                let index = u32::try_from(index).expect("fewer than 2^32 batches");
                self.in_flight.insert(number, BatchRef { producer, index });
            }
            Err(reason) => self.bad_history(number, log, reason),
        }
        self.log_mut(number, log);
    }

    fn acknowledged(&mut self, number: u64, send: u64, offset: i64) {
        let Some(batch) = self.in_flight.remove(&send) else {
            self.bad_history(number, 0, "it answers no send");
            return;
        };
        let sent = *self.batch(batch);
        let kind = self.kind_of(batch);
        self.batch_mut(batch).acked += 1;
        let end = offset.saturating_add(i64::from(sent.count));
        let about = |kind, events: &[u64]| About {
            kind,
            log: sent.log,
            offsets: offset..end,
            batches: vec![batch],
            events: [&[send, number], events].concat(),
        };
        if offset < 0 {
            self.complain(about(ViolationKind::BadOffset, &[]), "acknowledged at a negative offset");
            return;
        }
        if kind == ProducerKind::Idempotent {
            let first = *self.batch_mut(batch).offset.get_or_insert(offset);
            if first != offset {
                let detail = format!("acknowledged again, at another offset than {first}");
                self.complain(about(ViolationKind::Duplicate, &[sent.first_sent]), &detail);
                return;
            }
        }
        let attempt = if kind == ProducerKind::Idempotent { sent.first_sent } else { send };
        let log = self.log_mut(number, sent.log);
        log.end.raise(Step { event: number, value: end, cause: Cause::Acknowledged });
        match log.slots.get_mut(&offset) {
            Some(slot) if slot.batch == batch && (slot.acked == 0 || kind == ProducerKind::Idempotent) => {
                if slot.acked == 0 {
                    (slot.acked, slot.sent) = (number, attempt);
                }
                return;
            }
            _ => {}
        }
        if let Some(base) = log.overlapping(offset, sent.count).first() {
            let there = log.slots[base];
            let mut about = about(ViolationKind::SharedOffset, &[there.acked, there.read]);
            about.batches.push(there.batch);
            self.complain(about, "acknowledged where another batch is");
            return;
        }
        let slot = Slot {
            count: sent.count,
            digest: sent.digest,
            epoch: None,
            batch,
            acked: number,
            sent: attempt,
            read: 0,
            seen: 0,
        };
        log.slots.insert(offset, slot);
        self.batch_mut(batch).copies += 1;
    }

    fn answered(&mut self, number: u64, request: u64, asked: &Event, answer: &Event) {
        match (asked, answer) {
            (Event::DeleteRecords { log, .. }, Event::RecordsDeleted { start, .. }) => {
                self.start_is(number, *log, request, *start);
                let log = self.log_mut(number, *log);
                log.start_answered = log.start_answered.max(*start);
            }
            (Event::Commit { group, log, offset }, Event::Committed { .. }) => {
                let state = self.log_mut(number, *log);
                state.end.raise(Step { event: number, value: *offset, cause: Cause::Committed });
                let commits = state.commits.entry(*group).or_default();
                commits
                    .iter_mut()
                    .filter(|commit| commit.requested == request)
                    .for_each(|commit| commit.answered = Some(number));
            }
            (Event::DeleteLog { log }, Event::LogDeleted { .. }) => {
                self.log_mut(number, *log).deleted = Some(number);
            }
            _ => self.bad_history(number, 0, "it answers another kind of request"),
        }
    }

    fn leader_epoch_is(&mut self, number: u64, log_id: u32, since: u64, epoch: i32) {
        let log = self.log_mut(number, log_id);
        let known = log.epoch.at(since);
        log.epoch.raise(Step { event: number, value: i64::from(epoch), cause: Cause::Told });
        if let Some(known) = known.filter(|known| i64::from(epoch) < known.value) {
            let about = About {
                kind: ViolationKind::EpochFell,
                log: log_id,
                offsets: 0..0,
                batches: Vec::new(),
                events: vec![known.event, number],
            };
            self.complain(about, &format!("leader epoch {epoch}, it was {} before", known.value));
        }
    }

    /// A commit that was answered before the question supersedes those before it; a later one may count or not.
    fn committed_is(&mut self, number: u64, (group, log_id): (u32, u32), since: u64, offset: i64) {
        let commits = self.log_mut(number, log_id).commits.entry(group).or_default();
        let settled = commits.iter().rposition(|commit| commit.answered.is_some_and(|event| event <= since));
        let possible = &commits[settled.unwrap_or(0)..];
        if possible.iter().any(|commit| commit.offset == offset) || (settled.is_none() && offset < 0) {
            return;
        }
        let about = About {
            kind: ViolationKind::CommittedWrong,
            log: log_id,
            offsets: offset..offset,
            batches: Vec::new(),
            events: possible.first().map(|commit| commit.requested).into_iter().chain([number]).collect(),
        };
        self.complain(about, &format!("group {group} has an offset that was not its last"));
    }

    /// # Panics
    /// When there is no such batch: references are made for batches only.
    pub(super) fn batch(&self, batch: BatchRef) -> &SentBatch {
        &self.producers[&batch.producer].batches[batch.index as usize]
    }

    pub(super) fn batch_mut(&mut self, batch: BatchRef) -> &mut SentBatch {
        let producer = self.producers.get_mut(&batch.producer).expect("a reference is to a known producer");
        &mut producer.batches[batch.index as usize]
    }

    fn kind_of(&self, batch: BatchRef) -> ProducerKind {
        self.producers[&batch.producer].kind
    }

    /// The log of that number; an unknown one is an error of the history and begins here.
    pub(super) fn log_mut(&mut self, number: u64, log: u32) -> &mut LogState {
        if let Entry::Vacant(vacant) = self.logs.entry(log) {
            vacant.insert(LogState::new(format!("log {log}"), false));
            self.bad_history(number, log, "the log has no line of its own");
        }
        self.logs.get_mut(&log).expect("it was there or is there now")
    }

    pub(super) fn bad_history(&mut self, number: u64, log: u32, reason: &str) {
        let about = About {
            kind: ViolationKind::BadHistory,
            log,
            offsets: 0..0,
            batches: Vec::new(),
            events: vec![number],
        };
        self.complain(about, reason);
    }

    pub(super) fn complain(&mut self, about: About, detail: &str) {
        let violation = self.violation(about, detail);
        self.complaints.add(violation);
    }

    /// Puts a complaint into words that name everything.
    pub(super) fn violation(&self, about: About, detail: &str) -> Violation {
        let About { kind, log, offsets, batches, events } = about;
        let batches = batches.into_iter().filter(|batch| *batch != BatchRef::NOBODY);
        Violation {
            kind,
            log: self.logs.get(&log).map(|log| log.name.clone()).unwrap_or_default(),
            offsets,
            producers: batches.map(|batch| (batch.producer, self.batch(batch).sequence)).collect(),
            events,
            detail: detail.to_owned(),
        }
    }
}
