//! Every message and version against the `kafka-protocol` crate, which is generated from Kafka's definitions.
//!
//! Random bodies go through both codecs: both must read the same values into fields of the same names, and
//! both must write the body again bit for bit. So each reads what the other writes, and neither confuses two
//! fields.

mod sample;

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message};
use rand::RngExt as _;
use sample::{codecs, for_each_body};
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::header::{RequestHeader, ResponseHeader};
use sendlog_protocol::wire::{Reader, Writer};

/// A message type of the other crate, as a value.
struct Other {
    name: &'static str,
    versions: std::ops::RangeInclusive<i16>,
    show: fn(Bytes, i16) -> String,
    show_default: fn() -> String,
    again: fn(Bytes, i16) -> Bytes,
}

fn other<M: Message + Decodable + Encodable + Debug + Default>(name: &'static str) -> Other {
    fn decode<M: Decodable>(mut body: Bytes, version: i16) -> M {
        let message = M::decode(&mut body, version).expect("decodes");
        assert!(body.is_empty());
        message
    }
    Other {
        name,
        versions: M::VERSIONS.min..=M::VERSIONS.max,
        show: |body, version| format!("{:?}", decode::<M>(body, version)),
        show_default: || format!("{:?}", M::default()),
        again: |body, version| {
            let mut out = BytesMut::new();
            decode::<M>(body, version).encode(&mut out, version).expect("encodes");
            out.freeze()
        },
    }
}

macro_rules! others {
    ($($name:ident)*) => {
        [$(other::<theirs::$name>(stringify!($name))),*]
    };
}

fn others() -> impl IntoIterator<Item = Other> {
    others! {
        ProduceRequest ProduceResponse FetchRequest FetchResponse ListOffsetsRequest ListOffsetsResponse
        MetadataRequest MetadataResponse OffsetCommitRequest OffsetCommitResponse OffsetFetchRequest
        OffsetFetchResponse FindCoordinatorRequest FindCoordinatorResponse JoinGroupRequest JoinGroupResponse
        HeartbeatRequest HeartbeatResponse LeaveGroupRequest LeaveGroupResponse SyncGroupRequest
        SyncGroupResponse DescribeGroupsRequest DescribeGroupsResponse ListGroupsRequest ListGroupsResponse
        ApiVersionsRequest ApiVersionsResponse CreateTopicsRequest CreateTopicsResponse DeleteTopicsRequest
        DeleteTopicsResponse DeleteRecordsRequest DeleteRecordsResponse InitProducerIdRequest
        InitProducerIdResponse OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse DescribeAclsRequest
        DescribeAclsResponse CreateAclsRequest CreateAclsResponse DeleteAclsRequest DeleteAclsResponse
        DescribeConfigsRequest DescribeConfigsResponse AlterConfigsRequest
        AlterConfigsResponse AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse DescribeLogDirsRequest
        DescribeLogDirsResponse CreatePartitionsRequest CreatePartitionsResponse DeleteGroupsRequest
        DeleteGroupsResponse ElectLeadersRequest ElectLeadersResponse IncrementalAlterConfigsRequest
        IncrementalAlterConfigsResponse AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse
        ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse OffsetDeleteRequest
        OffsetDeleteResponse DescribeClientQuotasRequest DescribeClientQuotasResponse AlterClientQuotasRequest
        AlterClientQuotasResponse DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse
        DescribeQuorumRequest DescribeQuorumResponse UpdateFeaturesRequest UpdateFeaturesResponse
        DescribeClusterRequest DescribeClusterResponse DescribeProducersRequest DescribeProducersResponse
        DescribeTransactionsRequest DescribeTransactionsResponse ListTransactionsRequest
        ListTransactionsResponse ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse
        ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse ListConfigResourcesRequest
        ListConfigResourcesResponse DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse
        ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse ShareGroupDescribeRequest
        ShareGroupDescribeResponse ShareFetchRequest ShareFetchResponse ShareAcknowledgeRequest
        ShareAcknowledgeResponse DescribeShareGroupOffsetsRequest DescribeShareGroupOffsetsResponse
        AlterShareGroupOffsetsRequest AlterShareGroupOffsetsResponse DeleteShareGroupOffsetsRequest
        DeleteShareGroupOffsetsResponse
    }
}

