//! The produce path in a partition: sequence check, offsets, write, watermark.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sendlog_protocol::records::{self, BATCH_HEADER_SIZE, BatchHeader};

use super::error::AppendError;
use super::producer_state::{NO_PRODUCER_ID, SequenceCheck, Undo};
use super::{Partition, Writer};
use crate::config::topic::TimestampType;
use crate::storage::commit::Pending;
use crate::storage::error::StorageError;
use crate::storage::journal::block::{Extent, ExtentBatch, ExtentPlace};
use crate::storage::log::AppendBatch;
use crate::storage::segment::Segment;
use crate::storage::view::Bound;

/// A batch that `records::validate_produced` found good, as it came from the socket.
#[derive(Debug, Clone)]
pub struct ProducedBatch {
    /// Its header.
    pub header: BatchHeader,
    /// The whole batch, header included.
    pub bytes: Bytes,
}

/// Where a batch was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// The time given to all its records, or -1 if they keep their own.
    pub log_append_time_ms: i64,
    /// First offset of the log.
    pub log_start_offset: i64,
}

/// What writing some batches came to.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// One result a batch, in order.
    pub(super) results: Vec<Result<Appended, AppendError>>,
    /// Whether the acks wait for `pending`, after which all below `end` is durable.
    pub(super) acks_wait: bool,
    pub(super) pending: Option<Pending>,
    pub(super) end: Option<Bound>,
    /// Nothing waits, but a sync is due in so long.
    pub(super) sync_in: Option<Duration>,
    /// Segments that were closed, to be finished away from the commit threads.
    pub(super) sealed: Vec<Arc<Segment>>,
    /// Bytes appended.
    pub(super) bytes: u64,
    /// A failure other than a full disk: nothing may be acknowledged any more.
    pub(super) failure: Option<Arc<StorageError>>,
}

/// A batch ready to be written, and what to do if that fails.
struct Prepared {
    result: usize,
    header: BatchHeader,
    header_bytes: [u8; BATCH_HEADER_SIZE],
    undo: Option<Undo>,
}

