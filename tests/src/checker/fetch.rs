//! What the checker makes of reads: log start, high watermark, and the batches between.

use super::check::{About, Checker};
use super::event::{Fetched, SeenBatch};
use super::floor::{Cause, Step};
use super::log_state::Slot;
use super::producer_state::BatchRef;
use super::violation::ViolationKind;

/// A fetch whose batches are coming.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchUnderWay {
    fetched: Fetched,
    event: u64,
    /// Batches that are still to come.
    due: u32,
    /// Where the next one has to be; the first may also begin before.
    next: i64,
    is_first: bool,
}

impl FetchUnderWay {
    /// Whether batches are still to come.
    pub fn is_due(&self) -> bool {
        0 < self.due
    }
}

impl Checker {
    pub(super) fn fetched(&mut self, number: u64, fetched: Fetched) {
        let log = self.log_mut(number, fetched.log);
        if let Some(deleted) = log.deleted.filter(|deleted| *deleted <= fetched.since) {
            let about = About {
                kind: ViolationKind::DeletedServed,
                log: fetched.log,
                offsets: fetched.from..fetched.end,
                batches: Vec::new(),
                events: vec![deleted, number],
            };
            self.complain(about, "fetched after it was deleted");
        }
        self.start_is(number, fetched.log, fetched.since, fetched.start);
        self.end_is(number, fetched.log, fetched.since, fetched.end);
        if fetched.batches == 0 && fetched.start <= fetched.from && fetched.from < fetched.end {
            let about = About {
                kind: ViolationKind::Withheld,
                log: fetched.log,
                offsets: fetched.from..fetched.end,
                batches: Vec::new(),
                events: vec![number],
            };
            self.complain(about, "a fetch returned nothing of what is below the high watermark");
        }
        let (due, next) = (fetched.batches, fetched.from);
        self.fetch = Some(FetchUnderWay { fetched, event: number, due, next, is_first: true });
    }

    /// Another event than a batch comes: the fetch has all of its batches now.
    pub(super) fn end_fetch(&mut self, number: u64) {
        if let Some(fetch) = self.fetch.take().filter(|fetch| 0 < fetch.due) {
            self.bad_history(number, fetch.fetched.log, "batches of a fetch are missing before it");
        }
    }

    pub(super) fn batch_fetched(&mut self, number: u64, seen: &SeenBatch) {
        let Some(mut fetch) = self.fetch.filter(|fetch| 0 < fetch.due) else {
            self.bad_history(number, 0, "a batch without a fetch");
            return;
        };
        let log = fetch.fetched.log;
        let end = seen.offset.saturating_add(i64::from(seen.count));
        self.figures.records_read += u64::from(seen.count);
        self.place_in_fetch(number, &fetch, seen);
        if fetch.fetched.end < end {
            let about = About {
                kind: ViolationKind::BeyondHighWatermark,
                log,
                offsets: seen.offset..end,
                batches: Vec::new(),
                events: vec![fetch.event, number],
            };
            self.complain(about, &format!("the high watermark is {}", fetch.fetched.end));
        }
        self.read(number, log, seen);
        let state = self.log_mut(number, log);
        state.end.raise(Step { event: number, value: end, cause: Cause::Read });
        let epoch = Step { event: number, value: i64::from(seen.epoch), cause: Cause::Read };
        state.epoch.raise(epoch);
        fetch.due -= 1;
        (fetch.next, fetch.is_first) = (end, false);
        self.fetch = Some(fetch);
    }

    /// Whether the batch is the next one that the fetch has to return.
    fn place_in_fetch(&mut self, number: u64, fetch: &FetchUnderWay, seen: &SeenBatch) {
        let (log, next) = (fetch.fetched.log, fetch.next);
        let end = seen.offset.saturating_add(i64::from(seen.count));
        let about = |kind, offsets| About {
            kind,
            log,
            offsets,
            batches: Vec::new(),
            events: vec![fetch.event, number],
        };
        if next < seen.offset {
            self.complain(about(ViolationKind::Gap, next..seen.offset), "a fetch left out these offsets");
            self.gone(number, log, next..seen.offset, number);
        } else if fetch.is_first && end <= next {
            let detail = format!("a fetch of offset {next} returned a batch that ends before");
            self.complain(about(ViolationKind::WrongPosition, seen.offset..end), &detail);
        } else if !fetch.is_first && seen.offset != next {
            let detail = format!("a fetch returned it where {next} is due");
            self.complain(about(ViolationKind::WrongPosition, seen.offset..end), &detail);
        }
    }

