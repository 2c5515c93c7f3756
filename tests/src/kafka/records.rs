//! Producing, fetching and finding offsets.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use sendlog_protocol::messages::{
    EpochEndOffset, FetchPartition, FetchRequest, FetchTopic, InitProducerIdRequest, ListOffsetsPartition,
    ListOffsetsRequest, ListOffsetsTopic, OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
    OffsetForLeaderTopic, PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};

use super::{Kafka, assert_ok, error_name};
use crate::batches;

const PRODUCE_VERSION: i16 = 12;
/// The last that names topics.
const FETCH_VERSION: i16 = 12;
const PRODUCE_TIMEOUT_MS: i32 = 30_000;
/// Longer than anything here lasts.
const FETCH_WAIT_MS: i32 = 20_000;
const ALL_REPLICAS: i16 = -1;

/// Where a batch shall go.
#[derive(Clone, Copy, Debug)]
pub struct Produce<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// 0, 1 or -1.
    pub acks: i16,
}

impl<'a> Produce<'a> {
    /// To partition 0, acks=all.
    pub fn to(topic: &'a str) -> Self {
        Self { topic, partition: 0, acks: ALL_REPLICAS }
    }

    fn request(self, batch: &Bytes) -> ProduceRequest {
        let partition = PartitionProduceData { index: self.partition, records: Some(batch.clone()) };
        let topic = TopicProduceData {
            name: self.topic.to_owned(),
            partition_data: vec![partition],
            ..TopicProduceData::default()
        };
        ProduceRequest {
            transactional_id: None,
            acks: self.acks,
            timeout_ms: PRODUCE_TIMEOUT_MS,
            topic_data: vec![topic],
        }
    }
}

/// Why a batch is not acknowledged.
#[derive(Debug)]
pub enum ProduceFailure {
    /// The broker says so, by this error code.
    Refused(i16),
    /// The connection ended first.
    Closed(io::Error),
}

/// The offset of a batch, or why it has none.
pub type ProduceAnswer = Result<i64, ProduceFailure>;

/// An idempotent producer's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Id.
    pub id: i64,
    /// Epoch.
    pub epoch: i16,
}

/// What a fetch of one partition returned.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// 0, or why there are no batches.
    pub error_code: i16,
    /// End of what may be read.
    pub high_watermark: i64,
    /// Start of the log.
    pub log_start_offset: i64,
    /// Whole batches.
    pub batches: Vec<Bytes>,
}

impl Kafka {
    /// Appends a batch to partition 0 with acks=all and returns its offset.
    ///
    /// # Panics
    /// When it is not acknowledged.
    pub fn produce(&mut self, topic: &str, batch: &Bytes) -> i64 {
        match self.try_produce(Produce::to(topic), batch) {
            Ok(offset) => offset,
            Err(ProduceFailure::Refused(code)) => panic!("{topic}: {}", error_name(code)),
            Err(ProduceFailure::Closed(error)) => panic!("{topic}: {error}"),
        }
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// [`ProduceFailure`].
    pub fn try_produce(&mut self, to: Produce<'_>, batch: &Bytes) -> ProduceAnswer {
        self.send_batch(to, batch).map_err(ProduceFailure::Closed)?;
        self.receive_ack()
    }

    /// Sends a batch and does not wait for its acknowledgement.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    pub fn send_batch(&mut self, to: Produce<'_>, batch: &Bytes) -> io::Result<()> {
        self.send(PRODUCE_VERSION, &to.request(batch))?;
        if to.acks == 0 {
            self.expect_no_answer();
        }
        Ok(())
    }

    /// Receives the acknowledgement of the oldest batch that has none.
    ///
    /// # Errors
    /// [`ProduceFailure`].
    ///
    /// # Panics
    /// When the answer is about something else.
    pub fn receive_ack(&mut self) -> ProduceAnswer {
        let mut answer = self.receive::<ProduceRequest>(PRODUCE_VERSION).map_err(ProduceFailure::Closed)?;
        let partition: PartitionProduceResponse =
            answer.responses.swap_remove(0).partition_responses.swap_remove(0);
        match partition.error_code {
            0 => Ok(partition.base_offset),
            code => Err(ProduceFailure::Refused(code)),
        }
    }

    /// An identity for an idempotent producer.
    ///
    /// # Panics
    /// When the broker gives none.
    pub fn init_producer(&mut self) -> Producer {
        self.try_init_producer().expect("a producer id is answered")
    }

    /// As [`init_producer`](Self::init_producer), of a broker that may be killed.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the broker gives none.
    pub fn try_init_producer(&mut self) -> io::Result<Producer> {
        let answer = self.call(4, &InitProducerIdRequest::default())?;
        assert_ok(answer.error_code, None, "a producer id");
        Ok(Producer { id: answer.producer_id, epoch: answer.producer_epoch })
    }

