//! Fetch (key 1), versions 4 to 17; topic ids from 13 on.
//!
//! The fetch path starts here: find the partition, get the range of bytes below the high
//! watermark, wait if there is too little. The record bytes themselves are never touched: the
//! response carries file slices, which `net/transmit` hands to `sendfile`.
//!
//! Differs from Apache Kafka: every fetch is a full one (session id 0, which KIP-227 allows);
//! record sets end on a batch boundary, and before records that are known to be damaged; at these,
//! the answer is CORRUPT_MESSAGE, after `max_wait_ms`; `replica_id` gives no privileges.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use sendlog_protocol::RecordSet;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DivergingEpoch, FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse,
    PartitionData,
};
use tokio::time::Instant;

use super::{Context, Session, error};
use crate::partition::{Partition, Read, ReadError, ReadRequest, Waiter};
use crate::storage;
use crate::storage::file_slice::FileSlice;
use crate::storage::files::IoMode;

/// Advertised and served.
pub const VERSIONS: RangeInclusive<i16> = 4..=17;

/// The first version that names topics by id (KIP-516).
const FIRST_WITH_TOPIC_IDS: i16 = 13;

/// Of `isolation_level`: a reader of what is committed.
const READ_COMMITTED: i8 = 1;

/// A wait of the client's choice ends after this all the same.
const WAIT_MAX: Duration = Duration::from_secs(300);

impl RecordSet for FileSlice {
    fn len(&self) -> usize {
        FileSlice::len(self)
    }
}

type Response = FetchResponse<FileSlice>;

/// One partition of the request, looked up.
struct Wanted {
    topic: usize,
    partition: Option<Arc<Partition>>,
    missing: ErrorCode,
    request: FetchPartition,
}

/// Serves a fetch, waiting for `min_bytes` as long as the client allows.
pub async fn handle(context: &Context, session: &Session, version: i16, request: FetchRequest) -> Response {
    if request.session_id != 0 && 0 < request.session_epoch {
        return refused(ErrorCode::FetchSessionIdNotFound);
    }
    let wanted = look_up(context, version, &request.topics);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_MAX);
    let deadline = Instant::now() + wait;
    let waiter = Waiter::default();
    let limit = bytes_max(context, &request);
    let bytes_min = usize::try_from(request.min_bytes).unwrap_or(0).min(limit);
    // Nothing can come for a fetch of nothing, which is how Java's consumer says good-bye (KIP-227).
    let mut is_over = wait.is_zero() || wanted.iter().all(|one| one.partition.is_none());
    let found = loop {
        // Parked before looking: see partition/waiters.rs.
        let _parked = Parked::park(&wanted, &waiter);
        let found = read_all(&wanted, limit).await;
        if found.is_final || bytes_min <= found.readable || is_over {
            break found;
        }
        drop(found);
        is_over = tokio::select! {
            () = waiter.notified() => false,
            () = tokio::time::sleep_until(deadline) => true,
            () = context.stop.stopped() => true,
            () = session.until_reading_ended() => true,
        };
    };
    respond(&request, wanted, found.results)
}

fn refused(code: ErrorCode) -> Response {
    FetchResponse { error_code: code.code(), ..Default::default() }
}

fn look_up(context: &Context, version: i16, topics: &[FetchTopic]) -> Vec<Wanted> {
    let by_id = FIRST_WITH_TOPIC_IDS <= version;
    let mut wanted = Vec::new();
    let mut seen = HashSet::new();
    for (topic, request) in topics.iter().enumerate() {
        let found = match by_id {
            true => context.catalog.topic_by_id(request.topic_id),
            false => context.catalog.topic(&request.topic),
        };
        let missing = match (by_id, &found) {
            (true, None) => ErrorCode::UnknownTopicId,
            _ => ErrorCode::UnknownTopicOrPartition,
        };
        // Asked for twice, a partition is read and answered once.
        for partition in request.partitions.iter().filter(|one| seen.insert((topic, one.partition))) {
            let found = found.as_ref().and_then(|topic| topic.partition(partition.partition));
            wanted.push(Wanted { topic, partition: found, missing, request: partition.clone() });
        }
    }
    wanted
}

/// Takes the waiter out of every partition again when the fetch stops looking.
struct Parked<'a> {
    wanted: &'a [Wanted],
    waiter: &'a Waiter,
}

impl<'a> Parked<'a> {
    fn park(wanted: &'a [Wanted], waiter: &'a Waiter) -> Self {
        for partition in wanted.iter().filter_map(|wanted| wanted.partition.as_ref()) {
            partition.waiters().park(waiter);
        }
        Self { wanted, waiter }
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        for partition in self.wanted.iter().filter_map(|wanted| wanted.partition.as_ref()) {
            partition.waiters().leave(self.waiter);
        }
    }
}

/// Bytes that the answer may have.
fn bytes_max(context: &Context, request: &FetchRequest) -> usize {
    usize::try_from(request.max_bytes).unwrap_or(0).min(context.config.fetch_bytes_max)
}

/// One look at all partitions.
struct Found {
    results: Vec<Result<Answered, ErrorCode>>,
    bytes: usize,
    /// What counts towards the bytes that are waited for: batches too of which the limits let none or a part through. Kafka
    /// would have cut one; to wait on would be to wait for what is there.
    readable: usize,
    /// Something that waiting would not change: an error, or a client that must look elsewhere.
    is_final: bool,
}

/// What one partition answers.
enum Answered {
    Read(Read),
    /// The client's log went another way: it ends its epoch here (KIP-595).
    Diverging(Read, DivergingEpoch),
}

