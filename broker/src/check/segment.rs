//! The walk through one segment: every batch, and both indexes beside it.
//!
//! What recovery would call damage is called so here, and its extent is found the same way; so a repair sets aside what
//! recovery would have. There is one difference: a whole batch behind a gap of offsets stays, if what follows it agrees with it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sendlog_protocol::records::{BatchError, BatchHeader, check_stored_records};

use crate::storage::batch_scan::BatchScan;
use crate::storage::file_names::{self, segment_file};
use crate::storage::files::StoredFile;
use crate::storage::quarantine::{self, Hole};
use crate::storage::summary::{NewEntries, SegmentSummary};

use super::batch_reader::{BatchReader, Located, Step};
use super::finding::{Finding, Kind, Severity};
use super::index_cursor::{IndexCursor, IndexFault};

/// Most that the records of a batch are decompressed to.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;
/// Findings that may repeat with every batch are listed up to this number for a segment.
const REPEATED_MAX: u64 = 20;

/// What to walk through.
pub(super) struct SegmentTask<'a> {
    /// The `.log`, open.
    pub(super) file: Arc<dyn StoredFile>,
    /// Relative to the data directory.
    pub(super) path: &'a Path,
    pub(super) base_offset: i64,
    pub(super) size: u64,
    /// Offsets may be missing: the topic is compacted.
    pub(super) is_sparse: bool,
    /// The offset at which the log goes on behind this segment, if that is known.
    pub(super) follows: Option<i64>,
    /// What the checkpoint says of this segment: a batch starts at the position, or the file ends, and this is its offset.
    pub(super) mark: Option<Mark>,
    /// Offset and time index, if they can be judged.
    pub(super) indexes: Option<Indexes>,
    /// Also look into the batches.
    pub(super) records: bool,
    pub(super) bytes_read: &'a AtomicU64,
}

/// A place in a segment that the checkpoint knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) position: u64,
    pub(super) offset: i64,
}

/// Both indexes of a segment.
pub(super) struct Indexes {
    pub(super) offset: IndexCursor,
    pub(super) time: IndexCursor,
}

/// What is wrong with the indexes.
#[derive(Debug, Default)]
pub(super) struct IndexFaults {
    pub(super) offset: Option<IndexFault>,
    pub(super) time: Option<IndexFault>,
}

/// Damage that good batches of the same file follow.
#[derive(Debug, Clone)]
pub(super) struct FoundHole {
    pub(super) hole: Hole,
    pub(super) reason: String,
}

/// Bytes behind the last good batch.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub(super) position: u64,
    pub(super) reason: String,
}

/// What the walk came to.
#[derive(Debug)]
pub(super) struct Walked {
    /// Of the batches; indexes are not counted.
    pub(super) summary: SegmentSummary,
    pub(super) batches: u64,
    pub(super) holes: Vec<FoundHole>,
    pub(super) tail: Option<Tail>,
    /// Whether the checkpoint's place is one.
    pub(super) is_mark_met: bool,
    pub(super) faults: IndexFaults,
    pub(super) findings: Vec<Finding>,
}

/// The leader epoch of the batches so far, over all segments of a log.
#[derive(Debug, Default)]
pub(super) struct EpochTrack {
    last: Option<Seen>,
    before_last: i32,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    epoch: i32,
    segment_base: i64,
    position: u64,
    header: BatchHeader,
}

impl EpochTrack {
    /// Nothing may be concluded over what was not read.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Which batch has a wrong epoch: this one, if its epoch fell, or the one before, if only that stands out.
    fn visit(&mut self, path: &Path, segment_base: i64, batch: &Located) -> Option<Finding> {
        let header = batch.header;
        let seen = Seen { epoch: header.leader_epoch, segment_base, position: batch.position, header };
        let last = self.last.replace(seen)?;
        if last.epoch <= seen.epoch {
            self.before_last = last.epoch;
            return None;
        }
        let (wrong, around) =
            if self.before_last <= seen.epoch { (last, seen.epoch) } else { (seen, last.epoch) };
        let reason = format!("leader epoch {} beside {around}: epochs never fall", wrong.epoch);
        let folder = path.parent().unwrap_or(Path::new(""));
        let file = segment_file(folder, wrong.segment_base, file_names::LOG);
        Some(
            Finding::new(Severity::Warning, Kind::LeaderEpoch, file, reason)
                .at(wrong.position, wrong.header.size() as u64)
                .offsets(wrong.header.base_offset..wrong.header.next_offset())
                .by_hand("the records are whole; clients may take the epoch for a change of leader"),
        )
    }
}