    /// Compares a batch with what is known of its offsets, and with what was sent.
    fn read(&mut self, number: u64, log_id: u32, seen: &SeenBatch) {
        let batch = self.identify(seen);
        let log = self.log_mut(number, log_id);
        if let Some(slot) = log.slots.get_mut(&seen.offset) {
            let is_same = (slot.batch, slot.digest, slot.count) == (batch, seen.digest, seen.count);
            if is_same && slot.epoch.is_none_or(|epoch| epoch == seen.epoch) {
                slot.epoch = Some(seen.epoch);
                slot.seen = number;
                slot.read = if slot.read == 0 { number } else { slot.read };
                return;
            }
        }
        let end = seen.offset.saturating_add(i64::from(seen.count));
        let about =
            |kind, batches, events| About { kind, log: log_id, offsets: seen.offset..end, batches, events };
        let mut is_known_epoch = false;
        for base in log.overlapping(seen.offset, seen.count) {
            let slot = self.log_mut(number, log_id).slots[&base];
            let is_same_place = base == seen.offset && slot.count == seen.count;
            if is_same_place && slot.batch == batch && slot.digest == seen.digest {
                let was = slot.epoch.unwrap_or(seen.epoch);
                let about = about(ViolationKind::EpochChanged, vec![batch], vec![slot.read, number]);
                self.complain(about, &format!("leader epoch {}, it was {was} before", seen.epoch));
                is_known_epoch = true;
            } else if is_same_place && (slot.batch == batch || batch == BatchRef::NOBODY) {
                let events = vec![slot.acked, slot.read, number];
                self.complain(about(ViolationKind::Altered, vec![slot.batch], events), "other bytes");
            } else {
                self.replaced(number, log_id, base, batch);
            }
            self.forget(log_id, base);
        }
        self.compare_with_sent(number, log_id, seen, batch, is_known_epoch);
        let slot = Slot {
            count: seen.count,
            digest: seen.digest,
            epoch: Some(seen.epoch),
            batch,
            acked: 0,
            sent: 0,
            read: number,
            seen: number,
        };
        self.log_mut(number, log_id).slots.insert(seen.offset, slot);
        if batch != BatchRef::NOBODY {
            self.batch_mut(batch).copies += 1;
        }
    }

    /// Something that was not at these offsets before: is it what somebody sent?
    fn compare_with_sent(
        &mut self,
        number: u64,
        log: u32,
        seen: &SeenBatch,
        batch: BatchRef,
        is_known: bool,
    ) {
        let end = seen.offset.saturating_add(i64::from(seen.count));
        let about =
            |kind, events| About { kind, log, offsets: seen.offset..end, batches: vec![batch], events };
        if batch == BatchRef::NOBODY {
            let who = match seen.identity {
                Some((producer, sequence)) => format!("producer {producer} sequence {sequence}"),
                None => "a payload that names nobody".to_owned(),
            };
            self.complain(about(ViolationKind::NeverSent, vec![number]), &who);
            return;
        }
        let sent = *self.batch(batch);
        let is_altered = (sent.count, sent.digest) != (seen.count, seen.digest);
        if !is_known && is_altered && sent.log == log {
            self.complain(about(ViolationKind::Altered, vec![sent.first_sent, number]), "not as it was sent");
        } else if sent.log != log {
            let detail = "it was sent to another log";
            self.complain(about(ViolationKind::NeverSent, vec![sent.first_sent, number]), detail);
        }
    }

