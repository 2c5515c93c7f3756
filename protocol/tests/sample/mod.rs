//! Random bodies of every message in every version, written from the schemas by an encoder of its own.

#![allow(dead_code, reason = "every test of this folder uses its own part")]

use std::fmt::Debug;
use std::ops::RangeInclusive;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::messages;
use sendlog_protocol::schema::{Field, Kind, Schema};
use sendlog_protocol::wire::{DecodeError, EncodeError, Writer};
use sendlog_protocol::{Message, decode_body};

/// A message type, as a value.
pub(crate) struct Codec {
    pub(crate) name: &'static str,
    pub(crate) versions: RangeInclusive<i16>,
    pub(crate) flexible_from: i16,
    pub(crate) schema: &'static Schema,
    pub(crate) decode: fn(Bytes, i16) -> Result<(), DecodeError>,
    /// The decoded body as `Debug` shows it.
    pub(crate) show: fn(Bytes, i16) -> Result<String, DecodeError>,
    /// The default as `Debug` shows it.
    pub(crate) show_default: fn() -> String,
    /// Decodes in one version and encodes in another.
    pub(crate) convert: fn(Bytes, i16, i16) -> Converted,
}

/// What decoding, and then encoding, came to.
pub(crate) type Converted = Result<Result<Vec<u8>, EncodeError>, DecodeError>;

impl Codec {
    fn of<M: Message + Debug + PartialEq + Clone + Default>() -> Self {
        Self {
            name: M::NAME,
            versions: M::VERSIONS,
            flexible_from: M::FLEXIBLE_FROM,
            schema: M::SCHEMA,
            decode: |body, version| decode_body::<M>(body, version).map(drop),
            show: |body, version| Ok(format!("{:?}", decode_body::<M>(body, version)?)),
            show_default: || format!("{:?}", M::default()),
            convert: |body, from, to| {
                let message = decode_body::<M>(body, from)?;
                assert_eq!(message, message.clone());
                let mut out = Writer::new();
                Ok(message.encode(&mut out, to).map(|()| out.into_bytes().to_vec()))
            },
        }
    }
}

/// All messages.
pub(crate) fn codecs() -> Vec<Codec> {
    let mut codecs = api_codecs();
    let mut expected =
        ApiKey::ALL.iter().flat_map(|key| [key.name(), key.name()].into_iter().zip(["Request", "Response"]));
    for codec in &codecs {
        let (name, suffix) = expected.next().expect("an API for every codec");
        assert_eq!(codec.name, format!("{name}{suffix}"));
    }
    assert!(expected.next().is_none(), "an API lacks its codecs here");
    codecs.extend(record_codecs());
    codecs
}

/// Requests and responses, by key.
fn api_codecs() -> Vec<Codec> {
    macro_rules! pairs {
        ($($request:ident, $response:ident $(<$records:ty>)?;)*) => {
            vec![$(
                Codec::of::<messages::$request>(),
                Codec::of::<messages::$response $(<$records>)?>(),
            )*]
        };
    }
    pairs! {
        ProduceRequest, ProduceResponse;
        FetchRequest, FetchResponse<Bytes>;
        ListOffsetsRequest, ListOffsetsResponse;
        MetadataRequest, MetadataResponse;
        OffsetCommitRequest, OffsetCommitResponse;
        OffsetFetchRequest, OffsetFetchResponse;
        FindCoordinatorRequest, FindCoordinatorResponse;
        JoinGroupRequest, JoinGroupResponse;
        HeartbeatRequest, HeartbeatResponse;
        LeaveGroupRequest, LeaveGroupResponse;
        SyncGroupRequest, SyncGroupResponse;
        DescribeGroupsRequest, DescribeGroupsResponse;
        ListGroupsRequest, ListGroupsResponse;
        ApiVersionsRequest, ApiVersionsResponse;
        CreateTopicsRequest, CreateTopicsResponse;
        DeleteTopicsRequest, DeleteTopicsResponse;
        DeleteRecordsRequest, DeleteRecordsResponse;
        InitProducerIdRequest, InitProducerIdResponse;
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
        DescribeAclsRequest, DescribeAclsResponse;
        CreateAclsRequest, CreateAclsResponse;
        DeleteAclsRequest, DeleteAclsResponse;
        DescribeConfigsRequest, DescribeConfigsResponse;
        AlterConfigsRequest, AlterConfigsResponse;
        AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse;
        DescribeLogDirsRequest, DescribeLogDirsResponse;
        CreatePartitionsRequest, CreatePartitionsResponse;
        DeleteGroupsRequest, DeleteGroupsResponse;
        ElectLeadersRequest, ElectLeadersResponse;
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse;
        ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse;
        OffsetDeleteRequest, OffsetDeleteResponse;
        DescribeClientQuotasRequest, DescribeClientQuotasResponse;
        AlterClientQuotasRequest, AlterClientQuotasResponse;
        DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse;
        DescribeQuorumRequest, DescribeQuorumResponse;
        UpdateFeaturesRequest, UpdateFeaturesResponse;
        DescribeClusterRequest, DescribeClusterResponse;
        DescribeProducersRequest, DescribeProducersResponse;
        DescribeTransactionsRequest, DescribeTransactionsResponse;
        ListTransactionsRequest, ListTransactionsResponse;
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse;
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse;
        ListConfigResourcesRequest, ListConfigResourcesResponse;
        DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
        ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse;
        ShareGroupDescribeRequest, ShareGroupDescribeResponse;
        ShareFetchRequest, ShareFetchResponse<Bytes>;
        ShareAcknowledgeRequest, ShareAcknowledgeResponse;
        DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse;
        AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse;
        DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse;
    }
}

