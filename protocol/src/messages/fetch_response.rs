//! Fetch response (key 1): record batches.
//!
//! Written by hand, because the record sets need not be in memory: `R` is anything that knows its length, and
//! [`crate::encode_fetch_response`] leaves the place of each to be filled by the sender. A response with
//! `Bytes` is a [`Message`] like any other.

use std::ops::RangeInclusive;

use bytes::Bytes;
use uuid::Uuid;

use crate::field::{Field as _, Layout, Nullable as _, TaggedFields, read_tagged};
use crate::message::{Message, layout_to_decode, layout_to_encode};
use crate::messages::{LeaderIdAndEpoch, NodeEndpoint};
use crate::schema::{Field, Kind, Schema};
use crate::splice::{self, RecordSet};
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchResponse<R> {
    /// Milliseconds that the answer was held back.
    pub throttle_time_ms: i32,
    /// Error of the whole request. From version 7.
    pub error_code: i16,
    /// 0 for none (KIP-227). From version 7.
    pub session_id: i32,
    /// Every requested partition, and no others; clients depend on both.
    pub responses: Vec<FetchableTopicResponse<R>>,
    /// Addresses of the leaders named in `responses` (KIP-951). From version 16, tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchableTopicResponse<R> {
    /// Up to version 12.
    pub topic: String,
    /// From version 13.
    pub topic_id: Uuid,
    /// Its partitions.
    pub partitions: Vec<PartitionData<R>>,
}

/// What was read of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionData<R> {
    /// Number of the partition.
    pub partition_index: i32,
    /// Error of this partition.
    pub error_code: i16,
    /// End of what consumers may read.
    pub high_watermark: i64,
    /// End of what consumers that read committed may read.
    pub last_stable_offset: i64,
    /// Start of the log. From version 5.
    pub log_start_offset: i64,
    /// Where the fetcher's log leaves ours (KIP-595). From version 12, tag 0.
    pub diverging_epoch: DivergingEpoch,
    /// Whom to ask instead (KIP-951). From version 12, tag 1.
    pub current_leader: LeaderIdAndEpoch,
    /// Snapshot to fetch first (KIP-630). From version 12, tag 2.
    pub snapshot_id: SnapshotId,
    /// Transactions to leave out when reading committed; null or empty when not.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Broker to read from instead, -1 for this one (KIP-392). From version 11.
    pub preferred_read_replica: i32,
    /// Record batches. None is written as an empty set, never as null, which librdkafka does not accept; and
    /// both are read as none.
    pub records: Option<R>,
}

message! {
    /// Where the fetcher's log leaves the leader's.
    pub struct DivergingEpoch {
        /// -1 for none.
        epoch: i32 = -1, 0..;
        end_offset: i64 = -1, 0..;
    }

    /// A snapshot of the metadata log.
    pub struct SnapshotId {
        end_offset: i64 = -1, 0..;
        /// -1 for none.
        epoch: i32 = -1, 0..;
    }

    /// A transaction whose records are to be left out.
    pub struct AbortedTransaction {
        producer_id: i64, 0..;
        first_offset: i64, 0..;
    }
}

impl<R> Default for FetchResponse<R> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            session_id: 0,
            responses: Vec::new(),
            node_endpoints: Vec::new(),
        }
    }
}

impl<R> Default for FetchableTopicResponse<R> {
    fn default() -> Self {
        Self { topic: String::new(), topic_id: Uuid::nil(), partitions: Vec::new() }
    }
}

impl<R> Default for PartitionData<R> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: DivergingEpoch::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: Some(Vec::new()),
            preferred_read_replica: -1,
            records: None,
        }
    }
}

