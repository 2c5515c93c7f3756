//! Look-ups by timestamp, exact to the record. They read batches, decompress them, and may wait for the disk.

use std::sync::Arc;

use sendlog_protocol::records::{NO_TIMESTAMP, check_stored, first_record_at_or_after, max_timestamp_record};

use crate::storage::error::ReadError;
use crate::storage::files::{IoMode, StoredFile, read_full_at};
use crate::storage::header_walk::Located;
use crate::storage::segment::Segment;
use crate::storage::time_index::TimeEntry;
use crate::storage::view::{Bound, LogView};

/// Most that one batch is decompressed to.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// A record found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its timestamp, ms since 1970.
    pub timestamp: i64,
    /// Its offset.
    pub offset: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: i32,
}

/// What is looked for in one segment, from a position on.
struct Range {
    start: u64,
    end: u64,
}

impl LogView {
    /// The first record, from the log's start to `bound`, whose timestamp is at least `timestamp`.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] at damage that is not known; past what is known it goes on. [`ReadError::Undecodable`],
    /// [`ReadError::Io`].
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        bound: &Bound,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        for segment in self.segments_below(bound) {
            if segment.is_sealed() && segment.summary()?.max_timestamp < timestamp {
                continue;
            }
            if let Some(found) = segment.first_at_or_after(timestamp, self.start_offset, bound)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp, from the log's start to `bound`; the first of them if there are several.
    ///
    /// # Errors
    /// As [`LogView::offset_for_timestamp`].
    pub fn max_timestamp(&self, bound: &Bound) -> Result<Option<TimestampOffset>, ReadError> {
        let mut best: Option<(&Arc<Segment>, Located)> = None;
        for segment in self.segments_below(bound) {
            let least = best.map_or(NO_TIMESTAMP, |(_, batch)| batch.header.max_timestamp);
            let batch = segment.max_timestamp_batch(self.start_offset, bound, least)?;
            best = batch.map(|batch| (segment, batch)).or(best);
        }
        let first = self.max_timestamp_at_start(bound)?;
        let Some((segment, batch)) = best else { return Ok(first) };
        if first.is_some_and(|first| batch.header.max_timestamp <= first.timestamp) {
            return Ok(first);
        }
        Ok(segment.max_timestamp_in(&batch, self.start_offset)?.or(first))
    }

    /// Of the batch that the log's start lies within: what its header says may be the time of a record before that.
    fn max_timestamp_at_start(&self, bound: &Bound) -> Result<Option<TimestampOffset>, ReadError> {
        let Some(segment) = self.segments_below(bound).next() else { return Ok(None) };
        let batch = segment.locate(self.start_offset, bound.end_in(segment), IoMode::Blocking)?;
        match batch.filter(|batch| batch.header.base_offset < self.start_offset) {
            Some(batch) => segment.max_timestamp_in(&batch, self.start_offset),
            None => Ok(None),
        }
    }
}

impl Segment {
    fn first_at_or_after(
        self: &Arc<Self>,
        timestamp: i64,
        start_offset: i64,
        bound: &Bound,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        // Up to the entry's batch, all timestamps are below.
        let entry = self.checked_entry(bound, |times| times.below_timestamp(timestamp))?;
        let from = entry.map_or(start_offset, |entry| start_offset.max(entry.offset));
        let Some(range) = self.range_from(from, bound)? else { return Ok(None) };
        let file = self.open()?;
        let mut walk = self.walk(&*file, range.start..range.end, IoMode::Blocking);
        while let Some(batch) = walk.next()? {
            if batch.header.max_timestamp < timestamp {
                continue;
            }
            let bytes = self.read_batch_from(&*file, &batch)?;
            let found = first_record_at_or_after(&bytes, timestamp, start_offset, DECOMPRESSED_BYTES_MAX)
                .map_err(|error| self.undecodable(&batch, error.to_string()))?;
            if let Some(record) = found {
                let leader_epoch = batch.header.leader_epoch;
                let (timestamp, offset) = (record.timestamp, record.offset);
                return Ok(Some(TimestampOffset { timestamp, offset, leader_epoch }));
            }
        }
        Ok(None)
    }

    /// The record of a batch with the largest timestamp, of those from `start_offset` on.
    fn max_timestamp_in(
        self: &Arc<Self>,
        batch: &Located,
        start_offset: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let bytes = self.read_batch(batch)?;
        let found = max_timestamp_record(&bytes, start_offset, DECOMPRESSED_BYTES_MAX)
            .map_err(|error| self.undecodable(batch, error.to_string()))?;
        Ok(found.filter(|record| NO_TIMESTAMP < record.timestamp).map(|record| TimestampOffset {
            timestamp: record.timestamp,
            offset: record.offset,
            leader_epoch: batch.header.leader_epoch,
        }))
    }

