//! The task that keeps fetches in flight: one to each leader at a time, as long as there is memory for what comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::chunk::end_of;
use super::state::{Chunk, Shared, Slot, Start, Target};
use crate::backoff::Backoff;
use crate::cluster::{Cluster, Lane};
use crate::config::{ConsumerConfig, OutOfRange};
use crate::connection::Connection;
use crate::error::{BrokerError, ClientError};
use crate::metadata::Metadata;
use crate::offsets::{Answers, EARLIEST, LATEST, Lookup, list_offsets};

/// The last version that names topics and does not number them.
const FETCH_VERSION_BY_NAME: i16 = 12;
/// The last version for consumers; later ones are for replicas.
const FETCH_VERSION_MAX: i16 = 17;
/// How long a fetch may wait that does not ask for all of a broker's partitions, because some have enough buffered.
const PARTIAL_WAIT: Duration = Duration::from_millis(20);
/// Attempts before a refusal that may pass is reported.
const PATIENCE: u32 = 4;
/// Longest sleep when there is nothing to do.
const IDLE: Duration = Duration::from_secs(1);

enum Event {
    Fetched { node_id: i32, asked: Vec<Asked>, answer: Result<FetchResponse<Bytes>, ClientError> },
    Resolved { node_id: i32, asked: Vec<Asked>, answer: Result<Answers, ClientError> },
    Refreshed(Result<(), ClientError>),
}

/// A partition in a request.
#[derive(Debug, Clone)]
struct Asked {
    topic: Arc<str>,
    topic_id: Uuid,
    partition: i32,
    leader_epoch: i32,
    generation: u64,
    target: Target,
}

/// What to ask a broker for.
#[derive(Debug, Default)]
struct Plan {
    fetch: Vec<Asked>,
    resolve: Vec<Asked>,
    /// Whether the fetch leaves out a partition of this broker.
    is_partial: bool,
}

pub(super) struct Fetcher {
    cluster: Arc<Cluster>,
    shared: Arc<Shared>,
    config: ConsumerConfig,
    tasks: JoinSet<Event>,
    /// Brokers with a fetch in flight.
    fetching: Vec<i32>,
    /// Moves the first partition of a request on, so that each comes to be the first.
    rotation: usize,
    needs_refresh: bool,
    is_refreshing: bool,
    refresh_backoff: Backoff,
    refresh_not_before: Option<Instant>,
}

impl Fetcher {
    pub(super) fn new(cluster: Arc<Cluster>, shared: Arc<Shared>, config: ConsumerConfig) -> Self {
        let client = cluster.config();
        let refresh_backoff = Backoff::new(client.retry_backoff, client.retry_backoff_max);
        Self {
            cluster,
            shared,
            config,
            tasks: JoinSet::new(),
            fetching: Vec::new(),
            rotation: 0,
            needs_refresh: false,
            is_refreshing: false,
            refresh_backoff,
            refresh_not_before: None,
        }
    }

