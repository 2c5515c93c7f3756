//! Reads a partition of `__consumer_offsets` from its start to its end, a piece at a time, past whatever is damaged.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use sendlog_protocol::records::{BatchHeader, check_stored, read_records};

use crate::partition::{Partition, Read, ReadError, ReadRequest};
use crate::storage::error;
use crate::storage::files::IoMode;

/// Bytes read at a time; more for a larger batch.
const PIECE_BYTES: usize = 1 << 20;

/// What the records of one batch may unpack to.
const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;

/// How far a scan has come.
#[derive(Debug)]
pub(in crate::coordinator) struct LogScan {
    partition: Arc<Partition>,
    offset: i64,
    end: i64,
    /// The offset behind the last damage that was spoken of: a range is mentioned once.
    told_to: i64,
}

/// The partition cannot be read now.
#[derive(Debug, thiserror::Error)]
pub(in crate::coordinator) enum ScanError {
    /// The log refuses.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl LogScan {
    /// From the start of the log to what is its end now.
    pub(in crate::coordinator) fn new(partition: &Arc<Partition>) -> Self {
        let offsets = partition.offsets();
        Self {
            partition: Arc::clone(partition),
            offset: offsets.log_start,
            end: offsets.high_watermark,
            told_to: i64::MIN,
        }
    }

    /// Reads a piece and has every record of it visited, key and value; false when there are no more. May wait for the disk.
    ///
    /// # Errors
    /// [`ScanError`]; a later call goes on from where this one was.
    pub(in crate::coordinator) fn next(
        &mut self,
        visit: &mut impl FnMut(Bytes, Option<Bytes>),
    ) -> Result<bool, ScanError> {
        if self.end <= self.offset {
            return Ok(false);
        }
        let request = ReadRequest {
            offset: self.offset,
            max_bytes: PIECE_BYTES,
            min_one_batch: true,
            current_leader_epoch: -1,
        };
        match self.partition.read(&request, IoMode::Blocking) {
            Ok(Some(Read { records: Some(slice), .. })) => {
                let mut piece = vec![0; slice.len()];
                slice.read_at(0, &mut piece)?;
                self.visit_piece(&Bytes::from(piece), visit);
            }
            Ok(_) => return Ok(false),
            Err(ReadError::OutOfRange { log_start, .. }) if self.offset < log_start => {
                self.offset = log_start;
            }
            Err(ReadError::Log(error::ReadError::Quarantined { next_offset, .. })) => {
                self.skip(next_offset, "they were set aside as damaged");
            }
            // Not known in its extent: what is behind it is found step by step.
            Err(ReadError::Log(
                error::ReadError::Corrupt { reason, .. } | error::ReadError::Undecodable { reason, .. },
            )) => self.skip(self.offset.saturating_add(1), &reason),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Goes by position from batch to batch: an offset in a header is covered by no checksum, so one alone is not believed.
    fn visit_piece(&mut self, piece: &Bytes, visit: &mut impl FnMut(Bytes, Option<Bytes>)) {
        let (from, mut position) = (self.offset, 0);
        while let Ok(header) = BatchHeader::read(piece.get(position..).unwrap_or_default()) {
            let end = position.saturating_add(header.size());
            if piece.len() < end {
                break;
            }
            let batch = piece.slice(position..end);
            position = end;
            match check_stored(&batch) {
                Ok(_) => self.visit_batch(&header, &batch, visit),
                Err(error) => self.tell(header.base_offset, &error.to_string()),
            }
            let behind = header.next_offset();
            if from < behind && behind <= self.end {
                self.offset = behind;
            }
        }
        if self.offset == from {
            self.skip(from.saturating_add(1), "no record batch with its offset is where one must be");
        }
    }

    fn visit_batch(
        &mut self,
        header: &BatchHeader,
        batch: &Bytes,
        visit: &mut impl FnMut(Bytes, Option<Bytes>),
    ) {
        if header.attributes.is_control() || header.attributes.is_transactional() {
            return;
        }
        let records = match read_records(batch, DECOMPRESSED_BYTES_MAX) {
            Ok(records) => records,
            Err(error) => return self.tell(header.base_offset, &error.to_string()),
        };
        for record in records {
            match record {
                // A record without a key says nothing about any group.
                Ok(record) => drop(record.key.map(|key| visit(key, record.value))),
                Err(error) => return self.tell(header.base_offset, &error.to_string()),
            }
        }
    }

    /// Goes on at `offset`, and says that something is left out.
    fn skip(&mut self, offset: i64, reason: &str) {
        self.tell(self.offset, reason);
        self.offset = self.offset.max(offset);
        // What follows directly is the same damage.
        self.told_to = self.offset;
    }

    fn tell(&mut self, offset: i64, reason: &str) {
        if self.told_to < offset {
            let (topic, index) = (self.partition.topic(), self.partition.index());
            tracing::error!(
                %topic, index, offset, reason,
                "records of groups cannot be read: what they said of offsets and members is lost"
            );
        }
    }
}
