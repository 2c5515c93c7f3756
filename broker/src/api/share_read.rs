//! One pass of a share fetch over its partitions: read where records are to be had, and take what others did not take first.

use std::collections::BTreeMap;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;

use super::{Context, error};
use crate::coordinator::share::{AcquiredRange, Fetched, Limits, LogBatch, Slot, TopicPartition, Want};
use crate::partition::{Partition, Read, ReadError, ReadRequest, Waiters};
use crate::storage;
use crate::storage::file_slice::FileSlice;
use crate::storage::files::IoMode;
use crate::storage::view::BatchSlice;

/// Reads of one partition in one pass: each one more is because another member was faster, or the log's start moved.
const READS_MAX: usize = 8;

/// What a request wants of all its partitions together.
#[derive(Debug)]
pub(super) struct Appetite {
    /// Which records, for whom.
    pub(super) want: Want,
    /// Bytes at most; the first batch may be larger.
    pub(super) bytes_max: usize,
    /// Bytes that are worth an answer before the wait is over.
    pub(super) bytes_min: usize,
}

/// A partition to fetch from.
#[derive(Debug)]
pub(super) struct Target {
    at: TopicPartition,
    state: Result<Ready, ErrorCode>,
}

#[derive(Debug)]
struct Ready {
    partition: Arc<Partition>,
    slot: Arc<Slot>,
}

/// What a member gets of a partition.
#[derive(Debug)]
pub(super) struct Acquired {
    /// Whole batches; some of their records may be others'.
    pub(super) records: FileSlice,
    /// The records that are the member's.
    pub(super) ranges: Vec<AcquiredRange>,
}

impl Target {
    pub(super) fn ready(at: TopicPartition, partition: Arc<Partition>, slot: Arc<Slot>) -> Self {
        Self { at, state: Ok(Ready { partition, slot }) }
    }

    pub(super) fn failed(at: TopicPartition, code: ErrorCode) -> Self {
        // What passes by itself is answered by nothing; and these two are no errors of a partition.
        let code = match code {
            ErrorCode::CoordinatorNotAvailable => ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::GroupIdNotFound => ErrorCode::UnknownTopicOrPartition,
            code => code,
        };
        Self { at, state: Err(code) }
    }

    /// Where to wait for something new: records that are appended, and records that come back.
    pub(super) fn waiters(&self) -> impl Iterator<Item = &Waiters> {
        let ready = self.state.iter();
        ready.flat_map(|ready| [ready.partition.waiters(), ready.slot.waiters()])
    }
}

