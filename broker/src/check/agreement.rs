//! Whether the checkpoint and the list of files fit the log.

use std::path::Path;

use crate::checkpoint::offline::Rescan;
use crate::storage::holes::Quarantined;

use super::finding::{Finding, Kind, Remedy, Severity};
use super::folder::Found;
use super::partition::{PartitionCheck, Place};
use super::seal;
use super::segment::Walked;

const RESCAN: &str = "has the next start scan this log";

impl PartitionCheck<'_> {
    /// Base offsets of segments that must have been there: listed by a clean checkpoint, or with other files left.
    pub(super) fn lost(&self, segments: &[Found], strays: &[i64]) -> Vec<i64> {
        let mut lost = strays.to_vec();
        if let Some(checkpoint) = &self.task.checkpoint {
            lost.extend(checkpoint.active.map(|active| active.base_offset));
            if self.is_clean() {
                lost.extend(checkpoint.sealed.iter().flatten().map(|sealed| sealed.base_offset));
            }
        }
        lost.retain(|base| segments.binary_search_by_key(base, |found| found.base_offset).is_err());
        lost.sort_unstable();
        lost.dedup();
        lost
    }

    /// What the checkpoint knows before the first segment, or with no segment at all.
    pub(super) fn check_start(&mut self, segments: &[Found], lost: &[i64]) {
        let Some(checkpoint) = &self.task.checkpoint else {
            // Without the catalog nobody knows the topic's id.
            let is_known = self.situation.has_checkpoint && self.situation.deferred.is_none();
            if self.is_clean() && is_known && !segments.is_empty() {
                self.wants_rescan = true;
                let reason =
                    "the checkpoint of the clean shutdown does not know this log: nothing of it is served";
                let remedy = self.repair(RESCAN);
                let folder = self.folder.clone();
                self.add(Finding::new(Severity::Damage, Kind::Checkpoint, folder, reason).remedy(remedy));
            }
            return;
        };
        let start = checkpoint.start_offset;
        let end = segments.first().map_or(checkpoint.end_offset, |first| first.base_offset);
        let was_there = checkpoint.active.is_some() || !segments.is_empty();
        if end <= start || !was_there {
            return;
        }
        self.wants_rescan = true;
        let first = lost.iter().copied().find(|base| *base < end);
        let file = first.map_or_else(|| self.folder.clone(), |base| self.path(base));
        let reason = "the log began with these offsets; their segment files are not there";
        let finding = Finding::new(Severity::Damage, Kind::MissingOffsets, file, reason).offsets(start..end);
        let remedy = match self
            .repair("the log begins behind them; restore the files from a backup if there is one")
        {
            Remedy::Repair(_) if segments.is_empty() => {
                Remedy::Repair("the log goes on behind them; restore the files from a backup if there is one")
            }
            remedy => remedy,
        };
        self.add(finding.remedy(remedy));
    }

    /// Whether the checkpoint contradicts a segment that is whole.
    pub(super) fn check_mark(&mut self, place: Place<'_>, walked: &Walked, is_damaged: bool) -> bool {
        let size = place.found.size;
        let Some(active) = self.active().filter(|active| active.base_offset == place.found.base_offset)
        else {
            return false;
        };
        let is_longer = self.trusted().is_some() && (size != active.size || place.next_base.is_some());
        if is_damaged || walked.is_mark_met && !is_longer {
            return false;
        }
        let reason = match walked.is_mark_met {
            true => format!(
                "the log has more than at the clean shutdown, when it ended at position {}",
                active.size
            ),
            false => format!(
                "the checkpoint has offset {} at position {}, and no batch starts there with that",
                active.next_offset, active.size
            ),
        };
        let path = self.path(place.found.base_offset);
        self.tell_contradiction(
            Finding::new(Severity::Damage, Kind::Checkpoint, path, reason)
                .at(active.size.min(size), size.saturating_sub(active.size))
                .offsets(active.next_offset..walked.summary.next_offset.max(active.next_offset)),
        );
        true
    }

    fn tell_contradiction(&mut self, finding: Finding) {
        self.wants_rescan = true;
        let remedy = self.repair(RESCAN);
        self.add(finding.remedy(remedy));
    }

    /// The list of segments that a clean shutdown has left.
    pub(super) fn check_list(&mut self, segments: &[Found], all: &[Found]) {
        let Some(checkpoint) = self.trusted().cloned() else { return self.check_active_is_there(all) };
        let listed: Vec<(i64, u64)> = checkpoint
            .sealed
            .iter()
            .flatten()
            .map(|sealed| (sealed.base_offset, sealed.size))
            .chain(checkpoint.active.map(|active| (active.base_offset, active.size)))
            .collect();
        for found in segments {
            let path = self.path(found.base_offset);
            let known = listed.iter().find(|(base, _)| *base == found.base_offset);
            let reason = match known {
                None => "the checkpoint of the clean shutdown does not know it: it is not served".to_owned(),
                Some((_, size)) if *size != found.size && !self.is_known_cut(*found, *size) => {
                    format!("it has {} bytes, and had {size} at the clean shutdown", found.size)
                }
                Some(_) => continue,
            };
            if !self.is_told(&path) {
                let finding =
                    Finding::new(Severity::Damage, Kind::Checkpoint, path, reason).at(0, found.size);
                self.tell_contradiction(finding);
            }
        }
        for (at, (base, _)) in listed.iter().enumerate() {
            let path = self.path(*base);
            let is_there = all.iter().any(|found| found.base_offset == *base);
            if !is_there && !self.is_told(&path) && !self.is_missing_told(*base) {
                let end = listed.get(at + 1).map_or(checkpoint.end_offset, |(next, _)| *next);
                let reason = "the segment file is not there";
                self.tell_contradiction(
                    Finding::new(Severity::Damage, Kind::MissingOffsets, path, reason).offsets(*base..end),
                );
            }
        }
    }

    /// Whether the broker knows that the end of a file is gone.
    fn is_known_cut(&self, found: Found, listed: u64) -> bool {
        let ranges = self.task.checkpoint.iter().flat_map(|checkpoint| &checkpoint.quarantined);
        let is_it = |range: &Quarantined| {
            range.segment_base == found.base_offset
                && range.position <= found.size
                && range.position.saturating_add(range.bytes) == listed
        };
        found.size < listed && ranges.into_iter().any(is_it)
    }

    /// After a crash, recovery looks for the segment that the checkpoint names.
    fn check_active_is_there(&mut self, all: &[Found]) {
        let Some(active) = self.active() else { return };
        let is_there = all.iter().any(|found| found.base_offset == active.base_offset);
        // The next start makes it again: nothing is lost with it.
        let start = self.task.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.start_offset);
        let was_empty = active.is_blank()
            && match all.last() {
                Some(last) => last.base_offset < active.base_offset,
                None => active.base_offset <= start,
            };
        if !is_there && !was_empty && !self.is_missing_told(active.base_offset) {
            let path = self.path(active.base_offset);
            let reason = "the checkpoint names it, and it is not there";
            self.tell_contradiction(Finding::new(Severity::Damage, Kind::Checkpoint, path, reason));
        }
    }

    /// Whether there is something worse to know of a file.
    fn is_told(&self, path: &Path) -> bool {
        let is_bad = |finding: &Finding| finding.severity >= Severity::Damage && finding.file == path;
        self.report.findings.iter().any(is_bad)
    }

    fn is_missing_told(&self, base: i64) -> bool {
        let is_it = |finding: &Finding| {
            finding.severity >= Severity::Damage
                && finding.offsets.as_ref().is_some_and(|offsets| offsets.contains(&base))
        };
        self.report.findings.iter().any(is_it)
    }

    pub(super) fn tell_strays(&mut self, strays: &[i64]) {
        for base in strays.iter().filter(|base| !self.is_missing_told(**base)).copied().collect::<Vec<_>>() {
            let path = seal::beside(&self.path(base), "*");
            let reason = "indexes or a seal without a segment; ignored";
            self.add(Finding::new(Severity::Info, Kind::Leftover, path, reason).offsets(base..base));
        }
    }

    /// The next start must not believe positions that a repair moves, nor what contradicts the log. It scans from where the
    /// checkpoint's producers and leader epochs are known, at the latest; all of the log if a repair changes it, so that
    /// recovery sees for itself, unless gaps of a compacted log would look like damage to it.
    pub(super) fn plan_rescan(&mut self, segments: &[Found]) {
        let is_moved = self.is_changed && (self.task.checkpoint.is_some() || self.is_clean());
        if self.situation.deferred.is_some()
            || !self.situation.has_checkpoint
            || !(self.wants_rescan || is_moved)
        {
            return;
        }
        let first = segments.first().map(|found| found.base_offset);
        let end = self.task.checkpoint.as_ref().map(|checkpoint| checkpoint.end_offset);
        let limit =
            self.active().map(|active| active.base_offset).filter(|_| self.task.is_sparse || !is_moved);
        let below = segments.iter().rev().find(|found| limit.is_some_and(|limit| found.base_offset <= limit));
        self.report.rescan = Some(Rescan {
            topic_id: self.task.topic_id,
            index: self.task.index,
            start_offset: first.or(end).unwrap_or(0),
            base_offset: below.map(|found| found.base_offset).or(first),
        });
    }

    /// Ranges that the broker knows stay as they are, but where others are set aside in the same segment, or the next start
    /// scans: then as a loss as well, for a scan would judge by the topic's flush policy.
    pub(super) fn plan_known(&mut self) {
        let from = self.report.rescan.and_then(|rescan| rescan.base_offset);
        for repair in &mut self.report.repairs {
            if !repair.holes.is_empty() || from.is_some_and(|from| from <= repair.base_offset) {
                repair.holes.append(&mut repair.known);
                repair.holes.sort_unstable_by_key(|hole| hole.position);
                repair.rebuilds |= repair.is_closed && !repair.holes.is_empty();
            }
        }
        self.report.repairs.retain(|repair| repair.rebuilds || !repair.holes.is_empty());
    }
}
