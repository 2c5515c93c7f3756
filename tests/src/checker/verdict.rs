//! What needs the whole picture: a walk over every log in the order of offsets.

use std::collections::HashMap;

use super::check::{About, Checker};
use super::event::ProducerKind;
use super::log_state::{LogState, Slot};
use super::producer_state::{BatchRef, SentBatch};
use super::report::{Complaints, Report};
use super::violation::ViolationKind;

/// The walk over one log.
struct Walk<'a> {
    checker: &'a Checker,
    log_id: u32,
    log: &'a LogState,
    complaints: &'a mut Complaints,
    /// Behind the slot before.
    next: i64,
    /// Records without an answer that could be in a gap.
    open_records: u64,
    /// Of all slots before: the one that was sent last, with the event.
    last_sent: Option<(u64, i64)>,
    /// Of all slots before: the highest leader epoch, with its offset.
    epoch: Option<(i32, i64)>,
    /// Of every producer: its last batch before, and whether the next one has to follow at once.
    producers: HashMap<u32, (BatchRef, bool)>,
    /// There was no gap since offset 0.
    is_whole: bool,
}

impl Checker {
    /// Judges all that was observed so far. Can be asked again later.
    pub fn verdict(&self) -> Report {
        let mut report = self.figures.clone();
        let mut complaints = self.complaints.clone();
        report.crashes = u64::try_from(self.crashes.len()).unwrap_or(u64::MAX);
        let open = self.count_batches(&mut report);
        if self.fetch.is_some_and(|fetch| fetch.is_due()) {
            let about = About {
                kind: ViolationKind::BadHistory,
                log: 0,
                offsets: 0..0,
                batches: Vec::new(),
                events: Vec::new(),
            };
            complaints.add(self.violation(about, "it ends in the midst of a fetch"));
        }
        for (log_id, log) in &self.logs {
            let mut walk = Walk {
                checker: self,
                log_id: *log_id,
                log,
                complaints: &mut complaints,
                next: log.slots.keys().next().map_or(0, |first| log.start_now().max(0).min(*first)),
                open_records: open.get(log_id).copied().unwrap_or(0),
                last_sent: None,
                epoch: None,
                producers: HashMap::new(),
                is_whole: log.slots.keys().next() == Some(&0),
            };
            log.slots.iter().for_each(|(base, slot)| walk.step(*base, slot));
            walk.epoch_ends();
        }
        report.counts = complaints.counts;
        report.violations = complaints.kept;
        report
    }

    /// Fills in the figures about batches; returns, by log, how many records have no answer and were not seen.
    fn count_batches(&self, report: &mut Report) -> HashMap<u32, u64> {
        let mut open: HashMap<u32, u64> = HashMap::new();
        for batch in self.producers.values().flat_map(|producer| &producer.batches) {
            report.batches_sent += 1;
            report.repetitions += u64::from(batch.sent - 1);
            if batch.acked != 0 {
                report.batches_acknowledged += 1;
                report.records_acknowledged += u64::from(batch.count);
            } else if batch.is_open() {
                report.batches_unanswered += 1;
                report.unanswered_present += u64::from(batch.copies != 0);
            }
            if batch.is_open() && batch.copies == 0 {
                *open.entry(batch.log).or_default() += u64::from(batch.count);
            }
        }
        open
    }

    /// The event after which a batch that is not there will not come: the first crash after its last sending.
    fn decided(&self, batch: &SentBatch) -> u64 {
        let index = self.crashes.partition_point(|crash| *crash < batch.last_sent);
        self.crashes.get(index).copied().unwrap_or(u64::MAX)
    }
}