/// Fields of versions that one of the two lacks, with their defaults.
const ELSEWHERE: &[(&str, &str)] = &[
    ("DeleteGroupsResponse", ", error_message: None"),
    ("ApiVersionsRequest", ", cluster_id: None, node_id: -1"),
    ("ShareFetchRequest", ", share_acquire_mode: 0, is_renew_ack: false"),
    ("ShareFetchRequest", ", partition_max_bytes: 0"),
    ("ShareAcknowledgeRequest", ", is_renew_ack: false"),
    ("ShareAcknowledgeResponse", ", acquisition_lock_timeout_ms: 0"),
    ("DescribeShareGroupOffsetsResponse", ", lag: -1"),
];

/// What `Debug` shows, without what differs by intent: names of structs, unknown tagged fields, fields of
/// versions that ours does not have, and the default of nullable strings, which Kafka's generator makes
/// empty.
fn normal(name: &str, shown: &str) -> String {
    let mut text = shown.replace(", unknown_tagged_fields: {}", "").replace("_match:", "match:");
    for newer in [
        ", enable_2_pc: false, keep_prepared_txn: false",
        ", ongoing_txn_producer_id: ProducerId(-1), ongoing_txn_producer_epoch: -1",
        ", ongoing_txn_producer_id: -1, ongoing_txn_producer_epoch: -1",
    ] {
        text = text.replace(newer, "");
    }
    for (message, field) in ELSEWHERE {
        if *message == name {
            text = text.replace(field, "");
        }
    }
    text = text.replace("Some(\"\")", "None").replace("records: Some(b\"\")", "records: None");
    let mut words: Vec<&str> = Vec::new();
    for word in text.split_inclusive(' ') {
        if word == "{ " {
            let name = words.pop().expect("a name before the brace");
            let kept = name.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == ' ');
            words.push(kept);
        }
        words.push(word);
    }
    words.concat()
}

#[test]
fn same_bytes_and_same_fields() {
    let others: Vec<Other> = others().into_iter().collect();
    let mut compared = 0;
    for_each_body(60, |codec, version, body, _| {
        // Records of groups have bytes of Kafka's own to be compared with.
        let Some(other) = others.iter().find(|other| other.name == codec.name) else { return };
        if !other.versions.contains(&version) {
            return;
        }
        let body = Bytes::from(body);
        let ours = (codec.convert)(body.clone(), version, version).expect("decodes").expect("encodes");
        assert_eq!((other.again)(body.clone(), version), Bytes::from(ours));
        let shown = (codec.show)(body.clone(), version).expect("decodes");
        assert_eq!(normal(codec.name, &shown), normal(codec.name, &(other.show)(body, version)));
        compared += 1;
    });
    assert!(10_000 < compared, "{compared}");
}

/// Versions that the other crate lacks: those of Kafka before 4.0 and after 4.1.
#[test]
fn few_versions_go_uncompared() {
    let others: Vec<Other> = others().into_iter().collect();
    let mut uncompared = Vec::new();
    for codec in codecs() {
        let Some(other) = others.iter().find(|other| other.name == codec.name) else {
            assert!(!codec.name.ends_with("Request") && !codec.name.ends_with("Response"), "{}", codec.name);
            continue;
        };
        let versions = codec.versions.filter(|version| !other.versions.contains(version));
        uncompared.extend(versions.map(|version| (codec.name, version)));
    }
    let expected = [
        ("ProduceRequest", 0),
        ("ProduceRequest", 1),
        ("ProduceRequest", 2),
        ("ProduceResponse", 0),
        ("ProduceResponse", 1),
        ("ProduceResponse", 2),
        ("ListOffsetsRequest", 11),
        ("ListOffsetsResponse", 11),
        ("OffsetCommitRequest", 10),
        ("OffsetFetchRequest", 10),
        ("ApiVersionsRequest", 5),
        ("ApiVersionsResponse", 5),
        ("DeleteGroupsRequest", 3),
        ("DeleteGroupsResponse", 3),
        ("ShareFetchRequest", 2),
        ("ShareFetchResponse", 2),
        ("ShareAcknowledgeRequest", 2),
        ("ShareAcknowledgeResponse", 2),
        ("DescribeShareGroupOffsetsRequest", 1),
        ("DescribeShareGroupOffsetsResponse", 1),
    ];
    assert_eq!(uncompared, expected);
}

