//! What every message can do, and whole frames of them.

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::field::Layout;
use crate::header::{RequestHeader, ResponseHeader};
use crate::schema::Schema;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// A request or response body. `Default` gives every field Kafka's default, but for nullable strings, which
/// are null.
pub trait Message: Sized {
    /// Kafka's name of the message.
    const NAME: &'static str;
    /// Versions that this codec knows.
    const VERSIONS: RangeInclusive<i16>;
    /// First version with compact lengths and tagged fields (KIP-482).
    const FLEXIBLE_FROM: i16;
    /// The field table as data.
    const SCHEMA: &'static Schema;

    /// Appends the body. Fields that the version lacks are left out.
    ///
    /// # Errors
    /// The version is unknown, a field is null where the version has no null, or something is too long.
    fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError>;

    /// Reads the body. Fields that the version lacks get their default; unknown tagged fields are skipped.
    ///
    /// # Errors
    /// The version is unknown or the bytes are not such a body.
    fn decode(input: &mut Reader, version: i16) -> Result<Self, DecodeError>;
}

/// A request body, which knows its API and what answers it.
pub trait Request: Message {
    /// The API.
    const KEY: ApiKey;
    /// The answer's body.
    type Response: Message;
}

/// Decodes a body that fills `body`.
///
/// # Errors
/// As [`Message::decode`], or bytes are left.
pub fn decode_body<M: Message>(body: Bytes, version: i16) -> Result<M, DecodeError> {
    let mut input = Reader::new(body);
    let message = M::decode(&mut input, version)?;
    input.finish()?;
    Ok(message)
}

/// Decodes a body and takes no offence at a few bytes behind it.
///
/// For what clients send: librdkafka (2.16) has three stray bytes behind the Metadata request that asks for all topics in
/// version 13, kafka-go (0.4) one behind DescribeAcls. Apache Kafka ignores what follows any body.
///
/// # Errors
/// As [`Message::decode`], or more than [`STRAY_BYTES_MAX`] bytes are left.
pub fn decode_body_and_rest<M: Message>(body: Bytes, version: i16) -> Result<M, DecodeError> {
    let mut input = Reader::new(body);
    let message = M::decode(&mut input, version)?;
    if STRAY_BYTES_MAX < input.remaining() {
        input.finish()?;
    }
    Ok(message)
}

/// Bytes that [`decode_body_and_rest`] overlooks.
pub const STRAY_BYTES_MAX: usize = 16;

/// A request frame: length, header and body.
///
/// # Errors
/// As [`Message::encode`], or the client id is too long.
pub fn encode_request<Q: Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    request: &Q,
) -> Result<Bytes, EncodeError> {
    let header = RequestHeader {
        api_key: Q::KEY.code(),
        api_version: version,
        correlation_id,
        client_id: client_id.map(str::to_owned),
    };
    let mut out = begin_frame();
    header.encode(&mut out)?;
    request.encode(&mut out, version)?;
    finish_frame(out, 0)
}

/// A response frame: length, header and body.
///
/// `key` and `version` are the request's. ApiVersions may be answered in version 0 whatever was asked
/// (KIP-511); `version` is then 0.
///
/// # Errors
/// As [`Message::encode`].
pub fn encode_response<M: Message>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<Bytes, EncodeError> {
    let mut out = begin_frame();
    ResponseHeader { correlation_id }.encode(&mut out, key, version);
    body.encode(&mut out, version)?;
    finish_frame(out, 0)
}

/// Reads the header of a response to `key` in `version` and returns its correlation id.
///
/// # Errors
/// The input ends early.
pub fn decode_response_header(key: ApiKey, version: i16, input: &mut Reader) -> Result<i32, DecodeError> {
    Ok(ResponseHeader::decode(input, key, version)?.correlation_id)
}

/// A writer with room for the length of a frame.
pub(crate) fn begin_frame() -> Writer {
    let mut out = Writer::new();
    out.i32(0);
    out
}

/// Sets the length in front; `spliced` bytes are sent besides those in `out`.
pub(crate) fn finish_frame(mut out: Writer, spliced: usize) -> Result<Bytes, EncodeError> {
    let length = (out.len() - 4).saturating_add(spliced);
    let prefix = i32::try_from(length).map_err(|_| EncodeError::TooLong { what: "frame", length })?;
    out.patch_i32(0, prefix);
    Ok(out.into_bytes().freeze())
}

pub(crate) fn layout_to_encode<M: Message>(version: i16) -> Result<Layout, EncodeError> {
    layout::<M>(version).ok_or(EncodeError::UnsupportedVersion { message: M::NAME, version })
}

pub(crate) fn layout_to_decode<M: Message>(version: i16) -> Result<Layout, DecodeError> {
    layout::<M>(version).ok_or(DecodeError::UnsupportedVersion { message: M::NAME, version })
}

