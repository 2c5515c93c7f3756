//! Produce (key 0), versions 3 to 12; advertised from 0.
//!
//! The produce path starts here: find the partition, check the batch, queue it; the answer comes
//! when the commit thread has made it durable.
//!
//! Differs from Apache Kafka: acks=1 waits for the disk as acks=all does; versions 0 to 2 are
//! answered with `UNSUPPORTED_VERSION` instead of a closed connection (they are advertised because
//! librdkafka up to 2.11.0 takes a minimum above 0 for a broker without compression, KAFKA-18659);
//! null records get an answer; what a compressed batch may decompress to is limited.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use sendlog_protocol::records::{
    self, BatchError, BatchHeader, Compression, ProduceLimits, RecompressionLimits,
};
use tokio::sync::oneshot;

use super::{Close, Context, Session, error};
use crate::catalog::name;
use crate::config::topic::TimestampType;
use crate::partition::{AckAt, AppendError, AppendResult, Partition, ProducedBatch};

/// Advertised; see the module for 0 to 2.
pub const VERSIONS: RangeInclusive<i16> = 0..=12;

/// The first version whose record format is stored here.
const FIRST_SERVED: i16 = 3;

/// The first version that may carry zstd (KIP-110).
const FIRST_WITH_ZSTD: i16 = 7;

/// Compressed batches up to this size are checked in place; larger ones on a blocking thread.
const CHECK_IN_PLACE_BYTES_MAX: usize = 8 << 10;

/// A request whose batches are queued.
pub struct Started {
    acks: i16,
    topics: Vec<StartedTopic>,
}

struct StartedTopic {
    name: String,
    partitions: Vec<(i32, Outcome)>,
}

enum Outcome {
    Refused(Refusal),
    Queued(oneshot::Receiver<AppendResult>),
}

/// An answer that is known before anything was queued.
struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    records: Vec<i32>,
}

impl Refusal {
    fn new(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }

    fn because(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()), records: Vec::new() }
    }
}

impl From<BatchError> for Refusal {
    fn from(batch_error: BatchError) -> Self {
        let records = batch_error.record_indexes().to_vec();
        Self { code: error::of_batch(&batch_error), message: Some(batch_error.to_string()), records }
    }
}

/// Checks and queues every batch of the request, in its order.
pub async fn start(context: &Context, _session: &Session, version: i16, request: ProduceRequest) -> Started {
    let acks = request.acks;
    let refusal = || {
        if version < FIRST_SERVED {
            return Some(Refusal::new(ErrorCode::UnsupportedVersion));
        }
        if !(-1..=1).contains(&acks) {
            return Some(Refusal::new(ErrorCode::InvalidRequiredAcks));
        }
        let is_transactional = request.transactional_id.is_some();
        is_transactional.then(|| {
            Refusal::because(ErrorCode::TransactionalIdAuthorizationFailed, "transactions are not served yet")
        })
    };
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let index = data.index;
            let queued = match refusal() {
                Some(refusal) => Err(refusal),
                None => queue(context, version, acks, &topic.name, data).await,
            };
            partitions.push((index, queued.map_or_else(Outcome::Refused, Outcome::Queued)));
        }
        topics.push(StartedTopic { name: topic.name, partitions });
    }
    Started { acks, topics }
}

async fn queue(
    context: &Context,
    version: i16,
    acks: i16,
    topic: &str,
    data: PartitionProduceData,
) -> Result<oneshot::Receiver<AppendResult>, Refusal> {
    let partition = context
        .catalog
        .partition(topic, data.index)
        .ok_or_else(|| Refusal::new(ErrorCode::UnknownTopicOrPartition))?;
    if name::is_internal(topic) {
        let message = format!("Cannot append to internal topic {topic}");
        return Err(Refusal::because(ErrorCode::InvalidTopicException, message));
    }
    let bytes = data
        .records
        .ok_or_else(|| Refusal::because(ErrorCode::InvalidRecord, "no record batch where one is required"))?;
    let header = check(context, &partition, bytes.clone()).await?;
    if version < FIRST_WITH_ZSTD && header.attributes.compression() == Ok(Compression::Zstd) {
        return Err(Refusal::new(ErrorCode::UnsupportedCompressionType));
    }
    if header.attributes.is_transactional() {
        return Err(Refusal::because(ErrorCode::InvalidTxnState, "transactions are not served yet"));
    }
    let (header, bytes) = packed(context, &partition, header, bytes).await?;
    let ack = if acks == 0 { AckAt::Written } else { AckAt::Durable };
    Ok(context.appender.append(partition, ProducedBatch { header, bytes }, ack))
}

