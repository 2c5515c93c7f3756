//! What is done about damage in the log while the broker runs: the segment is verified, so that the damaged range answers
//! an error and everything around it is served; and it is said what to do.
//!
//! A segment file that is gone is left out: readers pass over its offsets, as they would after a start without it.

use std::sync::Arc;

use super::{Partition, ReadError};
use crate::storage::error;
use crate::storage::holes::Quarantined;
use crate::storage::scrub::{AtOnce, Findings, Pace, ScrubError};
use crate::storage::segment::Segment;
use crate::storage::view::LogView;

/// Damaged ranges of a partition that have a line each in the log at the start.
const TOLD_AT_START_MAX: usize = 10;

impl Partition {
    /// Verifies a segment at that pace, and tells what was found. None if the segment is no longer part of the log.
    ///
    /// # Errors
    /// [`ScrubError`].
    pub fn verify(&self, segment: &Arc<Segment>, pace: &dyn Pace) -> Result<Option<Findings>, ScrubError> {
        let bound = self.offsets.high_watermark();
        let view = self.reader.view();
        let is_part =
            |view: &LogView| view.segment_at(segment.path()).is_some_and(|found| Arc::ptr_eq(found, segment));
        if self.is_deleted() || !is_part(&view) {
            return Ok(None);
        }
        match view.verify(segment, &bound, pace) {
            // Compaction has replaced it meanwhile.
            Ok(_) if !is_part(&self.reader.view()) => Ok(None),
            Ok(findings) => {
                self.tell(segment, &findings);
                Ok(Some(findings))
            }
            Err(ScrubError::Read(error)) if self.leave_out_missing(&view, &error) => Ok(None),
            // Retention or compaction took it meanwhile.
            Err(_) if self.is_deleted() || !is_part(&self.reader.view()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks whether the files of all closed segments are there and as long as they were: a start need not have. Tells what is
    /// missing.
    pub fn look_at_files(&self) {
        let view = self.reader.view();
        for pair in view.segments().windows(2) {
            let [segment, next] = pair else { continue };
            let looked_at = match segment.glance() {
                Ok(glance) if !glance.is_as_it_was => self.verify(segment, &AtOnce).map(drop),
                Ok(glance) => {
                    let start = glance.next_offset.filter(|end| *end < next.base_offset());
                    start.into_iter().for_each(|start| self.tell_of_gap(segment, start, next.base_offset()));
                    Ok(())
                }
                Err(error) if self.leave_out_missing(&view, &error) => Ok(()),
                Err(error) => Err(error.into()),
            };
            // Retention may have taken it meanwhile; and if not, whoever reads there is told.
            if let Err(error) = looked_at {
                tracing::debug!(path = %segment.path().display(), %error, "a segment could not be looked at");
            }
        }
    }

    /// Segments to which nothing is appended any more, oldest first.
    pub fn sealed_segments(&self) -> Vec<Arc<Segment>> {
        let view = self.reader.view();
        view.segments().iter().filter(|segment| segment.is_sealed()).map(Arc::clone).collect()
    }

    /// Ranges that cannot be read, from the log's start on.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.reader.view().quarantined()
    }

    /// Reads with `read`. Where that meets damage nobody knew of, the segment is verified and `read` tried again: it does not
    /// meet the same damage twice. May wait for the disk.
    pub(super) fn read_past_damage<T>(
        &self,
        read: impl Fn(&LogView) -> Result<T, error::ReadError>,
    ) -> Result<T, ReadError> {
        let view = self.reader.view();
        match read(&view) {
            Err(error) if needs_look(&view, &error) => {}
            other => return Ok(other?),
        }
        // One at a time: whoever waits here mostly finds the work done.
        let _verifying = self.store.verifying();
        loop {
            if self.is_deleted() {
                return Err(ReadError::Deleted);
            }
            let view = self.reader.view();
            match read(&view) {
                Err(error) if needs_look(&view, &error) => {
                    if !self.look_into(&view, &error) {
                        return Err(error.into());
                    }
                }
                other => return Ok(other?),
            }
        }
    }

    /// Whether `error` is one that [`Partition::read_past_damage`] can do something about.
    pub(super) fn needs_look(&self, error: &error::ReadError) -> bool {
        needs_look(&self.reader.view(), error)
    }

    /// Finds out about the damage behind `error`; whether anything has changed.
    fn look_into(&self, view: &LogView, error: &error::ReadError) -> bool {
        if self.leave_out_missing(view, error) {
            return true;
        }
        let Some(segment) = error.path().and_then(|path| view.segment_at(path)) else { return false };
        match self.verify(segment, &AtOnce) {
            Ok(findings) => {
                findings.is_none_or(|found| !found.new.is_empty() || !found.readable_again.is_empty())
            }
            Err(error) => {
                tracing::error!(path = %segment.path().display(), %error, "a damaged segment cannot be examined");
                false
            }
        }
    }

    /// Takes a segment out of the log whose file is gone; whether it did.
    pub(super) fn leave_out_missing(&self, view: &LogView, error: &error::ReadError) -> bool {
        let missing = error.path().filter(|_| error.is_missing_file()).and_then(|path| view.segment_at(path));
        let Some(segment) = missing.filter(|segment| segment.is_sealed()) else { return false };
        let _rearranging = self.lock_rearranging();
        let mut writer = self.lock_writer();
        if self.is_deleted() {
            return false;
        }
        let Some(gap) = writer.log.forget_missing(segment) else { return false };
        drop(writer);
        let (topic, index, path) = (&self.topic, self.index, segment.path().display());
        tracing::error!(
            %topic, index, %path, offset = gap.start, next_offset = gap.end,
            "a segment file is gone: its offsets are missing in the log, and readers pass over them. To get them back, \
             stop the broker, restore the file and start it again"
        );
        true
    }

    fn tell(&self, segment: &Arc<Segment>, findings: &Findings) {
        let (topic, index, path) = (&self.topic, self.index, segment.path().display());
        for range in &findings.new {
            self.tell_of_range(segment, range, findings.reason.as_deref().unwrap_or_default());
        }
        for range in &findings.readable_again {
            let Quarantined { position, offset, next_offset, .. } = *range;
            tracing::info!(%topic, index, %path, position, offset, next_offset, "records are readable again");
        }
        if 0 < findings.surplus_bytes {
            let bytes = findings.surplus_bytes;
            tracing::warn!(%topic, index, %path, bytes, "the segment file is longer than it was; what was added is not served");
        }
        if let Some(gap) = findings.gap {
            self.tell_of_gap(segment, gap.start, gap.end);
        }
    }

    /// Offsets behind a segment's last batch that no file has.
    fn tell_of_gap(&self, segment: &Segment, offset: i64, next_offset: i64) {
        // Compaction leaves such gaps.
        if self.config.load().cleanup.compact {
            return;
        }
        let (topic, index, path) = (&self.topic, self.index, segment.path().display());
        tracing::error!(
            %topic, index, %path, offset, next_offset,
            "offsets are missing behind this segment: a file was lost, or the end of this one. Readers pass over them"
        );
    }

    /// Says what cannot be read, at the start.
    pub(super) fn tell_of_known_damage(&self) {
        let (view, ranges) = (self.reader.view(), self.quarantined());
        for range in ranges.iter().take(TOLD_AT_START_MAX) {
            let segment = view.segments().iter().find(|segment| segment.base_offset() == range.segment_base);
            if let Some(segment) = segment {
                self.tell_of_range(segment, range, "known from before, or found by recovery");
            }
        }
        if TOLD_AT_START_MAX < ranges.len() {
            let (topic, index, more) = (&self.topic, self.index, ranges.len() - TOLD_AT_START_MAX);
            tracing::error!(%topic, index, more, "more ranges of this partition are damaged");
        }
    }

    fn tell_of_range(&self, segment: &Segment, range: &Quarantined, reason: &str) {
        let Quarantined { position, bytes, offset, next_offset, .. } = *range;
        let (topic, index, path) = (&self.topic, self.index, segment.path().display());
        let kept = segment.kept_bytes_of(range).unwrap_or_else(|| segment.path().to_path_buf());
        tracing::error!(
            %topic, index, %path, position, bytes, offset, next_offset, kept = %kept.display(), reason,
            "records are damaged: offsets {offset} to {last} answer CORRUPT_MESSAGE, all around them is served. \
             To get past them, seek to offset {next_offset}, or delete the records before it (DeleteRecords)",
            last = next_offset - 1,
        );
    }
}

fn needs_look(view: &LogView, error: &error::ReadError) -> bool {
    let segment = || error.path().and_then(|path| view.segment_at(path));
    match error {
        error::ReadError::Quarantined { .. } => segment().is_some_and(|segment| segment.is_untold()),
        _ if error.is_damage() => segment().is_some(),
        _ if error.is_missing_file() => segment().is_some_and(|segment| segment.is_sealed()),
        _ => false,
    }
}