fn layout<M: Message>(version: i16) -> Option<Layout> {
    M::VERSIONS.contains(&version).then_some(Layout { version, flexible: M::FLEXIBLE_FROM <= version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;
    use crate::messages::{
        ApiVersion, ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse,
        PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
    };

    #[test]
    fn requests_and_responses_find_each_other() {
        for version in MetadataRequest::VERSIONS {
            let request = MetadataRequest { allow_auto_topic_creation: true, ..MetadataRequest::default() };
            let mut sent = encode_request(77, Some("me"), version, &request).expect("encodes").into();
            let mut input = Reader::new(frame::take(&mut sent, 100).unwrap().expect("a whole frame"));
            let header = RequestHeader::decode(&mut input).expect("a header");
            assert_eq!((header.api_key, header.api_version), (3, version));
            assert_eq!(decode_body::<MetadataRequest>(input.into_remaining(), version), Ok(request));

            let response = MetadataResponse { controller_id: -1, ..MetadataResponse::default() };
            let frame = encode_response(ApiKey::Metadata, version, 77, &response).expect("encodes");
            let mut input = Reader::new(frame.slice(4..));
            assert_eq!(decode_response_header(ApiKey::Metadata, version, &mut input), Ok(77));
            assert_eq!(decode_body::<MetadataResponse>(input.into_remaining(), version), Ok(response));
        }
    }

    /// KIP-511: whatever version was asked, an unserved one is answered in version 0.
    #[test]
    fn api_versions_fallback_is_readable_by_all() {
        let response = ApiVersionsResponse {
            error_code: 35,
            api_keys: vec![ApiVersion { api_key: 18, min_version: 0, max_version: 4 }],
            ..ApiVersionsResponse::default()
        };
        let frame = encode_response(ApiKey::ApiVersions, 0, 1, &response).expect("encodes");
        let expected = [0, 0, 0, 16, 0, 0, 0, 1, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
        assert_eq!(frame, &expected[..]);
    }

    #[test]
    fn api_versions_features_are_tagged() {
        let request = ApiVersionsRequest {
            client_software_name: "x".to_owned(),
            client_software_version: "1".to_owned(),
            ..Default::default()
        };
        let frame = encode_request(1, None, 3, &request).expect("encodes");
        // Length, key 18, version 3, correlation id, client id null, no tagged fields; then the body.
        assert_eq!(frame, &b"\0\0\0\x10\0\x12\0\x03\0\0\0\x01\xff\xff\0\x02x\x021\0"[..]);
        let response = ApiVersionsResponse { finalized_features_epoch: 2, ..ApiVersionsResponse::default() };
        let frame = encode_response(ApiKey::ApiVersions, 3, 1, &response).expect("encodes");
        // Error, no keys, throttle time; one tagged field: tag 1 of eight bytes.
        assert_eq!(&frame[8..], &b"\0\0\x01\0\0\0\0\x01\x01\x08\0\0\0\0\0\0\0\x02"[..]);
    }

    /// Requests of Kafka before 0.11 can be read and answered in their own form.
    #[test]
    fn produce_versions_0_to_2() {
        let body = b"\xff\xff\0\0\x75\x30\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x04\0\0\0\x03old";
        for version in 0..=2 {
            let request: ProduceRequest = decode_body(Bytes::from_static(body), version).expect("decodes");
            assert_eq!((request.acks, request.timeout_ms, request.transactional_id), (-1, 30_000, None));
            let topic = &request.topic_data[0];
            assert_eq!((topic.name.as_str(), topic.partition_data[0].index), ("t", 4));
            assert_eq!(topic.partition_data[0].records, Some(Bytes::from_static(b"old")));
        }
        let response = ProduceResponse {
            responses: vec![TopicProduceResponse {
                name: "t".to_owned(),
                partition_responses: vec![PartitionProduceResponse {
                    index: 4,
                    error_code: 43,
                    base_offset: -1,
                    ..PartitionProduceResponse::default()
                }],
                ..TopicProduceResponse::default()
            }],
            ..ProduceResponse::default()
        };
        let partition = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x04\0\x2b\xff\xff\xff\xff\xff\xff\xff\xff";
        for (version, rest) in [(0, &[][..]), (1, &[0; 4]), (2, b"\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0")]
        {
            let frame = encode_response(ApiKey::Produce, version, 1, &response).expect("encodes");
            assert_eq!(frame[8..], [&partition[..], rest].concat(), "version {version}");
        }
    }

    /// The oracle of the differential test does not have version 11, which differs from 10 in meaning only.
    #[test]
    fn list_offsets_11_is_like_10() {
        use crate::messages::{ListOffsetsRequest, ListOffsetsTopic};
        let topics = vec![ListOffsetsTopic { name: "t".to_owned(), ..ListOffsetsTopic::default() }];
        let request = ListOffsetsRequest { topics, timeout_ms: 5, ..ListOffsetsRequest::default() };
        let encode = |version| {
            let mut out = Writer::new();
            request.encode(&mut out, version).expect("encodes");
            out.into_bytes()
        };
        assert_eq!(encode(10), encode(11));
    }

    #[test]
    fn a_null_that_the_version_lacks_is_an_error() {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        let error = EncodeError::UnexpectedNull { field: "topics", version: 0 };
        assert_eq!(encode_request(1, None, 0, &request), Err(error));
        let null = Bytes::from_static(&[0xff; 4]);
        let error = DecodeError::UnexpectedNull { field: "topics" };
        assert_eq!(decode_body::<MetadataRequest>(null, 0), Err(error));
    }

    #[test]
    fn stray_bytes_are_overlooked_where_a_client_is_known_to_send_them() {
        let mut out = Writer::new();
        let request = MetadataRequest { topics: None, ..Default::default() };
        request.encode(&mut out, 13).unwrap();
        let out = out.into_bytes();
        let with_rest = |rest: usize| Bytes::from([out.to_vec(), vec![0; rest]].concat());
        assert_eq!(decode_body::<MetadataRequest>(with_rest(0), 13), Ok(request.clone()));
        assert!(decode_body::<MetadataRequest>(with_rest(3), 13).is_err());
        assert_eq!(decode_body_and_rest::<MetadataRequest>(with_rest(3), 13), Ok(request));
        assert!(decode_body_and_rest::<MetadataRequest>(with_rest(STRAY_BYTES_MAX + 1), 13).is_err());
    }
}
