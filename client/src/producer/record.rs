//! What goes in and what comes back.

use sendlog_protocol::records::{self, NewHeader};

/// A record to send. Borrowed: `send` writes it into a batch at once.
#[derive(Debug, Clone, Default)]
pub struct NewRecord<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<NewHeader<'a>>,
    pub(super) timestamp: Option<i64>,
    pub(super) partition: Option<i32>,
}

impl<'a> NewRecord<'a> {
    /// A record with a value.
    #[must_use]
    pub fn value(value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { value: Some(value.as_ref()), ..Self::default() }
    }

    /// A record without a value: it deletes its key from a compacted topic.
    #[must_use]
    pub fn tombstone(key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { key: Some(key.as_ref()), ..Self::default() }
    }

    /// The same with a key. Records with equal keys go to the same partition.
    #[must_use]
    pub fn key(self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { key: Some(key.as_ref()), ..self }
    }

    /// The same with one more header. Keys may repeat; the order is kept.
    #[must_use]
    pub fn header(mut self, key: &'a str, value: Option<&'a [u8]>) -> Self {
        self.headers.push(NewHeader { key: key.as_bytes(), value });
        self
    }

    /// The same with a timestamp, ms since 1970. Default: the time of `send`.
    #[must_use]
    pub fn timestamp(self, timestamp_ms: i64) -> Self {
        Self { timestamp: Some(timestamp_ms), ..self }
    }

    /// The same for a certain partition.
    #[must_use]
    pub fn partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    pub(super) fn for_batch(&self, now_ms: i64) -> records::NewRecord<'_> {
        records::NewRecord {
            timestamp: self.timestamp.unwrap_or(now_ms),
            key: self.key,
            value: self.value,
            headers: &self.headers,
        }
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMetadata {
    /// Partition.
    pub partition: i32,
    /// Offset; -1 if the broker does not tell (acks = 0, or it had the record from an earlier attempt and forgot where).
    pub offset: i64,
    /// The record's timestamp, ms since 1970: the broker's time if the topic is set to log append time.
    pub timestamp: i64,
}