    /// Runs until the consumer is dropped; requests under way end with it.
    pub(super) async fn run(mut self) {
        loop {
            if self.shared.lock().is_closed {
                return;
            }
            let now = Instant::now();
            for (node_id, plan) in self.plans(now) {
                self.start(node_id, plan);
            }
            self.refresh(now);
            let wake_at = self.wake_at(now);
            tokio::select! {
                Some(ended) = self.tasks.join_next() => {
                    self.handle(ended.expect("tasks of the fetcher neither panic nor are aborted"));
                }
                () = self.shared.fetch.notified() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    fn wake_at(&self, now: Instant) -> Instant {
        let state = self.shared.lock();
        let pauses = state.slots.iter().filter_map(|slot| slot.not_before);
        let refresh = self.refresh_not_before.filter(|_| self.needs_refresh);
        let due = pauses.chain(refresh).filter(|at| now < *at).min();
        due.unwrap_or(now + IDLE).min(now + IDLE)
    }

    /// What to ask which broker for, now.
    fn plans(&mut self, now: Instant) -> HashMap<i32, Plan> {
        let metadata = self.cluster.metadata();
        let mut plans: HashMap<i32, Plan> = HashMap::new();
        let mut unknown = Vec::new();
        let mut state = self.shared.lock();
        let slots = state.slots.len();
        let partition_prefetch =
            (self.config.prefetch_bytes / slots.max(1)).max(self.config.partition_bytes_max);
        let has_memory = state.buffered < self.config.prefetch_bytes;
        self.rotation = self.rotation.wrapping_add(1);
        for index in 0..slots {
            let slot = &mut state.slots[(index + self.rotation) % slots];
            if slot.is_busy {
                continue;
            }
            let is_paused = slot.not_before.is_some_and(|at| now < at);
            let Some((node_id, asked)) = asked(&metadata, slot) else {
                if !is_paused {
                    slot.pause();
                    unknown.push(slot.topic.to_string());
                }
                continue;
            };
            let plan = plans.entry(node_id).or_default();
            match slot.target {
                Target::Resolve(_) if !is_paused => {
                    slot.is_busy = true;
                    plan.resolve.push(asked);
                }
                Target::Fetch(_)
                    if !is_paused
                        && has_memory
                        && slot.buffered < partition_prefetch
                        && !self.fetching.contains(&node_id) =>
                {
                    slot.is_busy = true;
                    plan.fetch.push(asked);
                }
                _ => plan.is_partial = true,
            }
        }
        drop(state);
        self.want(unknown);
        plans
    }

    /// Has topics looked up whose leaders are not known.
    fn want(&mut self, topics: Vec<String>) {
        for topic in topics {
            self.cluster.want(&topic);
            self.needs_refresh = true;
        }
    }

    fn start(&mut self, node_id: i32, plan: Plan) {
        if !plan.resolve.is_empty() {
            let (cluster, asked) = (Arc::clone(&self.cluster), plan.resolve);
            self.tasks.spawn(async move {
                let answer = resolve(&cluster, node_id, &asked).await;
                Event::Resolved { node_id, asked, answer }
            });
        }
        if !plan.fetch.is_empty() {
            self.fetching.push(node_id);
            let (cluster, asked) = (Arc::clone(&self.cluster), plan.fetch);
            let request = self.fetch_request(&asked, plan.is_partial);
            self.tasks.spawn(async move {
                let answer = fetch(&cluster, node_id, request).await;
                Event::Fetched { node_id, asked, answer }
            });
        }
    }

    fn fetch_request(&self, asked: &[Asked], is_partial: bool) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for asked in asked {
            let Target::Fetch(fetch_offset) = asked.target else { continue };
            let partition = FetchPartition {
                partition: asked.partition,
                current_leader_epoch: asked.leader_epoch,
                fetch_offset,
                partition_max_bytes: to_i32(self.config.partition_bytes_max),
                ..FetchPartition::default()
            };
            match topics.iter_mut().find(|topic| *topic.topic == *asked.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => topics.push(FetchTopic {
                    topic: asked.topic.to_string(),
                    topic_id: asked.topic_id,
                    partitions: vec![partition],
                }),
            }
        }
        let wait = if is_partial { self.config.fetch_wait.min(PARTIAL_WAIT) } else { self.config.fetch_wait };
        FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: to_i32(self.config.fetch_bytes_min),
            max_bytes: to_i32(self.config.fetch_bytes_max.min(self.config.prefetch_bytes)),
            topics,
            ..FetchRequest::default()
        }
    }

    fn refresh(&mut self, now: Instant) {
        self.needs_refresh |= self.cluster.is_stale();
        let may = self.refresh_not_before.is_none_or(|at| at <= now);
        if !self.needs_refresh || self.is_refreshing || !may {
            return;
        }
        self.needs_refresh = false;
        self.is_refreshing = true;
        let cluster = Arc::clone(&self.cluster);
        self.tasks.spawn(async move { Event::Refreshed(cluster.refresh().await) });
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Fetched { node_id, asked, answer } => {
                self.fetching.retain(|fetching| *fetching != node_id);
                match answer {
                    Ok(response) => self.fetched(&asked, response),
                    Err(error) => self.failed(node_id, &asked, &error),
                }
            }
            Event::Resolved { node_id, asked, answer } => match answer {
                Ok(answers) => self.resolved(&asked, answers),
                Err(error) => self.failed(node_id, &asked, &error),
            },
            Event::Refreshed(refreshed) => self.refreshed(refreshed),
        }
        self.shared.arrived.notify_one();
    }

