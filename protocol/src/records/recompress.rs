//! A produced batch under another codec, for topics with a `compression.type` of their own.
//!
//! The records stay as they are, byte for byte; only how they are packed changes, and with it length, attributes and CRC.
//! So whatever was checked of the batch holds of the new one.

use bytes::Bytes;

use super::builder::write_header;
use super::compression::Compression;
use super::error::BatchError;
use super::header::{BATCH_HEADER_SIZE, BatchHeader, LOG_OVERHEAD};
use super::raw::uncompressed_records;
use super::walk::compression_of;

/// How a topic's batches are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recompression {
    /// The codec.
    pub codec: Compression,
    /// Its level; `None` is the codec's own. lz4 has none here.
    pub level: Option<i32>,
}

/// Most bytes that a batch may become.
#[derive(Debug, Clone, Copy)]
pub struct RecompressionLimits {
    /// When it is unpacked.
    pub decompressed_bytes_max: usize,
    /// When it is packed again, as `max.message.bytes` counts.
    pub batch_bytes_max: usize,
}

/// The batch packed as `to` says; `None` if its codec is that one already, as whose level does not count.
///
/// # Errors
/// It is no whole batch, does not decompress, or is too large before or after.
pub fn recompress(
    batch: &[u8],
    to: Recompression,
    limits: &RecompressionLimits,
) -> Result<Option<Bytes>, BatchError> {
    let mut header = BatchHeader::read(batch)?;
    if compression_of(&header)? == to.codec {
        return Ok(None);
    }
    let records = uncompressed_records(batch, limits.decompressed_bytes_max)?;
    // What came uncompressed could not be read back either if it were packed.
    if limits.decompressed_bytes_max < records.len() {
        return Err(BatchError::OutputTooLarge { limit: limits.decompressed_bytes_max });
    }
    let records_max = limits.batch_bytes_max.saturating_sub(BATCH_HEADER_SIZE);
    let packed = to.codec.compress_at(to.level, &records, records_max).map_err(|error| match error {
        BatchError::OutputTooLarge { .. } => BatchError::TooLarge {
            bytes: records.len().saturating_add(BATCH_HEADER_SIZE),
            limit: limits.batch_bytes_max,
        },
        other => other,
    })?;
    let size = BATCH_HEADER_SIZE + packed.len();
    header.batch_length = i32::try_from(size - LOG_OVERHEAD)
        .map_err(|_| BatchError::TooLarge { bytes: size, limit: limits.batch_bytes_max })?;
    header.attributes = header.attributes.with_compression(to.codec);
    let mut out = vec![0; BATCH_HEADER_SIZE];
    out.extend_from_slice(&packed);
    write_header(&header, &mut out);
    Ok(Some(out.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{
        BatchBuilder, NewRecord, ProduceLimits, ProducerStamp, read_records, validate_produced,
    };

    const LIMITS: RecompressionLimits =
        RecompressionLimits { decompressed_bytes_max: 1 << 20, batch_bytes_max: 1 << 20 };

    fn batch(compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new();
        for timestamp in 1..=50 {
            let value = [b'v'; 100];
            builder
                .add(&NewRecord { timestamp, key: Some(b"key"), value: Some(&value), ..Default::default() })
                .unwrap();
        }
        let producer = ProducerStamp { producer_id: 7, producer_epoch: 2, base_sequence: 40 };
        builder.build(compression, producer).unwrap()
    }

    #[test]
    fn every_codec_becomes_every_other_and_the_records_stay() {
        let limits = ProduceLimits::default();
        for from in Compression::ALL {
            let before = batch(from);
            let header = validate_produced(&before, &limits).unwrap();
            for codec in Compression::ALL {
                let to = Recompression { codec, level: None };
                let Some(after) = recompress(&before, to, &LIMITS).unwrap() else {
                    assert_eq!(from, codec);
                    continue;
                };
                let new = validate_produced(&after, &limits).expect("a batch that a broker takes");
                assert_eq!(new.attributes.compression(), Ok(codec));
                assert_eq!(
                    (new.producer_id, new.producer_epoch, new.base_sequence, new.record_count),
                    (header.producer_id, header.producer_epoch, header.base_sequence, header.record_count)
                );
                let read = |bytes: &Bytes| {
                    let records: Result<Vec<_>, _> = read_records(bytes, 1 << 20).unwrap().collect();
                    format!("{:?}", records.unwrap())
                };
                assert_eq!(read(&after), read(&before));
            }
        }
    }

    #[test]
    fn levels_count_where_a_codec_has_them() {
        let before = batch(Compression::None);
        for (codec, levels) in [(Compression::Gzip, [1, 9]), (Compression::Zstd, [-5, 19])] {
            for level in levels {
                let to = Recompression { codec, level: Some(level) };
                let after = recompress(&before, to, &LIMITS).unwrap().unwrap();
                assert!(validate_produced(&after, &ProduceLimits::default()).is_ok(), "{codec:?} {level}");
            }
        }
    }

    #[test]
    fn what_becomes_too_large_or_is_no_batch_is_refused() {
        let packed = batch(Compression::Zstd);
        let to = Recompression { codec: Compression::None, level: None };
        let small = RecompressionLimits { batch_bytes_max: 1000, ..LIMITS };
        assert!(matches!(recompress(&packed, to, &small), Err(BatchError::TooLarge { limit: 1000, .. })));
        let bomb = RecompressionLimits { decompressed_bytes_max: 1000, ..LIMITS };
        assert!(matches!(recompress(&packed, to, &bomb), Err(BatchError::OutputTooLarge { limit: 1000 })));
        let plain = batch(Compression::None);
        let to = Recompression { codec: Compression::Lz4, level: None };
        assert!(matches!(recompress(&plain, to, &bomb), Err(BatchError::OutputTooLarge { limit: 1000 })));
        let mut broken = packed.to_vec();
        broken.truncate(80);
        assert!(recompress(&broken, to, &LIMITS).is_err());
        assert!(recompress(&packed[..60], to, &LIMITS).is_err());
    }
}
