//! Reading a log: a snapshot of its segments, taken without any lock.

use std::path::Path;
use std::sync::Arc;

use crate::storage::error::ReadError;
use crate::storage::file_slice::{Ahead, FileSlice};
use crate::storage::files::{IoMode, StoredFile};
use crate::storage::header_walk::Located;
use crate::storage::holes::Quarantined;
use crate::storage::offset_index::OffsetEntry;
use crate::storage::quarantine::is_marked;
use crate::storage::segment::Segment;

use sendlog_protocol::records::BatchHeader;

/// A published end of a log: its end or its durable end. Positions in a file and offsets in a log always come in pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Offset after the last record below the bound.
    pub offset: i64,
    /// Base offset of the segment that the bound lies in.
    pub segment_base: i64,
    /// Position in that segment's file; a batch boundary.
    pub position: u64,
}

/// The segments of a log as they were at one moment. What is appended later is seen through a later [`Bound`], what was
/// deleted stays readable.
#[derive(Debug, Clone)]
pub struct LogView {
    pub(super) start_offset: i64,
    pub(super) segments: Vec<Arc<Segment>>,
}

/// What a segment amounts to, for retention and DescribeLogDirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// First offset.
    pub base_offset: i64,
    /// Bytes.
    pub size: u64,
    /// Largest timestamp, ms since 1970, or -1.
    pub max_timestamp: i64,
}

/// Batches in a file, and where they are.
#[derive(Debug)]
pub struct BatchSlice {
    /// The bytes of all of them.
    pub records: FileSlice,
    /// The batches, in the order of offsets.
    pub batches: Vec<BatchPlace>,
}

/// A batch in a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlace {
    /// Its first offset.
    pub base_offset: i64,
    /// Its last offset.
    pub last_offset: i64,
    /// Where it starts, in bytes from the slice's start.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// How far a read may go.
#[derive(Clone, Copy)]
struct RangeLimits<'a> {
    bound: &'a Bound,
    max_bytes: usize,
    min_one: bool,
}

/// Whole batches in a segment.
struct SegmentRange<'a> {
    segment: &'a Arc<Segment>,
    start: u64,
    stop: u64,
}

impl SegmentRange<'_> {
    fn file(&self, io: IoMode) -> Result<Arc<dyn StoredFile>, ReadError> {
        self.segment.file(io).map_err(|error| ReadError::io(self.segment.path(), error))
    }

    fn slice(&self, io: IoMode) -> Result<FileSlice, ReadError> {
        Ok(FileSlice::new(self.file(io)?, self.start, distance(self.start, self.stop)))
    }
}

fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to - from).unwrap_or(usize::MAX)
}