impl Walk<'_> {
    fn step(&mut self, base: i64, slot: &Slot) {
        self.gap(base, slot);
        self.leader_epoch(base, slot);
        if slot.batch != BatchRef::NOBODY {
            let batch = *self.checker.batch(slot.batch);
            self.presence(base, slot, &batch);
            self.real_time(base, slot, &batch);
            self.producer_order(base, slot, &batch);
        }
        self.read_again(base, slot);
        self.next = base + i64::from(slot.count);
    }

    /// Offsets are dense. What nobody has looked at may be of a batch without an answer.
    fn gap(&mut self, base: i64, slot: &Slot) {
        if base <= self.next {
            return;
        }
        // Other producers' batches may be in the gap: their order goes on, their sequences do not have to.
        self.producers.values_mut().for_each(|(_, follows)| *follows = false);
        self.is_whole = false;
        let from = self.next.max(self.log.start_now());
        let Ok(missing) = u64::try_from(base - from) else { return };
        if missing <= self.open_records {
            self.open_records -= missing;
        } else {
            let events = [slot.acked, slot.read];
            self.complain(ViolationKind::Gap, from..base, &[slot.batch], &events, "nothing sent explains it");
        }
    }

    fn leader_epoch(&mut self, base: i64, slot: &Slot) {
        let Some(epoch) = slot.epoch else { return };
        let end = base + i64::from(slot.count);
        if let Some((highest, at)) = self.epoch.filter(|(highest, _)| epoch < *highest) {
            let detail = format!("leader epoch {epoch} behind {highest} at offset {at}");
            self.complain(ViolationKind::EpochFell, base..end, &[slot.batch], &[slot.read], &detail);
        } else {
            self.epoch = Some((epoch, base));
        }
        let known = self.log.epoch.at(self.sent(slot)).filter(|known| i64::from(epoch) < known.value);
        if let Some(known) = known {
            let detail = format!("leader epoch {epoch}, it was {} when it was sent", known.value);
            let events = [known.event, self.sent(slot), slot.read];
            self.complain(ViolationKind::EpochFell, base..end, &[slot.batch], &events, &detail);
        }
    }

    /// Not refused, not too often.
    fn presence(&mut self, base: i64, slot: &Slot, batch: &SentBatch) {
        let kind = self.checker.producers[&slot.batch.producer].kind;
        let end = base + i64::from(slot.count);
        let events = [batch.first_sent, batch.last_sent, slot.acked, slot.read];
        if batch.refused == batch.sent {
            let detail = "all answers to it were refusals";
            self.complain(ViolationKind::RefusedButPresent, base..end, &[slot.batch], &events, detail);
        } else if batch.copies_max(kind) < batch.copies {
            let detail = format!("{} times there, sent {} times", batch.copies, batch.sent);
            self.complain(ViolationKind::Duplicate, base..end, &[slot.batch], &events, &detail);
        }
    }

    /// What was settled before another batch was sent has the lower offset.
    fn real_time(&mut self, base: i64, slot: &Slot, batch: &SentBatch) {
        let settled = if slot.acked == 0 { slot.read.min(self.checker.decided(batch)) } else { slot.known() };
        if let Some((sent, at)) = self.last_sent.filter(|(sent, _)| settled < *sent) {
            let end = base + i64::from(slot.count);
            let other = self.log.slots.get(&at).map_or(BatchRef::NOBODY, |slot| slot.batch);
            let detail = format!("settled before the one at offset {at} was sent");
            let (batches, events) = ([slot.batch, other], [settled, sent]);
            self.complain(ViolationKind::RealTimeOrder, base..end, &batches, &events, &detail);
        }
        let sent = self.sent(slot);
        if self.last_sent.is_none_or(|(last, _)| last < sent) {
            self.last_sent = Some((sent, base));
        }
    }

    /// When a batch was sent: the sending that is acknowledged, or the first.
    fn sent(&self, slot: &Slot) -> u64 {
        match slot.batch {
            BatchRef::NOBODY => u64::MAX,
            _ if slot.acked != 0 => slot.sent,
            batch => self.checker.batch(batch).first_sent,
        }
    }

    fn producer_order(&mut self, base: i64, slot: &Slot, batch: &SentBatch) {
        let kind = self.checker.producers[&slot.batch.producer].kind;
        let before = self.producers.insert(slot.batch.producer, (slot.batch, true));
        let Some((before, follows)) = before else {
            let first = slot.batch.index as usize;
            if self.is_whole
                && kind == ProducerKind::Idempotent
                && self.is_skip(slot.batch.producer, 0..first)
            {
                let (end, events) = (base + i64::from(slot.count), [batch.first_sent]);
                let detail = "one of its producer is missing before it";
                self.complain(ViolationKind::SequenceGap, base..end, &[slot.batch], &events, detail);
            }
            return;
        };
        let earlier = *self.checker.batch(before);
        let end = base + i64::from(slot.count);
        let is_ordered = match kind {
            ProducerKind::Repeating => earlier.sequence <= batch.sequence,
            ProducerKind::Idempotent | ProducerKind::Ordered => earlier.sequence < batch.sequence,
        };
        let (batches, events) = ([before, slot.batch], [earlier.first_sent, batch.first_sent]);
        let between = before.index as usize + 1..slot.batch.index as usize;
        if !is_ordered {
            let detail = "it comes behind a later one of its producer";
            self.complain(ViolationKind::ProducerOrder, base..end, &batches, &events, detail);
        } else if follows && kind == ProducerKind::Idempotent && self.is_skip(before.producer, between) {
            let detail = "one of its producer is missing before it";
            self.complain(ViolationKind::SequenceGap, base..end, &batches, &events, detail);
        }
    }

    /// Whether the producer sent one of these batches to this log, and it was not refused.
    fn is_skip(&self, producer: u32, batches: std::ops::Range<usize>) -> bool {
        let batches = &self.checker.producers[&producer].batches[batches];
        batches.iter().any(|batch| batch.log == self.log_id && batch.refused < batch.sent)
    }

    fn read_again(&mut self, base: i64, slot: &Slot) {
        let end = base + i64::from(slot.count);
        let is_gone = end <= self.log.start_now() || self.log.deletion_requested != 0;
        if !self.checker.options.all_read_again || is_gone {
            return;
        }
        let last_crash = self.checker.crashes.last().copied().unwrap_or(0);
        if slot.seen <= last_crash {
            let events = [slot.acked, slot.seen, last_crash];
            let detail = "nobody has looked at it since the last crash";
            self.complain(ViolationKind::NotReadAgain, base..end, &[slot.batch], &events, detail);
        }
    }

    /// An epoch ends where a higher one begins, or behind all that was known when it was said.
    fn epoch_ends(&mut self) {
        if self.log.epoch_ends.is_empty() {
            return;
        }
        let mut starts: Vec<(i32, i64, u64)> = Vec::new();
        for (base, slot) in &self.log.slots {
            let Some(epoch) = slot.epoch else { continue };
            if starts.last().is_none_or(|(last, ..)| *last < epoch) {
                starts.push((epoch, *base, slot.read));
            }
        }
        for (event, since, epoch, end) in &self.log.epoch_ends {
            let first = self.log.slots.range(*end..).next();
            let is_below = |slot: &Slot| slot.epoch.is_some_and(|found| found <= *epoch);
            if let Some((base, slot)) = first.filter(|(_, slot)| is_below(slot) && slot.known() <= *since) {
                let detail = format!("leader epoch {epoch} is said to end there, it was at {base} before");
                let events = [slot.known(), *event];
                self.complain(ViolationKind::EpochEnd, *end..*base, &[slot.batch], &events, &detail);
            }
            let later = starts.iter().find(|(start, ..)| epoch < start);
            if let Some((higher, base, read)) = later.filter(|(_, base, _)| base < end) {
                let detail = format!("leader epoch {epoch} is said to end there, {higher} begins at {base}");
                self.complain(ViolationKind::EpochEnd, *base..*end, &[], &[*event, *read], &detail);
            }
        }
    }

    fn complain(
        &mut self,
        kind: ViolationKind,
        offsets: std::ops::Range<i64>,
        batches: &[BatchRef],
        events: &[u64],
        detail: &str,
    ) {
        let (batches, events) = (batches.to_vec(), events.to_vec());
        let about = About { kind, log: self.log_id, offsets, batches, events };
        self.complaints.add(self.checker.violation(about, detail));
    }
}
