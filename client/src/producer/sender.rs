//! The task that sends what was collected: builds batches, finds leaders, keeps requests in flight, and handles what comes
//! back. Everything that waits (connecting, asking, answers, compression) is a task of its own that ends in an
//! [`Event`]; between events the sender only looks at its own state.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sendlog_protocol::Request;
use sendlog_protocol::messages::{
    InitProducerIdRequest, PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData,
};
use sendlog_protocol::records::Compression;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::accumulator::Accumulator;
use super::batch::{Batch, FailedBuild, OpenBatch};
use super::partition::{Attempt, Identity, Partition, Settled};
use crate::backoff::Backoff;
use crate::cluster::{Cluster, Lane};
use crate::config::{Acks, ProducerConfig};
use crate::connection::Connection;
use crate::error::{BrokerError, ClientError, ConnectionError};

/// The last version that names topics and does not number them.
const PRODUCE_VERSION_MAX: i16 = 12;
/// The first version that may carry zstd (KIP-110).
const PRODUCE_VERSION_ZSTD: i16 = 7;
/// Longest sleep without anything due: expiry of batches is looked at this often.
const IDLE: Duration = Duration::from_secs(1);

/// Something that was waited for.
enum Event {
    Built { place: usize, built: Result<Batch, FailedBuild> },
    Connected { node_id: i32, connected: Result<Connection, ClientError> },
    Answered { node_id: i32, batches: Vec<InFlight>, answer: Result<ProduceResponse, ConnectionError> },
    Refreshed(Result<(), ClientError>),
    Identified(Result<Identity, ClientError>),
}

/// A batch in a request.
struct InFlight {
    place: usize,
    batch: Batch,
}

#[derive(Default)]
struct Node {
    connection: Option<Connection>,
    is_connecting: bool,
    in_flight: usize,
}

pub(super) struct Sender {
    cluster: Arc<Cluster>,
    accumulator: Arc<Accumulator>,
    config: ProducerConfig,
    /// By place, as the accumulator numbers them.
    partitions: Vec<Partition>,
    nodes: HashMap<i32, Node>,
    tasks: JoinSet<Event>,
    identity: Option<Identity>,
    is_identifying: bool,
    /// Why the producer can do nothing more.
    fatal: Option<ClientError>,
    needs_refresh: bool,
    is_refreshing: bool,
    refresh_backoff: Backoff,
    refresh_not_before: Option<Instant>,
}

impl Sender {
    pub(super) fn new(cluster: Arc<Cluster>, accumulator: Arc<Accumulator>, config: ProducerConfig) -> Self {
        let client = cluster.config();
        let refresh_backoff = Backoff::new(client.retry_backoff, client.retry_backoff_max);
        Self {
            cluster,
            accumulator,
            config,
            partitions: Vec::new(),
            nodes: HashMap::new(),
            tasks: JoinSet::new(),
            identity: None,
            is_identifying: false,
            fatal: None,
            needs_refresh: false,
            is_refreshing: false,
            refresh_backoff,
            refresh_not_before: None,
        }
    }

