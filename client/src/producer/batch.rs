//! Batches of a partition: being filled, and ready to send.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sendlog_protocol::records::{
    BatchBuilder, BatchError, Compression, NewRecord, ProducerStamp, stamp_producer,
};
use tokio::time::Instant;

use super::delivery::{Delivery, Outcome};
use crate::error::ClientError;

/// Records that wait for company.
#[derive(Debug)]
pub(super) struct OpenBatch {
    id: u64,
    builder: BatchBuilder,
    pub(super) created: Instant,
    /// Bytes taken from the producer's memory.
    reserved: usize,
    outcome: Arc<Outcome>,
}

impl OpenBatch {
    pub(super) fn new(id: u64, created: Instant) -> Self {
        Self { id, builder: BatchBuilder::new(), created, reserved: 0, outcome: Arc::default() }
    }

    /// Uncompressed size.
    pub(super) fn size(&self) -> usize {
        self.builder.size()
    }

    pub(super) fn record_count(&self) -> i32 {
        self.builder.record_count()
    }

    pub(super) fn outcome(&self) -> &Arc<Outcome> {
        &self.outcome
    }

    /// Adds a record for which `reserved` bytes of memory were taken.
    pub(super) fn add(&mut self, record: &NewRecord<'_>, reserved: usize) -> Result<Delivery, BatchError> {
        let index = self.builder.record_count();
        self.builder.add(record)?;
        self.reserved += reserved;
        Ok(Delivery::new(Arc::clone(&self.outcome), index, record.timestamp))
    }

    /// Compresses and seals. Takes CPU time in proportion to the size.
    pub(super) fn build(
        self,
        number: u64,
        compression: Compression,
        stamp: Option<ProducerStamp>,
    ) -> Result<Batch, FailedBuild> {
        let record_count = self.builder.record_count();
        let built = self.builder.build(compression, stamp.unwrap_or(ProducerStamp::NONE));
        let fate = Fate { id: self.id, outcome: self.outcome, reserved: self.reserved };
        match built {
            Ok(bytes) => Ok(Batch {
                number,
                bytes,
                record_count,
                created: self.created,
                stamp,
                was_sent: false,
                last_error: None,
                fate,
            }),
            Err(error) => Err(FailedBuild { fate, record_count, error }),
        }
    }

    /// What remains of a batch that is given up.
    pub(super) fn into_fate(self) -> Fate {
        Fate { id: self.id, outcome: self.outcome, reserved: self.reserved }
    }
}

/// A batch that could not be made.
#[derive(Debug)]
pub(super) struct FailedBuild {
    pub(super) fate: Fate,
    pub(super) record_count: i32,
    pub(super) error: BatchError,
}

/// What has to happen once for every batch, whatever becomes of it: its senders are told, its memory is given back.
#[derive(Debug)]
#[must_use]
pub(super) struct Fate {
    /// Of the batch, in the whole producer.
    pub(super) id: u64,
    pub(super) outcome: Arc<Outcome>,
    pub(super) reserved: usize,
}

/// A batch as it is sent, perhaps more than once.
#[derive(Debug)]
pub(super) struct Batch {
    /// Counts the batches of a partition; orders them across retries.
    pub(super) number: u64,
    pub(super) bytes: Bytes,
    pub(super) record_count: i32,
    pub(super) created: Instant,
    /// Id, epoch and sequence, if the producer is idempotent.
    pub(super) stamp: Option<ProducerStamp>,
    /// Whether a broker may have it from an attempt whose answer did not come.
    pub(super) was_sent: bool,
    /// What the last attempt ended with.
    pub(super) last_error: Option<ClientError>,
    pub(super) fate: Fate,
}

impl Batch {
    /// Gives the batch another place in the sequence.
    pub(super) fn restamp(&mut self, stamp: ProducerStamp) {
        let mut bytes = match std::mem::take(&mut self.bytes).try_into_mut() {
            Ok(bytes) => bytes,
            Err(shared) => BytesMut::from(shared.as_ref()),
        };
        stamp_producer(&mut bytes, stamp);
        self.bytes = bytes.freeze();
        self.stamp = Some(stamp);
    }
}
