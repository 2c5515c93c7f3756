//! Every request of the protocol, to walk over all of them: a default body in any version, the answer's decoder, and
//! bodies whose counts and lengths lie.

use bytes::Bytes;
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::messages;
use sendlog_protocol::schema::{Field, Kind, Schema};
use sendlog_protocol::wire::{DecodeError, EncodeError};
use sendlog_protocol::{Message, Request, decode_body, encode_request};

/// One API's request.
#[derive(Clone, Copy, Debug)]
pub struct AnyRequest {
    /// The API.
    pub key: ApiKey,
    /// Fields of the body.
    pub schema: &'static Schema,
    /// Fields of the answer's body.
    pub answer_schema: &'static Schema,
    /// A request frame with default values, by version and correlation id. Produce asks for an answer.
    pub default_frame: fn(i16, i32) -> Result<Bytes, EncodeError>,
    /// Decodes an answer's body in a version.
    pub check_answer: fn(Bytes, i16) -> Result<(), DecodeError>,
}

macro_rules! requests {
    ($($request:ident $(with $field:ident = $value:expr)?;)*) => {
        /// All of them, by key.
        pub const ALL: &[AnyRequest] = &[$(AnyRequest {
            key: <messages::$request as Request>::KEY,
            schema: <messages::$request as Message>::SCHEMA,
            answer_schema: <<messages::$request as Request>::Response as Message>::SCHEMA,
            default_frame: |version, correlation_id| {
                #[allow(clippy::needless_update, reason = "only some name a field")]
                let request = messages::$request { $($field: $value,)? ..messages::$request::default() };
                encode_request(correlation_id, None, version, &request)
            },
            check_answer: |body, version| {
                decode_body::<<messages::$request as Request>::Response>(body, version).map(drop)
            },
        }),*];
    };
}

requests! {
    ProduceRequest with acks = -1;
    FetchRequest;
    ListOffsetsRequest;
    MetadataRequest;
    OffsetCommitRequest;
    OffsetFetchRequest;
    FindCoordinatorRequest;
    JoinGroupRequest;
    HeartbeatRequest;
    LeaveGroupRequest;
    SyncGroupRequest;
    DescribeGroupsRequest;
    ListGroupsRequest;
    ApiVersionsRequest;
    CreateTopicsRequest;
    DeleteTopicsRequest;
    DeleteRecordsRequest;
    InitProducerIdRequest;
    OffsetForLeaderEpochRequest;
    DescribeAclsRequest;
    CreateAclsRequest;
    DeleteAclsRequest;
    DescribeConfigsRequest;
    AlterConfigsRequest;
    AlterReplicaLogDirsRequest;
    DescribeLogDirsRequest;
    CreatePartitionsRequest;
    DeleteGroupsRequest;
    ElectLeadersRequest;
    IncrementalAlterConfigsRequest;
    AlterPartitionReassignmentsRequest;
    ListPartitionReassignmentsRequest;
    OffsetDeleteRequest;
    DescribeClientQuotasRequest;
    AlterClientQuotasRequest;
    DescribeUserScramCredentialsRequest;
    DescribeQuorumRequest;
    UpdateFeaturesRequest;
    DescribeClusterRequest;
    DescribeProducersRequest;
    DescribeTransactionsRequest;
    ListTransactionsRequest;
    ConsumerGroupHeartbeatRequest;
    ConsumerGroupDescribeRequest;
    ListConfigResourcesRequest;
    DescribeTopicPartitionsRequest;
    ShareGroupHeartbeatRequest;
    ShareGroupDescribeRequest;
    ShareFetchRequest;
    ShareAcknowledgeRequest;
    DescribeShareGroupOffsetsRequest;
    AlterShareGroupOffsetsRequest;
    DeleteShareGroupOffsetsRequest;
}

/// The request of an API.
///
/// # Panics
/// When the list above lacks it.
pub fn of(key: ApiKey) -> AnyRequest {
    *ALL.iter().find(|request| request.key == key).unwrap_or_else(|| panic!("{key:?} is not in the list"))
}

