//! ShareFetch (key 78), versions 1 and 2 (KIP-932, KIP-1206, KIP-1222).
//!
//! Records leave as with Fetch: byte ranges of segment files. Which of their records the member may have stands beside them.
//! Acknowledgements on the way are taken over first, and durable when this is answered. Only partitions with something to
//! tell are answered. Differs from Apache Kafka: a partition that a group does not read is UNKNOWN_TOPIC_OR_PARTITION.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    AcquiredRecords, ShareFetchRequest, ShareFetchResponse, ShareFetchableTopicResponse, SharePartitionData,
};
use tokio::time::Instant;

use super::share_acks::{self, Results, Rules, Taken};
use super::share_read::{Acquired, Appetite, Pass, Target};
use super::{Context, Session, error};
use crate::coordinator::share::{SessionError, SessionKey, ShareKey, TopicPartition, Want};
use crate::partition::Waiter;
use crate::storage::file_slice::FileSlice;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=2;

/// The epoch of a request that begins a session.
pub(super) const FIRST_EPOCH: i32 = 0;

/// The epoch of a request that ends a session.
pub(super) const FINAL_EPOCH: i32 = -1;

/// The acquire mode that never hands out more records than were asked for (KIP-1206).
const RECORD_LIMIT: i8 = 1;

/// A wait of the client's choice ends after this all the same.
const WAIT_MAX: Duration = Duration::from_secs(300);

type Response = ShareFetchResponse<FileSlice>;

/// Serves a share fetch, waiting for records as long as the client allows.
pub(super) async fn handle(
    context: &Context,
    session: &Session,
    _version: i16,
    request: ShareFetchRequest,
) -> Response {
    let key = match share_acks::session_key(request.group_id.as_ref(), request.member_id.as_ref()) {
        Ok(key) => key,
        Err(message) => return refused(ErrorCode::InvalidRequest, message),
    };
    if request.is_renew_ack
        && [request.max_bytes, request.min_bytes, request.max_records, request.max_wait_ms] != [0; 4]
    {
        return refused(ErrorCode::InvalidRequest, "a request that renews locks cannot ask for records");
    }
    let mut unknown = BTreeMap::new();
    let partitions = match proceed(context, session, &key, &request, &mut unknown) {
        Ok(partitions) => partitions,
        Err(code) => {
            if code == ErrorCode::ShareSessionLimitReached {
                // The client tries again at once.
                pause(context, session, wait_of(&request)).await;
            }
            return ShareFetchResponse { error_code: code.code(), ..Default::default() };
        }
    };
    let taken = take_acknowledgements(context, &key, &request).await;
    let mut found = fetch(context, session, &key, &request, &partitions).await;
    let acknowledged = taken.stored().await;
    if request.share_session_epoch == FINAL_EPOCH {
        context.shares.close_session(&key);
    }
    found.extend(unknown.into_iter().map(|(at, code)| (at, Err(code))));
    let lock_ms = context.shares.limits(&key.group_id).lock_ms;
    ShareFetchResponse {
        acquisition_lock_timeout_ms: i32::try_from(lock_ms).unwrap_or(i32::MAX),
        responses: respond(found, acknowledged),
        ..Default::default()
    }
}

fn refused(code: ErrorCode, message: &str) -> Response {
    ShareFetchResponse {
        error_code: code.code(),
        error_message: Some(message.to_owned()),
        ..Default::default()
    }
}

fn wait_of(request: &ShareFetchRequest) -> Duration {
    Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_MAX)
}

async fn pause(context: &Context, session: &Session, wait: Duration) {
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = context.stop.stopped() => {}
        () = session.until_reading_ended() => {}
    }
}

/// The session's next step; returns the partitions to fetch. Those that are not there go to `unknown`.
fn proceed(
    context: &Context,
    session: &Session,
    key: &SessionKey,
    request: &ShareFetchRequest,
    unknown: &mut BTreeMap<TopicPartition, ErrorCode>,
) -> Result<Vec<TopicPartition>, ErrorCode> {
    let asked = request.topics.iter().flat_map(|topic| {
        let at = |partition| TopicPartition { topic_id: topic.topic_id, partition };
        topic.partitions.iter().map(move |partition| (at(partition.partition_index), partition))
    });
    let mut added = BTreeSet::new();
    let mut has_acknowledgements = false;
    for (at, partition) in asked {
        has_acknowledgements |= !partition.acknowledgement_batches.is_empty();
        match share_acks::check_partition(context, at.topic_id, at.partition) {
            Ok(()) => drop(added.insert(at)),
            Err(code) => drop(unknown.insert(at, code)),
        }
    }
    let of_session = |failure: SessionError| error::of_share_session(&failure);
    match request.share_session_epoch {
        FINAL_EPOCH if context.shares.sessions().has(key) => Ok(Vec::new()),
        FINAL_EPOCH => Err(ErrorCode::ShareSessionNotFound),
        FIRST_EPOCH if has_acknowledgements => Err(ErrorCode::InvalidRequest),
        FIRST_EPOCH => {
            let sessions_max = context.config.groups.share.sessions_max;
            let partitions: Vec<TopicPartition> = added.iter().copied().collect();
            let mut sessions = context.shares.sessions();
            sessions.open(key.clone(), session.id, added, sessions_max).map_err(of_session)?;
            Ok(partitions)
        }
        epoch => {
            let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
                let at = |partition: &i32| TopicPartition { topic_id: topic.topic_id, partition: *partition };
                topic.partitions.iter().map(at)
            });
            let forgotten: Vec<TopicPartition> = forgotten.collect();
            let added: Vec<TopicPartition> = added.into_iter().collect();
            context.shares.sessions().fetch(key, epoch, &added, &forgotten).map_err(of_session)
        }
    }
}

