//! The administrative part of the fake broker.

use bytes::Bytes;
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::decode_body;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::header::RequestHeader;
use sendlog_protocol::messages::{
    CreatableTopicResult, CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
    CreateTopicsRequest, CreateTopicsResponse, DeletableTopicResult, DeleteRecordsPartitionResult,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeClusterBroker, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use super::{Fault, Log, Partition, State, reply};

/// `None` closes the connection.
pub fn answer(state: &State, key: ApiKey, header: &RequestHeader, body: Bytes) -> Option<Bytes> {
    let fault = state.admin_faults.lock().expect("lock").pop_front().unwrap_or(Fault::None);
    if fault == Fault::CloseBefore {
        return None;
    }
    let error = if let Fault::Error(code) = fault { Some(code) } else { None };
    let version = header.api_version;
    let answer = match key {
        ApiKey::CreateTopics => {
            reply(header, key, &create_topic(state, &decode_body(body, version).expect("good"), error))
        }
        ApiKey::DeleteTopics => {
            reply(header, key, &delete_topic(state, &decode_body(body, version).expect("good"), error))
        }
        ApiKey::CreatePartitions => {
            reply(header, key, &create_partitions(state, &decode_body(body, version).expect("good")))
        }
        ApiKey::DeleteRecords => {
            reply(header, key, &delete_records(state, &decode_body(body, version).expect("good")))
        }
        ApiKey::DescribeConfigs => {
            reply(header, key, &describe_configs(state, &decode_body(body, version).expect("good")))
        }
        ApiKey::IncrementalAlterConfigs => {
            reply(header, key, &alter_configs(state, &decode_body(body, version).expect("good")))
        }
        ApiKey::DescribeCluster => reply(header, key, &cluster(state)),
        other => panic!("{other:?} is not served here"),
    };
    (fault != Fault::CloseAfter).then_some(answer)
}

fn code(error: Option<ErrorCode>) -> i16 {
    error.unwrap_or(ErrorCode::None).code()
}

fn create_topic(
    state: &State,
    request: &CreateTopicsRequest,
    error: Option<ErrorCode>,
) -> CreateTopicsResponse {
    let mut topics = state.topics.lock().expect("lock");
    let asked = &request.topics[0];
    let exists = topics.contains_key(&asked.name).then_some(ErrorCode::TopicAlreadyExists);
    let error = error.or(exists);
    if error.is_none() {
        let partitions = if asked.num_partitions == -1 { 1 } else { asked.num_partitions };
        let partitions = (0..partitions).map(|_| Partition { leader: 0, log: Log::default() }).collect();
        topics.insert(asked.name.clone(), partitions);
        let mut configs = state.configs.lock().expect("lock");
        for config in &asked.configs {
            configs.insert(config.name.clone(), config.value.clone().expect("a value"));
        }
    }
    let result = CreatableTopicResult {
        name: asked.name.clone(),
        error_code: code(error),
        error_message: error.map(|_| "said the fake".to_owned()),
        ..CreatableTopicResult::default()
    };
    CreateTopicsResponse { throttle_time_ms: 0, topics: vec![result] }
}

fn delete_topic(
    state: &State,
    request: &DeleteTopicsRequest,
    error: Option<ErrorCode>,
) -> DeleteTopicsResponse {
    let name = request.topics.first().and_then(|topic| topic.name.clone());
    let name = name.or_else(|| request.topic_names.first().cloned()).expect("a name");
    let mut topics = state.topics.lock().expect("lock");
    let error = error.or_else(|| match topics.remove(&name) {
        Some(_) => None,
        None => Some(ErrorCode::UnknownTopicOrPartition),
    });
    let result =
        DeletableTopicResult { name: Some(name), error_code: code(error), ..DeletableTopicResult::default() };
    DeleteTopicsResponse { throttle_time_ms: 0, responses: vec![result] }
}

fn create_partitions(state: &State, request: &CreatePartitionsRequest) -> CreatePartitionsResponse {
    let asked = &request.topics[0];
    assert!(asked.assignments.is_none(), "placed by the broker");
    let mut topics = state.topics.lock().expect("lock");
    let total = usize::try_from(asked.count).expect("not negative");
    let error = match topics.get_mut(&asked.name) {
        None => Some(ErrorCode::UnknownTopicOrPartition),
        Some(partitions) if total <= partitions.len() => Some(ErrorCode::InvalidPartitions),
        Some(partitions) => {
            partitions.resize_with(total, || Partition { leader: 0, log: Log::default() });
            None
        }
    };
    let result = CreatePartitionsTopicResult {
        name: asked.name.clone(),
        error_code: code(error),
        ..CreatePartitionsTopicResult::default()
    };
    CreatePartitionsResponse { throttle_time_ms: 0, results: vec![result] }
}

fn delete_records(state: &State, request: &DeleteRecordsRequest) -> DeleteRecordsResponse {
    let asked = &request.topics[0];
    let partition = &asked.partitions[0];
    let mut topics = state.topics.lock().expect("lock");
    let index = usize::try_from(partition.partition_index).expect("not negative");
    let log = &mut topics.get_mut(&asked.name).expect("topic")[index].log;
    let before = if partition.offset == -1 { log.end() } else { partition.offset };
    let error = (log.end() < before).then_some(ErrorCode::OffsetOutOfRange);
    if error.is_none() {
        log.start = before;
    }
    DeleteRecordsResponse {
        throttle_time_ms: 0,
        topics: vec![DeleteRecordsTopicResult {
            name: asked.name.clone(),
            partitions: vec![DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: log.start,
                error_code: code(error),
            }],
        }],
    }
}