#[test]
fn same_defaults() {
    for other in others() {
        let codec = codecs().into_iter().find(|codec| codec.name == other.name).expect("ours");
        let [ours, theirs] = [(codec.show_default)(), (other.show_default)()];
        assert_eq!(normal(codec.name, &ours), normal(codec.name, &theirs), "{}", codec.name);
    }
}

#[test]
fn same_headers() {
    let mut rng: rand::rngs::SmallRng = rand::SeedableRng::seed_from_u64(7);
    for key in ApiKey::ALL {
        let their_key = theirs::ApiKey::try_from(key.code()).expect("they have it");
        for version in key.versions() {
            let header = RequestHeader {
                api_key: key.code(),
                api_version: version,
                correlation_id: rng.random(),
                client_id: rng.random_bool(0.8).then(|| format!("client {}", rng.random::<u32>())),
            };
            let mut out = Writer::new();
            header.encode(&mut out).expect("encodes");
            let ours = out.into_bytes().freeze();
            let header_version = their_key.request_header_version(version);
            let mut their_header = theirs::RequestHeader::default();
            their_header.request_api_key = header.api_key;
            their_header.request_api_version = version;
            their_header.correlation_id = header.correlation_id;
            their_header.client_id = header.client_id.clone().map(Into::into);
            let mut out = BytesMut::new();
            their_header.encode(&mut out, header_version).expect("encodes");
            assert_eq!(ours, out, "{key:?} {version}");
            let mut input = Reader::new(ours);
            assert_eq!(RequestHeader::decode(&mut input), Ok(header));
            assert_eq!(input.remaining(), 0);

            let response = ResponseHeader { correlation_id: rng.random() };
            let mut out = Writer::new();
            response.encode(&mut out, *key, version);
            let ours = out.into_bytes().freeze();
            let mut out = BytesMut::new();
            theirs::ResponseHeader::default()
                .with_correlation_id(response.correlation_id)
                .encode(&mut out, their_key.response_header_version(version))
                .expect("encodes");
            assert_eq!(ours, out, "{key:?} {version}");
            assert_eq!(ResponseHeader::decode(&mut Reader::new(ours), *key, version), Ok(response));
        }
    }
}

#[test]
fn same_error_codes() {
    use kafka_protocol::error::ResponseError;
    for error in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
        let Some(other) = ResponseError::try_from_code(error.code()) else {
            assert_eq!(*error, ErrorCode::None);
            continue;
        };
        if matches!(other, ResponseError::Unknown(_)) {
            // Newer than the other crate.
            assert!(134 <= error.code());
            continue;
        }
        assert_eq!(format!("{error:?}"), other.to_string().split(' ').next().expect("a name"));
        // Retriable in Kafka 4.4, see ConcurrentTransactionsException; the other crate's list is older.
        let retriable = other.is_retriable() || *error == ErrorCode::ConcurrentTransactions;
        assert_eq!(error.is_retriable(), retriable, "{error}");
    }
    assert_eq!(ErrorCode::ALL.len(), 138);
    assert!(ErrorCode::ALL.windows(2).all(|pair| pair[0].code() + 1 == pair[1].code()));
}
