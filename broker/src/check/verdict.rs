//! What is wrong with the batches of a segment, what lies behind its end, and what a repair sets aside.

use crate::storage::quarantine::Hole;

use super::finding::{Finding, Kind, Severity};
use super::partition::{PartitionCheck, Place};
use super::segment::Walked;

/// What is done about damage.
const QUARANTINE: &str = "moves the bytes into a file beside the segment; an empty batch takes the offsets";
const FILL: &str = "an empty batch takes the offsets, so that they are not given out again";

const HEAL: &str = "fills it from the commit journal";

/// What the batches of a segment came to.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What a repair sets aside.
    pub(super) holes: Vec<Hole>,
    /// Ranges that the broker knows.
    pub(super) known: Vec<Hole>,
    /// The segment lacks batches, and the broker does not know of all of them.
    pub(super) is_damaged: bool,
}

impl PartitionCheck<'_> {
    /// Tells what is wrong with the batches.
    pub(super) fn judge(&mut self, place: Place<'_>, walked: &Walked) -> Judged {
        let mut judged = Judged::default();
        for found in &walked.holes {
            self.tell_hole(place, found.hole, &found.reason, &mut judged);
        }
        let next_offset = walked.summary.next_offset;
        let end = match place.next_base {
            Some(base) => base,
            None => self.task.checkpoint.as_ref().map_or(next_offset, |checkpoint| checkpoint.end_offset),
        };
        let size = place.found.size;
        let hole =
            |position| Hole { position, end: size, offset: next_offset, next_offset: end.max(next_offset) };
        match &walked.tail {
            Some(tail)
                if place.next_base.is_some() || self.was_durable(place, tail.position, end > next_offset) =>
            {
                self.tell_hole(place, hole(tail.position), &tail.reason, &mut judged);
            }
            Some(tail) => {
                judged.is_damaged = true;
                self.tell_torn(place, hole(tail.position), &tail.reason);
            }
            None if next_offset < end => self.tell_gap(place, hole(size), &mut judged),
            None if place.next_base.is_none() && self.fills_from(place, hole(size)).is_some() => {
                judged.is_damaged = true;
                self.tell_torn(place, hole(size), "the end of the file is gone");
            }
            None => {}
        }
        if place.next_base.is_some_and(|base| base < next_offset) {
            self.tell_overlap(place, next_offset);
        }
        judged
    }

    /// The end of the log as a crash leaves it.
    fn tell_torn(&mut self, place: Place<'_>, hole: Hole, reason: &str) {
        let path = self.path(place.found.base_offset);
        let filled = self.fills_from(place, hole);
        let finding = Finding::new(Severity::Unfinished, Kind::TornTail, path, reason)
            .at(hole.position, hole.end - hole.position)
            .offsets(hole.offset..filled.unwrap_or(hole.offset));
        self.add(match filled {
            Some(_) => finding.next_start(HEAL),
            None => finding.next_start("cuts it off, and keeps the bytes in a file beside the segment"),
        });
    }

    /// Where the log goes on once the next start has put there what the commit journal has; none if it puts nothing there. It
    /// looks behind the checkpoint only.
    fn fills_from(&self, place: Place<'_>, hole: Hole) -> Option<i64> {
        let base = place.found.base_offset;
        let is_scanned = match self.active() {
            Some(active) if active.base_offset == base => active.size <= hole.position,
            Some(active) => active.base_offset < base,
            None => true,
        };
        let log = (self.task.topic_id, self.task.index);
        if self.is_clean() || !is_scanned {
            return None;
        }
        self.situation.journal.fills_from(log, base, hole.position..hole.end, hole.offset)
    }

    /// Whether the broker knows of it, and answers who reads there.
    fn is_known(&self, place: Place<'_>, hole: Hole) -> bool {
        let ranges = self.task.checkpoint.iter().flat_map(|checkpoint| &checkpoint.quarantined);
        ranges.filter(|range| range.segment_base == place.found.base_offset).any(|range| {
            range.position <= hole.position
                && hole.end <= range.position.saturating_add(range.bytes)
                && range.offset <= hole.offset
                && hole.next_offset <= range.next_offset
        })
    }

    /// Whether bytes at the end of the log were durable: then they are no torn tail.
    fn was_durable(&self, place: Place<'_>, position: u64, lacks_offsets: bool) -> bool {
        let active = self.active();
        let is_below = active.is_some_and(|active| {
            place.found.base_offset < active.base_offset
                || place.found.base_offset == active.base_offset && position < active.size
        });
        self.is_clean() || is_below || lacks_offsets
    }

    fn tell_hole(&mut self, place: Place<'_>, hole: Hole, reason: &str, judged: &mut Judged) {
        let path = self.path(place.found.base_offset);
        let finding = Finding::new(Severity::Damage, Kind::Batch, path, reason)
            .at(hole.position, hole.end - hole.position)
            .offsets(hole.offset..hole.next_offset);
        self.tell_repairable(place, finding, hole, QUARANTINE, judged);
    }

    fn tell_gap(&mut self, place: Place<'_>, hole: Hole, judged: &mut Judged) {
        let is_lost = |base: &&i64| (hole.offset..hole.next_offset).contains(*base);
        let lost = place.lost.iter().find(is_lost);
        if lost.is_none() && self.task.is_sparse && place.next_base.is_some() {
            return;
        }
        let finding = match lost {
            Some(base) => Finding::new(
                Severity::Damage,
                Kind::MissingOffsets,
                self.path(*base),
                "the segment file is not there",
            ),
            None => Finding::new(
                Severity::Damage,
                Kind::MissingOffsets,
                self.path(place.found.base_offset),
                "offsets are missing behind its last batch: the end of the file is gone, or a whole segment",
            )
            .at(hole.position, 0),
        };
        self.tell_repairable(place, finding.offsets(hole.offset..hole.next_offset), hole, FILL, judged);
    }

    fn tell_repairable(
        &mut self,
        place: Place<'_>,
        finding: Finding,
        hole: Hole,
        how: &'static str,
        judged: &mut Judged,
    ) {
        if self.is_known(place, hole) {
            judged.known.push(hole);
            let known = Finding {
                severity: Severity::Info,
                kind: Kind::Quarantined,
                reason: format!(
                    "{}; the broker knows, and a fetch of these offsets is told so",
                    finding.reason
                ),
                ..finding
            };
            return self.add(known);
        }
        judged.is_damaged = true;
        if self.fills_from(place, hole).is_some_and(|filled| hole.next_offset <= filled) {
            let torn = Finding { severity: Severity::Unfinished, kind: Kind::TornTail, ..finding };
            return self.add(torn.next_start(HEAL));
        }
        let last = hole.next_offset.saturating_sub(1).saturating_sub(place.found.base_offset);
        if i32::try_from(last).is_err() {
            return self.add(
                finding.by_hand("more offsets are gone than a segment can have; restore it from a backup"),
            );
        }
        let remedy = self.repair(how);
        self.add(finding.remedy(remedy));
        judged.holes.push(hole);
    }

    fn tell_overlap(&mut self, place: Place<'_>, next_offset: i64) {
        let Some(base) = place.next_base else { return };
        let reason = format!(
            "{} before it already reaches to offset {next_offset}",
            self.path(place.found.base_offset).display()
        );
        self.add(
            Finding::new(Severity::Damage, Kind::Overlap, self.path(base), reason)
                .at(0, 0)
                .offsets(base..next_offset)
                .by_hand("two files have these offsets: move the wrong one away"),
        );
    }
}