/// Everything that consumers rely on. A batch that they could not read would stop them all.
async fn check(
    context: &Context,
    partition: &Arc<Partition>,
    bytes: Bytes,
) -> Result<BatchHeader, BatchError> {
    let limits = limits(context, partition);
    let is_compressed = BatchHeader::read(&bytes).is_ok_and(|header| {
        header.attributes.compression().is_ok_and(|compression| compression != Compression::None)
    });
    if !is_compressed || !limits.check_compressed || bytes.len() <= CHECK_IN_PLACE_BYTES_MAX {
        return records::validate_produced(&bytes, &limits);
    }
    let size = bytes.len();
    let check = tokio::task::spawn_blocking(move || records::validate_produced(&bytes, &limits));
    // Only a panic in there, which is our own fault, leaves no result.
    check.await.unwrap_or(Err(BatchError::Truncated { bytes: 0, needed: size }))
}

/// A batch that was checked, in the codec that the topic stores.
async fn packed(
    context: &Context,
    partition: &Partition,
    header: BatchHeader,
    bytes: Bytes,
) -> Result<(BatchHeader, Bytes), BatchError> {
    let config = partition.config();
    let Some(to) = config.recompression else { return Ok((header, bytes)) };
    if header.attributes.compression() == Ok(to.codec) {
        return Ok((header, bytes));
    }
    let limits = RecompressionLimits {
        decompressed_bytes_max: context.config.decompressed_batch_bytes_max,
        batch_bytes_max: config.max_message_bytes,
    };
    let packed = context.packing.pack(bytes.clone(), to, limits).await?;
    let bytes = packed.unwrap_or(bytes);
    Ok((BatchHeader::read(&bytes)?, bytes))
}

fn limits(context: &Context, partition: &Partition) -> ProduceLimits {
    let config = partition.config();
    let now_ms = context.clock.now_ms();
    let oldest = now_ms.saturating_sub(config.timestamp_before_max_ms);
    let newest = now_ms.saturating_add(config.timestamp_after_max_ms);
    let timestamps = match config.timestamp_type {
        TimestampType::CreateTime => oldest..=newest,
        // The producer's are replaced, whatever they are.
        TimestampType::LogAppendTime => i64::MIN..=i64::MAX,
    };
    ProduceLimits {
        batch_bytes_max: config.max_message_bytes,
        decompressed_bytes_max: context.config.decompressed_batch_bytes_max,
        check_compressed: context.config.compressed_batch_check,
        keys_required: config.cleanup.compact,
        timestamps,
    }
}

impl Started {
    /// Waits for every batch; `None` when the client asked for no answer.
    ///
    /// # Errors
    /// [`Close`] when a batch failed of which the client wants no answer: so it learns that.
    pub async fn finish(self) -> Result<Option<ProduceResponse>, Close> {
        let mut failed = None;
        let mut responses = Vec::with_capacity(self.topics.len());
        for topic in self.topics {
            let mut partition_responses = Vec::with_capacity(topic.partitions.len());
            for (index, outcome) in topic.partitions {
                let response = answer(index, outcome).await;
                if response.error_code != ErrorCode::None.code() {
                    failed = Some((topic.name.clone(), index, response.error_code));
                }
                partition_responses.push(response);
            }
            let name = topic.name;
            responses.push(TopicProduceResponse { name, partition_responses, ..Default::default() });
        }
        match (self.acks, failed) {
            (0, Some((topic, index, code))) => {
                let name = ErrorCode::from_code(code).map_or("an unknown error", ErrorCode::name);
                Err(Close::Unacknowledged { reason: format!("{name} for {topic}-{index}") })
            }
            (0, None) => Ok(None),
            _ => Ok(Some(ProduceResponse { responses, ..Default::default() })),
        }
    }
}