    fn refreshed(&mut self, refreshed: Result<(), ClientError>) {
        self.is_refreshing = false;
        self.refresh_not_before = Some(Instant::now() + self.refresh_backoff.next());
        if let Err(error) = refreshed {
            tracing::warn!(%error, "consumer cannot refresh its metadata");
            self.needs_refresh = true;
            return;
        }
        self.refresh_backoff.reset();
        let metadata = self.cluster.metadata();
        let mut state = self.shared.lock();
        let refused: Vec<(u64, ClientError)> = state
            .slots
            .iter()
            .filter_map(|slot| Some((slot.generation, refusal(&metadata, slot)?)))
            .collect();
        for (generation, error) in refused {
            state.fail(generation, error);
        }
    }

    /// The broker could not be asked: again, after a pause, and perhaps another one.
    fn failed(&mut self, node_id: i32, asked: &[Asked], error: &ClientError) {
        tracing::debug!(%error, node_id, "fetch failed");
        self.needs_refresh = true;
        let mut state = self.shared.lock();
        for asked in asked {
            let Some(slot) = state.slot(asked.generation) else { continue };
            slot.is_busy = false;
            slot.pause();
            if !error.is_retriable() {
                state.fail(asked.generation, error.clone());
            }
        }
    }

    fn resolved(&mut self, asked: &[Asked], mut answers: Answers) {
        let mut state = self.shared.lock();
        for asked in asked {
            let Some(slot) = state.slot(asked.generation) else { continue };
            slot.is_busy = false;
            match answers.remove(&(asked.topic.to_string(), asked.partition)) {
                Some(Ok(found)) if 0 <= found.offset => {
                    slot.backoff.reset();
                    slot.target = Target::Fetch(found.offset);
                    slot.position = Some(found.offset);
                    if asked.target == Target::Resolve(Start::Latest) {
                        slot.high_watermark = Some(found.offset);
                    }
                }
                // No record is that young.
                Some(Ok(_)) => slot.target = Target::Resolve(Start::Latest),
                Some(Err(error)) => {
                    slot.pause();
                    self.needs_refresh = true;
                    if !error.is_retriable() {
                        let what = format!("offset of {}-{}", asked.topic, asked.partition);
                        state.fail(asked.generation, ClientError::broker(what, error));
                    }
                }
                None => slot.pause(),
            }
        }
    }

    fn fetched(&mut self, asked: &[Asked], response: FetchResponse<Bytes>) {
        let refused = BrokerError::check(response.error_code, None);
        let mut answers: HashMap<(Option<String>, Uuid, i32), PartitionData<Bytes>> = HashMap::new();
        for topic in response.responses {
            let name = Some(topic.topic).filter(|name| !name.is_empty());
            for partition in topic.partitions {
                answers.insert((name.clone(), topic.topic_id, partition.partition_index), partition);
            }
        }
        for asked in asked {
            let by_name = (Some(asked.topic.to_string()), Uuid::nil(), asked.partition);
            let by_id = (None, asked.topic_id, asked.partition);
            let answer = answers.remove(&by_name).or_else(|| answers.remove(&by_id));
            match (&refused, answer) {
                (Err(error), _) => self.refused(asked, error.clone()),
                (Ok(()), Some(data)) => match BrokerError::check(data.error_code, None) {
                    Ok(()) => self.take(asked, data),
                    Err(error) => self.refused(asked, error),
                },
                (Ok(()), None) => {
                    if let Some(slot) = self.shared.lock().slot(asked.generation) {
                        slot.is_busy = false;
                        slot.pause();
                    }
                }
            }
        }
    }

    fn take(&self, asked: &Asked, data: PartitionData<Bytes>) {
        let mut state = self.shared.lock();
        let Some(slot) = state.slot(asked.generation) else { return };
        slot.is_busy = false;
        slot.backoff.reset();
        slot.not_before = None;
        slot.high_watermark = Some(data.high_watermark);
        let Some(records) = data.records else { return };
        // Without a whole batch, `poll` finds out what is wrong with what came.
        let next = end_of(&records);
        if let (Target::Fetch(offset), Some(next)) = (asked.target, next) {
            slot.target = Target::Fetch(next.max(offset));
        } else {
            slot.pause();
            let bytes = records.len();
            if records.len() < sendlog_protocol::records::BATCH_HEADER_SIZE {
                return;
            }
            tracing::warn!(topic = %asked.topic, partition = asked.partition, bytes, "no whole batch in an answer");
        }
        state.push(Chunk { generation: asked.generation, records });
    }