/// Keys and values of records in internal topics, and what consumers tell each other.
fn record_codecs() -> Vec<Codec> {
    macro_rules! bodies {
        ($($module:ident: $($name:ident)*;)*) => {
            vec![$($(Codec::of::<sendlog_protocol::$module::$name>(),)*)*]
        };
    }
    bodies! {
        group_records: OffsetCommitKey OffsetCommitValue GroupMetadataKey GroupMetadataValue
            ConsumerGroupMetadataKey ConsumerGroupMetadataValue ConsumerGroupPartitionMetadataKey
            ConsumerGroupPartitionMetadataValue ConsumerGroupMemberMetadataKey
            ConsumerGroupMemberMetadataValue ConsumerGroupTargetAssignmentMetadataKey
            ConsumerGroupTargetAssignmentMetadataValue ConsumerGroupTargetAssignmentMemberKey
            ConsumerGroupTargetAssignmentMemberValue ConsumerGroupCurrentMemberAssignmentKey
            ConsumerGroupCurrentMemberAssignmentValue ConsumerGroupRegularExpressionKey
            ConsumerGroupRegularExpressionValue ShareGroupMemberMetadataKey ShareGroupMemberMetadataValue
            ShareGroupMetadataKey ShareGroupMetadataValue ShareGroupTargetAssignmentMetadataKey
            ShareGroupTargetAssignmentMetadataValue ShareGroupTargetAssignmentMemberKey
            ShareGroupTargetAssignmentMemberValue ShareGroupCurrentMemberAssignmentKey
            ShareGroupCurrentMemberAssignmentValue ShareGroupStatePartitionMetadataKey
            ShareGroupStatePartitionMetadataValue;
        share_state_records: ShareSnapshotKey ShareSnapshotValue ShareUpdateKey ShareUpdateValue;
        consumer_protocol: ConsumerProtocolSubscription ConsumerProtocolAssignment;
    }
}

/// Runs `check` on every message, version and some seeds, and says where it failed.
pub(crate) fn for_each_body(seeds: u64, mut check: impl FnMut(&Codec, i16, Vec<u8>, &mut SmallRng)) {
    for codec in codecs() {
        for version in codec.versions.clone() {
            for seed in 0..seeds {
                let at = FailedAt { name: codec.name, version, seed };
                let mut rng = SmallRng::seed_from_u64(seed);
                let body = Sampler::new(&codec, version, &mut rng).body();
                check(&codec, version, body, &mut rng);
                drop(at);
            }
        }
    }
}

/// Prints what was being checked when a check panics.
struct FailedAt {
    name: &'static str,
    version: i16,
    seed: u64,
}

impl Drop for FailedAt {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed at {} version {} seed {}", self.name, self.version, self.seed);
        }
    }
}

