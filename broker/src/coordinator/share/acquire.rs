//! Handing records out.

use std::sync::Arc;

use super::delivery::{Delivery, State};
use super::share_partition::{Limits, SharePartition};
use super::spans::Span;

/// Offsets of a record batch in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBatch {
    /// Its first offset.
    pub base: i64,
    /// Its last offset.
    pub last: i64,
}

/// What a member wants.
#[derive(Debug, Clone)]
pub struct Want {
    /// The member.
    pub member: Arc<str>,
    /// Records wanted at most.
    pub records_max: i64,
    /// Never more than `records_max` (KIP-1206); else whole batches of the log, so that the last one may go beyond.
    pub is_strict: bool,
    /// Records that the client likes to have in one acquired range.
    pub batch_size: i64,
}

/// Records that were handed out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcquiredRange {
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
    /// How often they were handed out, this time included.
    pub deliveries: i16,
}

/// What was read of the log: the offset that was asked for, and the batches from there on, at least one.
#[derive(Debug, Clone, Copy)]
pub struct Fetched<'a> {
    /// Where the read began.
    pub offset: i64,
    /// The batches, in the order of the log.
    pub batches: &'a [LogBatch],
}

impl SharePartition {
    /// Hands out what is available of the fetched records. Records that the log does not have any more, between the offset
    /// that was read and the first batch, are done with.
    pub fn acquire(
        &mut self,
        fetched: Fetched<'_>,
        want: &Want,
        limits: &Limits,
        now_ms: i64,
    ) -> Vec<AcquiredRange> {
        let (Some(first), Some(last)) = (fetched.batches.first(), fetched.batches.last()) else {
            return Vec::new();
        };
        self.archive_missing(fetched.offset.max(self.start), first.base);
        let mut acquiring = Acquiring {
            partition: self,
            fetched,
            want,
            limits,
            now_ms,
            left: want.records_max,
            ranges: Vec::new(),
        };
        acquiring.run(fetched.offset.max(first.base), last.last);
        let ranges = acquiring.ranges;
        self.advance_start();
        ranges
    }

    /// Offsets from `from` to `to` (exclusive) are in no batch.
    fn archive_missing(&mut self, from: i64, to: i64) {
        if to <= from || self.end < from {
            return;
        }
        self.extend(to);
        let spans = self.in_flight.within(from, to - 1).filter(|span| span.value.state == State::Available);
        let missing = spans.map(|span| Span {
            first: span.first,
            last: span.last,
            value: Delivery { state: State::Archived, count: span.value.count },
        });
        let missing: Vec<_> = missing.collect();
        missing.into_iter().for_each(|span| self.put(span));
        self.advance_start();
    }
}

/// One pass over the fetched records.
struct Acquiring<'a> {
    partition: &'a mut SharePartition,
    fetched: Fetched<'a>,
    want: &'a Want,
    limits: &'a Limits,
    now_ms: i64,
    /// Records still wanted.
    left: i64,
    ranges: Vec<AcquiredRange>,
}

impl Acquiring<'_> {
    fn run(&mut self, from: i64, last: i64) {
        let from = from.max(self.partition.start);
        let known_last = last.min(self.partition.end - 1);
        let available: Vec<Span<i16>> = self
            .partition
            .in_flight
            .within(from, known_last)
            .filter(|span| span.value.state == State::Available)
            .map(|span| Span { first: span.first, last: span.last, value: span.value.count })
            .collect();
        for span in available {
            if self.left <= 0 {
                return;
            }
            if self.throttle(&span) {
                return;
            }
            let last = self.align(span.first, self.left).min(span.last);
            self.take(span.first, last, span.value);
        }
        // A read that began behind the window was of another time.
        if known_last < last && from <= self.partition.end {
            self.take_fresh(last);
        }
    }

    /// Records that nobody had yet.
    fn take_fresh(&mut self, last: i64) {
        let first = self.partition.end;
        let room = self.limits.in_flight_max - (first - self.partition.start);
        let wanted = self.left.min(room);
        if 0 < wanted {
            self.take(first, self.align(first, wanted).min(last), 0);
        }
    }

    /// A record that came back often may be the one that its consumers die of. From half of the deliveries on such records
    /// are handed out in smaller and smaller numbers, at the last time alone, so that they do not take their neighbours
    /// with them. The parts are of what came together: what is left of a batch is handed out in parts of the same size as
    /// its beginning was. Whether that was done, and the pass is over.
    fn throttle(&mut self, span: &Span<i16>) -> bool {
        let max = self.limits.deliveries_max;
        let often = (max / 2 + max % 2).max(2);
        if span.value < often {
            return false;
        }
        if self.ranges.is_empty() {
            let halvings = u32::try_from(span.value - often + 1).unwrap_or(u32::MAX);
            let whole = span.len().max(self.batch_len(span.first));
            let share = whole.checked_shr(halvings).unwrap_or(0).max(1).min(span.len());
            let wanted = if 2 < max && max - 1 <= span.value { 1 } else { share.min(self.left) };
            self.take(span.first, span.first + wanted - 1, span.value);
        }
        true
    }

    /// How many offsets the batch of the log has that this one is in.
    fn batch_len(&self, offset: i64) -> i64 {
        let at = self.fetched.batches.partition_point(|batch| batch.last < offset);
        self.fetched
            .batches
            .get(at)
            .map_or(0, |batch| batch.last.saturating_sub(batch.base).saturating_add(1))
    }

    /// The last of `wanted` records from `first` on; the end of its batch if the client takes whole ones. A batch that is
    /// larger than the window is cut all the same.
    fn align(&self, first: i64, wanted: i64) -> i64 {
        let exact = first.saturating_add(wanted - 1);
        if self.want.is_strict {
            return exact;
        }
        let batches = self.fetched.batches;
        let at = batches.partition_point(|batch| batch.last < exact);
        match batches.get(at) {
            Some(batch) if batch.base <= exact && batch.last - batch.base < self.limits.in_flight_max => {
                batch.last
            }
            _ => exact,
        }
    }

    fn take(&mut self, first: i64, last: i64, deliveries: i16) {
        let count = deliveries.saturating_add(1);
        let state = SharePartition::lock(&self.want.member, self.now_ms, self.limits);
        self.partition.end = self.partition.end.max(last + 1);
        self.partition.put(Span { first, last, value: Delivery { state, count } });
        self.left -= last - first + 1;
        self.push_ranges(first, last, count);
    }

    /// Ranges of about the size that the client likes, cut where batches begin.
    fn push_ranges(&mut self, mut first: i64, last: i64, deliveries: i16) {
        if !self.want.is_strict && self.want.batch_size < last - first + 1 {
            let batches = self.fetched.batches;
            let behind = batches.partition_point(|batch| batch.base <= first);
            for batch in batches.iter().skip(behind).take_while(|batch| batch.base <= last) {
                if self.want.batch_size <= batch.base - first {
                    self.ranges.push(AcquiredRange { first, last: batch.base - 1, deliveries });
                    first = batch.base;
                }
            }
        }
        self.ranges.push(AcquiredRange { first, last, deliveries });
    }
}