impl LogView {
    /// First offset that can be read.
    #[must_use]
    pub fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// Segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Bytes of all segment files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size()).sum()
    }

    /// Whole batches from the one that contains `offset` on (the next one, if that offset was never written, or compaction has
    /// left no record in its batch), below `bound`, of at most `max_bytes`, but at least one if `min_one`. The range lies in
    /// one segment, and ends before what is known to be damaged. No records at the bound, or if not even the first batch fits.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] before the log's start or behind the bound, [`ReadError::WouldBlock`] as `io` says,
    /// [`ReadError::Quarantined`] in a known damaged range, [`ReadError::Corrupt`] at an unknown one, [`ReadError::Io`].
    pub fn read_ahead(
        &self,
        offset: i64,
        bound: &Bound,
        max_bytes: usize,
        min_one: bool,
        io: IoMode,
    ) -> Result<Ahead, ReadError> {
        let limits = RangeLimits { bound, max_bytes, min_one };
        let (range, bytes) = self.range(offset, limits, io)?;
        let records = range.map(|range| range.slice(io)).transpose()?;
        Ok(Ahead { records, bytes })
    }

    /// As [`LogView::read_ahead`], with where the batches are; none that begin at `horizon` or behind it.
    ///
    /// # Errors
    /// As [`LogView::read_ahead`].
    pub fn read_batches(
        &self,
        offset: i64,
        horizon: i64,
        bound: &Bound,
        max_bytes: usize,
        min_one: bool,
        io: IoMode,
    ) -> Result<Option<BatchSlice>, ReadError> {
        let limits = RangeLimits { bound, max_bytes, min_one };
        let (Some(range), _) = self.range(offset, limits, io)? else { return Ok(None) };
        let file = range.file(io)?;
        let mut batches = Vec::new();
        let mut walk = range.segment.walk(&*file, range.start..range.stop, io);
        while let Some(batch) = walk.next()? {
            if horizon <= batch.header.base_offset && !batches.is_empty() {
                break;
            }
            batches.push(BatchPlace {
                base_offset: batch.header.base_offset,
                last_offset: batch.header.last_offset(),
                start: distance(range.start, batch.position),
                end: distance(range.start, batch.end()),
            });
        }
        let len = batches.last().map_or(0, |last: &BatchPlace| last.end);
        drop(walk);
        Ok(Some(BatchSlice { records: FileSlice::new(file, range.start, len), batches }))
    }

    /// What a read gets, and the bytes that it would get without a limit; `u64::MAX` where later segments have more.
    fn range(
        &self,
        offset: i64,
        limits: RangeLimits<'_>,
        io: IoMode,
    ) -> Result<(Option<SegmentRange<'_>>, u64), ReadError> {
        let RangeLimits { bound, max_bytes, min_one } = limits;
        self.check_range(offset, bound)?;
        let Some(found) = self.find(offset, bound, io)? else { return Ok((None, 0)) };
        let (segment, first) = self.past_emptied(found, bound, io)?;
        // Damage that was found since then does not cut the batch in two.
        let end = segment.readable_end(first.header.base_offset, bound.end_in(segment)).max(first.end());
        let is_last = bound.segment_base <= segment.base_offset();
        let ahead = if is_last { end.saturating_sub(first.position) } else { u64::MAX };
        let limit = first.position.saturating_add(max_bytes as u64);
        let stop = if limit < first.end() {
            if !min_one {
                return Ok((None, ahead));
            }
            first.end()
        } else {
            segment.boundary_at_most(limit, &first, end, io)?
        };
        Ok((Some(SegmentRange { segment, start: first.position, stop }), ahead))
    }

    fn check_range(&self, offset: i64, bound: &Bound) -> Result<(), ReadError> {
        if offset < self.start_offset || bound.offset < offset {
            return Err(ReadError::OutOfRange { offset, start: self.start_offset, end: bound.offset });
        }
        Ok(())
    }

    /// Calls `visit` with the header of every batch from the one that contains `offset` on, below `bound`.
    ///
    /// # Errors
    /// As [`LogView::read_ahead`] with [`IoMode::Blocking`].
    pub fn visit_headers(
        &self,
        offset: i64,
        bound: &Bound,
        mut visit: impl FnMut(&BatchHeader),
    ) -> Result<(), ReadError> {
        self.check_range(offset, bound)?;
        let Some((found, first)) = self.find(offset, bound, IoMode::Blocking)? else { return Ok(()) };
        for segment in self.segments_below(bound) {
            if segment.base_offset() < found.base_offset() {
                continue;
            }
            let start = if segment.base_offset() == found.base_offset() { first.position } else { 0 };
            let file =
                segment.file(IoMode::Blocking).map_err(|error| ReadError::io(segment.path(), error))?;
            let mut walk = segment.walk(&*file, start..bound.end_in(segment), IoMode::Blocking);
            while let Some(batch) = walk.next()? {
                visit(&batch.header);
            }
        }
        Ok(())
    }

    /// The batch that contains `offset`, or the next one.
    pub(super) fn find(
        &self,
        offset: i64,
        bound: &Bound,
        io: IoMode,
    ) -> Result<Option<(&Arc<Segment>, Located)>, ReadError> {
        if bound.offset <= offset {
            return Ok(None);
        }
        let behind = self.segments.partition_point(|segment| segment.base_offset() <= offset);
        for segment in &self.segments[behind.saturating_sub(1)..] {
            if bound.segment_base < segment.base_offset() {
                break;
            }
            // Not in the first one if offsets are missing between two segments.
            if let Some(batch) = segment.locate_readable(offset, bound.end_in(segment), io)? {
                if offset.max(segment.base_offset()) < batch.header.base_offset {
                    self.confirm(segment, &batch, bound, io)?;
                }
                return Ok(Some((segment, batch)));
            }
        }
        Ok(None)
    }

    /// The next batch with records, if compaction has left none in this one. A range with no record at all, as a segment may
    /// be that had only such batches, would keep some clients where they are.
    fn past_emptied<'a>(
        &'a self,
        found: (&'a Arc<Segment>, Located),
        bound: &Bound,
        io: IoMode,
    ) -> Result<(&'a Arc<Segment>, Located), ReadError> {
        let (mut next, mut passed) = (found, 0);
        while next.1.header.record_count == 0 && !is_marked(&next.1.header) {
            passed += 1;
            if io == IoMode::NoWait && EMPTIED_AT_ONCE_MAX < passed {
                return Err(ReadError::WouldBlock);
            }
            match self.find(next.1.header.next_offset(), bound, io) {
                Ok(Some(later)) => next = later,
                Ok(None) | Err(ReadError::Quarantined { .. }) => return Ok(found),
                Err(error) => return Err(error),
            }
        }
        Ok(next)
    }

    /// Looks twice at a batch that comes after missing offsets, as compaction leaves them: no checksum covers its own.
    fn confirm(
        &self,
        segment: &Arc<Segment>,
        batch: &Located,
        bound: &Bound,
        io: IoMode,
    ) -> Result<(), ReadError> {
        if self.end_offset_of(segment, bound) <= batch.header.last_offset() {
            return Err(ReadError::Corrupt {
                path: segment.path().to_path_buf(),
                position: batch.position,
                reason: format!("offset {} lies behind the segment", batch.header.base_offset),
            });
        }
        let file = segment.file(io).map_err(|error| ReadError::io(segment.path(), error))?;
        let mut walk = segment.walk(&*file, batch.position..bound.end_in(segment), io);
        walk.next().and_then(|_| walk.next()).map(drop)
    }

    pub(super) fn segments_below(&self, bound: &Bound) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        let count = self.segments.partition_point(|segment| segment.base_offset() <= bound.segment_base);
        self.segments[..count].iter()
    }

    /// What cannot be read, from the log's start on.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let ranges = self.segments.iter().zip(1..).flat_map(|(segment, next)| {
            let next_base = self.segments.get(next).map_or(i64::MAX, |next| next.base_offset());
            let within = move |range: Quarantined| Quarantined {
                next_offset: range.next_offset.min(next_base),
                ..range
            };
            segment.quarantined_ranges().into_iter().map(within)
        });
        ranges.filter(|range| self.start_offset < range.next_offset).collect()
    }

    /// The segment with that `.log` file.
    #[must_use]
    pub fn segment_at(&self, path: &Path) -> Option<&Arc<Segment>> {
        self.segments.iter().find(|segment| segment.path() == path)
    }

    /// What the last offset of a segment is less than: the next one's base, or the bound.
    pub(super) fn end_offset_of(&self, segment: &Segment, bound: &Bound) -> i64 {
        let next = self.segments.partition_point(|other| other.base_offset() <= segment.base_offset());
        self.segments.get(next).map_or(bound.offset, |next| next.base_offset())
    }

    /// What the segments amount to, oldest first. Reads the seals of those not used since the start.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn segment_infos(&self) -> Result<Vec<SegmentInfo>, ReadError> {
        self.segments
            .iter()
            .map(|segment| {
                let summary = segment.summary()?;
                Ok(SegmentInfo {
                    base_offset: segment.base_offset(),
                    size: segment.size(),
                    max_timestamp: summary.max_timestamp,
                })
            })
            .collect()
    }
}

