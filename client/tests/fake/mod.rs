//! A small broker on loopback that does what a test tells it: real protocol and real idempotence checks over logs in
//! memory, with faults on demand. One `FakeCluster` can have several nodes.

#![allow(dead_code, reason = "every test program uses a part of it")]

mod admin;
mod log;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::header::RequestHeader;
use sendlog_protocol::messages::{
    ApiVersion, ApiVersionsResponse, FetchRequest, FetchResponse, FetchableTopicResponse,
    InitProducerIdResponse, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse, MetadataRequest, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic, PartitionData, PartitionProduceData,
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use sendlog_protocol::wire::Reader;
use sendlog_protocol::{Message, decode_body, encode_response, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub use log::Log;

/// What goes wrong with a produce or fetch request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection is closed before the request does anything.
    CloseBefore,
    /// The request is done, and the connection closed instead of an answer.
    CloseAfter,
    /// The request is answered with this error for every partition and does nothing.
    Error(ErrorCode),
    /// The request is done but never answered, nor any later one of the connection.
    Silence,
    /// The answer comes late.
    Delay(Duration),
}

pub struct FakeCluster {
    pub state: Arc<State>,
    addresses: Vec<String>,
}

pub struct State {
    pub topics: Mutex<HashMap<String, Vec<Partition>>>,
    pub produce_faults: Mutex<VecDeque<Fault>>,
    pub fetch_faults: Mutex<VecDeque<Fault>>,
    pub admin_faults: Mutex<VecDeque<Fault>>,
    /// Configs of all topics.
    pub configs: Mutex<HashMap<String, String>>,
    /// Answers to InitProducerId, before those that succeed.
    pub identity_errors: Mutex<VecDeque<ErrorCode>>,
    /// Highest version of ApiVersions that is not answered with UNSUPPORTED_VERSION.
    pub api_versions_max: i16,
    /// Ranges to advertise instead of the codec's.
    pub advertised: HashMap<ApiKey, (i16, i16)>,
    pub nodes: Mutex<Vec<(i32, u16)>>,
    pub next_producer_id: AtomicI64,
    pub produce_requests: AtomicUsize,
    pub metadata_requests: AtomicUsize,
    pub fetched_bytes: AtomicUsize,
    pub in_flight: AtomicUsize,
    pub in_flight_max: AtomicUsize,
}

pub struct Partition {
    pub leader: i32,
    pub log: Log,
}

impl Default for State {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
            produce_faults: Mutex::default(),
            fetch_faults: Mutex::default(),
            admin_faults: Mutex::default(),
            configs: Mutex::default(),
            identity_errors: Mutex::default(),
            api_versions_max: i16::MAX,
            advertised: HashMap::new(),
            nodes: Mutex::default(),
            next_producer_id: AtomicI64::new(1000),
            produce_requests: AtomicUsize::new(0),
            metadata_requests: AtomicUsize::new(0),
            fetched_bytes: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            in_flight_max: AtomicUsize::new(0),
        }
    }
}

impl FakeCluster {
    /// One node and one topic.
    pub async fn start(topic: &str, partitions: usize) -> Self {
        Self::with(State::default(), 1, topic, partitions).await
    }

    pub async fn with(state: State, nodes: i32, topic: &str, partitions: usize) -> Self {
        let state = Arc::new(state);
        let mut addresses = Vec::new();
        for node_id in 0..nodes {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
            let address = listener.local_addr().expect("bound");
            state.nodes.lock().expect("lock").push((node_id, address.port()));
            addresses.push(address.to_string());
            tokio::spawn(accept(Arc::clone(&state), node_id, listener));
        }
        let cluster = Self { state, addresses };
        cluster.create(topic, partitions);
        cluster
    }

    pub fn create(&self, topic: &str, partitions: usize) {
        let partitions = (0..partitions).map(|_| Partition { leader: 0, log: Log::default() }).collect();
        self.state.topics.lock().expect("lock").insert(topic.to_owned(), partitions);
    }

    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    pub fn move_leader(&self, topic: &str, partition: usize, leader: i32) {
        self.state.topics.lock().expect("lock").get_mut(topic).expect("topic")[partition].leader = leader;
    }

    pub fn with_log<T>(&self, topic: &str, partition: usize, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.state.topics.lock().expect("lock").get_mut(topic).expect("topic")[partition].log)
    }

    /// Values of a partition, in order.
    pub fn values(&self, topic: &str, partition: usize) -> Vec<String> {
        self.with_log(topic, partition, |log| log.values())
    }

    pub fn fail_produce(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.produce_faults.lock().expect("lock").extend(faults);
    }

    pub fn fail_fetch(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.fetch_faults.lock().expect("lock").extend(faults);
    }
}

async fn accept(state: Arc<State>, node_id: i32, listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(serve(Arc::clone(&state), node_id, socket));
    }
}

