//! Batches packed in the codec that their topic stores, and the memory that this takes.
//!
//! Requests are counted by their frames (`queued.max.request.bytes`), of which a batch that was packed anew is no part: a few
//! bytes of zstd may become a megabyte. So those that grew may have as much as requests, until they are written, and few are
//! packed at a time.

use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use sendlog_protocol::records::{
    self, BatchError, BatchHeader, Compression, Recompression, RecompressionLimits,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;

/// Uncompressed batches up to this size are packed in place. What is compressed may unpack to very much, however small it is.
const PACK_IN_PLACE_BYTES_MAX: usize = 8 << 10;

/// What may be packed at a time, and be queued after that.
#[derive(Debug)]
pub struct Packing {
    /// One for each processor: all the records of a batch are unpacked in memory.
    at_once: Arc<Semaphore>,
    /// Bytes of batches that grew.
    grown: Arc<Semaphore>,
    grown_bytes_max: usize,
}

/// A batch with its share of the memory.
struct Charged {
    batch: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.batch
    }
}

impl Packing {
    /// With nothing packed yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let grown_bytes_max = config.queued_request_bytes_max.min(Semaphore::MAX_PERMITS);
        Self {
            at_once: Arc::new(Semaphore::new(processors)),
            grown: Arc::new(Semaphore::new(grown_bytes_max)),
            grown_bytes_max,
        }
    }

    /// A batch that was checked, packed as `to` says; `None` if it is already. Waits for room, which the commit threads make.
    pub(super) async fn pack(
        &self,
        batch: Bytes,
        to: Recompression,
        limits: RecompressionLimits,
    ) -> Result<Option<Bytes>, BatchError> {
        let size = batch.len();
        let is_compressed = BatchHeader::read(&batch)?.attributes.compression() != Ok(Compression::None);
        if !is_compressed && size <= PACK_IN_PLACE_BYTES_MAX {
            return records::recompress(&batch, to, &limits);
        }
        // The semaphores are never closed.
        let turn = Arc::clone(&self.at_once).acquire_owned().await.ok();
        let work = tokio::task::spawn_blocking(move || (records::recompress(&batch, to, &limits), turn));
        // Only a panic in there, which is our own fault, leaves no result.
        let (packed, _turn) =
            work.await.unwrap_or((Err(BatchError::Truncated { bytes: 0, needed: size }), None));
        let Some(batch) = packed? else { return Ok(None) };
        if batch.len() <= size {
            return Ok(Some(batch));
        }
        let bytes = u32::try_from(batch.len().min(self.grown_bytes_max)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.grown).acquire_many_owned(bytes).await.ok();
        Ok(Some(Bytes::from_owner(Charged { batch, _room: room })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendlog_protocol::records::{BatchBuilder, NewRecord, ProducerStamp};

    fn batch(compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new();
        builder.add(&NewRecord { value: Some(&[b'v'; 10_000]), ..Default::default() }).unwrap();
        builder.build(compression, ProducerStamp::NONE).unwrap()
    }

    #[tokio::test]
    async fn what_grew_has_its_room_until_it_is_written() {
        let grown_bytes_max = 5000;
        let packing = Packing {
            at_once: Arc::new(Semaphore::new(1)),
            grown: Arc::new(Semaphore::new(grown_bytes_max)),
            grown_bytes_max,
        };
        let limits = RecompressionLimits { decompressed_bytes_max: 1 << 20, batch_bytes_max: 1 << 20 };
        let pack = |from, codec| packing.pack(batch(from), Recompression { codec, level: None }, limits);
        let shrunk = pack(Compression::None, Compression::Zstd).await.unwrap().unwrap();
        assert!(shrunk.len() < 1000);
        assert_eq!(packing.grown.available_permits(), grown_bytes_max);
        for _ in 0..2 {
            let grown = pack(Compression::Zstd, Compression::None).await.unwrap().unwrap();
            assert_eq!(grown, batch(Compression::None));
            let records = grown.slice(61..);
            drop(grown);
            assert_eq!(packing.grown.available_permits(), 0, "more than there is takes all");
            drop(records);
            assert_eq!(packing.grown.available_permits(), grown_bytes_max);
        }
        assert_eq!(pack(Compression::Zstd, Compression::Zstd).await, Ok(None));
        assert_eq!(packing.at_once.available_permits(), 1);
    }
}
