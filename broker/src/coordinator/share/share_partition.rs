//! Which records of a partition a share group has handed out, to whom, and what became of them.
//!
//! A pure state machine: no clock, no I/O. Offsets from the start offset (the first that is not done with) to the end offset
//! (the first that nobody had) are *in flight*, each with a [`Delivery`]; those before are done with, those behind are
//! untouched. In flight is a window of at most `in_flight_max` offsets, and one batch more, so all here is bounded.
//!
//! Invariants: every offset in flight is in exactly one span; the first one is not done with; an offset that is done with
//! stays so; an acquired record has one holder.

use std::sync::Arc;

use super::delivery::{Delivery, State};
use super::durable::StateBatch;
use super::spans::{Span, Spans};
use crate::config::group_config::GroupConfig;

/// What a group's settings mean for one share partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a member has what it acquired.
    pub lock_ms: i64,
    /// How often a record is handed out.
    pub deliveries_max: i16,
    /// Offsets in flight.
    pub in_flight_max: i64,
    /// Whether members may renew their locks (KIP-1222).
    pub may_renew: bool,
}

impl Limits {
    /// As the group's settings have them.
    pub fn of(group: &GroupConfig) -> Self {
        Self {
            lock_ms: group.share_record_lock_duration_ms.into(),
            deliveries_max: i16::try_from(group.share_delivery_count_limit).unwrap_or(i16::MAX),
            in_flight_max: group.share_partition_max_record_locks.into(),
            may_renew: group.share_may_renew,
        }
    }
}

/// The state of one partition in one share group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharePartition {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) in_flight: Spans<Delivery>,
    /// Offsets in flight that are done with.
    done: i64,
    /// No offset in flight before this one is available.
    pub(super) available_from: i64,
    /// No lock runs out before this, by the steady clock.
    pub(super) locked_until_ms: i64,
}

impl SharePartition {
    /// Nothing was handed out yet; records from `start` on will be.
    pub fn new(start: i64) -> Self {
        Self {
            start,
            end: start,
            in_flight: Spans::default(),
            done: 0,
            available_from: start,
            locked_until_ms: i64::MAX,
        }
    }

    /// The first offset that is not done with.
    pub fn start_offset(&self) -> i64 {
        self.start
    }

    /// The first offset that nobody had.
    pub fn end_offset(&self) -> i64 {
        self.end
    }

    /// Offsets in flight that are done with.
    pub fn delivery_complete_count(&self) -> i64 {
        self.done
    }

    /// Where to read for the next records to hand out.
    pub fn next_fetch_offset(&mut self) -> i64 {
        let from = self.available_from.max(self.start);
        let mut spans = self.in_flight.within(from, self.end - 1);
        let next =
            spans.find(|span| span.value.state == State::Available).map_or(self.end, |span| span.first);
        self.available_from = next;
        next
    }

    /// Whether there is room for records that nobody had yet, or some have come back.
    pub fn can_acquire(&mut self, limits: &Limits) -> bool {
        self.next_fetch_offset() < self.end || self.end - self.start < limits.in_flight_max
    }

