//! Offsets, and the deletion of records.

use sendlog_protocol::messages::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};

use super::{Admin, check, incomplete};
use crate::error::ClientError;
use crate::offsets::{EARLIEST, LATEST, Lookup, MAX_TIMESTAMP, list_offsets};

/// Which offset to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The first one in the log.
    Earliest,
    /// The next one that consumers will see.
    Latest,
    /// Of the record with the largest timestamp.
    MaxTimestamp,
    /// Of the first record of that time or later, ms since 1970.
    Timestamp(i64),
}

/// "Everything" in a DeleteRecords request.
const TO_THE_HIGH_WATERMARK: i64 = -1;

impl Admin {
    /// An offset of a partition; `None` if no record is that young.
    ///
    /// # Errors
    /// The topic or partition is unknown, or its leader refuses.
    pub async fn list_offset(
        &self,
        topic: &str,
        partition: i32,
        query: OffsetQuery,
    ) -> Result<Option<i64>, ClientError> {
        let timestamp = match query {
            OffsetQuery::Earliest => EARLIEST,
            OffsetQuery::Latest => LATEST,
            OffsetQuery::MaxTimestamp => MAX_TIMESTAMP,
            OffsetQuery::Timestamp(timestamp) => timestamp.max(0),
        };
        let what = format!("offset of {topic}-{partition}");
        self.retry(&what, |_| async {
            let timeout = self.cluster.config().api_timeout;
            let leader = self.cluster.leader(topic, partition, timeout).await?;
            let lookup = Lookup { topic: topic.to_owned(), partition, leader_epoch: leader.epoch, timestamp };
            let mut answers = list_offsets(&self.cluster, leader.node_id, &[lookup]).await?;
            let answer = answers.remove(&(topic.to_owned(), partition));
            let answer = answer.ok_or_else(|| incomplete(what.as_str()))?;
            let found = answer.map_err(|error| ClientError::broker(what.as_str(), error))?;
            Ok(Some(found.offset).filter(|offset| 0 <= *offset))
        })
        .await
    }

    /// Deletes the records of a partition before an offset; `None` deletes all there are. Returns the new first offset.
    ///
    /// # Errors
    /// The topic or partition is unknown, or its leader refuses, with OFFSET_OUT_OF_RANGE beyond the end.
    pub async fn delete_records(
        &self,
        topic: &str,
        partition: i32,
        before: Option<i64>,
    ) -> Result<i64, ClientError> {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: topic.to_owned(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: partition,
                    offset: before.unwrap_or(TO_THE_HIGH_WATERMARK),
                }],
            }],
            timeout_ms: self.timeout_ms(),
        };
        let what = format!("records of {topic}-{partition}");
        self.retry(&what, |_| async {
            let timeout = self.cluster.config().api_timeout;
            let leader = self.cluster.leader(topic, partition, timeout).await?;
            let response = self.cluster.call(leader.node_id, &request).await?;
            let result =
                response.topics.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
            let result = result.ok_or_else(|| incomplete(what.as_str()))?;
            check(what.as_str(), result.error_code, None)?;
            Ok(result.low_watermark)
        })
        .await
    }
}
