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