    fn identify(&self, seen: &SeenBatch) -> BatchRef {
        let found = seen.identity.and_then(|(producer, sequence)| {
            let index = self.producers.get(&producer)?.find(sequence)?;
            Some(BatchRef { producer, index: u32::try_from(index).ok()? })
        });
        found.unwrap_or(BatchRef::NOBODY)
    }

    /// The log start is said to be this.
    pub(super) fn start_is(&mut self, number: u64, log_id: u32, since: u64, start: i64) {
        let log = self.log_mut(number, log_id);
        let (retention, deletion_max) = (log.retention, log.deletion_max);
        let known = log.start.at(since);
        let is_new = log.start_now() < start;
        log.start.raise(Step { event: number, value: start, cause: Cause::Told });
        let about =
            |kind, events| About { kind, log: log_id, offsets: start..start, batches: Vec::new(), events };
        if let Some(known) = known.filter(|known| start < known.value) {
            let detail = format!("the log starts at {start}, it was {} before", known.value);
            self.complain(about(ViolationKind::LogStartFell, vec![known.event, number]), &detail);
            self.log_mut(number, log_id).start.set(Step { event: number, value: start, cause: Cause::Told });
        } else if is_new && !retention && deletion_max < start {
            let detail = format!("nobody asked to delete more than what is below {deletion_max}");
            self.complain(about(ViolationKind::LogStartMoved, vec![number]), &detail);
        }
    }

    /// The high watermark is said to be this.
    pub(super) fn end_is(&mut self, number: u64, log_id: u32, since: u64, end: i64) {
        let log = self.log_mut(number, log_id);
        let known = log.end.at(since).filter(|known| end < known.value);
        let step = Step { event: number, value: end, cause: Cause::Told };
        let Some(known) = known else {
            log.end.raise(step);
            return;
        };
        log.end.set(step);
        let kind = match known.cause {
            Cause::Acknowledged | Cause::Told => ViolationKind::HighWatermarkFell,
            Cause::Read => ViolationKind::ReadVanished,
            Cause::Committed => ViolationKind::CommittedBeyondEnd,
        };
        let about = About {
            kind,
            log: log_id,
            offsets: end..known.value,
            batches: Vec::new(),
            events: vec![known.event, number],
        };
        self.complain(about, &format!("the high watermark is {end}, it was at least {}", known.value));
        self.gone(number, log_id, end..known.value, since);
    }

    /// What was known of these offsets by then is not there.
    fn gone(&mut self, number: u64, log: u32, offsets: std::ops::Range<i64>, since: u64) {
        let slots = &self.log_mut(number, log).slots;
        let gone = slots.range(offsets).filter(|(_, slot)| slot.known() <= since);
        let gone: Vec<i64> = gone.map(|(base, _)| *base).collect();
        for base in gone {
            self.replaced(number, log, base, BatchRef::NOBODY);
            self.forget(log, base);
        }
    }

    /// Reports what is not at its offset any more.
    fn replaced(&mut self, number: u64, log: u32, base: i64, by: BatchRef) {
        let slot = self.log_mut(number, log).slots[&base];
        let offsets = base..base + i64::from(slot.count);
        let batches = vec![slot.batch, by];
        let detail = if by == BatchRef::NOBODY { "it is gone" } else { "another batch is in its place" };
        if slot.acked != 0 {
            self.figures.records_lost += u64::from(slot.count);
            let events = vec![slot.sent, slot.acked, number];
            let kind = ViolationKind::AcknowledgedLost;
            self.complain(
                About { kind, log, offsets: offsets.clone(), batches: batches.clone(), events },
                detail,
            );
        }
        if slot.read != 0 {
            self.figures.records_vanished += u64::from(slot.count);
            let events = vec![slot.read, slot.seen, number];
            let kind = ViolationKind::ReadVanished;
            self.complain(About { kind, log, offsets, batches, events }, detail);
        }
    }

    fn forget(&mut self, log: u32, base: i64) {
        let slot = self.logs.get_mut(&log).and_then(|log| log.slots.remove(&base));
        if let Some(batch) = slot.map(|slot| slot.batch).filter(|batch| *batch != BatchRef::NOBODY) {
            self.batch_mut(batch).copies -= 1;
        }
    }
}