/// A look at all partitions.
pub(super) struct Pass<'a> {
    context: &'a Context,
    appetite: &'a Appetite,
    /// What there is is enough.
    is_last: bool,
    bytes: usize,
    records: i64,
    /// The next lock that runs out, by the steady clock.
    pub(super) next_lock_ms: Option<i64>,
    pub(super) found: BTreeMap<TopicPartition, Result<Acquired, ErrorCode>>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(context: &'a Context, appetite: &'a Appetite, is_last: bool) -> Self {
        Self { context, appetite, is_last, bytes: 0, records: 0, next_lock_ms: None, found: BTreeMap::new() }
    }

    /// Whether there is something to answer that waiting would not change.
    pub(super) fn is_final(&self) -> bool {
        let waits = |result: &Result<Acquired, ErrorCode>| {
            // There are clients that ask again at once, and again: they wait here as for records to come.
            matches!(result, Err(ErrorCode::CorruptMessage | ErrorCode::CoordinatorLoadInProgress))
        };
        self.found.values().any(|result| !waits(result))
    }

    /// Acquires what there is, if it is enough.
    pub(super) async fn run(&mut self, targets: &[Target]) {
        if !self.is_last && 1 < self.appetite.bytes_min && !self.is_enough(targets).await {
            return;
        }
        let mut left = targets.len();
        for target in targets {
            let share = (self.appetite.bytes_max.saturating_sub(self.bytes)) / left.max(1);
            left -= 1;
            let acquired = match &target.state {
                Err(code) => Err(*code),
                Ok(_) if self.appetite.want.records_max <= self.records => continue,
                Ok(ready) => match self.acquire(ready, share).await {
                    Ok(None) => continue,
                    Ok(Some(acquired)) => Ok(acquired),
                    Err(code) => Err(code),
                },
            };
            if let Ok(acquired) = &acquired {
                self.bytes += acquired.records.len();
                self.records += acquired.ranges.iter().map(|range| range.last - range.first + 1).sum::<i64>();
            }
            self.found.insert(target.at, acquired);
        }
        // A client is told of what is being loaded by getting nothing.
        self.found.retain(|_, result| !matches!(result, Err(ErrorCode::CoordinatorLoadInProgress)));
    }

    /// Whether there are as many bytes as the client wants to wait for. Nothing is taken.
    async fn is_enough(&mut self, targets: &[Target]) -> bool {
        let mut bytes = 0;
        for target in targets {
            let Ok(ready) = &target.state else { return true };
            let limits = self.context.shares.limits(&ready.slot.key().group_id);
            let Some(place) = self.place(ready, &limits) else { continue };
            match read(&ready.partition, place, self.appetite.bytes_max - bytes, true).await {
                Ok(Read { records: Some(slice), .. }) => bytes += slice.records.len(),
                Ok(_) => {}
                Err(_) => return true,
            }
            if self.appetite.bytes_min <= bytes {
                return true;
            }
        }
        false
    }

    async fn acquire(&mut self, ready: &Ready, bytes_max: usize) -> Result<Option<Acquired>, ErrorCode> {
        let limits = self.context.shares.limits(&ready.slot.key().group_id);
        for _ in 0..READS_MAX {
            let Some(place) = self.place(ready, &limits) else { return Ok(None) };
            // KIP-74: a batch larger than every limit must not stop a consumer for ever.
            let is_first = self.bytes == 0;
            let slice = match read(&ready.partition, place, bytes_max, is_first).await {
                Ok(Read { records: Some(slice), .. }) => slice,
                Ok(_) => return Ok(None),
                Err(ReadError::OutOfRange { offset, log_start, log_end }) => {
                    self.follow_log(ready, offset, log_start, log_end);
                    continue;
                }
                Err(failure) => return Err(refuse(ready, place.offset, &failure)),
            };
            let batches: Vec<LogBatch> = slice
                .batches
                .iter()
                .map(|batch| LogBatch { base: batch.base_offset, last: batch.last_offset })
                .collect();
            let want = Want {
                records_max: self.appetite.want.records_max - self.records,
                ..self.appetite.want.clone()
            };
            let fetched = Fetched { offset: place.offset, batches: &batches };
            let acquired = self.context.shares.acquire(&ready.slot, fetched, &want, &limits);
            let ranges = acquired.map_err(|failure| error::of_share(&failure))?;
            if !ranges.is_empty() {
                self.note_lock(ready);
                return Ok(Some(Acquired { records: cut(&slice, &ranges), ranges }));
            }
        }
        Ok(None)
    }

    /// Where there may be records for this member; `None` if it must wait.
    fn place(&mut self, ready: &Ready, limits: &Limits) -> Option<Place> {
        self.context.shares.expire(&ready.slot, limits);
        self.note_lock(ready);
        let place = ready.slot.look(|share| {
            let offset = share.next_fetch_offset();
            let horizon = share.start_offset().saturating_add(limits.in_flight_max);
            share.can_acquire(limits).then_some(Place { offset, horizon })
        })?;
        // Nothing at the end of the log, as it mostly is: no read is needed to know that.
        place.filter(|place| place.offset != ready.partition.offsets().high_watermark)
    }

    fn note_lock(&mut self, ready: &Ready) {
        let next = ready.slot.look(|share| share.next_deadline_ms()).flatten();
        self.next_lock_ms = [self.next_lock_ms, next].into_iter().flatten().min();
    }

    /// The log begins later than the group reads, or ends earlier: a topic with a relaxed flush policy can lose its end.
    fn follow_log(&self, ready: &Ready, offset: i64, log_start: i64, log_end: i64) {
        if offset < log_start {
            self.context.shares.advance_log_start(&ready.slot, log_start);
        } else {
            let key = ready.slot.key().coordinator_key();
            tracing::warn!(
                key,
                offset,
                log_end,
                "a share group was further than its log is now; it goes on at the end"
            );
            self.context.shares.cut(&ready.slot, log_end);
        }
    }
}

/// Where to read, and from which offset on nothing can be taken.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: i64,
    horizon: i64,
}

/// Reads here if all headers on the way are in memory, else on a thread that may wait for the disk.
async fn read(
    partition: &Arc<Partition>,
    place: Place,
    max_bytes: usize,
    min_one_batch: bool,
) -> Result<Read<BatchSlice>, ReadError> {
    let request = ReadRequest { offset: place.offset, max_bytes, min_one_batch, current_leader_epoch: -1 };
    if let Some(read) = partition.read_batches(&request, place.horizon, IoMode::NoWait)? {
        return Ok(read);
    }
    let partition = Arc::clone(partition);
    let work = move || partition.read_batches(&request, place.horizon, IoMode::Blocking);
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(Some(read))) => Ok(read),
        // A blocking read never says that it would block; a panic is our own fault and is logged.
        Ok(Ok(None)) | Err(_) => Err(ReadError::Deleted),
        Ok(Err(read_error)) => Err(read_error),
    }
}

fn refuse(ready: &Ready, offset: i64, failure: &ReadError) -> ErrorCode {
    // What is known to be damaged was told once, and consumers ask for it again and again.
    if let ReadError::Log(log_error) = failure
        && !matches!(log_error, storage::error::ReadError::Quarantined { .. })
    {
        let (topic, index) = (ready.partition.topic(), ready.partition.index());
        tracing::error!(%topic, index, offset, error = %log_error, "a share fetch could not be served");
    }
    error::of_read(failure)
}

/// The batches from the first acquired record to the last one.
fn cut(slice: &BatchSlice, ranges: &[AcquiredRange]) -> FileSlice {
    let first = ranges.first().map_or(0, |range| range.first);
    let last = ranges.last().map_or(0, |range| range.last);
    let from = slice.batches.partition_point(|batch| batch.last_offset < first);
    let to = slice.batches.partition_point(|batch| batch.base_offset <= last);
    let start = slice.batches.get(from).map_or(0, |batch| batch.start);
    let end = to.checked_sub(1).and_then(|at| slice.batches.get(at)).map_or(start, |batch| batch.end);
    slice.records.part(start, end.saturating_sub(start))
}
