//! Request and response headers.
//!
//! Version 2 of the request header and version 1 of the response header add tagged fields; they go with
//! flexible bodies. An ApiVersions response always has header version 0, because a client that asks does not
//! know yet what the broker can read (KIP-511). Request header version 0, of ControlledShutdown only, is gone
//! since Kafka 4.

use crate::api_key::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// What precedes every request body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHeader {
    /// API key as sent, known or not.
    pub api_key: i16,
    /// Version of the body, known or not.
    pub api_version: i16,
    /// Chosen by the client, returned with the answer.
    pub correlation_id: i32,
    /// Name that the client gives itself; not unique.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Appends the header in the version that its API and version ask for.
    ///
    /// # Errors
    /// The client id is too long.
    pub fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.i16(self.api_key);
        out.i16(self.api_version);
        out.i32(self.correlation_id);
        // Never compact, so that a broker can read it whatever the version.
        out.nullable_string(self.client_id.as_deref(), false)?;
        if self.is_flexible() {
            out.unsigned_varint(0);
        }
        Ok(())
    }

    /// Reads the header. The body follows in `input` if the codec knows key and version; else only the
    /// header's fields can be relied upon, which suffices to refuse the request.
    ///
    /// # Errors
    /// The bytes are not a header.
    pub fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        let header = Self {
            api_key: input.i16()?,
            api_version: input.i16()?,
            correlation_id: input.i32()?,
            client_id: input.nullable_string(false)?,
        };
        if header.is_flexible() {
            input.tagged_fields(|_, _| Ok(()))?;
        }
        Ok(header)
    }

    fn is_flexible(&self) -> bool {
        ApiKey::from_code(self.api_key).is_some_and(|key| {
            key.flexible_from() <= self.api_version && self.api_version <= *key.versions().end()
        })
    }
}

/// What precedes every response body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeader {
    /// The request's.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Appends the header of an answer to `key` in `version`.
    pub fn encode(self, out: &mut Writer, key: ApiKey, version: i16) {
        out.i32(self.correlation_id);
        if Self::is_flexible(key, version) {
            out.unsigned_varint(0);
        }
    }

    /// Reads the header of an answer to `key` in `version`.
    ///
    /// # Errors
    /// The input ends early.
    pub fn decode(input: &mut Reader, key: ApiKey, version: i16) -> Result<Self, DecodeError> {
        let header = Self { correlation_id: input.i32()? };
        if Self::is_flexible(key, version) {
            input.tagged_fields(|_, _| Ok(()))?;
        }
        Ok(header)
    }

    fn is_flexible(key: ApiKey, version: i16) -> bool {
        key != ApiKey::ApiVersions && key.flexible_from() <= version
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn decode(bytes: &'static [u8]) -> (RequestHeader, usize) {
        let mut input = Reader::new(Bytes::from_static(bytes));
        let header = RequestHeader::decode(&mut input).expect("decodes");
        (header, input.remaining())
    }

    fn header(api_key: i16, api_version: i16) -> RequestHeader {
        RequestHeader { api_key, api_version, correlation_id: 5, client_id: Some("me".to_owned()) }
    }

    #[test]
    fn versions_of_the_request_header() {
        let plain = decode(b"\0\x03\0\x08\0\0\0\x05\0\x02me\x07");
        assert_eq!(plain, (header(3, 8), 1));
        let flexible = decode(b"\0\x03\0\x09\0\0\0\x05\0\x02me\x01\x00\x03abc\x07");
        assert_eq!(flexible, (header(3, 9), 1));
    }

    /// Enough of the header of an unknown request is read to refuse it, whatever follows.
    #[test]
    fn unknown_requests_have_a_readable_header() {
        assert_eq!(decode(b"\0\x12\0\x63\0\0\0\x05\0\x02me\xff"), (header(18, 99), 1));
        assert_eq!(decode(b"\0\x12\xff\xff\0\0\0\x05\0\x02me"), (header(18, -1), 0));
        assert_eq!(decode(b"\x03\xe7\0\0\0\0\0\x05\0\x02me"), (header(999, 0), 0));
    }

    #[test]
    fn api_versions_is_answered_without_tagged_fields() {
        for (key, version, size) in [
            (ApiKey::ApiVersions, 0, 4),
            (ApiKey::ApiVersions, 4, 4),
            (ApiKey::Metadata, 8, 4),
            (ApiKey::Metadata, 9, 5),
        ] {
            let mut out = Writer::new();
            ResponseHeader { correlation_id: 1 }.encode(&mut out, key, version);
            assert_eq!(out.len(), size, "{key:?} {version}");
        }
    }
}
