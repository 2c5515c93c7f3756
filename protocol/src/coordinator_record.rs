//! The form that all records of Kafka's coordinators have.
//!
//! The key's bytes begin with the record's type, the value's with a version, both of 16 bits. No value, a tombstone, says
//! that what the key names is gone.

use bytes::Bytes;

use crate::message::Message;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Key and value of a record in an internal topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Begins with the record's type.
    pub key: Bytes,
    /// Begins with its version; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// A number of 16 bits, then the body in `version`.
pub(crate) fn encode_prefixed<M: Message>(prefix: i16, body: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut out = Writer::new();
    out.i16(prefix);
    body.encode(&mut out, version)?;
    Ok(out.into_bytes().freeze())
}

/// A body that begins with its version and fills `bytes`.
pub(crate) fn decode_versioned<M: Message>(bytes: Bytes) -> Result<M, DecodeError> {
    let mut input = Reader::new(bytes);
    let version = input.i16()?;
    let body = M::decode(&mut input, version)?;
    input.finish()?;
    Ok(body)
}

/// Defines the records of one internal topic: an enum over pairs of key and value, each with its type on the wire and the
/// version in which its value is written.
macro_rules! coordinator_records {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $(
                $(#[$record_meta:meta])*
                $record:ident($key:ty, $value:ty) = $type:literal, written in $version:expr;
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $(
                $(#[$record_meta])*
                #[doc = concat!("\n\nType ", stringify!($type), ". No value is a tombstone.")]
                $record($key, Option<$value>),
            )*
        }

        impl $name {
            /// The record as it is written.
            ///
            /// # Errors
            /// Something is too long.
            pub fn encode(&self) -> Result<$crate::EncodedRecord, $crate::wire::EncodeError> {
                match self {
                    $(Self::$record(key, value) => Ok($crate::EncodedRecord {
                        key: $crate::coordinator_record::encode_prefixed($type, key, 0)?,
                        value: match value {
                            Some(value) => {
                                let version = ($version)(value);
                                Some($crate::coordinator_record::encode_prefixed(version, value, version)?)
                            }
                            None => None,
                        },
                    }),)*
                }
            }

            fn decode_type(
                record_type: i16,
                key: bytes::Bytes,
                value: Option<bytes::Bytes>,
            ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                match record_type {
                    $($type => {
                        let key = $crate::decode_body(key, 0)?;
                        let value = value.map($crate::coordinator_record::decode_versioned).transpose()?;
                        Ok(Some(Self::$record(key, value)))
                    })*
                    _ => Ok(None),
                }
            }
        }
    };
}