/// Serves a connection request by request. Requests that arrive meanwhile wait in the socket; how many there are is counted
/// when a produce request is taken.
async fn serve(state: Arc<State>, node_id: i32, mut socket: TcpStream) {
    let mut buffer = BytesMut::new();
    loop {
        let request = loop {
            match frame::take(&mut buffer, 1 << 28).expect("a client's frame is good") {
                Some(request) => break request,
                None => {
                    if !matches!(socket.read_buf(&mut buffer).await, Ok(1..)) {
                        return;
                    }
                }
            }
        };
        let mut input = Reader::new(request);
        let header = RequestHeader::decode(&mut input).expect("a client's header is good");
        let body = input.into_remaining();
        let Some(answer) = answer(&state, node_id, &header, body).await else { return };
        if socket.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// `None` closes the connection.
async fn answer(state: &State, node_id: i32, header: &RequestHeader, body: Bytes) -> Option<Bytes> {
    let key = ApiKey::from_code(header.api_key).expect("a known API");
    let version = header.api_version;
    match key {
        ApiKey::ApiVersions => Some(api_versions(state, header)),
        ApiKey::Metadata => {
            state.metadata_requests.fetch_add(1, Ordering::SeqCst);
            let request: MetadataRequest = decode_body(body, version).expect("good");
            Some(reply(header, key, &metadata(state, &request)))
        }
        ApiKey::InitProducerId => {
            let error = state.identity_errors.lock().expect("lock").pop_front();
            let producer_id = state.next_producer_id.fetch_add(1, Ordering::SeqCst);
            let error_code = error.unwrap_or(ErrorCode::None).code();
            let response =
                InitProducerIdResponse { error_code, producer_id, producer_epoch: 0, throttle_time_ms: 0 };
            Some(reply(header, key, &response))
        }
        ApiKey::ListOffsets => {
            let request: ListOffsetsRequest = decode_body(body, version).expect("good");
            Some(reply(header, key, &list_offsets(state, &request)))
        }
        ApiKey::Produce => produce(state, node_id, header, body).await,
        ApiKey::Fetch => fetch(state, node_id, header, body).await,
        other => admin::answer(state, other, header, body),
    }
}

fn reply<M: Message>(header: &RequestHeader, key: ApiKey, body: &M) -> Bytes {
    encode_response(key, header.api_version, header.correlation_id, body).expect("encodes")
}

fn api_versions(state: &State, header: &RequestHeader) -> Bytes {
    let unsupported = state.api_versions_max < header.api_version;
    let api_keys = ApiKey::ALL.iter().map(|key| {
        let codec = key.versions();
        let mut range = state.advertised.get(key).copied().unwrap_or((*codec.start(), *codec.end()));
        if *key == ApiKey::ApiVersions {
            range.1 = range.1.min(state.api_versions_max);
        }
        ApiVersion { api_key: key.code(), min_version: range.0, max_version: range.1 }
    });
    let api_keys: Vec<_> =
        api_keys.filter(|api| !unsupported || api.api_key == ApiKey::ApiVersions.code()).collect();
    let error_code = if unsupported { ErrorCode::UnsupportedVersion.code() } else { 0 };
    let version = if unsupported { 0 } else { header.api_version };
    let response = ApiVersionsResponse { error_code, api_keys, ..ApiVersionsResponse::default() };
    encode_response(ApiKey::ApiVersions, version, header.correlation_id, &response).expect("encodes")
}

fn metadata(state: &State, request: &MetadataRequest) -> MetadataResponse {
    let topics = state.topics.lock().expect("lock");
    let names: Vec<String> = match &request.topics {
        Some(asked) => asked.iter().filter_map(|topic| topic.name.clone()).collect(),
        None => topics.keys().cloned().collect(),
    };
    let topics = names.into_iter().map(|name| match topics.get(&name) {
        Some(partitions) => MetadataResponseTopic {
            name: Some(name),
            partitions: (0..)
                .zip(partitions)
                .map(|(index, partition)| MetadataResponsePartition {
                    partition_index: index,
                    leader_id: partition.leader,
                    leader_epoch: 3,
                    replica_nodes: vec![partition.leader],
                    isr_nodes: vec![partition.leader],
                    ..MetadataResponsePartition::default()
                })
                .collect(),
            ..MetadataResponseTopic::default()
        },
        None => MetadataResponseTopic {
            error_code: ErrorCode::UnknownTopicOrPartition.code(),
            name: Some(name),
            ..MetadataResponseTopic::default()
        },
    });
    let nodes = state.nodes.lock().expect("lock");
    let brokers = nodes.iter().map(|(node_id, port)| MetadataResponseBroker {
        node_id: *node_id,
        host: "127.0.0.1".to_owned(),
        port: i32::from(*port),
        rack: None,
    });
    MetadataResponse {
        brokers: brokers.collect(),
        controller_id: 0,
        topics: topics.collect(),
        ..MetadataResponse::default()
    }
}

fn list_offsets(state: &State, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = state.topics.lock().expect("lock");
    let answers = request.topics.iter().map(|topic| ListOffsetsTopicResponse {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| {
                let index = usize::try_from(asked.partition_index).expect("not negative");
                let log = &topics[&topic.name][index].log;
                let (offset, timestamp) = log.look_up(asked.timestamp);
                ListOffsetsPartitionResponse {
                    partition_index: asked.partition_index,
                    offset,
                    timestamp,
                    ..ListOffsetsPartitionResponse::default()
                }
            })
            .collect(),
    });
    ListOffsetsResponse { throttle_time_ms: 0, topics: answers.collect() }
}

async fn produce(state: &State, node_id: i32, header: &RequestHeader, body: Bytes) -> Option<Bytes> {
    state.produce_requests.fetch_add(1, Ordering::SeqCst);
    let request: ProduceRequest = decode_body(body, header.api_version).expect("good");
    let fault = state.produce_faults.lock().expect("lock").pop_front().unwrap_or(Fault::None);
    if fault == Fault::CloseBefore {
        return None;
    }
    let responses = request.topic_data.iter().map(|topic| TopicProduceResponse {
        name: topic.name.clone(),
        partition_responses: topic
            .partition_data
            .iter()
            .map(|data| match fault {
                Fault::Error(code) => PartitionProduceResponse {
                    index: data.index,
                    error_code: code.code(),
                    base_offset: -1,
                    ..PartitionProduceResponse::default()
                },
                _ => append(state, node_id, &topic.name, data),
            })
            .collect(),
        ..TopicProduceResponse::default()
    });
    let response = ProduceResponse { responses: responses.collect(), ..ProduceResponse::default() };
    match fault {
        Fault::CloseAfter => return None,
        Fault::Silence => std::future::pending().await,
        Fault::Delay(delay) => tokio::time::sleep(delay).await,
        Fault::None | Fault::CloseBefore | Fault::Error(_) => {}
    }
    if request.acks == 0 {
        return Some(Bytes::new());
    }
    Some(reply(header, ApiKey::Produce, &response))
}

fn append(state: &State, node_id: i32, topic: &str, data: &PartitionProduceData) -> PartitionProduceResponse {
    let mut topics = state.topics.lock().expect("lock");
    let index = usize::try_from(data.index).expect("not negative");
    let partition = topics.get_mut(topic).and_then(|partitions| partitions.get_mut(index));
    let appended = match partition {
        None => Err(ErrorCode::UnknownTopicOrPartition),
        Some(partition) if partition.leader != node_id => Err(ErrorCode::NotLeaderOrFollower),
        Some(partition) => partition.log.append(data.records.as_ref().expect("records")),
    };
    PartitionProduceResponse {
        index: data.index,
        error_code: appended.err().unwrap_or(ErrorCode::None).code(),
        base_offset: appended.unwrap_or(-1),
        ..PartitionProduceResponse::default()
    }
}

async fn fetch(state: &State, node_id: i32, header: &RequestHeader, body: Bytes) -> Option<Bytes> {
    let request: FetchRequest = decode_body(body, header.api_version).expect("good");
    let fault = state.fetch_faults.lock().expect("lock").pop_front().unwrap_or(Fault::None);
    match fault {
        Fault::CloseBefore | Fault::CloseAfter => return None,
        Fault::Silence => std::future::pending().await,
        Fault::Delay(delay) => tokio::time::sleep(delay).await,
        Fault::None | Fault::Error(_) => {}
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).expect("not negative"));
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let response = fetch_now(state, node_id, &request, fault);
        let data = response.responses.iter().flat_map(|topic| &topic.partitions);
        let bytes: usize = data.clone().filter_map(|data| Some(data.records.as_ref()?.len())).sum();
        let is_error = data.clone().any(|data| data.error_code != 0);
        if 0 < bytes || is_error || deadline <= tokio::time::Instant::now() {
            state.fetched_bytes.fetch_add(bytes, Ordering::SeqCst);
            return Some(reply(header, ApiKey::Fetch, &response));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn fetch_now(state: &State, node_id: i32, request: &FetchRequest, fault: Fault) -> FetchResponse<Bytes> {
    let topics = state.topics.lock().expect("lock");
    let responses = request.topics.iter().map(|topic| FetchableTopicResponse {
        topic: topic.topic.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|asked| {
                let index = usize::try_from(asked.partition).expect("not negative");
                let mut data = PartitionData { partition_index: asked.partition, ..PartitionData::default() };
                let found = match topics.get(&topic.topic).and_then(|partitions| partitions.get(index)) {
                    None => Err(ErrorCode::UnknownTopicOrPartition),
                    Some(partition) if partition.leader != node_id => Err(ErrorCode::NotLeaderOrFollower),
                    Some(partition) => {
                        data.high_watermark = partition.log.end();
                        let max = usize::try_from(asked.partition_max_bytes).expect("not negative");
                        partition.log.read(asked.fetch_offset, max)
                    }
                };
                match (fault, found) {
                    (Fault::Error(code), _) | (_, Err(code)) => data.error_code = code.code(),
                    (_, Ok(records)) => data.records = Some(records),
                }
                data
            })
            .collect(),
    });
    FetchResponse { responses: responses.collect(), ..FetchResponse::default() }
}
