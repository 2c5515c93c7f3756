//! What is wrong with the batches of a segment, what lies behind its end, and what a repair sets aside.

use crate::storage::quarantine::Hole;

use super::finding::{Finding, Kind, Severity};
use super::partition::{PartitionCheck, Place};
use super::segment::Walked;

/// What is done about damage.
const QUARANTINE: &str = "moves the bytes into a file beside the segment; an empty batch takes the offsets";
const FILL: &str = "an empty batch takes the offsets, so that they are not given out again";

impl PartitionCheck<'_> {
    /// Tells what is wrong with the batches; returns what a repair sets aside.
    pub(super) fn judge(&mut self, place: Place<'_>, walked: &Walked) -> Vec<Hole> {
        let mut holes = Vec::new();
        for found in &walked.holes {
            self.tell_hole(place, found.hole, &found.reason, &mut holes);
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
                self.tell_hole(place, hole(tail.position), &tail.reason, &mut holes);
            }
            Some(tail) => {
                let path = self.path(place.found.base_offset);
                self.add(
                    Finding::new(Severity::Unfinished, Kind::TornTail, path, tail.reason.clone())
                        .at(tail.position, size - tail.position)
                        .offsets(next_offset..next_offset)
                        .next_start("cuts it off, and keeps the bytes in a file beside the segment"),
                );
            }
            None if next_offset < end => self.tell_gap(place, hole(size), &mut holes),
            None => {}
        }
        if place.next_base.is_some_and(|base| base < next_offset) {
            self.tell_overlap(place, next_offset);
        }
        holes
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

    fn tell_hole(&mut self, place: Place<'_>, hole: Hole, reason: &str, holes: &mut Vec<Hole>) {
        let path = self.path(place.found.base_offset);
        let finding = Finding::new(Severity::Damage, Kind::Batch, path, reason)
            .at(hole.position, hole.end - hole.position)
            .offsets(hole.offset..hole.next_offset);
        self.tell_repairable(place, finding, hole, QUARANTINE, holes);
    }

    fn tell_gap(&mut self, place: Place<'_>, hole: Hole, holes: &mut Vec<Hole>) {
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
        self.tell_repairable(place, finding.offsets(hole.offset..hole.next_offset), hole, FILL, holes);
    }

    fn tell_repairable(
        &mut self,
        place: Place<'_>,
        finding: Finding,
        hole: Hole,
        how: &'static str,
        holes: &mut Vec<Hole>,
    ) {
        let last = hole.next_offset.saturating_sub(1).saturating_sub(place.found.base_offset);
        if i32::try_from(last).is_err() {
            return self.add(
                finding.by_hand("more offsets are gone than a segment can have; restore it from a backup"),
            );
        }
        let remedy = self.repair(how);
        self.add(finding.remedy(remedy));
        holes.push(hole);
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