/// Writes random values of one message in one version.
pub(crate) struct Sampler<'a> {
    schema: &'static Schema,
    version: i16,
    flexible: bool,
    rng: &'a mut SmallRng,
    /// Adds tagged fields that no version has.
    pub(crate) unknown_tags: bool,
    out: Vec<u8>,
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(codec: &Codec, version: i16, rng: &'a mut SmallRng) -> Self {
        Self {
            schema: codec.schema,
            version,
            flexible: codec.flexible_from <= version,
            rng,
            unknown_tags: false,
            out: Vec::new(),
        }
    }

    /// One body.
    pub(crate) fn body(mut self) -> Vec<u8> {
        self.fields(self.schema, false);
        self.out
    }

    fn fields(&mut self, schema: &'static Schema, not_default: bool) {
        let version = self.version;
        let fields = schema.fields.iter().filter(|field| (field.is_in)(version));
        for field in fields.clone().filter(|field| field.tag.is_none()) {
            self.value(field, field.kind, not_default);
        }
        if self.flexible {
            self.tagged(fields.filter(|field| field.tag.is_some()));
        }
    }

    fn tagged(&mut self, fields: impl Iterator<Item = &'static Field>) {
        let mut chosen: Vec<(u32, Vec<u8>)> = Vec::new();
        for field in fields {
            if self.rng.random_bool(0.5) {
                let outer = std::mem::take(&mut self.out);
                // A default would be left out by an encoder, and the bytes would differ.
                self.value(field, field.kind, true);
                let bytes = std::mem::replace(&mut self.out, outer);
                chosen.push((field.tag.expect("tagged"), bytes));
            }
        }
        if self.unknown_tags {
            let bytes = (0..self.rng.random_range(0..200)).map(|_| self.rng.random()).collect();
            chosen.push((self.rng.random_range(1000..=u32::MAX), bytes));
        }
        put_unsigned_varint(&mut self.out, chosen.len());
        for (tag, bytes) in chosen {
            put_unsigned_varint(&mut self.out, usize::try_from(tag).expect("64 bits"));
            put_unsigned_varint(&mut self.out, bytes.len());
            self.out.extend(bytes);
        }
    }

    fn value(&mut self, field: &Field, kind: Kind, not_default: bool) {
        let null = !not_default && (field.is_nullable_in)(self.version) && self.rng.random_bool(0.2);
        match kind {
            Kind::Bool => self.out.push(u8::from(not_default || self.rng.random())),
            Kind::I8 => self.integer(1, not_default),
            Kind::I16 => self.integer(2, not_default),
            Kind::I32 => self.integer(4, not_default),
            Kind::I64 | Kind::F64 => self.integer(8, not_default),
            Kind::Uuid => {
                let value = if not_default || self.rng.random() { self.rng.random::<u128>() | 1 } else { 0 };
                self.out.extend(value.to_be_bytes());
            }
            Kind::String | Kind::Bytes if null => {
                put_length(&mut self.out, self.flexible, matches!(kind, Kind::String), None);
            }
            Kind::Array(_) if null => put_length(&mut self.out, self.flexible, false, None),
            Kind::String => {
                let text = self.text();
                put_length(&mut self.out, self.flexible, true, Some(text.len()));
                self.out.extend(text.as_bytes());
            }
            Kind::Bytes => {
                let length = if self.rng.random_bool(0.1) { 300 } else { self.rng.random_range(0..20) };
                put_length(&mut self.out, self.flexible, false, Some(length));
                for _ in 0..length {
                    self.out.push(self.rng.random());
                }
            }
            Kind::Array(element) => {
                let count = self.rng.random_range(usize::from(not_default)..=3);
                put_length(&mut self.out, self.flexible, false, Some(count));
                for _ in 0..count {
                    self.element(element);
                }
            }
            Kind::NullableStruct(_) if null => self.out.push(0xff),
            Kind::NullableStruct(schema) => {
                self.out.push(1);
                self.fields(schema, not_default);
            }
            Kind::Struct(schema) => self.fields(schema, not_default),
        }
    }

    fn element(&mut self, kind: &Kind) {
        const FIELD: Field = Field {
            name: "element",
            is_in: |_| true,
            is_nullable_in: |_| false,
            tag: None,
            kind: Kind::Bool,
        };
        self.value(&FIELD, *kind, false);
    }

    /// The low bytes of a random number; often one that code treats specially.
    fn integer(&mut self, size: usize, not_default: bool) {
        const SPECIAL: [i64; 6] = [0, -1, 1, i64::MAX, i64::MIN, 127];
        let value = match self.rng.random_range(0..2) {
            _ if not_default => self.rng.random_range(1..100),
            0 => SPECIAL[self.rng.random_range(0..SPECIAL.len())],
            _ => self.rng.random(),
        };
        self.out.extend(&value.to_be_bytes()[8 - size..]);
    }

    fn text(&mut self) -> String {
        const CHARS: [char; 8] = ['a', 'Z', '0', '-', '.', 'é', '漢', '🦀'];
        let length = if self.rng.random_bool(0.1) { 200 } else { self.rng.random_range(0..12) };
        (0..length).map(|_| CHARS[self.rng.random_range(0..CHARS.len())]).collect()
    }
}

/// A length or count, or null; `short` is the two-byte form of strings.
pub(crate) fn put_length(out: &mut Vec<u8>, flexible: bool, short: bool, length: Option<usize>) {
    match length {
        None if flexible => put_unsigned_varint(out, 0),
        None => out.extend(vec![0xff; if short { 2 } else { 4 }]),
        Some(length) if flexible => put_unsigned_varint(out, length + 1),
        Some(length) if short => out.extend(u16::try_from(length).expect("short").to_be_bytes()),
        Some(length) => out.extend(u32::try_from(length).expect("small").to_be_bytes()),
    }
}

fn put_unsigned_varint(out: &mut Vec<u8>, mut value: usize) {
    while 0x80 <= value {
        out.push(u8::try_from(value % 0x80).expect("seven bits") + 0x80);
        value /= 0x80;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}