impl<R: RecordSet> FetchResponse<R> {
    /// Writes the body but for the record sets: `put_records` is called where the bytes of each belong,
    /// unless it is empty.
    pub(crate) fn write(
        &self,
        out: &mut Writer,
        layout: Layout,
        mut put_records: impl FnMut(&mut Writer, &R),
    ) -> Result<(), EncodeError> {
        out.i32(self.throttle_time_ms);
        if 7 <= layout.version {
            out.i16(self.error_code);
            out.i32(self.session_id);
        }
        out.nullable_count(Some(self.responses.len()), layout.flexible)?;
        for topic in &self.responses {
            topic.write(out, layout, &mut put_records)?;
        }
        if layout.flexible {
            let mut tagged = TaggedFields::default();
            if 16 <= layout.version && !self.node_endpoints.is_empty() {
                tagged.put(0, &self.node_endpoints, layout)?;
            }
            tagged.finish(out);
        }
        Ok(())
    }
}

impl<R: RecordSet> FetchableTopicResponse<R> {
    fn write(
        &self,
        out: &mut Writer,
        layout: Layout,
        mut put_records: impl FnMut(&mut Writer, &R),
    ) -> Result<(), EncodeError> {
        if layout.version < 13 {
            out.nullable_string(Some(&self.topic), layout.flexible)?;
        } else {
            out.uuid(self.topic_id);
        }
        out.nullable_count(Some(self.partitions.len()), layout.flexible)?;
        for partition in &self.partitions {
            partition.write(out, layout, &mut put_records)?;
        }
        if layout.flexible {
            TaggedFields::default().finish(out);
        }
        Ok(())
    }
}

impl<R: RecordSet> PartitionData<R> {
    fn write(
        &self,
        out: &mut Writer,
        layout: Layout,
        put_records: impl FnOnce(&mut Writer, &R),
    ) -> Result<(), EncodeError> {
        out.i32(self.partition_index);
        out.i16(self.error_code);
        out.i64(self.high_watermark);
        out.i64(self.last_stable_offset);
        if 5 <= layout.version {
            out.i64(self.log_start_offset);
        }
        Vec::write_nullable(self.aborted_transactions.as_ref(), out, layout)?;
        if 11 <= layout.version {
            out.i32(self.preferred_read_replica);
        }
        splice::write_records(self.records.as_ref(), out, layout, put_records)?;
        if layout.flexible {
            let mut tagged = TaggedFields::default();
            if self.diverging_epoch != DivergingEpoch::default() {
                tagged.put(0, &self.diverging_epoch, layout)?;
            }
            if self.current_leader != LeaderIdAndEpoch::default() {
                tagged.put(1, &self.current_leader, layout)?;
            }
            if self.snapshot_id != SnapshotId::default() {
                tagged.put(2, &self.snapshot_id, layout)?;
            }
            tagged.finish(out);
        }
        Ok(())
    }
}

impl Message for FetchResponse<Bytes> {
    const NAME: &'static str = "FetchResponse";
    const VERSIONS: RangeInclusive<i16> = 4..=18;
    const FLEXIBLE_FROM: i16 = 12;
    const SCHEMA: &'static Schema = &Self::SCHEMA;

    fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let layout = layout_to_encode::<Self>(version)?;
        self.write(out, layout, |out, records| out.raw(records))
    }

    fn decode(input: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let layout = layout_to_decode::<Self>(version)?;
        let mut response = Self { throttle_time_ms: input.i32()?, ..Self::default() };
        if 7 <= version {
            response.error_code = input.i16()?;
            response.session_id = input.i32()?;
        }
        response.responses = Vec::read(input, layout)?;
        if layout.flexible {
            input.tagged_fields(|tag, field| {
                if tag == 0 && 16 <= version {
                    response.node_endpoints = read_tagged(field, layout)?;
                }
                Ok(())
            })?;
        }
        Ok(response)
    }
}

impl crate::field::Field for FetchableTopicResponse<Bytes> {
    const KIND: Kind = Kind::Struct(&Self::SCHEMA);

    fn size_min(layout: Layout) -> usize {
        let topic = if layout.version < 13 { String::size_min(layout) } else { Uuid::size_min(layout) };
        topic + Vec::<PartitionData<Bytes>>::size_min(layout) + usize::from(layout.flexible)
    }

    fn write(&self, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        Self::write(self, out, layout, |out, records| out.raw(records))
    }

