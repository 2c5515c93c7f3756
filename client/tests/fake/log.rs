//! A partition in memory, with a broker's checks of producers.

use std::collections::{HashMap, VecDeque};

use bytes::{Bytes, BytesMut};
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::records::{
    BatchHeader, ProduceLimits, Record, first_record_at_or_after, increment_sequence, patch_offset_and_epoch,
    read_records, validate_produced,
};

/// A batch as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    pub header: BatchHeader,
    pub bytes: Bytes,
}

#[derive(Debug, Default)]
pub struct Log {
    pub start: i64,
    pub batches: Vec<Stored>,
    producers: HashMap<i64, Producer>,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    next_sequence: i32,
    /// Base sequence and base offset of the last five.
    last: VecDeque<(i32, i64)>,
}

impl Log {
    pub fn end(&self) -> i64 {
        self.batches.last().map_or(self.start, |batch| batch.header.next_offset())
    }

    pub fn append(&mut self, bytes: &Bytes) -> Result<i64, ErrorCode> {
        let limits = ProduceLimits::default();
        let header = validate_produced(bytes, &limits).map_err(|error| {
            if bytes.len() > limits.batch_bytes_max {
                return ErrorCode::MessageTooLarge;
            }
            panic!("the producer sent a bad batch: {error}")
        })?;
        let base_offset = self.end();
        if header.has_producer_id()
            && let Some(earlier) = self.check_producer(&header, base_offset)?
        {
            return Ok(earlier);
        }
        self.push(bytes);
        Ok(base_offset)
    }

    /// Appends a batch as it is, without a look at its producer.
    pub fn push(&mut self, bytes: &[u8]) {
        let base_offset = self.end();
        let mut batch = BytesMut::from(bytes);
        patch_offset_and_epoch(&mut batch, base_offset, 3);
        let header = BatchHeader::read(&batch).expect("a batch");
        self.batches.push(Stored { header, bytes: batch.freeze() });
    }

    /// Kafka's rules (KIP-98, KIP-360); the offset of a batch that is there already.
    fn check_producer(&mut self, header: &BatchHeader, base_offset: i64) -> Result<Option<i64>, ErrorCode> {
        let (sequence, epoch) = (header.base_sequence, header.producer_epoch);
        let next_sequence = increment_sequence(sequence, header.record_count);
        let fresh = || Producer { epoch, next_sequence, last: VecDeque::from([(sequence, base_offset)]) };
        let Some(producer) = self.producers.get_mut(&header.producer_id) else {
            self.producers.insert(header.producer_id, fresh());
            return Ok(None);
        };
        if epoch < producer.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if producer.epoch < epoch {
            if sequence != 0 {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
            *producer = fresh();
            return Ok(None);
        }
        if let Some((_, offset)) = producer.last.iter().find(|(base, _)| *base == sequence) {
            return Ok(Some(*offset));
        }
        if sequence != producer.next_sequence {
            return Err(ErrorCode::OutOfOrderSequenceNumber);
        }
        producer.next_sequence = next_sequence;
        producer.last.push_back((sequence, base_offset));
        if 5 < producer.last.len() {
            producer.last.pop_front();
        }
        Ok(None)
    }

    /// Forgets all producers, as a broker that lost its state.
    pub fn forget_producers(&mut self) {
        self.producers.clear();
    }

    pub fn read(&self, offset: i64, max: usize) -> Result<Bytes, ErrorCode> {
        if offset < self.start || self.end() < offset {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let mut out = BytesMut::new();
        for batch in self.batches.iter().filter(|batch| offset < batch.header.next_offset()) {
            if !out.is_empty() && max < out.len() + batch.bytes.len() {
                // As Kafka does: the last batch may be cut.
                let room = max.saturating_sub(out.len());
                out.extend_from_slice(&batch.bytes[..room.min(batch.bytes.len())]);
                break;
            }
            out.extend_from_slice(&batch.bytes);
        }
        Ok(out.freeze())
    }

    /// Offset and timestamp for a ListOffsets timestamp.
    pub fn look_up(&self, timestamp: i64) -> (i64, i64) {
        match timestamp {
            -1 => (self.end(), -1),
            -2 => (self.start, -1),
            _ => {
                let found = self.batches.iter().find_map(|batch| {
                    first_record_at_or_after(&batch.bytes, timestamp, self.start, 1 << 24).expect("good")
                });
                found.map_or((-1, -1), |found| (found.offset, found.timestamp))
            }
        }
    }

    pub fn records(&self) -> Vec<Record> {
        let batches = self.batches.iter();
        batches
            .flat_map(|batch| read_records(&batch.bytes, 1 << 24).expect("good"))
            .map(|record| record.expect("good"))
            .collect()
    }

    pub fn values(&self) -> Vec<String> {
        let text =
            |record: Record| String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
        self.records().into_iter().map(text).collect()
    }
}