    /// The first batch behind the log's start with the largest timestamp below `bound`, if that is more than `least`.
    fn max_timestamp_batch(
        self: &Arc<Self>,
        start_offset: i64,
        bound: &Bound,
        least: i64,
    ) -> Result<Option<Located>, ReadError> {
        let entry = if self.is_sealed() {
            let summary = self.summary()?;
            if summary.max_timestamp <= least {
                return Ok(None);
            }
            Some(TimeEntry { timestamp: summary.max_timestamp, offset: summary.max_timestamp_offset })
        } else {
            self.checked_entry(bound, |times| times.below_offset(bound.offset))?
        };
        // The largest of those that can be read may be anywhere then.
        let entry = entry.filter(|entry| self.past_holes(entry.offset) == entry.offset);
        let from = entry.map_or(start_offset, |entry| start_offset.max(entry.offset));
        let Some(range) = self.range_from(from, bound)? else { return Ok(None) };
        let file = self.open()?;
        let mut walk = self.walk(&*file, range.start..range.end, IoMode::Blocking);
        let (mut best, mut least) = (None, least);
        while let Some(batch) = walk.next()? {
            let is_whole = start_offset <= batch.header.base_offset;
            if is_whole && least < batch.header.max_timestamp && 0 < batch.header.record_count {
                least = batch.header.max_timestamp;
                best = Some(batch);
            }
            if self.is_sealed() && entry.is_some_and(|entry| entry.timestamp <= least) {
                break;
            }
        }
        Ok(best)
    }

    /// An entry of the time index that was checked against its batch.
    fn checked_entry(
        self: &Arc<Self>,
        bound: &Bound,
        find: impl Fn(&crate::storage::time_index::TimeLookup) -> Option<TimeEntry>,
    ) -> Result<Option<TimeEntry>, ReadError> {
        for _ in 0..2 {
            let Some(entry) = find(&self.times(IoMode::Blocking)?) else { return Ok(None) };
            if self.past_holes(entry.offset) != entry.offset {
                // Nothing is left to compare it with; it says no more than that all timestamps up to there are lower.
                return Ok(Some(entry).filter(|entry| entry.offset < bound.offset));
            }
            let batch = self.locate(entry.offset, self.size(), IoMode::Blocking)?;
            let is_right = batch.is_some_and(|batch| {
                batch.header.last_offset() == entry.offset && batch.header.max_timestamp == entry.timestamp
            });
            if is_right {
                return Ok(Some(entry).filter(|entry| entry.offset < bound.offset));
            }
            self.doubt();
        }
        Ok(None)
    }

    /// From the batch that contains `offset` to the bound.
    fn range_from(self: &Arc<Self>, offset: i64, bound: &Bound) -> Result<Option<Range>, ReadError> {
        let end = bound.end_in(self);
        let batch = self.locate(offset, end, IoMode::Blocking)?;
        Ok(batch.map(|batch| Range { start: batch.position, end }))
    }

    fn open(self: &Arc<Self>) -> Result<Arc<dyn StoredFile>, ReadError> {
        self.file(IoMode::Blocking).map_err(|error| ReadError::io(self.path(), error))
    }

    fn read_batch(self: &Arc<Self>, batch: &Located) -> Result<Vec<u8>, ReadError> {
        self.read_batch_from(&*self.open()?, batch)
    }

    fn read_batch_from(&self, file: &dyn StoredFile, batch: &Located) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; batch.header.size()];
        let read = read_full_at(file, &mut bytes, batch.position)
            .map_err(|error| ReadError::io(self.path(), error))?;
        if read < bytes.len() {
            return Err(self.corrupt(batch, "the file ends in it".to_owned()));
        }
        check_stored(&bytes).map_err(|error| self.corrupt(batch, error.to_string()))?;
        Ok(bytes)
    }

    fn undecodable(&self, batch: &Located, reason: String) -> ReadError {
        ReadError::Undecodable { path: self.path().to_path_buf(), position: batch.position, reason }
    }

    fn corrupt(&self, batch: &Located, reason: String) -> ReadError {
        ReadError::Corrupt { path: self.path().to_path_buf(), position: batch.position, reason }
    }
}
