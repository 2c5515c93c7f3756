//! A stored batch without some of its records: what log compaction writes.
//!
//! As in Apache Kafka (`MemoryRecords.filterTo`), base offset, last offset delta, leader epoch and producer fields stay, so
//! that offsets and sequences are what they were. Records that stay keep their bytes. A batch that gets a delete horizon has it as
//! base timestamp (KIP-534), and its records count their time from there.

use super::builder::write_header;
use super::compression::Compression;
use super::error::BatchError;
use super::header::{BATCH_HEADER_SIZE, BatchHeader, LOG_OVERHEAD, NO_TIMESTAMP, TimestampType};
use super::raw::{RawRecord, raw_records, uncompressed_records};
use super::varint::{put_varint, put_varlong, varlong_size};

/// How records are taken out of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The horizon that a batch gets if a tombstone stays in it and it has none, or a later one, ms since 1970.
    pub horizon_ms: i64,
    /// It gets one in any case: it is a marker of a transaction whose records are gone.
    pub is_horizon_forced: bool,
    /// Most that the records are decompressed to.
    pub decompressed_max: usize,
}

/// What a batch has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retained {
    /// All records stay, and the batch is as it was.
    Unchanged,
    /// The batch as it is now.
    Rewritten(Vec<u8>),
    /// No record stays: the batch goes, or [`empty_batch`] takes its place.
    Nothing,
}

/// Takes the records out of a batch that `is_kept` is false for.
///
/// # Errors
/// What is wrong with the batch; [`BatchError::OutputTooLarge`] beyond `retention.decompressed_max` bytes.
pub fn retain_records(
    batch: &[u8],
    retention: &Retention,
    mut is_kept: impl FnMut(&RawRecord<'_>) -> bool,
) -> Result<Retained, BatchError> {
    let header = BatchHeader::read(batch)?;
    let records = uncompressed_records(batch, retention.decompressed_max)?;
    // A byte for each record, and not the record: it may have seven bytes, and a small batch unpack to millions.
    let mut are_kept = Vec::new();
    let mut has_tombstone = false;
    for record in raw_records(&header, &records) {
        let record = record?;
        let stays = is_kept(&record);
        has_tombstone |= stays && !record.has_value;
        are_kept.push(stays);
    }
    if !are_kept.contains(&true) {
        return Ok(Retained::Nothing);
    }
    // One that lies behind the horizon of today was set by a clock that was ahead, and nothing would go for as long. If that of
    // today lies before the records themselves, it is today's clock that is behind.
    let is_behind_records = retention.horizon_ms < header.max_timestamp;
    let is_right = header
        .delete_horizon_ms()
        .is_some_and(|horizon| is_behind_records || horizon <= retention.horizon_ms);
    let needs_horizon = (has_tombstone || retention.is_horizon_forced) && !is_right;
    if !are_kept.contains(&false) && !needs_horizon {
        return Ok(Retained::Unchanged);
    }
    let all = raw_records(&header, &records).flatten().zip(are_kept);
    let kept = all.filter_map(|(record, stays)| stays.then_some(record));
    rewrite(&header, kept, needs_horizon.then_some(retention.horizon_ms)).map(Retained::Rewritten)
}

fn rewrite<'a>(
    header: &BatchHeader,
    kept: impl Iterator<Item = RawRecord<'a>>,
    horizon_ms: Option<i64>,
) -> Result<Vec<u8>, BatchError> {
    let mut batch = vec![0; BATCH_HEADER_SIZE];
    let (mut count, mut latest) = (0_usize, NO_TIMESTAMP);
    for record in kept {
        latest = if count == 0 { record.create_time } else { latest.max(record.create_time) };
        count += 1;
        match horizon_ms {
            None => batch.extend_from_slice(record.bytes),
            Some(horizon_ms) => put_from(horizon_ms, &record, &mut batch),
        }
    }
    let compression = header.attributes.compression().unwrap_or_default();
    if compression != Compression::None {
        let compressed = compression.compress(&batch[BATCH_HEADER_SIZE..], BATCH_BYTES_MAX)?;
        batch.truncate(BATCH_HEADER_SIZE);
        batch.extend_from_slice(&compressed);
    }
    let too_large = |_| BatchError::TooLarge { bytes: batch.len(), limit: BATCH_BYTES_MAX };
    let mut new = BatchHeader {
        batch_length: i32::try_from(batch.len() - LOG_OVERHEAD).map_err(too_large)?,
        record_count: i32::try_from(count).map_err(too_large)?,
        ..*header
    };
    if let Some(horizon_ms) = horizon_ms {
        new.attributes = header.attributes.with_delete_horizon();
        new.base_timestamp = horizon_ms;
    }
    if header.attributes.timestamp_type() == TimestampType::CreateTime {
        new.max_timestamp = latest;
    }
    write_header(&new, &mut batch);
    Ok(batch)
}

