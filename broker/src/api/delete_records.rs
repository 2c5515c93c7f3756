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
use crate::catalog::{Catalog, name};
use crate::config::Config;
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
    let (checkpointer, appender) = (Arc::clone(&context.checkpointer), context.appender.clone());
    let peer = session.peer;
    let work = move |_: &Config, catalog: &Catalog| {
        let mut topics = delete_all(catalog, request);
        if !confirm(&mut topics, || checkpointer.write(catalog.partitions(), &appender)) {
            tracing::error!(%peer, "deleted records may come back with a restart: the checkpoint was not written");
        }
        topics
    };
    DeleteRecordsResponse { topics: blocking(context, work).await, ..Default::default() }
}

fn delete_all(catalog: &Catalog, request: DeleteRecordsRequest) -> Vec<DeleteRecordsTopicResult> {
    let mut seen = HashSet::new();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let is_first = seen.insert((topic.name.clone(), wanted.partition_index));
            let deleted = match is_first {
                true => delete(catalog, &topic.name, wanted),
                false => Err(ErrorCode::InvalidRequest),
            };
            result(wanted.partition_index, deleted)
        });
        DeleteRecordsTopicResult { partitions: partitions.collect(), name: topic.name.clone() }
    });
    topics.collect()
}

fn delete(catalog: &Catalog, topic: &str, wanted: &DeleteRecordsPartition) -> Result<i64, ErrorCode> {
    let found = catalog.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = found.partition(wanted.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if name::is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
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

#[cfg(test)]
mod tests {
    use sendlog_protocol::messages::DeleteRecordsTopic;
    use sendlog_protocol::records::ProducerStamp;

    use super::*;
    use crate::api::testing::Fixture;
    use crate::catalog::{Apply, NewTopic};
    use crate::config::scope::Overrides;

    async fn ask(fixture: &Fixture, topic: &str, partitions: &[(i32, i64)]) -> Vec<(i64, i16)> {
        let partition = |(partition_index, offset): &(i32, i64)| DeleteRecordsPartition {
            partition_index: *partition_index,
            offset: *offset,
        };
        let topic = DeleteRecordsTopic {
            name: topic.to_owned(),
            partitions: partitions.iter().map(partition).collect(),
        };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000 };
        let response = handle(&fixture.context, &fixture.session, 2, request).await;
        let results = response.topics[0].partitions.iter();
        results.map(|result| (result.low_watermark, result.error_code)).collect()
    }

    #[tokio::test]
    async fn the_log_start_moves_and_stays_after_a_restart() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        fixture.append("a", ProducerStamp::NONE).await;
        fixture.append("a", ProducerStamp::NONE).await;
        assert_eq!(ask(&fixture, "a", &[(0, 4)]).await, [(4, 0)]);
        assert_eq!(ask(&fixture, "a", &[(0, 2)]).await, [(4, 0)], "it never goes back");
        let fixture = fixture.restarted();
        let offsets = fixture.context.catalog.partition("a", 0).unwrap().offsets();
        assert_eq!((offsets.log_start, offsets.high_watermark), (4, 6));
        assert_eq!(ask(&fixture, "a", &[(0, -1)]).await, [(6, 0)], "-1 is the high watermark");
    }

    #[tokio::test]
    async fn what_cannot_be_deleted_has_its_own_error() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        fixture.append("a", ProducerStamp::NONE).await;
        let results = ask(&fixture, "a", &[(0, 4), (9, 0), (0, 1)]).await;
        assert_eq!(results, [(-1, 1), (-1, 3), (-1, 42)]);
        assert_eq!(ask(&fixture, "a", &[(0, -2)]).await, [(-1, 1)]);
        assert_eq!(ask(&fixture, "none", &[(0, 0)]).await, [(-1, 3)]);
    }

    #[tokio::test]
    async fn compacted_topics_keep_their_records() {
        let fixture = Fixture::new();
        let overrides = Overrides::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let topic = NewTopic { name: "c".to_owned(), partitions: 1, overrides };
        assert!(fixture.context.catalog.create(vec![topic], Apply::Now)[0].is_ok());
        assert_eq!(ask(&fixture, "c", &[(0, 0)]).await, [(-1, 44)]);
    }
}