    fn read(input: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let mut topic = Self::default();
        if layout.version < 13 {
            topic.topic = String::read(input, layout)?;
        } else {
            topic.topic_id = input.uuid()?;
        }
        topic.partitions = Vec::read(input, layout)?;
        if layout.flexible {
            input.tagged_fields(|_, _| Ok(()))?;
        }
        Ok(topic)
    }
}

impl crate::field::Field for PartitionData<Bytes> {
    const KIND: Kind = Kind::Struct(&Self::SCHEMA);

    /// Index, error and two offsets; then what versions add.
    fn size_min(layout: Layout) -> usize {
        let log_start = if 5 <= layout.version { 8 } else { 0 };
        let preferred = if 11 <= layout.version { 4 } else { 0 };
        let lengths = Vec::<AbortedTransaction>::size_min(layout) + Bytes::size_min(layout);
        22 + log_start + preferred + lengths + usize::from(layout.flexible)
    }

    fn write(&self, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        Self::write(self, out, layout, |out, records| out.raw(records))
    }

    fn read(input: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let mut partition = Self {
            partition_index: input.i32()?,
            error_code: input.i16()?,
            high_watermark: input.i64()?,
            last_stable_offset: input.i64()?,
            ..Self::default()
        };
        if 5 <= layout.version {
            partition.log_start_offset = input.i64()?;
        }
        partition.aborted_transactions = Option::read(input, layout)?;
        if 11 <= layout.version {
            partition.preferred_read_replica = input.i32()?;
        }
        partition.records = splice::read_records(input, layout)?;
        if layout.flexible {
            input.tagged_fields(|tag, field| {
                match tag {
                    0 => partition.diverging_epoch = read_tagged(field, layout)?,
                    1 => partition.current_leader = read_tagged(field, layout)?,
                    2 => partition.snapshot_id = read_tagged(field, layout)?,
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(partition)
    }
}

/// One row of the field tables below.
const fn field(name: &'static str, is_in: fn(i16) -> bool, tag: Option<u32>, kind: Kind) -> Field {
    Field { name, is_in, is_nullable_in: |_| false, tag, kind }
}

/// A field type's name in a schema.
const fn kind<T: crate::field::Field>() -> Kind {
    T::KIND
}

impl FetchResponse<Bytes> {
    const SCHEMA: Schema = Schema {
        name: "FetchResponse",
        fields: &[
            field("throttle_time_ms", |_| true, None, Kind::I32),
            field("error_code", |version| 7 <= version, None, Kind::I16),
            field("session_id", |version| 7 <= version, None, Kind::I32),
            field("responses", |_| true, None, kind::<Vec<FetchableTopicResponse<Bytes>>>()),
            field("node_endpoints", |version| 16 <= version, Some(0), kind::<Vec<NodeEndpoint>>()),
        ],
    };
}

impl FetchableTopicResponse<Bytes> {
    const SCHEMA: Schema = Schema {
        name: "FetchableTopicResponse",
        fields: &[
            field("topic", |version| version < 13, None, Kind::String),
            field("topic_id", |version| 13 <= version, None, Kind::Uuid),
            field("partitions", |_| true, None, kind::<Vec<PartitionData<Bytes>>>()),
        ],
    };
}

impl PartitionData<Bytes> {
    const SCHEMA: Schema = Schema {
        name: "PartitionData",
        fields: &[
            field("partition_index", |_| true, None, Kind::I32),
            field("error_code", |_| true, None, Kind::I16),
            field("high_watermark", |_| true, None, Kind::I64),
            field("last_stable_offset", |_| true, None, Kind::I64),
            field("log_start_offset", |version| 5 <= version, None, Kind::I64),
            field("diverging_epoch", |version| 12 <= version, Some(0), kind::<DivergingEpoch>()),
            field("current_leader", |version| 12 <= version, Some(1), kind::<LeaderIdAndEpoch>()),
            field("snapshot_id", |version| 12 <= version, Some(2), kind::<SnapshotId>()),
            Field {
                is_nullable_in: |_| true,
                ..field("aborted_transactions", |_| true, None, kind::<Vec<AbortedTransaction>>())
            },
            field("preferred_read_replica", |version| 11 <= version, None, Kind::I32),
            field("records", |_| true, None, Kind::Bytes),
        ],
    };
}
