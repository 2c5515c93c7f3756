//! Records of `__consumer_offsets`: to and from bytes, and what the shell itself knows of them.

use bytes::Bytes;
use sendlog_protocol::group_records::GroupRecord;

use super::batch::Encoded;
use super::offsets::OffsetChange;

/// The bytes of a record.
pub(super) fn encode(record: &GroupRecord) -> Encoded {
    let (key, value) = record.encode();
    Encoded { key, value }
}

/// The record of an offset.
pub(super) fn of_offset(group_id: &str, _change: &OffsetChange) -> Encoded {
    Encoded { key: Bytes::copy_from_slice(group_id.as_bytes()), value: None }
}