    /// What is at an offset now, without waiting for more.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the answer does not consist of whole batches.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<Fetched> {
        self.send(FETCH_VERSION, &fetch_request(topic, partition, offset))?;
        self.receive_fetched()
    }

    /// One batch, or what else is at an offset.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the answer does not consist of whole batches.
    pub fn fetch_one(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<Fetched> {
        let mut request = fetch_request(topic, partition, offset);
        request.topics[0].partitions[0].partition_max_bytes = 1;
        self.send(FETCH_VERSION, &request)?;
        self.receive_fetched()
    }

    /// What is at an offset, as soon as there is something; nothing after a long time.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the answer does not consist of whole batches.
    pub fn fetch_when_there(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<Fetched> {
        self.send_waiting_fetch(topic, partition, offset)?;
        self.receive_fetched()
    }

    /// What is at an offset within a time, in whole milliseconds.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the answer does not consist of whole batches.
    pub fn fetch_waiting(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        wait: Duration,
    ) -> io::Result<Fetched> {
        let max_wait_ms = i32::try_from(wait.as_millis()).expect("some seconds at most");
        let request = FetchRequest { max_wait_ms, min_bytes: 1, ..fetch_request(topic, partition, offset) };
        self.send(FETCH_VERSION, &request)?;
        self.receive_fetched()
    }

    /// Receives the answer to the oldest fetch that has none.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the answer does not consist of whole batches.
    pub fn receive_fetched(&mut self) -> io::Result<Fetched> {
        let mut answer = self.receive::<FetchRequest>(FETCH_VERSION)?;
        assert_ok(answer.error_code, None, "fetch");
        let data = answer.responses.swap_remove(0).partitions.swap_remove(0);
        Ok(Fetched {
            error_code: data.error_code,
            high_watermark: data.high_watermark,
            log_start_offset: data.log_start_offset,
            batches: batches::split(&data.records.unwrap_or_default()),
        })
    }

    /// Sends a fetch of what is there now, up to 8 MiB, and does not wait for the answer.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    pub fn send_large_fetch(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<()> {
        let mut large = fetch_request(topic, partition, offset);
        large.topics[0].partitions[0].partition_max_bytes = large.max_bytes;
        self.send(FETCH_VERSION, &large)
    }

    /// Sends a fetch that waits a long time for records, and does not wait itself.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    pub fn send_waiting_fetch(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<()> {
        let waiting = FetchRequest {
            max_wait_ms: FETCH_WAIT_MS,
            min_bytes: 1,
            ..fetch_request(topic, partition, offset)
        };
        self.send(FETCH_VERSION, &waiting)
    }

    /// All batches of a partition from its start to the high watermark.
    ///
    /// # Panics
    /// When one cannot be fetched, or the broker returns none where there must be some.
    pub fn read_all(&mut self, topic: &str, partition: i32) -> Vec<Bytes> {
        let start = self.offset_in(topic, partition, -2);
        self.read_from(topic, partition, start)
    }

    /// All batches of a partition from the one with this offset to the high watermark.
    ///
    /// # Panics
    /// As [`read_all`](Self::read_all).
    pub fn read_from(&mut self, topic: &str, partition: i32, start: i64) -> Vec<Bytes> {
        let mut all = Vec::new();
        let mut next = start;
        loop {
            let fetched = self.fetch(topic, partition, next).expect("a fetch is answered");
            assert_ok(fetched.error_code, None, topic);
            let Some(last) = fetched.batches.last() else {
                assert_eq!(next, fetched.high_watermark, "records below the high watermark are readable");
                return all;
            };
            next = batches::header(last).next_offset();
            all.extend(fetched.batches);
        }
    }

    /// The log start (-2), the high watermark (-1), or the offset of the first record at or after a time, of
    /// partition 0.
    ///
    /// # Panics
    /// When the broker does not say.
    pub fn offset(&mut self, topic: &str, timestamp: i64) -> i64 {
        self.offset_in(topic, 0, timestamp)
    }

    /// As [`offset`](Self::offset), of any partition.
    ///
    /// # Panics
    /// When the broker does not say.
    pub fn offset_in(&mut self, topic: &str, partition: i32, timestamp: i64) -> i64 {
        self.try_offset_in(topic, partition, timestamp).expect("offsets are answered")
    }

    /// As [`offset_in`](Self::offset_in), of a broker that may be killed.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the broker does not say.
    pub fn try_offset_in(&mut self, topic: &str, partition: i32, timestamp: i64) -> io::Result<i64> {
        let partitions = vec![ListOffsetsPartition {
            partition_index: partition,
            timestamp,
            ..ListOffsetsPartition::default()
        }];
        let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions }];
        let answer =
            self.call(7, &ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() })?;
        let found = &answer.topics[0].partitions[0];
        assert_ok(found.error_code, None, topic);
        Ok(found.offset)
    }

    /// Where a leader epoch of partition 0 ends.
    ///
    /// # Panics
    /// When the broker does not say.
    pub fn epoch_end(&mut self, topic: &str, leader_epoch: i32) -> EpochEndOffset {
        let partitions = vec![OffsetForLeaderPartition {
            partition: 0,
            leader_epoch,
            ..OffsetForLeaderPartition::default()
        }];
        let topics = vec![OffsetForLeaderTopic { topic: topic.to_owned(), partitions }];
        let mut answer = self.ask(4, &OffsetForLeaderEpochRequest { replica_id: -1, topics });
        let found = answer.topics.swap_remove(0).partitions.swap_remove(0);
        assert_ok(found.error_code, None, topic);
        found
    }
}

fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition = FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 8 << 20,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}
