//! What a log must hold after crashes: which batches were durable, and which may be there or not.

use sendlog_protocol::records::{BatchHeader, read_records};

use super::fixture::bytes_of;
use super::machine::{Content, Stopped};
use crate::storage::error::ReadError;
use crate::storage::files::IoMode;
use crate::storage::log::Log;
use crate::storage::testing::TestBatch;

/// What the log must hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) start_offset: i64,
    /// The log's start as it was last saved: a crash takes it back to there at most.
    pub(super) saved_start: i64,
    pub(super) batches: Vec<TestBatch>,
    pub(super) end_offset: i64,
    /// All batches below it are there whatever happens.
    pub(super) durable_end: i64,
}

impl Model {
    pub(super) fn push(&mut self, batches: impl IntoIterator<Item = TestBatch>) {
        self.batches.extend(batches);
        self.end_offset = self
            .batches
            .last()
            .map_or(self.end_offset, |last| self.end_offset.max(last.parsed.next_offset()));
    }

    pub(super) fn readable(&self) -> impl Iterator<Item = &TestBatch> {
        self.batches.iter().filter(|batch| self.start_offset < batch.parsed.next_offset())
    }

    pub(super) fn has_holes(&self) -> bool {
        let ends = self.batches.iter().map(|batch| batch.parsed.next_offset());
        let nexts =
            self.batches.iter().skip(1).map(|batch| batch.parsed.base_offset).chain([self.end_offset]);
        let first = self.batches.first().map_or(self.end_offset, |batch| batch.parsed.base_offset);
        self.start_offset < first || ends.zip(nexts).any(|(end, next)| end != next)
    }

    /// While no crash comes in between, what is there is exactly what was put there.
    pub(super) fn check(&self, content: &Content) {
        assert_eq!((content.start_offset, content.end_offset), (self.start_offset, self.end_offset));
        let wanted: Vec<_> = self.readable().map(|batch| (batch.parsed, &batch.bytes[..])).collect();
        let found: Vec<_> = content.batches.iter().map(|found| (found.header, &found.bytes[..])).collect();
        assert!(wanted == found, "other batches are there than were appended");
    }

    /// After a crash: all that was durable, nothing that was never appended. The model goes on from there.
    pub(super) fn take_over(&mut self, content: &Content) {
        let start = content.start_offset;
        let least = self.saved_start.min(self.start_offset);
        assert!(least <= start, "the log starts at {start}, before {least}");
        assert!(start <= self.start_offset || self.durable_end <= start, "the log starts at {start}");
        assert!(
            self.durable_end <= content.end_offset,
            "{} was durable, {} is the end",
            self.durable_end,
            content.end_offset
        );
        let mut batches = Vec::new();
        let mut expected = self.batches.iter();
        for found in &content.batches {
            let base = found.header.base_offset;
            let batch = expected.find(|batch| batch.parsed.base_offset == base);
            let batch = batch.unwrap_or_else(|| panic!("a batch at {base} that was never appended there"));
            let differing = batch.bytes.iter().zip(&found.bytes).position(|(was, is)| was != is);
            assert_eq!(differing, None, "the batch at {base} was altered");
            batches.push(batch.clone());
        }
        let needed = self.readable().filter(|batch| batch.parsed.base_offset < self.durable_end);
        for batch in needed {
            let base = batch.parsed.base_offset;
            assert!(
                batches.iter().any(|found| found.parsed.base_offset == base),
                "the durable batch at {base} is lost"
            );
        }
        *self = Self {
            start_offset: start,
            saved_start: start,
            batches,
            end_offset: content.end_offset,
            durable_end: content.end_offset,
        };
    }

    pub(super) fn check_read(&self, log: &Log, offset: i64, max_bytes: usize) -> Result<(), Stopped> {
        let read = log.view().read(offset, &log.end(), max_bytes, true, IoMode::Blocking);
        if offset < self.start_offset || self.end_offset < offset {
            assert!(matches!(read, Err(ReadError::OutOfRange { .. })), "{offset}: {read:?}");
            return Ok(());
        }
        let mut bytes = match read {
            Ok(slice) => slice.map(|slice| bytes_of(&slice)).unwrap_or_default(),
            Err(error @ ReadError::Io { .. }) => return Err(error.into()),
            Err(error) => {
                let holds = |batch: &&TestBatch| {
                    (batch.parsed.base_offset..batch.parsed.next_offset()).contains(&offset)
                };
                assert!(self.batches.iter().find(holds).is_none(), "{offset}: {error}");
                return Ok(());
            }
        };
        let mut wanted = self.batches.iter().filter(|batch| offset < batch.parsed.next_offset()).peekable();
        assert!(!bytes.is_empty() || wanted.peek().is_none() || self.has_holes(), "nothing at {offset}");
        let mut is_first = true;
        while !bytes.is_empty() {
            let header = BatchHeader::read(&bytes).unwrap();
            let rest = bytes.split_off(header.size());
            assert!(is_first || rest.len() + header.size() <= max_bytes);
            if 0 < header.record_count {
                let batch = wanted.next().expect("no more than there is");
                assert!(
                    batch.bytes == bytes,
                    "other bytes at {offset} than appended at {}",
                    batch.parsed.base_offset
                );
            }
            (bytes, is_first) = (rest, false);
        }
        Ok(())
    }

    pub(super) fn check_time(&self, log: &Log, timestamp: i64) -> Result<(), Stopped> {
        let records = self.readable().flat_map(|batch| {
            read_records(&batch.bytes, 1 << 20)
                .unwrap()
                .map(Result::unwrap)
                .map(|record| (record.offset, record.timestamp))
                .collect::<Vec<_>>()
        });
        let mut readable = records.filter(|(offset, _)| self.start_offset <= *offset);
        let wanted = readable.find(|(_, time)| timestamp <= *time).map(|(offset, _)| offset);
        match log.view().offset_for_timestamp(timestamp, &log.end()) {
            Ok(found) => assert_eq!(found.map(|found| found.offset), wanted, "first at or after {timestamp}"),
            Err(error @ ReadError::Io { .. }) => return Err(error.into()),
            Err(error) => assert!(self.has_holes(), "{error}"),
        }
        Ok(())
    }
}
