//! DeleteRecords (key 21), versions 0 to 2.
//!
//! The new log start is in the checkpoint before it is answered: a restart does not bring records back. Whole segments are
//! removed at once; the rest of a segment goes with it.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

use super::refusal::blocking;
use super::{Context, Session, error};
use crate::catalog::Catalog;
use crate::storage::error::StorageError;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=2;

/// Moves the log start of each partition.
pub(super) async fn handle(
    context: &Context,
    session: &Session,
    _version: i16,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let (catalog, checkpointer) = (Arc::clone(&context.catalog), Arc::clone(&context.checkpointer));
    let (appender, peer) = (context.appender.clone(), session.peer);
    let deleted = blocking(move || {
        let mut seen = HashSet::new();
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let is_first = seen.insert((topic.name.clone(), wanted.partition_index));
                let deleted = if is_first {
                    delete(&catalog, &topic.name, wanted)
                } else {
                    Err(ErrorCode::InvalidRequest)
                };
                result(wanted.partition_index, deleted)
            });
            DeleteRecordsTopicResult { partitions: partitions.collect(), name: topic.name.clone() }
        });
        let mut topics: Vec<DeleteRecordsTopicResult> = topics.collect();
        if !confirm(&mut topics, || checkpointer.write(catalog.partitions(), &appender)) {
            tracing::error!(%peer, "deleted records may come back with a restart: the checkpoint was not written");
        }
        topics
    });
    DeleteRecordsResponse { topics: deleted.await.unwrap_or_default(), ..Default::default() }
}

fn delete(catalog: &Catalog, topic: &str, wanted: &DeleteRecordsPartition) -> Result<i64, ErrorCode> {
    let found = catalog.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = found.partition(wanted.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let cleanup = found.config().cleanup;
    if cleanup.compact && !cleanup.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    partition.delete_records(wanted.offset).map_err(|failure| error::of_delete_records(&failure))
}

fn result(partition_index: i32, deleted: Result<i64, ErrorCode>) -> DeleteRecordsPartitionResult {
    let error_code = deleted.err().unwrap_or(ErrorCode::None).code();
    DeleteRecordsPartitionResult { partition_index, low_watermark: deleted.unwrap_or(-1), error_code }
}

/// Makes the new log starts durable. If that fails no partition is told that its records are gone for good.
fn confirm(
    topics: &mut [DeleteRecordsTopicResult],
    checkpoint: impl FnOnce() -> Result<(), StorageError>,
) -> bool {
    let none = ErrorCode::None.code();
    let mut moved =
        topics.iter_mut().flat_map(|topic| &mut topic.partitions).filter(|one| one.error_code == none);
    let Some(first) = moved.next() else { return true };
    let Err(failure) = checkpoint() else { return true };
    let code = error::of_storage(&failure);
    for one in moved.chain([first]) {
        *one = result(one.partition_index, Err(code));
    }
    false
}
