//! Record batches of scenarios: made before they are sent, and compared with what comes back.

use bytes::Bytes;
use sendlog_protocol::records::{
    BatchBuilder, BatchHeader, Compression, NewRecord, ProducerStamp, read_records,
};

use crate::kafka::Producer;

/// When scenarios take place, in ms since 1970: long ago, and the same in every run.
pub const EPOCH_MS: i64 = 1_600_000_000_000;
/// More than a batch of a scenario unpacks to.
const UNPACKED_BYTES_MAX: usize = 16 << 20;

/// A batch of these values, one ms apart from [`EPOCH_MS`] on.
pub fn of<V: AsRef<[u8]>>(values: &[V]) -> Bytes {
    build(values, EPOCH_MS, ProducerStamp::NONE)
}

/// As [`of`], from this time on.
pub fn at<V: AsRef<[u8]>>(timestamp: i64, values: &[V]) -> Bytes {
    build(values, timestamp, ProducerStamp::NONE)
}

/// As [`of`], of an idempotent producer.
pub fn numbered<V: AsRef<[u8]>>(producer: Producer, base_sequence: i32, values: &[V]) -> Bytes {
    let stamp = ProducerStamp { producer_id: producer.id, producer_epoch: producer.epoch, base_sequence };
    build(values, EPOCH_MS, stamp)
}

/// A batch of one record of about `size` bytes, which begins with `name` and does not compress well.
pub fn sized(name: &str, size: usize) -> Bytes {
    of(&[padded(name, size)])
}

/// `name`, a space, and padding up to `size` bytes.
pub fn padded(name: &str, size: usize) -> Vec<u8> {
    let mut value = format!("{name} ").into_bytes();
    let mut state = 0x9e37_79b9_u32;
    while value.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        value.extend_from_slice(&state.to_be_bytes());
    }
    value.truncate(size.max(name.len() + 1));
    value
}

fn build<V: AsRef<[u8]>>(values: &[V], timestamp: i64, stamp: ProducerStamp) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (value, timestamp) in values.iter().zip(timestamp..) {
        let record = NewRecord { timestamp, value: Some(value.as_ref()), ..NewRecord::default() };
        builder.add(&record).expect("a small record");
    }
    builder.build(Compression::None, stamp).expect("a batch with records")
}

/// The batches of a record set.
///
/// # Panics
/// When it does not consist of whole batches.
pub fn split(records: &Bytes) -> Vec<Bytes> {
    let mut rest = records.clone();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let size = header(&rest).size();
        assert!(size <= rest.len(), "a record set ends on a batch boundary");
        batches.push(rest.split_to(size));
    }
    batches
}

/// The header of a batch.
///
/// # Panics
/// When it is none.
pub fn header(batch: &[u8]) -> BatchHeader {
    BatchHeader::read(batch).unwrap_or_else(|error| panic!("a batch header: {error}"))
}

/// A stored batch as its producer sent it: the broker sets base offset and leader epoch, and nothing else.
///
/// # Panics
/// When it is shorter than a header.
pub fn as_sent(stored: &Bytes) -> Bytes {
    let mut batch = stored.to_vec();
    batch[0..8].fill(0);
    batch[12..16].fill(0xff);
    Bytes::from(batch)
}

/// The values of a batch.
///
/// # Panics
/// When it cannot be read.
pub fn values(batch: &Bytes) -> Vec<Bytes> {
    let records = read_records(batch, UNPACKED_BYTES_MAX).unwrap_or_else(|error| panic!("a batch: {error}"));
    let value = |record: Result<sendlog_protocol::records::Record, _>| {
        record.unwrap_or_else(|error| panic!("a record: {error}")).value.unwrap_or_default()
    };
    records.map(value).collect()
}

/// Asserts that offsets follow one another from `start` on, and returns the offset behind the last batch.
///
/// # Panics
/// When they do not.
pub fn assert_dense(batches: &[Bytes], start: i64) -> i64 {
    batches.iter().fold(start, |expected, batch| {
        let header = header(batch);
        assert_eq!(header.base_offset, expected, "offsets follow one another");
        header.next_offset()
    })
}

#[cfg(test)]
mod tests {
    use super::{as_sent, assert_dense, header, of, padded, split, values};
    use bytes::Bytes;

    #[test]
    fn a_record_set_is_taken_apart() {
        let one = of(&["a", "b"]);
        let set = Bytes::from([&one[..], &one[..]].concat());
        let batches = split(&set);
        assert_eq!(batches, [one.clone(), one.clone()]);
        assert_eq!(values(&batches[1]), ["a", "b"]);
        assert_eq!(header(&one).record_count, 2);
        assert_eq!(assert_dense(&batches[..1], 0), 2);
    }

    #[test]
    fn what_the_broker_sets_is_taken_back() {
        let sent = of(&[padded("x", 100)]);
        let mut stored = sent.to_vec();
        stored[7] = 9;
        stored[12..16].copy_from_slice(&[0, 0, 0, 3]);
        assert_eq!(as_sent(&Bytes::from(stored)), sent);
        assert_eq!(values(&sent)[0].len(), 100);
    }
}
