//! Whether seal and indexes of a segment fit it: they can be built anew, so nothing here is a loss.

use std::path::Path;

use crate::storage::file_names;
use crate::storage::summary::SegmentSummary;

use super::finding::{Finding, Kind, Severity};
use super::index_cursor::IndexFault;
use super::partition::{PartitionCheck, Place};
use super::seal::{self, Seal};
use super::segment::Walked;
use super::verdict::Judged;

const REBUILD: &str = "builds indexes and seal anew";

impl PartitionCheck<'_> {
    /// Returns whether indexes and seal are to be built anew.
    pub(super) fn check_seal(
        &mut self,
        place: Place<'_>,
        seal: &Seal,
        walked: &Walked,
        judged: &Judged,
    ) -> bool {
        let is_damaged = judged.is_damaged;
        let segment = self.path(place.found.base_offset);
        let path = seal::beside(&segment, file_names::SEAL);
        let offsets = place.found.base_offset..walked.summary.next_offset;
        let remedy = self.repair(REBUILD);
        let warn = |kind, path, reason: String| {
            Finding::new(Severity::Warning, kind, path, reason)
                .offsets(offsets.clone())
                .remedy(remedy.clone())
        };
        let known = match seal {
            Seal::Good(known) => known,
            // Of a damaged segment it says nothing new.
            Seal::Missing | Seal::Other { .. } if is_damaged => return true,
            Seal::Missing => {
                let finding = warn(Kind::Seal, path, "it is not there".to_owned());
                let finding = finding.next_start("builds it and the indexes when they are needed");
                self.add(Finding { severity: Severity::Unfinished, ..finding });
                return false;
            }
            // The broker knows that the end is gone.
            Seal::Other { .. } if judged.known.iter().any(|hole| hole.position == place.found.size) => {
                return false;
            }
            Seal::Other { size } => {
                let reason = format!("it is of a segment of {size} bytes, this one has {}", place.found.size);
                self.add(warn(Kind::Seal, path, reason));
                return true;
            }
            Seal::Bad(reason) => {
                self.add(warn(Kind::Seal, path, reason.clone()));
                return true;
            }
        };
        let mut is_wrong = false;
        if !is_damaged && judged.known.is_empty() && !agree(known, &walked.summary) {
            self.add(warn(Kind::Seal, path, "its offsets or timestamps are not those of the log".to_owned()));
            is_wrong = true;
        }
        for finding in index_findings(&segment, walked, Severity::Warning) {
            self.add(finding.remedy(remedy.clone()));
            is_wrong = true;
        }
        is_wrong
    }

    /// The indexes of the last segment, which the checkpoint knows as they were then.
    pub(super) fn check_active_indexes(&mut self, walked: &Walked, is_damaged: bool) {
        if is_damaged {
            return;
        }
        let segment = self.path(walked.summary.base_offset);
        let is_trusted = self.trusted().is_some();
        let severity = if is_trusted { Severity::Warning } else { Severity::Unfinished };
        for finding in index_findings(&segment, walked, severity) {
            self.add(finding.next_start("builds it anew when it is needed"));
        }
    }
}

/// Whether a seal has the offsets and timestamps of the log.
fn agree(seal: &SegmentSummary, log: &SegmentSummary) -> bool {
    seal.next_offset == log.next_offset
        && seal.first_timestamp == log.first_timestamp
        && seal.max_timestamp == log.max_timestamp
        && seal.max_timestamp_offset == log.max_timestamp_offset
}

fn index_findings(segment: &Path, walked: &Walked, severity: Severity) -> Vec<Finding> {
    let faults = [
        (&walked.faults.offset, Kind::OffsetIndex, file_names::INDEX),
        (&walked.faults.time, Kind::TimeIndex, file_names::TIME_INDEX),
    ];
    let finding = |(fault, kind, extension): (&Option<IndexFault>, Kind, &str)| {
        let fault = fault.as_ref()?;
        let mut finding =
            Finding::new(severity, kind, seal::beside(segment, extension), fault.reason.clone());
        finding.position = Some(fault.position);
        finding.offsets = fault.offset.map(|offset| offset..offset.saturating_add(1));
        Some(finding)
    };
    faults.into_iter().filter_map(finding).collect()
}