    fn refused(&mut self, asked: &Asked, error: BrokerError) {
        let mut state = self.shared.lock();
        let Some(slot) = state.slot(asked.generation) else { return };
        slot.is_busy = false;
        if error.error_code() == Some(ErrorCode::OffsetOutOfRange) {
            let start = match self.config.out_of_range {
                OutOfRange::Earliest => Start::Earliest,
                OutOfRange::Latest => Start::Latest,
                OutOfRange::Error => {
                    let Target::Fetch(offset) = asked.target else { return };
                    let (topic, partition) = (asked.topic.to_string(), asked.partition);
                    state.fail(asked.generation, ClientError::OffsetOutOfRange { topic, partition, offset });
                    return;
                }
            };
            slot.target = Target::Resolve(start);
            return;
        }
        slot.pause();
        self.needs_refresh = true;
        if !error.is_retriable() {
            let what = format!("fetch of {}-{}", asked.topic, asked.partition);
            state.fail(asked.generation, ClientError::broker(what, error));
        }
    }
}

fn to_i32(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// The leader of a partition, and the partition as to be asked for there.
fn asked(metadata: &Metadata, slot: &Slot) -> Option<(i32, Asked)> {
    let leader = metadata.leader(&slot.topic, slot.partition)?;
    let topic_id = metadata.topic(&slot.topic)?.id;
    let asked = Asked {
        topic: Arc::clone(&slot.topic),
        topic_id,
        partition: slot.partition,
        leader_epoch: leader.epoch,
        generation: slot.generation,
        target: slot.target,
    };
    Some((leader.node_id, asked))
}

/// Why a partition cannot be read, if so. A topic that was just created may be unknown for a moment: that is worth some
/// patience before the application hears of it.
fn refusal(metadata: &Metadata, slot: &Slot) -> Option<ClientError> {
    match metadata.topics.get(&*slot.topic)? {
        Err(error) if error.is_retriable() && slot.backoff.failures() < PATIENCE => None,
        Err(error) => Some(ClientError::broker(format!("topic {}", slot.topic), error.clone())),
        Ok(topic) => {
            let partitions = topic.partitions.len();
            let exists = usize::try_from(slot.partition).is_ok_and(|partition| partition < partitions);
            let (topic, partition) = (slot.topic.to_string(), slot.partition);
            (!exists).then_some(ClientError::UnknownPartition { topic, partition, partitions })
        }
    }
}

async fn fetch(
    cluster: &Cluster,
    node_id: i32,
    request: FetchRequest,
) -> Result<FetchResponse<Bytes>, ClientError> {
    let connection: Connection = cluster.connection(node_id, Lane::Data).await?;
    let has_ids = request.topics.iter().all(|topic| !topic.topic_id.is_nil());
    let version = connection.version_of::<FetchRequest>(if has_ids {
        FETCH_VERSION_MAX
    } else {
        FETCH_VERSION_BY_NAME
    })?;
    Ok(connection.send(&request, version).await?.wait().await?)
}

async fn resolve(cluster: &Cluster, node_id: i32, asked: &[Asked]) -> Result<Answers, ClientError> {
    let mut answers = Answers::new();
    let mut lookups = Vec::new();
    for asked in asked {
        let Target::Resolve(start) = asked.target else { continue };
        let timestamp = match start {
            Start::Earliest => EARLIEST,
            Start::Latest => LATEST,
            Start::Timestamp(timestamp) => timestamp.max(0),
            Start::Offset(offset) => {
                let found = crate::offsets::Found { offset: offset.max(0), timestamp: -1 };
                answers.insert((asked.topic.to_string(), asked.partition), Ok(found));
                continue;
            }
        };
        lookups.push(Lookup {
            topic: asked.topic.to_string(),
            partition: asked.partition,
            leader_epoch: asked.leader_epoch,
            timestamp,
        });
    }
    if !lookups.is_empty() {
        answers.extend(list_offsets(cluster, node_id, &lookups).await?);
    }
    Ok(answers)
}