async fn answer(index: i32, outcome: Outcome) -> PartitionProduceResponse {
    let refusal = match outcome {
        Outcome::Refused(refusal) => refusal,
        // A reply that was dropped is a job that the commit threads no longer took.
        Outcome::Queued(answer) => match answer.await.unwrap_or(Err(AppendError::Stopping)) {
            Ok(appended) => {
                return PartitionProduceResponse {
                    index,
                    base_offset: appended.base_offset,
                    log_append_time_ms: appended.log_append_time_ms,
                    log_start_offset: appended.log_start_offset,
                    ..Default::default()
                };
            }
            Err(append_error) => Refusal::because(error::of_append(&append_error), append_error.to_string()),
        },
    };
    let record_errors = refusal.records.into_iter().map(|batch_index| BatchIndexAndErrorMessage {
        batch_index,
        batch_index_error_message: refusal.message.clone(),
    });
    PartitionProduceResponse {
        index,
        error_code: refusal.code.code(),
        base_offset: -1,
        record_errors: record_errors.collect(),
        error_message: refusal.message,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;
    use crate::catalog::Apply;
    use crate::catalog::alteration::{Alteration, Edit, Operation};
    use sendlog_protocol::messages::TopicProduceData;
    use sendlog_protocol::records::{BatchBuilder, NewRecord, ProducerStamp};

    /// Produces one batch of compressible records; its error code.
    async fn produce(fixture: &Fixture, compression: Compression) -> i16 {
        let mut builder = BatchBuilder::new();
        for timestamp in 1..=100 {
            let value = [b'v'; 200];
            builder.add(&NewRecord { timestamp, value: Some(&value), ..Default::default() }).unwrap();
        }
        let records = builder.build(compression, ProducerStamp::NONE).unwrap();
        let data = PartitionProduceData { index: 0, records: Some(records) };
        let topic =
            TopicProduceData { name: "a".to_owned(), partition_data: vec![data], ..Default::default() };
        let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
        let started = start(&fixture.context, &fixture.session, 9, request).await;
        started.finish().await.unwrap().unwrap().responses[0].partition_responses[0].error_code
    }

    fn set(fixture: &Fixture, name: &str, value: &str) {
        let edit = Edit { name: name.to_owned(), operation: Operation::Set(value.to_owned()) };
        let wanted = vec![("a".to_owned(), Alteration::Edit(vec![edit]))];
        fixture.context.catalog.alter(wanted, Apply::Now).remove(0).unwrap();
    }

    /// The codecs of the stored batches.
    fn stored(fixture: &Fixture) -> Vec<Compression> {
        let path = fixture.context.config.data_dir.join("a-0/00000000000000000000.log");
        let bytes = std::fs::read(path).unwrap();
        let mut rest = bytes.as_slice();
        let mut codecs = Vec::new();
        while !rest.is_empty() {
            let header = BatchHeader::read(rest).unwrap();
            codecs.push(header.attributes.compression().unwrap());
            assert!(records::check_stored_records(&rest[..header.size()], 1 << 20).is_ok());
            rest = &rest[header.size()..];
        }
        codecs
    }

    #[tokio::test]
    async fn a_topics_codec_is_the_one_that_is_stored() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        assert_eq!(produce(&fixture, Compression::Snappy).await, 0);
        for codec in ["gzip", "zstd", "lz4", "snappy", "uncompressed"] {
            set(&fixture, "compression.type", codec);
            assert_eq!(produce(&fixture, Compression::None).await, 0);
            assert_eq!(produce(&fixture, Compression::Lz4).await, 0);
        }
        use Compression::{Gzip, Lz4, None as Plain, Snappy, Zstd};
        assert_eq!(
            stored(&fixture),
            [Snappy, Gzip, Gzip, Zstd, Zstd, Lz4, Lz4, Snappy, Snappy, Plain, Plain]
        );
        set(&fixture, "max.message.bytes", "1000");
        let too_large = ErrorCode::MessageTooLarge.code();
        assert_eq!(produce(&fixture, Compression::Zstd).await, too_large, "unpacked it is 20 KB");
    }
}