/// See the module.
pub(super) struct SegmentWalk<'a> {
    task: SegmentTask<'a>,
    epochs: &'a mut EpochTrack,
    walked: Walked,
    repeated: u64,
}

impl<'a> SegmentWalk<'a> {
    pub(super) fn new(task: SegmentTask<'a>, epochs: &'a mut EpochTrack) -> Self {
        let walked = Walked {
            summary: SegmentSummary::new(task.base_offset, 0),
            batches: 0,
            holes: Vec::new(),
            tail: None,
            is_mark_met: false,
            faults: IndexFaults::default(),
            findings: Vec::new(),
        };
        Self { task, epochs, walked, repeated: 0 }
    }

    /// # Errors
    /// The system's.
    pub(super) fn run(mut self) -> io::Result<Walked> {
        let file = Arc::clone(&self.task.file);
        let mut reader = BatchReader::new(&*file, self.task.size, self.task.bytes_read);
        loop {
            self.note_mark(reader.position());
            let (position, reason) = match reader.next()? {
                Step::End => break,
                Step::Bad(reason) => (reader.position(), reason),
                Step::Batch(batch) => match self.judge(&batch, &mut reader)? {
                    Ok(()) => {
                        self.accept(&batch, &mut reader)?;
                        continue;
                    }
                    Err(reason) => (batch.position, reason),
                },
            };
            if !self.pass_damage(position, reason, &mut reader)? {
                break;
            }
        }
        self.finish()
    }

    fn note_mark(&mut self, position: u64) {
        let is_it = |mark: Mark| mark.position == position && mark.offset == self.walked.summary.next_offset;
        self.walked.is_mark_met |= self.task.mark.is_some_and(is_it);
    }

    /// Whether a whole batch is the one that must be here.
    fn judge(&mut self, batch: &Located, reader: &mut BatchReader<'_>) -> io::Result<Result<(), String>> {
        let header = &batch.header;
        if let Err(reason) = self.walked.summary.check_next(header, false) {
            return Ok(Err(reason));
        }
        let expected = self.walked.summary.next_offset;
        if header.base_offset == expected {
            return Ok(Ok(()));
        }
        // Either offsets are missing before this batch, or its offset is wrong: then the next one contradicts it.
        let next = match reader.peek()? {
            Some(next) => Some(next.base_offset),
            None if reader.position() == self.task.size => self.task.follows,
            None => None,
        };
        let is_confirmed = next.map_or(self.task.is_sparse, |next| header.next_offset() <= next);
        if !is_confirmed {
            return Ok(Err(format!("offset {} where {expected} was to come", header.base_offset)));
        }
        if !self.task.is_sparse {
            let finding = Finding::new(
                Severity::Warning,
                Kind::MissingOffsets,
                self.task.path,
                "offsets are missing between two whole batches that lie side by side",
            );
            let finding = finding.at(batch.position, 0).offsets(expected..header.base_offset);
            self.repeat(finding.by_hand(
                "nothing is damaged here: a compacted log has such gaps, what sendlog writes has none",
            ));
        }
        Ok(Ok(()))
    }

    fn accept(&mut self, batch: &Located, reader: &mut BatchReader<'_>) -> io::Result<()> {
        let header = &batch.header;
        if quarantine::is_placeholder(header) {
            let reason = match quarantine::is_marked(header) {
                true => "these offsets were set aside before; a fetch of them is told so",
                false => "these offsets were set aside before; readers pass over them",
            };
            self.add(
                Finding::new(Severity::Info, Kind::Quarantined, self.task.path, reason)
                    .at(batch.position, batch.bytes())
                    .offsets(header.base_offset..header.next_offset()),
            );
        } else {
            if let Some(finding) = self.epochs.visit(self.task.path, self.task.base_offset, batch) {
                self.repeat(finding);
            }
            self.check_count(batch);
            if self.task.records {
                self.check_records(batch, reader)?;
            }
        }
        // No entries are wanted.
        self.walked.summary.add(header, u32::MAX, &mut NewEntries::default());
        self.walked.batches += 1;
        let max_timestamp = self.walked.summary.max_timestamp;
        if let Some(indexes) = &mut self.task.indexes {
            indexes.offset.visit(batch, max_timestamp)?;
            indexes.time.visit(batch, max_timestamp)?;
        }
        Ok(())
    }