impl Bound {
    /// Where a segment ends, seen from this bound. One that was compacted lies below every watermark, also if this bound is from
    /// before that.
    pub(super) fn end_in(&self, segment: &Segment) -> u64 {
        let is_within = segment.base_offset() == self.segment_base && !segment.is_compacted();
        if is_within { self.position } else { segment.size() }
    }
}

/// Batches without records that a read passes over where it must not wait: every producer may have left one.
const EMPTIED_AT_ONCE_MAX: usize = 64;

/// Bytes of headers that a look-up walks before it finds the index too sparse to be right.
const SPARSE_INTERVALS: u64 = 16;
const INTERVAL_BYTES_MIN: u64 = 4096;

/// How a walk from an index entry ended.
enum Walked {
    Found(Located),
    End,
    /// The entry points at something else than its batch, or entries are missing.
    Doubt,
}

impl Segment {
    /// How far a read from `offset` may go: to the next hole, or to `end`.
    fn readable_end(&self, offset: i64, end: u64) -> u64 {
        let holes = self.known_holes().load();
        let hole = holes.as_ref().and_then(|holes| holes.next_from(offset));
        hole.map_or(end, |hole| end.min(hole.position))
    }

    /// As [`Segment::locate`], but a hole on the way is an error.
    fn locate_readable(
        self: &Arc<Self>,
        offset: i64,
        end: u64,
        io: IoMode,
    ) -> Result<Option<Located>, ReadError> {
        let located = self.locate(offset, end, io)?;
        // Looked at afterwards: the search may have found some.
        if let Some(holes) = self.known_holes().load()
            && let Some(hole) = holes.next_from(offset)
            && hole.position < located.map_or(end, |batch| batch.position)
        {
            return Err(self.unreadable(hole));
        }
        Ok(located)
    }