fn describe_configs(state: &State, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let asked = &request.resources[0];
    let configs = state.configs.lock().expect("lock");
    let set = configs.iter().map(|(name, value)| DescribeConfigsResourceResult {
        name: name.clone(),
        value: Some(value.clone()),
        config_source: 1,
        ..DescribeConfigsResourceResult::default()
    });
    let default = DescribeConfigsResourceResult {
        name: "retention.ms".to_owned(),
        value: Some("604800000".to_owned()),
        config_source: 5,
        ..DescribeConfigsResourceResult::default()
    };
    let is_set = configs.contains_key("retention.ms");
    let result = DescribeConfigsResult {
        resource_type: asked.resource_type,
        resource_name: asked.resource_name.clone(),
        configs: set.chain((!is_set).then_some(default)).collect(),
        ..DescribeConfigsResult::default()
    };
    DescribeConfigsResponse { throttle_time_ms: 0, results: vec![result] }
}

fn alter_configs(state: &State, request: &IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let asked = &request.resources[0];
    let mut configs = state.configs.lock().expect("lock");
    for change in &asked.configs {
        match (change.config_operation, &change.value) {
            (0, Some(value)) => drop(configs.insert(change.name.clone(), value.clone())),
            (1, None) => drop(configs.remove(&change.name)),
            other => panic!("{other:?}"),
        }
    }
    let result = IncrementalAlterConfigsResourceResponse {
        resource_type: asked.resource_type,
        resource_name: asked.resource_name.clone(),
        ..IncrementalAlterConfigsResourceResponse::default()
    };
    IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses: vec![result] }
}

fn cluster(state: &State) -> DescribeClusterResponse {
    let nodes = state.nodes.lock().expect("lock");
    let brokers = nodes.iter().map(|(node_id, port)| DescribeClusterBroker {
        broker_id: *node_id,
        host: "127.0.0.1".to_owned(),
        port: i32::from(*port),
        ..DescribeClusterBroker::default()
    });
    DescribeClusterResponse {
        cluster_id: "fake".to_owned(),
        controller_id: 0,
        brokers: brokers.collect(),
        ..DescribeClusterResponse::default()
    }
}
