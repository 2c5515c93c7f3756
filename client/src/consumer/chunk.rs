//! Records out of a fetched record set, batch by batch.

use bytes::{Buf, Bytes};
use sendlog_protocol::records::{
    BatchError, BatchHeader, Compression, Record, Records, check_stored, read_records,
};

/// Compressed batches from this size on are decompressed on the blocking pool.
const DECOMPRESS_IN_PLACE_BYTES_MAX: usize = 16 * 1024;

/// Limits for decoding.
#[derive(Debug, Clone, Copy)]
pub(super) struct DecodeLimits {
    pub(super) check_crc: bool,
    pub(super) decompressed_bytes_max: usize,
}

/// A record set that is being read.
#[derive(Debug)]
pub(super) struct OpenChunk {
    pub(super) generation: u64,
    /// What it holds of the prefetch memory.
    pub(super) bytes: usize,
    /// Batches that are not open yet.
    rest: Bytes,
    batch: Option<Records>,
    /// Offset of the next record wanted; those before it are passed over.
    pub(super) position: i64,
}

/// Offset after the last whole batch of a record set; `None` if there is no whole batch.
pub(super) fn end_of(records: &[u8]) -> Option<i64> {
    let mut rest = records;
    let mut end = None;
    while let Ok(header) = BatchHeader::read(rest) {
        let Some(after) = rest.get(header.size()..) else { break };
        end = Some(header.next_offset());
        rest = after;
    }
    end
}

impl OpenChunk {
    pub(super) fn new(generation: u64, records: Bytes, position: i64) -> Self {
        Self { generation, bytes: records.len(), rest: records, batch: None, position }
    }

    /// Appends up to `records_max` records to `out`; `false` once the record set is used up. After an error the rest
    /// cannot be read.
    pub(super) async fn read(
        &mut self,
        limits: DecodeLimits,
        records_max: usize,
        out: &mut Vec<Record>,
    ) -> Result<bool, BatchError> {
        while out.len() < records_max {
            if self.batch.is_none() && !self.open_batch(limits).await? {
                return Ok(false);
            }
            self.read_batch(records_max, out)?;
        }
        Ok(true)
    }

    fn read_batch(&mut self, records_max: usize, out: &mut Vec<Record>) -> Result<(), BatchError> {
        let Some(batch) = &mut self.batch else { return Ok(()) };
        for record in batch {
            let record = record?;
            if record.offset < self.position {
                continue;
            }
            self.position = record.offset.saturating_add(1);
            out.push(record);
            if records_max <= out.len() {
                return Ok(());
            }
        }
        // Offsets may be missing at the end, where compaction removed records.
        if let Some(batch) = self.batch.take() {
            self.position = self.position.max(batch.header().next_offset());
        }
        Ok(())
    }

    /// Opens the next batch with records for applications; `false` if there is none.
    async fn open_batch(&mut self, limits: DecodeLimits) -> Result<bool, BatchError> {
        loop {
            let Ok(header) = BatchHeader::read(&self.rest) else {
                return self.end();
            };
            if self.rest.len() < header.size() {
                return Ok(false);
            }
            if limits.check_crc {
                check_stored(&self.rest)?;
            }
            let batch = self.rest.slice(..header.size());
            if header.attributes.is_control() || header.next_offset() <= self.position {
                self.rest.advance(header.size());
                self.position = self.position.max(header.next_offset());
                continue;
            }
            let is_large = DECOMPRESS_IN_PLACE_BYTES_MAX < batch.len();
            let records = if is_large && header.attributes.compression() != Ok(Compression::None) {
                let reading =
                    tokio::task::spawn_blocking(move || read_records(&batch, limits.decompressed_bytes_max));
                reading.await.expect("reading records does not panic")?
            } else {
                read_records(&batch, limits.decompressed_bytes_max)?
            };
            // Only now: if this future is dropped while it waits, the batch is still there.
            self.rest.advance(header.size());
            self.batch = Some(records);
            return Ok(true);
        }
    }

    /// The rest is no batch: the cut end of a record set, or damage.
    fn end(&self) -> Result<bool, BatchError> {
        match BatchHeader::read(&self.rest) {
            Err(error) if !matches!(error, BatchError::Truncated { .. }) => Err(error),
            _ => Ok(false),
        }
    }
}
