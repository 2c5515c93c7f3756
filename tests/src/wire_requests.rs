//! Requests as scenarios need them, and the few steps that nearly every scenario takes.

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, FetchPartition, FetchRequest, FetchResponse,
    FetchTopic, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, PartitionData,
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use uuid::Uuid;

use crate::wire_client::WireClient;

/// Version in which scenarios produce, unless the version is the point.
pub const PRODUCE_VERSION: i16 = 9;
/// Version in which scenarios fetch, unless the version is the point: the last one with topic names.
pub const FETCH_VERSION: i16 = 12;
/// Version in which scenarios create topics: the one that returns the topic's id.
pub const CREATE_TOPICS_VERSION: i16 = 7;

/// A topic that exists.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
}

/// Creates a topic.
///
/// # Panics
/// When the broker refuses.
pub fn create_topic(client: &mut WireClient, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
    let response = client.call(CREATE_TOPICS_VERSION, &create_topic_request(name, partitions, configs));
    let result = response.topics.first().expect("a result for the topic");
    assert_eq!(result.error_code, ErrorCode::None.code(), "{name}: {:?}", result.error_message);
    Topic { name: name.to_owned(), id: result.topic_id }
}

/// The request that creates one topic.
pub fn create_topic_request(name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreateTopicsRequest {
    let config = |&(name, value): &(&str, &str)| CreatableTopicConfig {
        name: name.to_owned(),
        value: Some(value.to_owned()),
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() }
}

/// The request that produces one batch with `acks`.
pub fn produce_request(topic: &str, partition: i32, acks: i16, records: Option<Bytes>) -> ProduceRequest {
    let data = PartitionProduceData { index: partition, records };
    let topic = TopicProduceData {
        name: topic.to_owned(),
        partition_data: vec![data],
        ..TopicProduceData::default()
    };
    ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

/// Produces one batch with acks=all, in whatever comes back.
///
/// # Panics
/// When the broker does not answer.
pub fn produce(
    client: &mut WireClient,
    topic: &str,
    partition: i32,
    records: Bytes,
) -> PartitionProduceResponse {
    let response = client.call(PRODUCE_VERSION, &produce_request(topic, partition, -1, Some(records)));
    let answered = response.responses.into_iter().next().expect("an answer for the topic");
    answered.partition_responses.into_iter().next().expect("an answer for the partition")
}

/// Produces batches one after the other; returns the offset after the last record.
///
/// # Panics
/// When the broker refuses one.
pub fn append(client: &mut WireClient, topic: &str, partition: i32, batches: &[Bytes]) -> i64 {
    let mut end = 0;
    for batch in batches {
        let produced = produce(client, topic, partition, batch.clone());
        assert_eq!(produced.error_code, ErrorCode::None.code(), "{:?}", produced.error_message);
        let header = sendlog_protocol::records::BatchHeader::read(batch).expect("a test's batch is right");
        end = produced.base_offset + i64::from(header.record_count);
    }
    end
}

/// A partition to fetch from.
#[derive(Clone, Debug)]
pub struct FetchFrom<'a> {
    /// Of this topic.
    pub topic: &'a Topic,
    /// Its number.
    pub partition: i32,
    /// First offset wanted.
    pub offset: i64,
    /// Bytes wanted of this partition at most.
    pub max_bytes: i32,
}

/// What a fetch waits for, and how much it wants in all.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Longest wait.
    pub max_wait_ms: i32,
    /// Bytes to wait for.
    pub min_bytes: i32,
    /// Bytes wanted at most.
    pub max_bytes: i32,
}

impl Default for FetchLimits {
    /// Whatever is there, at once.
    fn default() -> Self {
        Self { max_wait_ms: 0, min_bytes: 1, max_bytes: i32::MAX }
    }
}

/// The request that fetches from these partitions, in this order.
pub fn fetch_request(from: &[FetchFrom<'_>], limits: FetchLimits) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for wanted in from {
        let partition = FetchPartition {
            partition: wanted.partition,
            fetch_offset: wanted.offset,
            partition_max_bytes: wanted.max_bytes,
            ..FetchPartition::default()
        };
        match topics.last_mut() {
            Some(topic) if topic.topic == wanted.topic.name => topic.partitions.push(partition),
            _ => topics.push(FetchTopic {
                topic: wanted.topic.name.clone(),
                topic_id: wanted.topic.id,
                partitions: vec![partition],
            }),
        }
    }
    let FetchLimits { max_wait_ms, min_bytes, max_bytes } = limits;
    FetchRequest { max_wait_ms, min_bytes, max_bytes, topics, ..FetchRequest::default() }
}

/// What a fetch got of each partition, in the order of the request.
pub fn partitions(response: FetchResponse<Bytes>) -> Vec<PartitionData<Bytes>> {
    response.responses.into_iter().flat_map(|topic| topic.partitions).collect()
}

/// Fetches what is there from one partition: its data as it came.
///
/// # Panics
/// When the broker does not answer.
pub fn fetch(client: &mut WireClient, from: FetchFrom<'_>, limits: FetchLimits) -> PartitionData<Bytes> {
    let response = client.call(FETCH_VERSION, &fetch_request(&[from], limits));
    partitions(response).into_iter().next().expect("an answer for the partition")
}

/// The records of an answer; none is empty.
pub fn records(data: &PartitionData<Bytes>) -> Bytes {
    data.records.clone().unwrap_or_default()
}

/// The request for one offset: -1 for the latest, -2 for the earliest.
pub fn list_offsets_request(topic: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    let wanted =
        ListOffsetsPartition { partition_index: partition, timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: topic.to_owned(), partitions: vec![wanted] };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() }
}