impl Partition {
    /// Writes batches to the page cache, in order, and says what must be synced before their acks.
    pub(super) fn write<'a>(
        &self,
        batches: impl ExactSizeIterator<Item = &'a ProducedBatch> + Clone,
        now_ms: i64,
    ) -> Written {
        let mut writer = self.lock_writer();
        if self.is_deleted() {
            let results = batches.map(|_| Err(AppendError::Deleted)).collect();
            return Written { results, ..Written::default() };
        }
        let mut written = Written::default();
        let prepared = self.prepare(&mut writer, batches.clone(), now_ms, &mut written.results);
        let appended = self.write_prepared(&mut writer, batches, prepared, now_ms, &mut written);
        self.after_write(&mut writer, &mut written, appended);
        written
    }

    /// Decides about every batch, and gives offsets to those that will be written.
    fn prepare<'a>(
        &self,
        writer: &mut Writer,
        batches: impl Iterator<Item = &'a ProducedBatch>,
        now_ms: i64,
        results: &mut Vec<Result<Appended, AppendError>>,
    ) -> Vec<Prepared> {
        let config = self.config.load();
        let log_start_offset = self.offsets.view().log_start;
        let leader_epoch = self.leader_epoch();
        let mut next_offset = writer.log.end_offset();
        let mut prepared = Vec::new();
        for batch in batches {
            let mut header = batch.header;
            let is_idempotent = header.producer_id != NO_PRODUCER_ID;
            if is_idempotent {
                match writer.producers.check(&header) {
                    Ok(SequenceCheck::Fresh) => {}
                    Ok(SequenceCheck::Duplicate(seen)) => {
                        let base_offset = seen.base_offset;
                        // Its largest timestamp is when it was appended; the producer tells its user.
                        let log_append_time_ms = match config.timestamp_type {
                            TimestampType::LogAppendTime => seen.timestamp_ms,
                            TimestampType::CreateTime => -1,
                        };
                        results.push(Ok(Appended { base_offset, log_append_time_ms, log_start_offset }));
                        continue;
                    }
                    Err(error) => {
                        results.push(Err(error.into()));
                        continue;
                    }
                }
            }
            let mut log_append_time_ms = -1;
            let mut header_bytes = header_of(&batch.bytes);
            let records = batch.bytes.get(BATCH_HEADER_SIZE..).unwrap_or_default();
            if config.timestamp_type == TimestampType::LogAppendTime {
                log_append_time_ms = now_ms;
                records::stamp_log_append_time(&mut header_bytes, records, now_ms);
                header.max_timestamp = now_ms;
            } else if says_otherwise(&header_bytes, &header) {
                // A producer that got its own largest timestamp wrong would mislead searches by time.
                records::stamp_create_time(&mut header_bytes, records, header.max_timestamp);
            }
            header.base_offset = next_offset;
            header.leader_epoch = leader_epoch;
            records::patch_offset_and_epoch(&mut header_bytes, next_offset, leader_epoch);
            let undo = is_idempotent.then(|| {
                let undo = writer.producers.before(header.producer_id);
                writer.producers.record(&header, now_ms);
                undo
            });
            results.push(Ok(Appended { base_offset: next_offset, log_append_time_ms, log_start_offset }));
            next_offset = header.next_offset();
            let result = results.len() - 1;
            prepared.push(Prepared { result, header, header_bytes, undo });
        }
        prepared
    }

    /// Writes what was prepared with as few calls as the log needs, up to the first failure; returns what was written,
    /// as the commit journal takes it.
    fn write_prepared<'a>(
        &self,
        writer: &mut Writer,
        batches: impl Iterator<Item = &'a ProducedBatch>,
        prepared: Vec<Prepared>,
        now_ms: i64,
        written: &mut Written,
    ) -> Vec<ExtentBatch> {
        if prepared.is_empty() {
            return Vec::new();
        }
        let all: Vec<&ProducedBatch> = batches.collect();
        let to_append: Vec<AppendBatch<'_>> = prepared
            .iter()
            .filter_map(|prepared| {
                let records = all.get(prepared.result)?.bytes.get(BATCH_HEADER_SIZE..)?;
                Some(AppendBatch { header: &prepared.header_bytes, records, parsed: prepared.header })
            })
            .collect();
        let appended = writer.log.append_many(&to_append, now_ms);
        let count = appended.count;
        // Only a strict topic's go to the commit journal.
        let kept = if self.config.load().syncs_before_ack() { count } else { 0 };
        let batch = |one: &Prepared| {
            let records = all.get(one.result)?.bytes.slice(BATCH_HEADER_SIZE..);
            Some(ExtentBatch { header: one.header_bytes, records })
        };
        let stored = prepared.iter().take(kept).filter_map(batch).collect();
        written.bytes = to_append.iter().take(count).map(|batch| batch.parsed.size() as u64).sum();
        let records = prepared.iter().take(count).map(|p| u64::from(p.header.record_count.unsigned_abs()));
        writer.unsynced_records += records.sum::<u64>();
        writer.producers.shrink_to(self.producers_max);
        if let Some(error) = appended.error {
            let left_out = prepared.into_iter().skip(count).collect();
            refuse(writer, left_out, error, written);
        }
        written.sealed = writer.log.take_sealed();
        stored
    }

    /// Moves the log end, and decides whether the acks wait for a sync.
    fn after_write(&self, writer: &mut Writer, written: &mut Written, stored: Vec<ExtentBatch>) {
        let end = writer.log.end();
        self.offsets.advance_log_end(end.offset);
        let config = self.config.load();
        if config.syncs_before_ack() || config.flush_messages.unsigned_abs() <= writer.unsynced_records {
            written.acks_wait = true;
            let dirty = writer.log.take_dirty();
            let is_all = config.syncs_before_ack() && dirty.is_append_only();
            let extent = is_all.then(|| self.extent(writer, end, stored)).flatten();
            written.pending = Some(Pending { dirty, extent });
            written.end = Some(end);
            writer.handed_end = end.offset;
            writer.unsynced_records = 0;
            return;
        }
        if self.offsets.advance_undurable(end) {
            self.waiters.wake_all();
        }
        let is_due_once = config.flush_ms < i64::MAX && 0 < writer.unsynced_records;
        if is_due_once && !writer.is_sync_scheduled {
            writer.is_sync_scheduled = true;
            written.sync_in = Some(Duration::from_millis(config.flush_ms.unsigned_abs()));
        }
    }

    /// What was written as an extent for the commit journal; none if there is more that is not durable than that.
    fn extent(&self, writer: &Writer, end: Bound, batches: Vec<ExtentBatch>) -> Option<Extent> {
        let base_offset = BatchHeader::read(&batches.first()?.header).ok()?.base_offset;
        let bytes: usize = batches.iter().map(|batch| BATCH_HEADER_SIZE + batch.records.len()).sum();
        let place = ExtentPlace {
            topic_id: self.topic_id,
            partition: self.index,
            leader_epoch: self.leader_epoch(),
            segment_base: end.segment_base,
            position: end.position.checked_sub(bytes as u64)?,
            base_offset,
            end_offset: end.offset,
        };
        let len = u32::try_from(bytes).ok()?;
        (base_offset == writer.handed_end).then_some(Extent { place, batches, len })
    }

    /// What must be synced to make all that was written so far durable.
    pub(super) fn unsynced(&self) -> Written {
        let mut writer = self.lock_writer();
        writer.unsynced_records = 0;
        writer.is_sync_scheduled = false;
        if self.is_deleted() {
            return Written::default();
        }
        let end = writer.log.end();
        writer.handed_end = end.offset;
        let pending = Pending { dirty: writer.log.take_dirty(), extent: None };
        Written { pending: Some(pending), end: Some(end), ..Written::default() }
    }

    /// All below `end` is on disk: readers may have it.
    pub(super) fn publish(&self, end: Bound) {
        if self.offsets.advance_durable(end) {
            self.waiters.wake_all();
        }
    }
}

