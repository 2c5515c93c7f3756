//! Requests that real clients sent, as they came off the socket, without their length.
//!
//! Captured on 2026-11-23 by a listener that answers with this codec, so that each client went on to its next
//! request. Each must decode to what the client was told to do, and encode to the same bytes again.

use std::fmt::Debug;

use bytes::Bytes;
use sendlog_protocol::header::RequestHeader;
use sendlog_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResource, AlterableConfig, ApiVersionsRequest, CreatableTopic,
    CreatableTopicConfig, CreatePartitionsRequest, CreatePartitionsTopic, CreateTopicsRequest,
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic, DeleteTopicState, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeConfigsResource, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeProducersTopicRequest, FetchPartition, FetchRequest, FetchTopic,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource, IncrementalAlterableConfig,
    InitProducerIdRequest, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, MetadataRequest,
    MetadataRequestTopic, OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use sendlog_protocol::wire::Reader;
use sendlog_protocol::{Request, decode_body, encode_request};
use uuid::Uuid;

/// The id that the listener gave topic `t`.
const TOPIC_ID: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
const RETENTION: &str = "retention.ms";

fn unhex(hex: &str) -> Bytes {
    let nibble = |digit: u8| char::from(digit).to_digit(16).expect("a hex digit");
    let byte = |pair: &[u8]| u8::try_from(nibble(pair[0]) << 4 | nibble(pair[1])).expect("two digits");
    hex.as_bytes().chunks_exact(2).map(byte).collect()
}

fn check<Q: Request + Debug + PartialEq>(hex: &str, client_id: &str, version: i16, expected: &Q) {
    let frame = unhex(hex);
    let mut input = Reader::new(frame.clone());
    let header = RequestHeader::decode(&mut input).expect("a header");
    assert_eq!((header.api_key, header.api_version), (Q::KEY.code(), version));
    assert_eq!(header.client_id.as_deref(), Some(client_id));
    assert_eq!(decode_body::<Q>(input.into_remaining(), version).as_ref(), Ok(expected));
    let again = encode_request(header.correlation_id, Some(client_id), version, expected).expect("encodes");
    assert_eq!(again[4..], frame);
}

fn name(text: &str) -> String {
    text.to_owned()
}

fn produce(acks: i16, timeout_ms: i32, records: &str) -> ProduceRequest {
    let partition_data = vec![PartitionProduceData { index: 0, records: Some(unhex(records)) }];
    ProduceRequest {
        acks,
        timeout_ms,
        topic_data: vec![TopicProduceData { name: name("t"), partition_data, ..TopicProduceData::default() }],
        ..ProduceRequest::default()
    }
}

fn fetch(topic: &str, topic_id: Uuid, isolation_level: i8, partition: FetchPartition) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 50 << 20,
        isolation_level,
        topics: vec![FetchTopic { topic: name(topic), topic_id, partitions: vec![partition] }],
        ..FetchRequest::default()
    }
}

fn list_offsets(isolation_level: i8, current_leader_epoch: i32, timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition { partition_index: 0, current_leader_epoch, timestamp };
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: vec![ListOffsetsTopic { name: name("t"), partitions: vec![partition] }],
        ..ListOffsetsRequest::default()
    }
}

fn create_topic(config: Option<&str>, timeout_ms: i32) -> CreateTopicsRequest {
    let configs =
        config.map(|value| CreatableTopicConfig { name: name(RETENTION), value: Some(name(value)) });
    CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name("t"),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.into_iter().collect(),
            ..CreatableTopic::default()
        }],
        timeout_ms,
        ..CreateTopicsRequest::default()
    }
}

// confluent-kafka 2.16.1 on librdkafka 2.16.0 (Python).

#[test]
fn librdkafka_api_versions_3() {
    let request = ApiVersionsRequest {
        client_software_name: name("confluent-kafka-python"),
        client_software_version: name("2.16.1-rdkafka-2.16.0"),
        ..Default::default()
    };
    let hex = "0012000300000001000772646b61666b610017636f6e666c75656e742d6b61666b612d707974686f6e16322e\
               31362e312d72646b61666b612d322e31362e3000";
    check(hex, "rdkafka", 3, &request);
}