/// A body that ends with a lie about what follows.
#[derive(Clone, Debug)]
pub struct LyingBody {
    /// Which field lies.
    pub field: &'static str,
    /// The body up to there.
    pub bytes: Vec<u8>,
}

impl AnyRequest {
    /// Bodies of a version, one for each count and length in it, that announce far more than follows.
    pub fn lying_bodies(&self, version: i16) -> Vec<LyingBody> {
        let is_flexible = self.key.flexible_from() <= version;
        let mut liar = Liar { version, is_flexible, honest: Vec::new(), bodies: Vec::new() };
        liar.pass_struct(self.schema);
        liar.bodies
    }
}

/// Writes a body honestly, and on the way notes what it would be with a lie at each place.
struct Liar {
    version: i16,
    is_flexible: bool,
    honest: Vec<u8>,
    bodies: Vec<LyingBody>,
}

impl Liar {
    fn pass_struct(&mut self, schema: &'static Schema) {
        let is_here = |field: &&'static Field| (field.is_in)(self.version) && field.tag.is_none();
        let fields: Vec<_> = schema.fields.iter().filter(is_here).collect();
        for field in fields {
            self.pass(field.name, field.kind);
        }
        if self.is_flexible {
            self.lie("number of tagged fields", UNSIGNED_VARINT_MAX);
            self.lie("length of a tagged field", &[1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
            self.honest.push(0);
        }
    }

    fn pass(&mut self, field: &'static str, kind: Kind) {
        match kind {
            Kind::Bool | Kind::I8 => self.honest.push(0),
            Kind::I16 => self.honest.extend([0; 2]),
            Kind::I32 => self.honest.extend([0; 4]),
            Kind::I64 | Kind::F64 => self.honest.extend([0; 8]),
            Kind::Uuid => self.honest.extend([0; 16]),
            Kind::Struct(schema) => self.pass_struct(schema),
            Kind::NullableStruct(schema) => {
                self.honest.push(1);
                self.pass_struct(schema);
            }
            Kind::String if self.is_flexible => self.lie_and_go_on(field, UNSIGNED_VARINT_MAX, &[1]),
            Kind::String => self.lie_and_go_on(field, &[0x7f, 0xff], &[0, 0]),
            Kind::Bytes if self.is_flexible => self.lie_and_go_on(field, UNSIGNED_VARINT_MAX, &[1]),
            Kind::Bytes => self.lie_and_go_on(field, &[0x7f, 0xff, 0xff, 0xff], &[0; 4]),
            Kind::Array(element) => {
                // The largest count, and one that looks harmless: 50 million.
                if self.is_flexible {
                    self.lie(field, &[0x81, 0xe1, 0xeb, 0x17]);
                    self.lie_and_go_on(field, UNSIGNED_VARINT_MAX, &[2]);
                } else {
                    self.lie(field, &50_000_000_i32.to_be_bytes());
                    self.lie_and_go_on(field, &[0x7f, 0xff, 0xff, 0xff], &[0, 0, 0, 1]);
                }
                self.pass(field, *element);
            }
        }
    }

    fn lie(&mut self, field: &'static str, lie: &[u8]) {
        self.bodies.push(LyingBody { field, bytes: [&self.honest, lie].concat() });
    }

    fn lie_and_go_on(&mut self, field: &'static str, lie: &[u8], truth: &[u8]) {
        self.lie(field, lie);
        self.honest.extend_from_slice(truth);
    }
}

const UNSIGNED_VARINT_MAX: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0x0f];

#[cfg(test)]
mod tests {
    use super::{ALL, of};
    use sendlog_protocol::api_key::ApiKey;

    #[test]
    fn every_api_is_in_the_list() {
        let keys: Vec<ApiKey> = ALL.iter().map(|request| request.key).collect();
        assert_eq!(keys, ApiKey::ALL);
    }

    #[test]
    fn the_smallest_lie_is_the_well_known_one() {
        let lies = of(ApiKey::Metadata).lying_bodies(1);
        assert!(lies.iter().any(|lie| lie.bytes == [0x7f, 0xff, 0xff, 0xff]), "{lies:?}");
    }
}