    /// Runs until the accumulator is closed and everything in it has its result.
    pub(super) async fn run(mut self) {
        loop {
            let now = Instant::now();
            self.expire(now);
            self.identify();
            self.build(now).await;
            self.send(now).await;
            self.refresh(now);
            if self.is_done() {
                return;
            }
            let wake_at = self.wake_at(now);
            tokio::select! {
                Some(ended) = self.tasks.join_next() => self.handle(ended),
                () = self.accumulator.woken() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
            while let Some(ended) = self.tasks.try_join_next() {
                self.handle(ended);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.accumulator.is_closed()
            && self.accumulator.is_empty()
            && self.partitions.iter().all(Partition::is_idle)
    }

    fn wake_at(&self, now: Instant) -> Instant {
        let pauses = self.partitions.iter().filter_map(Partition::not_before);
        let refresh = self.refresh_not_before.filter(|_| self.needs_refresh);
        let due = pauses.chain(refresh).chain(self.accumulator.next_due());
        // What is due and was not sent waits for an event, not for the clock.
        due.filter(|at| now < *at).min().unwrap_or(now + IDLE).min(now + IDLE)
    }

    /// Fails what is older than the delivery timeout, or everything after a fatal error.
    fn expire(&mut self, now: Instant) {
        if let Some(error) = self.fatal.clone() {
            return self.fail_all(&error);
        }
        let Some(limit) = now.checked_sub(self.config.delivery_timeout) else { return };
        let timed_out = |last: Option<ClientError>| ClientError::TimedOut {
            what: "delivery of a batch (delivery_timeout)".to_owned(),
            timeout_ms: self.config.delivery_timeout.as_millis(),
            last: last.map(Box::new),
        };
        for partition in &mut self.partitions {
            for batch in partition.take_older(limit) {
                self.accumulator.complete(batch.fate, Err(timed_out(batch.last_error)));
            }
        }
        for batch in self.accumulator.take_older(limit) {
            self.accumulator.complete(batch.into_fate(), Err(timed_out(None)));
        }
    }

    /// Gets a producer id, if one is needed.
    fn identify(&mut self) {
        if !self.config.idempotent {
            return;
        }
        let mut is_needed = self.identity.is_none();
        for partition in &mut self.partitions {
            is_needed |= partition.start_over_if_due(self.identity);
        }
        if !is_needed || self.is_identifying || self.fatal.is_some() {
            return;
        }
        self.is_identifying = true;
        let (cluster, timeout) = (Arc::clone(&self.cluster), self.config.delivery_timeout);
        self.tasks.spawn(async move { Event::Identified(new_identity(&cluster, timeout).await) });
    }

    /// Seals batches that are due, as far ahead as they can be in flight.
    async fn build(&mut self, now: Instant) {
        for name in self.accumulator.new_partitions(self.partitions.len()) {
            let client = self.cluster.config();
            let backoff = Backoff::new(client.retry_backoff, client.retry_backoff_max);
            self.partitions.push(Partition::new(name, self.config.idempotent, backoff));
        }
        if self.config.idempotent && self.identity.is_none() {
            return;
        }
        let compression = self.config.compression;
        for place in 0..self.partitions.len() {
            while self.partitions[place].has_room(self.config.in_flight_max) {
                let Some(open) = self.accumulator.take_due(place, now) else { break };
                let (number, stamp) = self.partitions[place].begin_build(open.record_count(), self.identity);
                let build = move |open: OpenBatch| open.build(number, compression, stamp);
                if compression == Compression::None {
                    self.built(place, build(open));
                    // A large batch takes as long as a few packets: let others run.
                    tokio::task::yield_now().await;
                } else {
                    let building = tokio::task::spawn_blocking(move || build(open));
                    self.tasks.spawn(async move {
                        let built = building.await.expect("building a batch does not panic");
                        Event::Built { place, built }
                    });
                }
            }
        }
    }

    fn built(&mut self, place: usize, built: Result<Batch, FailedBuild>) {
        if let Some((fate, error)) = self.partitions[place].end_build(built) {
            self.accumulator.complete(fate, Err(error));
        }
    }

    /// Sends what may be sent: one batch of each partition in a request, one request after another.
    async fn send(&mut self, now: Instant) {
        loop {
            let requests = self.requests(now);
            if requests.is_empty() {
                return;
            }
            for (node_id, batches) in requests {
                self.send_to(node_id, batches).await;
            }
        }
    }

    /// Batches for each broker that has a connection and room for a request.
    fn requests(&mut self, now: Instant) -> HashMap<i32, Vec<InFlight>> {
        let metadata = self.cluster.metadata();
        let in_flight_max = self.config.in_flight_max;
        let mut requests: HashMap<i32, Vec<InFlight>> = HashMap::new();
        let mut bytes: HashMap<i32, usize> = HashMap::new();
        let mut to_connect = Vec::new();
        for (place, partition) in self.partitions.iter_mut().enumerate() {
            if !partition.may_send(now, in_flight_max) {
                continue;
            }
            let Some(leader) = metadata.leader(&partition.name.topic, partition.name.partition) else {
                self.needs_refresh = true;
                partition.wait_for_leader(now);
                continue;
            };
            let node = self.nodes.entry(leader.node_id).or_default();
            if node.connection.as_ref().is_none_or(|connection| connection.failure().is_some()) {
                node.connection = None;
                to_connect.push(leader.node_id);
                continue;
            }
            let size = bytes.entry(leader.node_id).or_default();
            let next = partition.next_size();
            let fits = *size == 0 || size.saturating_add(next) <= self.config.request_bytes_max;
            if in_flight_max <= node.in_flight || !fits {
                continue;
            }
            *size += next;
            let batch = partition.take().map(|batch| InFlight { place, batch });
            requests.entry(leader.node_id).or_default().extend(batch);
        }
        for node_id in to_connect {
            self.connect(node_id);
        }
        requests
    }

    fn connect(&mut self, node_id: i32) {
        let node = self.nodes.entry(node_id).or_default();
        if node.is_connecting {
            return;
        }
        node.is_connecting = true;
        let cluster = Arc::clone(&self.cluster);
        self.tasks.spawn(async move {
            let connected = cluster.connection(node_id, Lane::Data).await;
            Event::Connected { node_id, connected }
        });
    }

    async fn send_to(&mut self, node_id: i32, batches: Vec<InFlight>) {
        let node = self.nodes.entry(node_id).or_default();
        let Some(connection) = node.connection.clone() else { return };
        let request = self.produce_request(&batches);
        let version = match self.produce_version(&connection) {
            Ok(version) => version,
            Err(error) => {
                self.answered(batches, Err(error));
                return;
            }
        };
        if self.config.acks == Acks::None {
            let sent = connection.send_unanswered(&request, version).await;
            self.answered(batches, sent.map(|()| ProduceResponse::default()));
            return;
        }
        match connection.send(&request, version).await {
            Ok(answer) => {
                self.nodes.entry(node_id).or_default().in_flight += 1;
                self.tasks.spawn(async move {
                    let answer = answer.wait().await;
                    Event::Answered { node_id, batches, answer }
                });
            }
            Err(error) => self.answered(batches, Err(error)),
        }
    }

    fn produce_version(&self, connection: &Connection) -> Result<i16, ConnectionError> {
        let version = connection.version_of::<ProduceRequest>(PRODUCE_VERSION_MAX)?;
        if self.config.compression == Compression::Zstd && version < PRODUCE_VERSION_ZSTD {
            let (min, max) = (PRODUCE_VERSION_ZSTD, PRODUCE_VERSION_MAX);
            let broker = connection.versions().range(ProduceRequest::KEY);
            return Err(ConnectionError::no_common_version(
                connection.address(),
                ProduceRequest::KEY,
                broker,
                min..=max,
            ));
        }
        Ok(version)
    }

    fn produce_request(&self, batches: &[InFlight]) -> ProduceRequest {
        let mut topic_data: Vec<TopicProduceData> = Vec::new();
        for InFlight { place, batch } in batches {
            let name = &self.partitions[*place].name;
            let data = PartitionProduceData { index: name.partition, records: Some(batch.bytes.clone()) };
            match topic_data.iter_mut().find(|topic| *topic.name == *name.topic) {
                Some(topic) => topic.partition_data.push(data),
                None => topic_data.push(TopicProduceData {
                    name: name.topic.to_string(),
                    partition_data: vec![data],
                    ..TopicProduceData::default()
                }),
            }
        }
        let timeout = self.cluster.config().request_timeout.as_millis();
        ProduceRequest {
            transactional_id: None,
            acks: self.config.acks.code(),
            timeout_ms: i32::try_from(timeout).unwrap_or(i32::MAX),
            topic_data,
        }
    }

    /// Asks for leaders, if something said that they may have changed.
    fn refresh(&mut self, now: Instant) {
        self.needs_refresh |= !self.partitions.is_empty() && self.cluster.is_stale();
        let may = self.refresh_not_before.is_none_or(|at| at <= now);
        if !self.needs_refresh || self.is_refreshing || !may {
            return;
        }
        self.needs_refresh = false;
        self.is_refreshing = true;
        let cluster = Arc::clone(&self.cluster);
        self.tasks.spawn(async move { Event::Refreshed(cluster.refresh().await) });
    }

    fn handle(&mut self, ended: Result<Event, tokio::task::JoinError>) {
        match ended.expect("tasks of the sender neither panic nor are aborted") {
            Event::Built { place, built } => self.built(place, built),
            Event::Connected { node_id, connected } => self.connected(node_id, connected),
            Event::Answered { node_id, batches, answer } => {
                let node = self.nodes.entry(node_id).or_default();
                node.in_flight = node.in_flight.saturating_sub(1);
                self.answered(batches, answer);
            }
            Event::Refreshed(refreshed) => {
                self.is_refreshing = false;
                match refreshed {
                    Ok(()) => self.refresh_backoff.reset(),
                    Err(error) => {
                        tracing::warn!(%error, "producer cannot refresh its metadata");
                        self.needs_refresh = true;
                    }
                }
                // At most this often, whoever asks.
                self.refresh_not_before = Some(Instant::now() + self.refresh_backoff.next());
            }
            Event::Identified(Ok(identity)) => {
                self.is_identifying = false;
                self.identity = Some(identity);
            }
            Event::Identified(Err(error)) => {
                self.is_identifying = false;
                self.stop(error);
            }
        }
    }

    fn connected(&mut self, node_id: i32, connected: Result<Connection, ClientError>) {
        let node = self.nodes.entry(node_id).or_default();
        node.is_connecting = false;
        match connected {
            Ok(connection) => node.connection = Some(connection),
            Err(error) => {
                tracing::warn!(%error, node_id, "producer cannot connect");
                self.needs_refresh = true;
            }
        }
    }

    fn answered(&mut self, batches: Vec<InFlight>, answer: Result<ProduceResponse, ConnectionError>) {
        let now = Instant::now();
        let mut answers = answer.map(by_partition);
        for InFlight { place, batch } in batches {
            let partition = &mut self.partitions[place];
            let name = (partition.name.topic.to_string(), partition.name.partition);
            let attempt = match &mut answers {
                Err(error) if error.is_harmless() => Attempt::Unsendable(error.clone().into()),
                Err(error) => Attempt::Lost(error.clone().into()),
                Ok(_) if self.config.acks == Acks::None => {
                    Attempt::Written { base_offset: -1, log_append_time: -1 }
                }
                Ok(answers) => match answers.remove(&name) {
                    Some(answer) => attempt_of(name.0, answer),
                    None => {
                        let what = format!("partition {}-{} of a produce request", name.0, name.1);
                        Attempt::Lost(ClientError::Incomplete { what })
                    }
                },
            };
            match partition.settle(batch, attempt, now) {
                Settled::Done(fate, result) => self.accumulator.complete(fate, result),
                Settled::Again { ask_for_leader } => self.needs_refresh |= ask_for_leader,
                Settled::Fatal(fate, error) => {
                    self.accumulator.complete(fate, Err(error.clone()));
                    self.stop(error);
                }
            }
        }
    }

    /// Ends the producer: everything that is not in flight fails, and nothing new is taken.
    fn stop(&mut self, error: ClientError) {
        tracing::error!(%error, "producer stops");
        self.accumulator.close(error.clone());
        self.fatal.get_or_insert(error);
    }

    /// Fails everything that is here, in a producer that was stopped.
    fn fail_all(&mut self, error: &ClientError) {
        for partition in &mut self.partitions {
            for batch in partition.take_all() {
                self.accumulator.complete(batch.fate, Err(error.clone()));
            }
        }
        for batch in self.accumulator.take_older(Instant::now() + IDLE) {
            self.accumulator.complete(batch.into_fate(), Err(error.clone()));
        }
    }
}

fn by_partition(response: ProduceResponse) -> HashMap<(String, i32), PartitionProduceResponse> {
    let mut answers = HashMap::new();
    for topic in response.responses {
        for partition in topic.partition_responses {
            answers.insert((topic.name.clone(), partition.index), partition);
        }
    }
    answers
}

fn attempt_of(topic: String, answer: PartitionProduceResponse) -> Attempt {
    let reason = answer.record_errors.first().and_then(|record| {
        let text = record.batch_index_error_message.as_deref()?;
        Some(format!("record {}: {text}", record.batch_index))
    });
    match BrokerError::check(answer.error_code, answer.error_message.or(reason)) {
        Ok(()) => {
            Attempt::Written { base_offset: answer.base_offset, log_append_time: answer.log_append_time_ms }
        }
        Err(error) => Attempt::Refused { topic, error },
    }
}

/// A producer id of its own, from any broker.
async fn new_identity(cluster: &Cluster, timeout: Duration) -> Result<Identity, ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        // Without meaning outside of transactions; Kafka's client sends this.
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    cluster
        .retry("producer id", timeout, |_| async {
            let response = cluster.call_any(&request).await?;
            BrokerError::check(response.error_code, None)
                .map_err(|error| ClientError::broker("producer id", error))?;
            Ok(Identity { producer_id: response.producer_id, epoch: response.producer_epoch })
        })
        .await
}