    /// The first batch whose last offset is not below `offset`, before `end`.
    pub(super) fn locate(
        self: &Arc<Self>,
        offset: i64,
        end: u64,
        io: IoMode,
    ) -> Result<Option<Located>, ReadError> {
        for _ in 0..2 {
            let entry = self.offsets(io)?.at_offset(offset);
            match self.walk_from(entry, |batch| offset <= batch.header.last_offset(), end, io)? {
                Walked::Found(batch) => return Ok(Some(batch)),
                Walked::End => return Ok(None),
                Walked::Doubt => self.doubt(),
            }
        }
        self.find_by_walk(0..end, |batch| offset <= batch.header.last_offset(), io)
    }

    /// The last batch boundary that is at most `limit`, which is not before the end of the batch `first`.
    fn boundary_at_most(
        self: &Arc<Self>,
        limit: u64,
        first: &Located,
        end: u64,
        io: IoMode,
    ) -> Result<u64, ReadError> {
        if end <= limit {
            return Ok(end);
        }
        let entry = self.offsets(io)?.at_position(limit).filter(|entry| first.position < entry.position);
        if entry.is_some() {
            match self.walk_from(entry, |batch| limit < batch.end(), end, io)? {
                Walked::Found(batch) => return Ok(batch.position),
                Walked::End => return Ok(end),
                Walked::Doubt => self.doubt(),
            }
        }
        let next = self.find_by_walk(first.position..end, |batch| limit < batch.end(), io)?;
        Ok(next.map_or(end, |batch| batch.position))
    }

    fn walk_from(
        self: &Arc<Self>,
        entry: Option<OffsetEntry>,
        is_wanted: impl Fn(&Located) -> bool,
        end: u64,
        io: IoMode,
    ) -> Result<Walked, ReadError> {
        let start = entry.map_or(0, |entry| entry.position);
        let file = self.file(io).map_err(|error| ReadError::io(self.path(), error))?;
        let mut walk = self.walk(&*file, start..end, io);
        if let Some(entry) = entry {
            match walk.next() {
                // The batch is in a hole, and there is nothing to compare.
                next if 0 < walk.skipped() => {
                    if let Some(batch) = next?.filter(&is_wanted) {
                        return Ok(Walked::Found(batch));
                    }
                }
                Ok(Some(batch)) if batch.header.last_offset() == entry.offset => {
                    if is_wanted(&batch) {
                        return Ok(Walked::Found(batch));
                    }
                }
                Ok(_) | Err(ReadError::Corrupt { .. }) => return Ok(Walked::Doubt),
                Err(error) => return Err(error),
            }
        }
        let interval = u64::from(self.index_interval_bytes()).max(INTERVAL_BYTES_MIN);
        let sparse = start.saturating_add(interval.saturating_mul(SPARSE_INTERVALS));
        while let Some(batch) = walk.next()? {
            if is_wanted(&batch) {
                return Ok(Walked::Found(batch));
            }
            if sparse.saturating_add(walk.skipped()) < batch.position && !self.is_rebuilt() {
                return Ok(Walked::Doubt);
            }
        }
        Ok(Walked::End)
    }

    fn find_by_walk(
        self: &Arc<Self>,
        range: std::ops::Range<u64>,
        is_wanted: impl Fn(&Located) -> bool,
        io: IoMode,
    ) -> Result<Option<Located>, ReadError> {
        let file = self.file(io).map_err(|error| ReadError::io(self.path(), error))?;
        let mut walk = self.walk(&*file, range, io);
        while let Some(batch) = walk.next()? {
            if is_wanted(&batch) {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}