/// A batch can have no more: its length field is a signed 32-bit number.
const BATCH_BYTES_MAX: usize = i32::MAX as usize;

/// A record with its time counted from another base.
fn put_from(base_ms: i64, record: &RawRecord<'_>, out: &mut Vec<u8>) {
    let delta = record.create_time.wrapping_sub(base_ms);
    let length = 1 + varlong_size(delta) + record.behind_timestamp.len();
    // Some bytes more than it had at most, and it had its length in the same type.
    put_varint(out, i32::try_from(length).unwrap_or(i32::MAX));
    out.push(record.attributes);
    put_varlong(out, delta);
    out.extend_from_slice(record.behind_timestamp);
}

/// The batch without any record: it keeps its offsets and its producer's sequence (Kafka's `writeEmptyHeader`).
#[must_use]
pub fn empty_batch(header: &BatchHeader) -> [u8; BATCH_HEADER_SIZE] {
    let empty = BatchHeader {
        batch_length: EMPTY_BATCH_LENGTH,
        attributes: header.attributes.with_compression(Compression::None).without_delete_horizon(),
        base_timestamp: NO_TIMESTAMP,
        record_count: 0,
        ..*header
    };
    let mut batch = [0; BATCH_HEADER_SIZE];
    write_header(&empty, &mut batch);
    batch
}

/// What the length field of a batch without records says.
const EMPTY_BATCH_LENGTH: i32 = 49;
const _: () = assert!(EMPTY_BATCH_LENGTH as usize + LOG_OVERHEAD == BATCH_HEADER_SIZE);

/// The key of a control record: what its batch says of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// The transaction's records count.
    Commit,
    /// They do not.
    Abort,
    /// Something else, of a later Kafka.
    Other,
}