#[test]
fn librdkafka_metadata_13_of_no_topics() {
    let request = MetadataRequest { allow_auto_topic_creation: false, ..MetadataRequest::default() };
    check("0003000d00000002000772646b61666b610001000000", "rdkafka", 13, &request);
}

#[test]
fn librdkafka_produce_10() {
    let records = "0000000000000000000000420000000002c622acfa0000000000000000018bcfe568000000018bcfe568\
                   00ffffffffffffffffffffffffffff0000000120000000026b0a68656c6c6f0202680276";
    let hex = format!(
        "0000000a00000002000772646b61666b610000ffff0000753002027402000000004f{records}0000\
                       00"
    );
    check(&hex, "rdkafka", 10, &produce(-1, 30_000, records));
}

#[test]
fn librdkafka_fetch_16_by_topic_id() {
    let partition =
        FetchPartition { current_leader_epoch: 0, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let hex = "0001001000000002000772646b61666b6100000001f400000001032000000100000000ffffffff0201020304\
               05060708090a0b0c0d0e0f100200000000000000000000000000000000ffffffffffffffffffffffff001000\
               000000010100";
    check(hex, "rdkafka", 16, &fetch("", TOPIC_ID, 1, partition));
}

#[test]
fn librdkafka_list_offsets_7_by_time() {
    let hex = "0002000700000004000772646b61666b6100ffffffff010202740200000000000000000000018bcfe5680000\
               0000";
    check(hex, "rdkafka", 7, &list_offsets(1, 0, 1_700_000_000_000));
}

#[test]
fn librdkafka_incremental_alter_configs_1() {
    let config =
        IncrementalAlterableConfig { name: name(RETENTION), config_operation: 0, value: Some(name("5")) };
    let resource =
        IncrementalAlterConfigsResource { resource_type: 2, resource_name: name("t"), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let hex = "002c000100000005000772646b61666b610002020274020d726574656e74696f6e2e6d7300023500000000";
    check(hex, "rdkafka", 1, &request);
}

#[test]
fn librdkafka_alter_configs_2() {
    let config = AlterableConfig { name: name(RETENTION), value: Some(name("5")) };
    let resource = AlterConfigsResource { resource_type: 2, resource_name: name("t"), configs: vec![config] };
    let request = AlterConfigsRequest { resources: vec![resource], validate_only: false };
    let hex = "0021000200000003000772646b61666b610002020274020d726574656e74696f6e2e6d73023500000000";
    check(hex, "rdkafka", 2, &request);
}

#[test]
fn librdkafka_offset_for_leader_epoch_2() {
    let partition = OffsetForLeaderPartition { partition: 0, current_leader_epoch: 0, leader_epoch: 0 };
    let request = OffsetForLeaderEpochRequest {
        topics: vec![OffsetForLeaderTopic { topic: name("t"), partitions: vec![partition] }],
        ..OffsetForLeaderEpochRequest::default()
    };
    let hex = "0017000200000002000772646b61666b610000000100017400000001000000000000000000000000";
    check(hex, "rdkafka", 2, &request);
}

// Debian's kcat 1.7.1 on librdkafka 2.0.2.

#[test]
fn kcat_metadata_4() {
    let topic = MetadataRequestTopic { name: Some(name("t")), ..MetadataRequestTopic::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
    check("0003000400000002000772646b61666b610000000100017401", "rdkafka", 4, &request);
}

#[test]
fn kcat_fetch_11() {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let hex = "0001000b00000005000772646b61666b61ffffffff000001f400000001032000000100000000ffffffff0000\
               00010001740000000100000000ffffffff0000000000000000ffffffffffffffff00100000000000000000";
    check(hex, "rdkafka", 11, &fetch("t", Uuid::nil(), 1, partition));
}

#[test]
fn kcat_list_offsets_2_earliest() {
    let hex = "0002000200000004000772646b61666b61ffffffff01000000010001740000000100000000ffffffffffffff\
               fe";
    check(hex, "rdkafka", 2, &list_offsets(1, -1, -2));
}

// kafka-python 3.0.12.

#[test]
fn kafka_python_produce_9() {
    let records = "00000000000000000000004200000000020d1bc7480000000000000000018bcfe568000000018bcfe568\
                   0000000000000003e80000000000000000000120000000026b0a68656c6c6f0202680276";
    let hex = format!(
        "000000090000000400176b61666b612d707974686f6e2d70726f64756365722d310000ffff00007530020274020000\
         00004f{records}000000"
    );
    check(&hex, "kafka-python-producer-1", 9, &produce(-1, 30_000, records));
}

#[test]
fn kafka_python_fetch_12() {
    let partition =
        FetchPartition { current_leader_epoch: 0, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let hex = "0001000c0000000400136b61666b612d707974686f6e2d332e302e313200ffffffff000001f4000000010320\
               00000000000000000000000202740200000000000000000000000000000000ffffffffffffffffffffffff00\
               1000000000010100";
    let request = FetchRequest { session_epoch: 0, ..fetch("t", Uuid::nil(), 0, partition) };
    check(hex, "kafka-python-3.0.12", 12, &request);
}

#[test]
fn kafka_python_describe_log_dirs_4() {
    let hex = "002300040000000600136b61666b612d707974686f6e2d332e302e3132000100";
    check(hex, "kafka-python-3.0.12", 4, &DescribeLogDirsRequest::default());
}

// aiokafka 0.14.0.

#[test]
fn aiokafka_api_versions_0() {
    let hex = "0012000000000001000f61696f6b61666b612d302e31342e30";
    check(hex, "aiokafka-0.14.0", 0, &ApiVersionsRequest::default());
}

#[test]
fn aiokafka_produce_7() {
    let records = "000000000000000000000042ffffffff02246cec850000000000000000018bcfe568000000018bcfe568\
                   00ffffffffffffffffffff000000000000000120000000026b0a68656c6c6f0202680276";
    let hex = format!(
        "0000000700000003001361696f6b61666b612d70726f64756365722d31ffff000100009c4000000001000174000000\
         01000000000000004e{records}"
    );
    check(&hex, "aiokafka-producer-1", 7, &produce(1, 40_000, records));
}

// kafkajs 2.2.4.

#[test]
fn kafkajs_produce_7_gzip() {
    let records = "000000000000000000000056000000000282619fbd0001000000000000018bcfe568000000018bcfe568\
                   00ffffffffffffffff000000000000000000011f8b08000000000000035360606060cae6ca48cdc9c967\
                   62ca602a0300f3ff16c711000000";
    let hex = format!(
        "00000007000000020006676f6c64656effffffff0000753000000001000174000000010000000000000062{records}"
    );
    check(&hex, "golden", 7, &produce(-1, 30_000, records));
}

#[test]
fn kafkajs_create_topics_3() {
    let hex = "00130003000000020006676f6c64656e000000010001740000000100010000000000000001000c726574656e\
               74696f6e2e6d730004313030300000138800";
    check(hex, "golden", 3, &create_topic(Some("1000"), 5_000));
}

#[test]
fn kafkajs_describe_configs_2() {
    let resource =
        DescribeConfigsResource { resource_type: 2, resource_name: name("t"), configuration_keys: None };
    let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
    check("00200002000000080006676f6c64656e0000000102000174ffffffff00", "golden", 2, &request);
}

#[test]
fn kafkajs_delete_topics_1() {
    let request = DeleteTopicsRequest {
        topic_names: vec![name("t")],
        timeout_ms: 5_000,
        ..DeleteTopicsRequest::default()
    };
    check("001400010000000a0006676f6c64656e0000000100017400001388", "golden", 1, &request);
}

// @platformatic/kafka 1.35.0.

#[test]
fn platformatic_create_topics_7() {
    let hex = "00130007000000020006676f6c64656e00020274000000010001010100000013880000";
    check(hex, "golden", 7, &create_topic(None, 5_000));
}

#[test]
fn platformatic_metadata_12() {
    let topic = MetadataRequestTopic { name: Some(name("t")), ..MetadataRequestTopic::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        include_topic_authorized_operations: true,
        ..MetadataRequest::default()
    };
    let hex = "0003000c000000020006676f6c64656e000200000000000000000000000000000000027400000100";
    check(hex, "golden", 12, &request);
}

// franz-go 1.22.2.

/// Names neither a cluster nor a node (KIP-1242).
#[test]
fn franz_go_api_versions_5() {
    let request = ApiVersionsRequest {
        client_software_name: name("kgo"),
        client_software_version: name("v1.22.2"),
        ..Default::default()
    };
    let hex = "00120005000000000006676f6c64656e00046b676f0876312e32322e3200ffffffff00";
    check(hex, "golden", 5, &request);
}

#[test]
fn franz_go_produce_12() {
    let records = "000000000000000000000042ffffffff020d1bc7480000000000000000018bcfe568000000018bcfe568\
                   0000000000000003e80000000000000000000120000000026b0a68656c6c6f0202680276";
    let hex = format!("0000000c000000010006676f6c64656e0000ffff0000271002027402000000004f{records}000000");
    check(&hex, "golden", 12, &produce(-1, 10_000, records));
}

// Apache Kafka's Java client 4.4.0.

#[test]
fn java_fetch_17_opens_a_session() {
    let partition =
        FetchPartition { current_leader_epoch: 0, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let hex = "00010011000000070006676f6c64656e00000001f40000000103200000000000000000000000020102030405\
               060708090a0b0c0d0e0f100200000000000000000000000000000000ffffffffffffffffffffffff00100000\
               0000010100";
    check(hex, "golden", 17, &FetchRequest { session_epoch: 0, ..fetch("", TOPIC_ID, 0, partition) });
}

#[test]
fn java_list_offsets_11_largest_timestamp() {
    let hex = "0002000b0000000e0006676f6c64656e00ffffffff000202740200000000fffffffffffffffffffffffd0000\
               0000ea6000";
    check(hex, "golden", 11, &ListOffsetsRequest { timeout_ms: 60_000, ..list_offsets(0, -1, -3) });
}

#[test]
fn java_init_producer_id_5() {
    let request = InitProducerIdRequest {
        transaction_timeout_ms: i32::MAX,
        producer_id: -1,
        producer_epoch: -1,
        transactional_id: None,
    };
    let hex = "00160005000000030006676f6c64656e00007fffffffffffffffffffffffffff00";
    check(hex, "golden", 5, &request);
}

#[test]
fn java_delete_topics_6_by_id() {
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: None, topic_id: TOPIC_ID }],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    let hex = "001400060000000f0006676f6c64656e0002000102030405060708090a0b0c0d0e0f10000000753000";
    check(hex, "golden", 6, &request);
}

#[test]
fn java_delete_records_2() {
    let partition = DeleteRecordsPartition { partition_index: 0, offset: 1 };
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic { name: name("t"), partitions: vec![partition] }],
        timeout_ms: 60_000,
    };
    let hex = "001500020000000d0006676f6c64656e000202740200000000000000000000000100000000ea6000";
    check(hex, "golden", 2, &request);
}

#[test]
fn java_create_partitions_3() {
    let request = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic { name: name("t"), count: 3, assignments: None }],
        timeout_ms: 30_000,
        validate_only: false,
    };
    let hex = "002500030000000c0006676f6c64656e00020274000000030000000075300000";
    check(hex, "golden", 3, &request);
}

#[test]
fn java_describe_cluster_2() {
    let hex = "003c0002000000080006676f6c64656e0000010000";
    check(hex, "golden", 2, &DescribeClusterRequest::default());
}

#[test]
fn java_describe_producers_0() {
    let topic = DescribeProducersTopicRequest { name: name("t"), partition_indexes: vec![0] };
    let hex = "003d00000000000b0006676f6c64656e0002027402000000000000";
    check(hex, "golden", 0, &DescribeProducersRequest { topics: vec![topic] });
}
