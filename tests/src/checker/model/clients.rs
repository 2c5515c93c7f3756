//! The clients of the model broker.

use std::collections::VecDeque;

use crate::checker::event::ProducerKind;

/// What the broker did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Appended(i64),
    Refused,
    Forgotten,
}

/// A batch under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub sent: u64,
    pub sequence: u64,
    pub count: u32,
    pub digest: u32,
    pub state: State,
}

/// A producer, to one log.
#[derive(Clone, Debug)]
pub(super) struct ModelProducer {
    pub kind: ProducerKind,
    pub log: usize,
    pub next_sequence: u64,
    /// In the order of its connection.
    pub requests: VecDeque<Request>,
}

impl ModelProducer {
    pub fn new(kind: ProducerKind, log: usize) -> Self {
        Self { kind, log, next_sequence: 0, requests: VecDeque::new() }
    }

    pub fn is_full(&self) -> bool {
        let in_flight_max = if self.kind == ProducerKind::Repeating { 1 } else { 5 };
        in_flight_max <= self.requests.len()
    }

    pub fn has_waiting(&self) -> bool {
        self.next_waiting().is_some()
    }

    pub fn next_waiting(&self) -> Option<usize> {
        self.requests.iter().position(|request| request.state == State::Waiting)
    }

    /// After a crash: what it sends again.
    pub fn take_repetitions(&mut self) -> Vec<Request> {
        let unanswered = std::mem::take(&mut self.requests);
        match self.kind {
            ProducerKind::Ordered => Vec::new(),
            ProducerKind::Idempotent | ProducerKind::Repeating => unanswered.into(),
        }
    }
}

/// Follows a log.
#[derive(Clone, Debug)]
pub(super) struct ModelReader {
    pub next: i64,
    /// Behind all that it has seen.
    pub seen: i64,
    /// The fetch under way: the last event before it, and its offset.
    pub asked: Option<(u64, i64)>,
    pub committed: i64,
    /// It has deleted records.
    pub deleted: bool,
}

impl ModelReader {
    pub fn new(_log: usize) -> Self {
        Self { next: 0, seen: 0, asked: None, committed: -1, deleted: false }
    }

    pub fn ask(&mut self, last: u64) {
        if self.asked.is_none() {
            self.asked = Some((last, self.next));
        }
    }

    /// Whether it has read this offset before.
    pub fn has_seen(&self, offset: i64) -> bool {
        offset < self.seen
    }
}
