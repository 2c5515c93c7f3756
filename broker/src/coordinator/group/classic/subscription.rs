//! The topics in a consumer's metadata.
//!
//! Metadata is opaque to the broker but for this: with protocol type `consumer` it begins, in every version so far, with
//! a version and an array of topic names (`ConsumerProtocolSubscription.json`). Deleting and expiring offsets goes by it.

use bytes::Bytes;
use sendlog_protocol::wire::{DecodeError, Reader};

/// The protocol type of consumers.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// The names of the topics, or `None` if this is no subscription.
pub fn topics(metadata: Bytes) -> Option<Vec<String>> {
    read(metadata).ok().flatten()
}

fn read(metadata: Bytes) -> Result<Option<Vec<String>>, DecodeError> {
    let mut reader = Reader::new(metadata);
    if reader.i16()? < 0 {
        return Ok(None);
    }
    let Some(count) = reader.nullable_count(false)? else { return Ok(None) };
    let mut topics = Vec::new();
    for _ in 0..count {
        let Some(topic) = reader.nullable_string(false)? else { return Ok(None) };
        topics.push(topic);
    }
    Ok(Some(topics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_whatever_follows_them() {
        let metadata = b"\0\x03\0\0\0\x02\0\x01a\0\x02bcrest of a later version";
        assert_eq!(topics(Bytes::from_static(metadata)), Some(vec!["a".to_owned(), "bc".to_owned()]));
    }

    #[test]
    fn what_is_no_subscription_has_no_topics() {
        let cut = b"\0\0\0\0\0\x02\0\x01a";
        for metadata in [b"".as_slice(), b"\0", b"\xff\xff\0\0\0\0", cut, b"\0\0\x7f\xff\xff\xff\0\x01a"] {
            assert_eq!(topics(Bytes::from_static(metadata)), None, "{metadata:?}");
        }
    }
}
