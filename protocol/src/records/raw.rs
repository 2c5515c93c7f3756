//! Records as they lie in a batch, borrowed: for whoever copies, drops or counts them and looks at nothing but the key.

use std::borrow::Cow;

use super::compression::Compression;
use super::error::{BatchError, RecordDefect};
use super::header::{BATCH_HEADER_SIZE, BatchHeader};
use super::source::{SliceSource, Source};
use super::walk::compression_of;

/// A record as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// Offset in the log.
    pub offset: i64,
    /// The producer's timestamp, whatever the batch's timestamp type.
    pub create_time: i64,
    /// Key, if it has one.
    pub key: Option<&'a [u8]>,
    /// False for a tombstone.
    pub has_value: bool,
    /// All of it, the length before it included.
    pub(super) bytes: &'a [u8],
    /// What stands before the timestamp, without the length, and what stands behind it.
    pub(super) attributes: u8,
    pub(super) behind_timestamp: &'a [u8],
}

/// The records of a batch as they are when they are not compressed.
///
/// # Errors
/// [`BatchError::Truncated`], [`BatchError::LengthTooSmall`], [`BatchError::Magic`] from the header;
/// [`BatchError::UnknownCompression`], [`BatchError::Undecodable`], [`BatchError::OutputTooLarge`] beyond `decompressed_max`.
pub fn uncompressed_records(batch: &[u8], decompressed_max: usize) -> Result<Cow<'_, [u8]>, BatchError> {
    let header = BatchHeader::read(batch)?;
    let stored = batch
        .get(BATCH_HEADER_SIZE..header.size())
        .ok_or(BatchError::Truncated { bytes: batch.len(), needed: header.size() })?;
    match compression_of(&header)? {
        Compression::None => Ok(Cow::Borrowed(stored)),
        // A batch that compaction has emptied keeps no stream either.
        _ if stored.is_empty() => Ok(Cow::Borrowed(stored)),
        compression => compression.decompress(stored, decompressed_max).map(Cow::Owned),
    }
}

/// The records in what [`uncompressed_records`] has returned for the batch of this header. Ends with the first error; bytes
/// behind the last record are one.
#[must_use]
pub fn raw_records<'a>(header: &BatchHeader, records: &'a [u8]) -> RawRecords<'a> {
    RawRecords { header: *header, rest: records, index: 0, is_over: false }
}

/// The records of one batch, in the order in which they lie there; made by [`raw_records`].
#[derive(Debug)]
pub struct RawRecords<'a> {
    header: BatchHeader,
    rest: &'a [u8],
    index: i32,
    is_over: bool,
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let index = self.index;
        if self.header.record_count <= index {
            self.is_over = true;
            let record_count = self.header.record_count;
            return (!self.rest.is_empty()).then_some(Err(BatchError::BytesAfterRecords { record_count }));
        }
        self.index += 1;
        let read = self.read().map_err(|defect| BatchError::Record { index, defect });
        self.is_over = read.is_err();
        Some(read)
    }
}

impl<'a> RawRecords<'a> {
    fn read(&mut self) -> Result<RawRecord<'a>, RecordDefect> {
        let mut source = SliceSource::new(self.rest);
        let length = usize::try_from(source.varint()?).map_err(|_| RecordDefect::Length)?;
        let start = source.index();
        let end = start.checked_add(length).ok_or(RecordDefect::Truncated)?;
        let bytes = self.rest.get(..end).ok_or(RecordDefect::Truncated)?;
        let body = bytes.get(start..).ok_or(RecordDefect::Truncated)?;
        let mut source = SliceSource::new(body);
        let attributes = source.byte()?;
        let timestamp_delta = source.varlong()?;
        let behind_timestamp = body.get(source.index()..).ok_or(RecordDefect::Truncated)?;
        let offset_delta = source.varint()?;
        let key = nullable(&mut source, body)?;
        let value = nullable(&mut source, body)?;
        self.rest = self.rest.get(end..).unwrap_or_default();
        Ok(RawRecord {
            offset: self.header.base_offset.wrapping_add(i64::from(offset_delta)),
            create_time: self.header.base_timestamp.wrapping_add(timestamp_delta),
            key,
            has_value: value.is_some(),
            bytes,
            attributes,
            behind_timestamp,
        })
    }
}

fn nullable<'a>(source: &mut SliceSource<'_>, body: &'a [u8]) -> Result<Option<&'a [u8]>, RecordDefect> {
    let length = source.varint()?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| RecordDefect::FieldLength)?;
    let start = source.index();
    source.skip(length as u64).map_err(|_| RecordDefect::FieldLength)?;
    body.get(start..source.index()).map(Some).ok_or(RecordDefect::FieldLength)
}

#[cfg(test)]
mod tests {
    use super::super::builder::{BatchBuilder, NewHeader, NewRecord, ProducerStamp};
    use super::super::read::read_records;
    use super::*;

    fn built(compression: Compression) -> bytes::Bytes {
        let mut builder = BatchBuilder::new();
        for index in 0..20_u8 {
            let key = [index; 3];
            let headers = [NewHeader { key: b"h", value: None }];
            builder
                .add(&NewRecord {
                    timestamp: 1000 + i64::from(index % 7) * 500,
                    key: (index % 5 != 0).then_some(&key[..]),
                    value: (index % 3 != 0).then_some(&[index; 40][..]),
                    headers: &headers[..usize::from(index % 2)],
                })
                .unwrap();
        }
        builder.build(compression, ProducerStamp::NONE).unwrap()
    }

    #[test]
    fn they_are_what_consumers_read() {
        for compression in Compression::ALL {
            let batch = built(compression);
            let header = BatchHeader::read(&batch).unwrap();
            let records = uncompressed_records(&batch, 1 << 20).unwrap();
            let raw: Vec<RawRecord<'_>> = raw_records(&header, &records).collect::<Result<_, _>>().unwrap();
            let read: Vec<_> = read_records(&batch, 1 << 20).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
            assert_eq!(raw.len(), read.len());
            for (raw, read) in raw.iter().zip(&read) {
                assert_eq!((raw.offset, raw.create_time), (read.offset, read.timestamp));
                assert_eq!((raw.key, raw.has_value), (read.key.as_deref(), read.value.is_some()));
            }
        }
    }

    #[test]
    fn bad_lengths_are_errors_and_end_it() {
        let batch = built(Compression::None);
        let header = BatchHeader::read(&batch).unwrap();
        let records = &batch[BATCH_HEADER_SIZE..];
        for at in 0..records.len() {
            for byte in [0x00, 0x7f, 0xff, records[at] ^ 1] {
                let mut changed = records.to_vec();
                changed[at] = byte;
                let all: Vec<_> = raw_records(&header, &changed).collect();
                assert!(all.iter().rev().skip(1).all(Result::is_ok), "nothing comes behind an error");
            }
            let all: Vec<_> = raw_records(&header, &records[..at]).collect();
            assert!(all.last().unwrap().is_err());
        }
        let longer = [records, b"x"].concat();
        let last = raw_records(&header, &longer).last().unwrap();
        assert_eq!(last, Err(BatchError::BytesAfterRecords { record_count: 20 }));
    }
}
