//! The fetch path in a partition: bounds, epochs, and the range of bytes to send.
//!
//! Nothing here takes the writer's lock, unless the log turns out to be damaged.

use super::error::ReadError;
use super::{OffsetsView, Partition};
use crate::storage::error;
use crate::storage::file_slice::{Ahead, FileSlice};
use crate::storage::files::IoMode;
use crate::storage::time_lookup::TimestampOffset;
use crate::storage::view::{BatchSlice, Bound, LogView};

/// What a fetch wants of a partition.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    /// The first offset wanted.
    pub offset: i64,
    /// Bytes wanted at most.
    pub max_bytes: usize,
    /// The first batch is wanted even if it is larger (KIP-74).
    pub min_one_batch: bool,
    /// The leader epoch that the client believes in; -1 if it has no opinion.
    pub current_leader_epoch: i32,
}

/// What a fetch gets.
#[derive(Debug)]
pub struct Read<T = FileSlice> {
    /// The bytes, whole batches; `None` if there is nothing at or behind the offset, or the first
    /// batch does not fit.
    pub records: Option<T>,
    /// Offsets at the time of the read.
    pub offsets: OffsetsView,
    /// Bytes that could be read without a limit; `u64::MAX` where later segments have more, 0 where that is not counted.
    pub ahead: u64,
}

/// Answer to a search by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp in ms.
    pub timestamp_ms: i64,
    /// The leader epoch it was written in.
    pub leader_epoch: i32,
}

/// Where a leader epoch ends (KIP-101).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch that is not larger than the one asked for; -1 if there is none.
    pub leader_epoch: i32,
    /// The offset where it ends; -1 if there is none.
    pub end_offset: i64,
}

impl Partition {
    /// Finds the bytes that a fetch gets. With [`IoMode::NoWait`] it does not touch the disk:
    /// `Ok(None)` says that it would have to.
    ///
    /// # Errors
    /// [`ReadError`] as Kafka has it; damage in the log is [`ReadError::Log`].
    pub fn read(&self, request: &ReadRequest, io: IoMode) -> Result<Option<Read>, ReadError> {
        let ReadRequest { offset, max_bytes, min_one_batch, .. } = *request;
        self.read_with(request, io, |view, bound| {
            let Ahead { records, bytes } = view.read_ahead(offset, bound, max_bytes, min_one_batch, io)?;
            Ok((records, bytes))
        })
    }

    /// As [`Partition::read`], with where the batches are; none that begin at `horizon` or behind it.
    ///
    /// # Errors
    /// As [`Partition::read`].
    pub fn read_batches(
        &self,
        request: &ReadRequest,
        horizon: i64,
        io: IoMode,
    ) -> Result<Option<Read<BatchSlice>>, ReadError> {
        let ReadRequest { offset, max_bytes, min_one_batch, .. } = *request;
        self.read_with(request, io, |view, bound| {
            Ok((view.read_batches(offset, horizon, bound, max_bytes, min_one_batch, io)?, 0))
        })
    }

    fn read_with<T>(
        &self,
        request: &ReadRequest,
        io: IoMode,
        read: impl Fn(&LogView, &Bound) -> Result<(Option<T>, u64), error::ReadError>,
    ) -> Result<Option<Read<T>>, ReadError> {
        if self.is_deleted() {
            return Err(ReadError::Deleted);
        }
        self.check_leader_epoch(request.current_leader_epoch)?;
        // The view before the bound: a log start that moves between the two only makes the read
        // fail as out of range, which it then is.
        let bound = self.offsets.high_watermark();
        let offsets = self.offsets.view();
        if request.offset < offsets.log_start || offsets.log_end < request.offset {
            let (log_start, log_end) = (offsets.log_start, offsets.log_end);
            return Err(ReadError::OutOfRange { offset: request.offset, log_start, log_end });
        }
        if bound.offset <= request.offset {
            return Ok(Some(Read { records: None, offsets, ahead: 0 }));
        }
        let read = |view: &LogView| read(view, &bound);
        let (records, ahead) = match io {
            IoMode::Blocking => self.read_past_damage(read)?,
            IoMode::NoWait => match read(&self.reader.view()) {
                Err(error::ReadError::WouldBlock) => return Ok(None),
                Err(error) if self.needs_look(&error) => return Ok(None),
                records => records?,
            },
        };
        Ok(Some(Read { records, offsets, ahead }))
    }

    /// The first record whose time is not before `timestamp_ms`; may read from the disk.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub fn offset_for_timestamp(&self, timestamp_ms: i64) -> Result<Option<FoundOffset>, ReadError> {
        let bound = self.offsets.high_watermark();
        let found = self.read_past_damage(|view| view.offset_for_timestamp(timestamp_ms, &bound))?;
        Ok(found.map(|found| self.with_epoch(found)))
    }

    /// The record with the largest timestamp, the first of several; may read from the disk.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub fn max_timestamp(&self) -> Result<Option<FoundOffset>, ReadError> {
        let bound = self.offsets.high_watermark();
        let found = self.read_past_damage(|view| view.max_timestamp(&bound))?;
        Ok(found.map(|found| self.with_epoch(found)))
    }

    /// Compares a client's leader epoch with the partition's (KIP-320).
    ///
    /// # Errors
    /// [`ReadError::Fenced`] or [`ReadError::UnknownEpoch`].
    pub fn check_leader_epoch(&self, found: i32) -> Result<(), ReadError> {
        if found == -1 {
            return Ok(());
        }
        let current = self.leader_epoch();
        match found.cmp(&current) {
            std::cmp::Ordering::Less => Err(ReadError::Fenced { current, found }),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(ReadError::UnknownEpoch { current, found }),
        }
    }

    /// The epoch that `offset` was, or will be, written in.
    pub fn epoch_at(&self, offset: i64) -> i32 {
        let starts = self.epochs.starts();
        let at = starts.partition_point(|start| start.start_offset <= offset);
        at.checked_sub(1).and_then(|at| starts.get(at)).map_or(self.leader_epoch(), |start| start.epoch)
    }

    /// Where `epoch` ends, the present one at the high watermark.
    pub fn epoch_end(&self, epoch: i32) -> EpochEnd {
        let end = self.offsets.view().high_watermark;
        match self.epochs.end_offset_for(epoch, end) {
            Some(found) => EpochEnd { leader_epoch: found.epoch, end_offset: found.end_offset },
            None => EpochEnd { leader_epoch: -1, end_offset: -1 },
        }
    }

    fn with_epoch(&self, found: TimestampOffset) -> FoundOffset {
        FoundOffset {
            offset: found.offset,
            timestamp_ms: found.timestamp,
            leader_epoch: self.epoch_at(found.offset),
        }
    }
}
