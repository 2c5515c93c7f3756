//! Records that the log lacks: those of events whose append was refused, while the group in memory has moved on.
//!
//! Kept by key, the last record of each, and appended before those of the group's next event.

use std::collections::BTreeMap;

use sendlog_protocol::EncodedRecord;

/// What the log lacks of a group.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    by_key: BTreeMap<bytes::Bytes, Option<bytes::Bytes>>,
}

impl Backlog {
    /// Whether the log lacks nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// These were refused.
    pub(super) fn add(&mut self, records: impl IntoIterator<Item = EncodedRecord>) {
        self.by_key.extend(records.into_iter().map(|record| (record.key, record.value)));
    }

    /// These are in the log, behind all that was refused before: what they say counts.
    pub(super) fn supersede(&mut self, records: &[EncodedRecord]) {
        for record in records {
            self.by_key.remove(&record.key);
        }
    }

    /// Memory that it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        let size = |(key, value): (&bytes::Bytes, &Option<bytes::Bytes>)| {
            key.len() + value.as_ref().map_or(0, bytes::Bytes::len)
        };
        self.by_key.iter().map(size).sum()
    }

    /// All of it, to be appended.
    pub(super) fn take(&mut self) -> Vec<EncodedRecord> {
        let by_key = std::mem::take(&mut self.by_key);
        by_key.into_iter().map(|(key, value)| EncodedRecord { key, value }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &'static str, value: Option<&'static str>) -> EncodedRecord {
        EncodedRecord { key: key.into(), value: value.map(Into::into) }
    }

    #[test]
    fn the_last_record_of_a_key_counts() {
        let mut backlog = Backlog::default();
        backlog.add([record("a", Some("1")), record("b", Some("1"))]);
        backlog.add([record("a", None)]);
        backlog.supersede(&[record("b", Some("2"))]);
        assert_eq!(backlog.take(), [record("a", None)]);
        assert!(backlog.is_empty());
    }
}