    fn check_count(&mut self, batch: &Located) {
        let BatchHeader { record_count, last_offset_delta, .. } = batch.header;
        let full = i64::from(last_offset_delta) + 1;
        let count = i64::from(record_count);
        let is_less = (0..full).contains(&count);
        if count == full || self.task.is_sparse && is_less {
            return;
        }
        // Nobody may know any more that the topic was compacted once, or in Kafka.
        let (severity, why) = match is_less {
            true => (
                Severity::Warning,
                "nothing is damaged here: a compacted log has such batches, what sendlog writes has none",
            ),
            false => (
                Severity::Damage,
                "the checksum is right, so the batch is as it was written; it is left as it is",
            ),
        };
        let reason = format!("{record_count} records take {full} offsets");
        self.repeat(self.about(batch, severity, Kind::RecordCount, reason).by_hand(why));
    }

    fn check_records(&mut self, batch: &Located, reader: &mut BatchReader<'_>) -> io::Result<()> {
        let bytes = reader.read(batch)?;
        let (severity, reason) = match check_stored_records(&bytes, DECOMPRESSED_BYTES_MAX) {
            Ok(()) => return Ok(()),
            Err(error @ BatchError::OutputTooLarge { .. }) => (Severity::Warning, error.to_string()),
            Err(error) => (Severity::Damage, error.to_string()),
        };
        self.repeat(
            self.about(batch, severity, Kind::Records, reason).by_hand(
                "the checksum is right, so the batch is as its producer sent it; it is left as it is",
            ),
        );
        Ok(())
    }

    fn about(&self, batch: &Located, severity: Severity, kind: Kind, reason: String) -> Finding {
        Finding::new(severity, kind, self.task.path, reason)
            .at(batch.position, batch.bytes())
            .offsets(batch.header.base_offset..batch.header.next_offset())
    }

    fn add(&mut self, finding: Finding) {
        self.walked.findings.push(finding);
    }

    /// Adds what there may be one of for every batch.
    fn repeat(&mut self, finding: Finding) {
        self.repeated += 1;
        if self.repeated <= REPEATED_MAX {
            self.add(finding);
        } else if let Some(last) = self.walked.findings.last_mut() {
            let more = self.repeated - REPEATED_MAX;
            let reason = last.reason.split(" (and ").next().unwrap_or_default();
            last.reason = format!("{reason} (and {more} more in this segment)");
        }
    }

    /// Goes on with the next valid batch; returns whether there is one.
    fn pass_damage(
        &mut self,
        position: u64,
        reason: String,
        reader: &mut BatchReader<'_>,
    ) -> io::Result<bool> {
        let offset = self.walked.summary.next_offset;
        let mut scan = BatchScan::new(&*self.task.file, position, self.task.size);
        let Some(found) = scan.find_valid_behind(offset)? else {
            self.walked.tail = Some(Tail { position, reason });
            return Ok(false);
        };
        let hole = Hole { position, end: found.position, offset, next_offset: found.base_offset };
        self.walked.holes.push(FoundHole { hole, reason });
        if let Some(indexes) = &mut self.task.indexes {
            indexes.offset.pass_damage(hole.end, hole.next_offset)?;
            indexes.time.pass_damage(hole.end, hole.next_offset)?;
        }
        self.walked.summary.next_offset = found.base_offset;
        self.walked.summary.size = found.position;
        reader.seek(found.position);
        Ok(true)
    }

    fn finish(mut self) -> io::Result<Walked> {
        if let Some(Indexes { mut offset, mut time }) = self.task.indexes.take() {
            let is_cut = self.walked.tail.is_some()
                || self.task.follows.is_some_and(|next| self.walked.summary.next_offset < next);
            if is_cut {
                offset.pass_damage(u64::MAX, i64::MAX)?;
                time.pass_damage(u64::MAX, i64::MAX)?;
            }
            self.walked.faults = IndexFaults { offset: offset.finish()?, time: time.finish()? };
        }
        Ok(self.walked)
    }
}