async fn read_all(wanted: &[Wanted], limit: usize) -> Found {
    let results = Vec::with_capacity(wanted.len());
    let mut found = Found { results, bytes: 0, readable: 0, is_final: false };
    for one in wanted {
        let result = match &one.partition {
            Some(partition) => read_one(partition, &one.request, limit, found.bytes).await,
            None => Err(one.missing),
        };
        match &result {
            Ok(Answered::Read(read)) => {
                let bytes = read.records.as_ref().map_or(0, FileSlice::len);
                found.bytes += bytes;
                found.readable = found.readable.saturating_add(readable(read, &one.request).max(bytes));
            }
            // Who named it learns that with the answer, as from Kafka, which waits for the others.
            Err(_) if one.partition.is_none() => {}
            // There are clients that ask again at once, and again: they wait here as for records to come.
            Err(ErrorCode::CorruptMessage) => {}
            Ok(Answered::Diverging(..)) | Err(_) => found.is_final = true,
        }
        found.results.push(result);
    }
    found
}

/// Bytes that a partition has for the client, within what it wants of it; more in a later segment is enough for any wish.
fn readable(read: &Read, wanted: &FetchPartition) -> usize {
    match read.ahead {
        u64::MAX => usize::MAX,
        ahead => usize::try_from(ahead.min(u64::try_from(wanted.partition_max_bytes).unwrap_or(0)))
            .unwrap_or(usize::MAX),
    }
}

async fn read_one(
    partition: &Arc<Partition>,
    wanted: &FetchPartition,
    limit: usize,
    taken: usize,
) -> Result<Answered, ErrorCode> {
    let partition_limit = usize::try_from(wanted.partition_max_bytes).unwrap_or(0);
    let request = ReadRequest {
        offset: wanted.fetch_offset,
        max_bytes: partition_limit.min(limit.saturating_sub(taken)),
        // KIP-74: a batch larger than every limit must not stop a consumer for ever.
        min_one_batch: taken == 0,
        current_leader_epoch: wanted.current_leader_epoch,
    };
    let read = read_somewhere(partition, request).await;
    let read = read.map_err(|read_error| refuse(partition, wanted, &read_error))?;
    match diverging(partition, wanted)? {
        Some(end) => Ok(Answered::Diverging(read, end)),
        None => Ok(Answered::Read(read)),
    }
}

/// Reads here if all headers on the way are in memory, else on a thread that may wait for the disk.
async fn read_somewhere(partition: &Arc<Partition>, request: ReadRequest) -> Result<Read, ReadError> {
    if let Some(read) = partition.read(&request, IoMode::NoWait)? {
        return Ok(read);
    }
    let partition = Arc::clone(partition);
    let reading = tokio::task::spawn_blocking(move || partition.read(&request, IoMode::Blocking));
    match reading.await {
        Ok(Ok(Some(read))) => Ok(read),
        // A blocking read never says that it would block; a panic is our own fault and is logged.
        Ok(Ok(None)) | Err(_) => Err(ReadError::Deleted),
        Ok(Err(read_error)) => Err(read_error),
    }
}

fn refuse(partition: &Partition, wanted: &FetchPartition, read_error: &ReadError) -> ErrorCode {
    // What is known to be damaged was told once, and consumers ask for it again and again.
    if let ReadError::Log(log_error) = read_error
        && !matches!(log_error, storage::error::ReadError::Quarantined { .. })
    {
        let (topic, index, offset) = (partition.topic(), partition.index(), wanted.fetch_offset);
        tracing::error!(%topic, index, offset, error = %log_error, "a fetch could not be served");
    }
    error::of_read(read_error)
}

fn diverging(partition: &Partition, wanted: &FetchPartition) -> Result<Option<DivergingEpoch>, ErrorCode> {
    if wanted.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let end = partition.epoch_end(wanted.last_fetched_epoch);
    if end.end_offset < 0 {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let is_diverging = end.leader_epoch < wanted.last_fetched_epoch || end.end_offset < wanted.fetch_offset;
    let epoch_end = || DivergingEpoch { epoch: end.leader_epoch, end_offset: end.end_offset };
    Ok(is_diverging.then(epoch_end))
}

/// Every partition that was asked for, and no other, in the order of the request.
fn respond(
    request: &FetchRequest,
    wanted: Vec<Wanted>,
    results: Vec<Result<Answered, ErrorCode>>,
) -> Response {
    let mut responses: Vec<FetchableTopicResponse<FileSlice>> = request
        .topics
        .iter()
        .map(|topic| FetchableTopicResponse {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions: Vec::with_capacity(topic.partitions.len()),
        })
        .collect();
    for (one, result) in wanted.into_iter().zip(results) {
        let data = partition_data(one.request.partition, result);
        // There are none. Kafka has null for a reader of all, but not of a partition that is not there.
        let is_null = one.partition.is_some() && request.isolation_level != READ_COMMITTED;
        let aborted_transactions = (!is_null).then(Vec::new);
        if let Some(response) = responses.get_mut(one.topic) {
            response.partitions.push(PartitionData { aborted_transactions, ..data });
        }
    }
    FetchResponse { responses, ..Default::default() }
}

fn partition_data(partition_index: i32, result: Result<Answered, ErrorCode>) -> PartitionData<FileSlice> {
    let (read, diverging_epoch) = match result {
        Ok(Answered::Read(read)) => (read, None),
        Ok(Answered::Diverging(mut read, end)) => {
            read.records = None;
            (read, Some(end))
        }
        Err(code) => {
            return PartitionData {
                partition_index,
                error_code: code.code(),
                high_watermark: -1,
                ..Default::default()
            };
        }
    };
    PartitionData {
        partition_index,
        high_watermark: read.offsets.high_watermark,
        last_stable_offset: read.offsets.last_stable,
        log_start_offset: read.offsets.log_start,
        diverging_epoch: diverging_epoch.unwrap_or_default(),
        records: read.records,
        ..Default::default()
    }
}