impl Marker {
    /// Reads the first record of a control batch; none if it has no records any more, or no key that is one.
    #[must_use]
    pub fn read(batch: &[u8], decompressed_max: usize) -> Option<Self> {
        let header = BatchHeader::read(batch).ok()?;
        let records = uncompressed_records(batch, decompressed_max).ok()?;
        let record = raw_records(&header, &records).next()?.ok()?;
        // A version and a type, two bytes each (`ControlRecordType`).
        let kind: [u8; 2] = record.key?.get(2..4)?.try_into().ok()?;
        Some(match i16::from_be_bytes(kind) {
            0 => Self::Abort,
            1 => Self::Commit,
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::builder::{BatchBuilder, NewRecord, ProducerStamp};
    use super::super::check::{check_stored, check_stored_records};
    use super::super::header::Attributes;
    use super::super::patch::patch_offset_and_epoch;
    use super::super::read::{Record, read_records};
    use super::*;

    const RETENTION: Retention =
        Retention { horizon_ms: 90_000, is_horizon_forced: false, decompressed_max: 1 << 20 };

    fn built(compression: Compression, attributes: Attributes) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for index in 0..10_u8 {
            let value = [index; 50];
            builder
                .add(&NewRecord {
                    timestamp: 5000 + i64::from(index) * 100,
                    key: Some(&[index]),
                    value: (index != 4).then_some(&value[..]),
                    headers: &[],
                })
                .unwrap();
        }
        let stamp = ProducerStamp { producer_id: 7, producer_epoch: 1, base_sequence: 30 };
        let mut batch = builder.build_with(compression, stamp, attributes).unwrap().to_vec();
        patch_offset_and_epoch(&mut batch, 1000, 3);
        batch
    }

    fn read(batch: &[u8]) -> Vec<Record> {
        read_records(&batch.to_vec().into(), 1 << 20).unwrap().map(|record| record.unwrap()).collect()
    }

    #[test]
    fn records_that_stay_are_what_they_were() {
        for compression in Compression::ALL {
            let batch = built(compression, Attributes::default());
            let kept = retain_records(&batch, &RETENTION, |record| record.offset % 3 == 0).unwrap();
            let Retained::Rewritten(kept) = kept else { panic!("{kept:?}") };
            let (before, after) = (check_stored(&batch).unwrap(), check_stored(&kept).unwrap());
            check_stored_records(&kept, 1 << 20).unwrap();
            let all = read(&batch);
            let wanted: Vec<Record> = all.into_iter().filter(|record| record.offset % 3 == 0).collect();
            assert_eq!(read(&kept), wanted);
            assert_eq!(
                (after.base_offset, after.last_offset_delta, after.leader_epoch, after.record_count),
                (1000, 9, 3, 3)
            );
            assert_eq!((after.producer_id, after.base_sequence, after.last_sequence()), (7, 30, 39));
            assert_eq!((after.attributes, after.max_timestamp), (before.attributes, 5800));
            assert_eq!(after.delete_horizon_ms(), None);
        }
    }

    #[test]
    fn a_tombstone_gets_a_horizon_once_and_times_stay() {
        let batch = built(Compression::Lz4, Attributes::default());
        let kept = retain_records(&batch, &RETENTION, |_| true).unwrap();
        let Retained::Rewritten(kept) = kept else { panic!("{kept:?}") };
        let header = check_stored(&kept).unwrap();
        assert_eq!((header.delete_horizon_ms(), header.max_timestamp), (Some(90_000), 5900));
        assert_eq!(read(&kept), read(&batch));
        let later = Retention { horizon_ms: 99_000, ..RETENTION };
        assert_eq!(retain_records(&kept, &later, |_| true).unwrap(), Retained::Unchanged);
        let less = retain_records(&kept, &later, |record| 1004 <= record.offset).unwrap();
        let Retained::Rewritten(less) = less else { panic!("{less:?}") };
        assert_eq!(check_stored(&less).unwrap().delete_horizon_ms(), Some(90_000));
        assert_eq!(read(&less), &read(&batch)[4..]);
        let earlier = Retention { horizon_ms: 80_000, ..RETENTION };
        let Retained::Rewritten(earlier) = retain_records(&kept, &earlier, |_| true).unwrap() else {
            panic!("the horizon was a clock's that was ahead")
        };
        assert_eq!(check_stored(&earlier).unwrap().delete_horizon_ms(), Some(80_000));
        assert_eq!(read(&earlier), read(&batch));
        let behind = Retention { horizon_ms: 5_899, ..RETENTION };
        assert_eq!(retain_records(&kept, &behind, |_| true).unwrap(), Retained::Unchanged);
        let others = retain_records(&batch, &RETENTION, |record| record.has_value).unwrap();
        let Retained::Rewritten(others) = others else { panic!("{others:?}") };
        assert_eq!(check_stored(&others).unwrap().delete_horizon_ms(), None);
    }

    #[test]
    fn the_time_of_the_append_stays_the_batchs() {
        let attributes = Attributes::default().with_timestamp_type(TimestampType::LogAppendTime);
        let batch = built(Compression::None, attributes);
        let kept = retain_records(&batch, &RETENTION, |record| record.offset == 1004).unwrap();
        let Retained::Rewritten(kept) = kept else { panic!("{kept:?}") };
        assert_eq!(check_stored(&kept).unwrap().max_timestamp, 5900);
        assert_eq!(read(&kept), &read(&batch)[4..5]);
    }

    #[test]
    fn without_records_the_offsets_and_the_sequence_stay() {
        let batch = built(Compression::Zstd, Attributes(1 << 4));
        assert_eq!(retain_records(&batch, &RETENTION, |_| false).unwrap(), Retained::Nothing);
        let header = check_stored(&batch).unwrap();
        let empty = empty_batch(&header);
        let after = check_stored(&empty).unwrap();
        check_stored_records(&empty, 1 << 20).unwrap();
        assert_eq!(after.attributes, Attributes(1 << 4));
        assert_eq!(
            (after.next_offset(), after.last_sequence()),
            (header.next_offset(), header.last_sequence())
        );
        assert_eq!((after.record_count, after.max_timestamp), (0, header.max_timestamp));
        assert_eq!(retain_records(&empty, &RETENTION, |_| true).unwrap(), Retained::Nothing);
        assert_eq!(empty_batch(&after), empty, "and it stays as it is");
    }

    #[test]
    fn a_marker_says_how_a_transaction_ended() {
        let marker = |kind: u8| {
            let mut builder = BatchBuilder::new();
            let key = [0, 0, 0, kind];
            builder
                .add(&NewRecord { key: Some(&key), value: Some(&[0; 6]), ..NewRecord::default() })
                .unwrap();
            builder.build_with(Compression::None, ProducerStamp::NONE, Attributes(0b11_0000)).unwrap()
        };
        let read = |batch: &[u8]| Marker::read(batch, 1 << 16);
        assert_eq!(
            [0, 1, 5].map(|kind| read(&marker(kind))),
            [Marker::Abort, Marker::Commit, Marker::Other].map(Some)
        );
        let empty = empty_batch(&BatchHeader::read(&marker(0)).unwrap());
        assert_eq!(read(&empty), None);
        let forced = Retention { is_horizon_forced: true, ..RETENTION };
        let Retained::Rewritten(kept) = retain_records(&marker(1), &forced, |_| true).unwrap() else {
            panic!("it gets a horizon")
        };
        assert_eq!(check_stored(&kept).unwrap().delete_horizon_ms(), Some(90_000));
        assert_eq!(read(&kept), Some(Marker::Commit));
    }
}