async fn take_acknowledgements(context: &Context, key: &SessionKey, request: &ShareFetchRequest) -> Taken {
    let rules = Rules { is_renewal: request.is_renew_ack };
    let mut taken = Taken::default();
    for topic in &request.topics {
        let said = topic.partitions.iter().filter(|partition| !partition.acknowledgement_batches.is_empty());
        for partition in said {
            let at = TopicPartition { topic_id: topic.topic_id, partition: partition.partition_index };
            taken.take(context, key, at, &partition.acknowledgement_batches, rules).await;
        }
    }
    taken
}

type Found = BTreeMap<TopicPartition, Result<Acquired, ErrorCode>>;

async fn fetch(
    context: &Context,
    session: &Session,
    key: &SessionKey,
    request: &ShareFetchRequest,
    partitions: &[TopicPartition],
) -> Found {
    let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0).min(context.config.fetch_bytes_max);
    if partitions.is_empty() || request.max_records <= 0 || bytes_max == 0 {
        return Found::new();
    }
    let want = Want {
        member: std::sync::Arc::clone(&key.member_id),
        records_max: request.max_records.into(),
        is_strict: request.share_acquire_mode == RECORD_LIMIT,
        batch_size: request.batch_size.max(1).into(),
    };
    let bytes_min = usize::try_from(request.min_bytes).unwrap_or(0).min(bytes_max);
    let appetite = Appetite { want, bytes_max, bytes_min };
    let deadline = Instant::now() + wait_of(request);
    let waiter = Waiter::default();
    let mut is_over = request.max_wait_ms <= 0;
    loop {
        let targets = targets(context, key, request, partitions).await;
        // Parked before looking: see partition/waiters.rs.
        let _parked = Parked::park(&targets, &waiter);
        let mut pass = Pass::new(context, &appetite, is_over);
        pass.run(&targets).await;
        if is_over || pass.is_final() {
            return pass.found;
        }
        let next_lock = pass.next_lock_ms.map_or(deadline, |ms| context.shares.instant(ms));
        is_over = tokio::select! {
            () = waiter.notified() => false,
            () = tokio::time::sleep_until(deadline.min(next_lock)) => deadline <= Instant::now(),
            () = context.stop.stopped() => true,
            () = session.until_reading_ended() => true,
        };
    }
}

/// The partitions to look at, beginning with another one each time, so that none waits behind the others for ever.
async fn targets(
    context: &Context,
    key: &SessionKey,
    request: &ShareFetchRequest,
    partitions: &[TopicPartition],
) -> Vec<Target> {
    let mut targets = Vec::with_capacity(partitions.len());
    let turn = usize::try_from(request.share_session_epoch).unwrap_or(0) % partitions.len().max(1);
    let (before, behind) = partitions.split_at(turn);
    for at in behind.iter().chain(before) {
        let key = ShareKey { group_id: std::sync::Arc::clone(&key.group_id), at: *at };
        let topic = context.catalog.topic_by_id(at.topic_id);
        let Some(partition) = topic.and_then(|topic| topic.partition(at.partition)) else {
            targets.push(Target::failed(*at, ErrorCode::UnknownTopicId));
            continue;
        };
        match context.shares.slot(&key, &partition).await {
            Ok(slot) => targets.push(Target::ready(*at, partition, slot)),
            Err(failure) => {
                tracing::debug!(key = %key.coordinator_key(), %failure, "a share partition is not ready");
                targets.push(Target::failed(*at, error::of_share(&failure)));
            }
        }
    }
    targets
}

/// Takes the waiter out of every partition again when the fetch stops looking.
struct Parked<'a> {
    targets: &'a [Target],
    waiter: &'a Waiter,
}

impl<'a> Parked<'a> {
    fn park(targets: &'a [Target], waiter: &'a Waiter) -> Self {
        for waiters in targets.iter().flat_map(Target::waiters) {
            waiters.park(waiter);
        }
        Self { targets, waiter }
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        for waiters in self.targets.iter().flat_map(Target::waiters) {
            waiters.leave(self.waiter);
        }
    }
}

fn respond(found: Found, acknowledged: Results) -> Vec<ShareFetchableTopicResponse<FileSlice>> {
    let mut data: BTreeMap<TopicPartition, SharePartitionData<FileSlice>> = BTreeMap::new();
    let empty =
        |at: TopicPartition| SharePartitionData { partition_index: at.partition, ..Default::default() };
    for (at, result) in found {
        let entry = data.entry(at).or_insert_with(|| empty(at));
        match result {
            Ok(acquired) => {
                entry.records = Some(acquired.records);
                entry.acquired_records = acquired.ranges.into_iter().map(acquired_records).collect();
            }
            Err(code) => entry.error_code = code.code(),
        }
    }
    for (at, result) in acknowledged {
        let entry = data.entry(at).or_insert_with(|| empty(at));
        if let Err(refused) = result {
            entry.acknowledge_error_code = refused.code.code();
            entry.acknowledge_error_message = refused.message;
        }
    }
    let mut responses: Vec<ShareFetchableTopicResponse<FileSlice>> = Vec::new();
    for (TopicPartition { topic_id, .. }, partition) in data {
        match responses.last_mut() {
            Some(topic) if topic.topic_id == topic_id => topic.partitions.push(partition),
            _ => responses.push(ShareFetchableTopicResponse { topic_id, partitions: vec![partition] }),
        }
    }
    responses
}

fn acquired_records(range: crate::coordinator::share::AcquiredRange) -> AcquiredRecords {
    AcquiredRecords { first_offset: range.first, last_offset: range.last, delivery_count: range.deliveries }
}