    /// A bound of when a lock runs out, by the steady clock: not later than the first one does.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        (self.locked_until_ms < i64::MAX).then_some(self.locked_until_ms)
    }

    /// Takes records back whose lock has run out; returns what changed.
    pub fn expire(&mut self, now_ms: i64, limits: &Limits) -> Vec<StateBatch> {
        if now_ms < self.locked_until_ms {
            return Vec::new();
        }
        let is_due =
            |value: &Delivery| matches!(value.state, State::Acquired { until_ms, .. } if until_ms <= now_ms);
        let changed = self.take_back(is_due, limits);
        let locks = self.in_flight.iter().filter_map(|span| match span.value.state {
            State::Acquired { until_ms, .. } => Some(until_ms),
            _ => None,
        });
        self.locked_until_ms = locks.min().unwrap_or(i64::MAX);
        changed
    }

    /// Takes back all that a member has: its session has ended.
    pub fn release(&mut self, member: &str, limits: &Limits) -> Vec<StateBatch> {
        self.take_back(|value| value.is_held_by(member), limits)
    }

    /// The log starts at `log_start` now: what was before is gone, whoever had it.
    pub fn advance_log_start(&mut self, log_start: i64) {
        if self.start < log_start {
            self.drop_below(log_start);
            self.advance_start();
        }
    }

    /// The log ends at `log_end`, and has lost what was behind: that is not in flight any more.
    pub fn cut(&mut self, log_end: i64) {
        if log_end < self.end {
            let lost = self.in_flight.within(log_end, self.end - 1).filter(|span| span.value.is_final());
            self.done -= lost.map(|span| span.len()).sum::<i64>();
            self.in_flight.clear(log_end, self.end - 1);
            self.end = log_end;
            self.start = self.start.min(log_end);
            self.available_from = self.available_from.min(log_end);
            self.advance_start();
        }
    }

    fn take_back(&mut self, is_taken: impl Fn(&Delivery) -> bool, limits: &Limits) -> Vec<StateBatch> {
        let taken = self.in_flight.iter().filter(|span| is_taken(span.value));
        let taken: Vec<Span<Delivery>> = taken
            .map(|span| Span {
                first: span.first,
                last: span.last,
                value: Delivery::returned(span.value.count, limits.deliveries_max),
            })
            .collect();
        self.change(taken)
    }

    /// Applies decided changes; returns them as they are written.
    pub(super) fn change(&mut self, spans: Vec<Span<Delivery>>) -> Vec<StateBatch> {
        let mut changed: Vec<StateBatch> = Vec::with_capacity(spans.len());
        for span in spans {
            if let Some(state) = span.value.durable() {
                StateBatch::push(&mut changed, StateBatch { first: span.first, last: span.last, state });
            }
            self.put(span);
        }
        self.advance_start();
        changed
    }

    /// The only place where a delivery is set.
    pub(super) fn put(&mut self, span: Span<Delivery>) {
        let before = self.in_flight.within(span.first, span.last);
        self.done -= before.filter(|span| span.value.is_final()).map(|span| span.len()).sum::<i64>();
        if span.value.is_final() {
            self.done += span.len();
        }
        if span.value.state == State::Available {
            self.available_from = self.available_from.min(span.first);
        }
        if let State::Acquired { until_ms, .. } = span.value.state {
            self.locked_until_ms = self.locked_until_ms.min(until_ms);
        }
        self.in_flight.set(span);
    }

    /// Makes the window reach to `end`, with records that nobody had.
    pub(super) fn extend(&mut self, end: i64) {
        if self.end < end {
            let fresh = Span { first: self.end, last: end - 1, value: Delivery::FRESH };
            self.end = end;
            self.put(fresh);
        }
    }

    /// Moves the start offset over all that is done with.
    pub(super) fn advance_start(&mut self) {
        while let Some(span) = self.in_flight.first().filter(|span| span.value.is_final()) {
            let (first, last) = (span.first, span.last);
            self.done -= last - first + 1;
            self.in_flight.clear(first, last);
            self.start = last + 1;
        }
        if self.in_flight.count() == 0 {
            self.start = self.end;
        }
        self.available_from = self.available_from.max(self.start);
    }

    /// Forgets all before `start`.
    pub(super) fn drop_below(&mut self, start: i64) {
        let done = self.in_flight.within(self.start, start - 1).filter(|span| span.value.is_final());
        self.done -= done.map(|span| span.len()).sum::<i64>();
        self.in_flight.clear(self.start, start - 1);
        self.start = start;
        self.end = self.end.max(start);
        self.available_from = self.available_from.max(start);
    }

    /// A lock from now on.
    pub(super) fn lock(holder: &Arc<str>, now_ms: i64, limits: &Limits) -> State {
        State::Acquired { holder: Arc::clone(holder), until_ms: now_ms.saturating_add(limits.lock_ms) }
    }
}