fn header_of(batch: &Bytes) -> [u8; BATCH_HEADER_SIZE] {
    let mut header = [0; BATCH_HEADER_SIZE];
    // A validated batch is longer than its header.
    for (to, from) in header.iter_mut().zip(batch.iter()) {
        *to = *from;
    }
    header
}

/// Whether the bytes' timestamps differ from what the records have, or claim to be the broker's.
fn says_otherwise(header_bytes: &[u8; BATCH_HEADER_SIZE], checked: &BatchHeader) -> bool {
    BatchHeader::read(header_bytes).is_ok_and(|said| {
        said.max_timestamp != checked.max_timestamp
            || said.attributes.timestamp_type() != records::TimestampType::CreateTime
    })
}

/// Takes back what was prepared and could not be written. On a full disk the log is unchanged and
/// goes on; any other failure ends it.
fn refuse(writer: &mut Writer, prepared: Vec<Prepared>, error: StorageError, written: &mut Written) {
    let is_full = matches!(error, StorageError::Full { .. });
    let error = Arc::new(error);
    for one in prepared.into_iter().rev() {
        if let Some(undo) = one.undo {
            writer.producers.undo(undo);
        }
        let refusal = match is_full {
            true => AppendError::Full(Arc::clone(&error)),
            false => AppendError::Poisoned(Arc::clone(&error)),
        };
        if let Some(result) = written.results.get_mut(one.result) {
            *result = Err(refusal);
        }
    }
    if !is_full {
        written.failure = Some(error);
    }
}
