//! The records of one event as one batch.

use sendlog_protocol::EncodedRecord;
use sendlog_protocol::records::{
    BatchBuilder, BatchError, BatchHeader, Compression, NewRecord, ProducerStamp,
};

use crate::partition::ProducedBatch;

/// Makes a batch of at least one record.
///
/// # Errors
/// [`BatchError`] if they are more than the format can express.
pub(super) fn of<'a>(
    records: impl IntoIterator<Item = &'a EncodedRecord>,
    timestamp: i64,
) -> Result<ProducedBatch, BatchError> {
    let mut builder = BatchBuilder::new();
    for record in records {
        builder.add(&NewRecord {
            timestamp,
            key: Some(&record.key),
            value: record.value.as_deref(),
            headers: &[],
        })?;
    }
    let bytes = builder.build(Compression::None, ProducerStamp::NONE)?;
    Ok(ProducedBatch { header: BatchHeader::read(&bytes)?, bytes })
}
