//! The Kafka wire protocol, without I/O.
//!
//! Owns the layout of bytes: frames, headers, one module per API with its field table for every version, and
//! record batches. Knows nothing of sockets, logs, or what a request means.
//!
//! Everything here reads input that a stranger may have sent. No function panics on it, none recurses, and
//! none allocates by a count or length that the remaining bytes could not hold.

#[macro_use]
mod table;

pub mod api_key;
pub mod consumer_protocol;
#[macro_use]
mod coordinator_record;
pub mod error_code;
mod field;
pub mod frame;
pub mod group_records;
pub mod header;
mod message;
pub mod messages;
pub mod records;
pub mod schema;
pub mod share_state_records;
mod splice;
pub mod wire;

pub use coordinator_record::EncodedRecord;
pub use field::Double;
pub use message::{
    Message, Request, STRAY_BYTES_MAX, decode_body, decode_body_and_rest, decode_response_header,
    encode_request, encode_response,
};
pub use splice::{Piece, RecordSet, encode_fetch_response, encode_share_fetch_response};
