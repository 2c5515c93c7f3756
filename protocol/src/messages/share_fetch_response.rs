//! ShareFetch response (key 78): record batches, and which of their records the member may have.
//!
//! Written by hand for the same reason as the Fetch response: `R` is anything that knows its length, and
//! [`crate::encode_share_fetch_response`] leaves the place of each to be filled by the sender.

use std::ops::RangeInclusive;

use bytes::Bytes;
use uuid::Uuid;

use crate::field::{Field as _, Layout, TaggedFields};
use crate::message::{Message, layout_to_decode, layout_to_encode};
use crate::messages::{LeaderIdAndEpoch, NodeEndpoint};
use crate::schema::{Field, Kind, Schema};
use crate::splice::{self, RecordSet};
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareFetchResponse<R> {
    /// Milliseconds that the answer was held back.
    pub throttle_time_ms: i32,
    /// Error of the whole request.
    pub error_code: i16,
    /// What it means.
    pub error_message: Option<String>,
    /// How long the consumer has the records.
    pub acquisition_lock_timeout_ms: i32,
    /// Partitions with something to say.
    pub responses: Vec<ShareFetchableTopicResponse<R>>,
    /// Addresses of the leaders named in `responses`.
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareFetchableTopicResponse<R> {
    /// The topic.
    pub topic_id: Uuid,
    /// Its partitions.
    pub partitions: Vec<SharePartitionData<R>>,
}

/// What was read of one partition, and what became of the acknowledgements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharePartitionData<R> {
    /// Number of the partition.
    pub partition_index: i32,
    /// Error of reading.
    pub error_code: i16,
    /// What it means.
    pub error_message: Option<String>,
    /// Error of acknowledging.
    pub acknowledge_error_code: i16,
    /// What it means.
    pub acknowledge_error_message: Option<String>,
    /// Whom to ask instead.
    pub current_leader: LeaderIdAndEpoch,
    /// Record batches. None is written as an empty set, for these versions have no null; and both are read as none.
    pub records: Option<R>,
    /// Which of the records the member may have.
    pub acquired_records: Vec<AcquiredRecords>,
}

message! {
    /// Records that the member may have.
    pub struct AcquiredRecords {
        first_offset: i64, 0..;
        /// Inclusive.
        last_offset: i64, 0..;
        /// How often they were given out, with this time.
        delivery_count: i16, 0..;
    }
}

impl<R> Default for ShareFetchResponse<R> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: None,
            acquisition_lock_timeout_ms: 0,
            responses: Vec::new(),
            node_endpoints: Vec::new(),
        }
    }
}

impl<R> Default for ShareFetchableTopicResponse<R> {
    fn default() -> Self {
        Self { topic_id: Uuid::nil(), partitions: Vec::new() }
    }
}

impl<R> Default for SharePartitionData<R> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            error_message: None,
            acknowledge_error_code: 0,
            acknowledge_error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
            records: None,
            acquired_records: Vec::new(),
        }
    }
}

impl<R: RecordSet> ShareFetchResponse<R> {
    /// Writes the body but for the record sets: `put_records` is called where the bytes of each belong,
    /// unless it is empty.
    pub(crate) fn write(
        &self,
        out: &mut Writer,
        layout: Layout,
        mut put_records: impl FnMut(&mut Writer, &R),
    ) -> Result<(), EncodeError> {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        self.error_message.write(out, layout)?;
        out.i32(self.acquisition_lock_timeout_ms);
        out.nullable_count(Some(self.responses.len()), layout.flexible)?;
        for topic in &self.responses {
            topic.write(out, layout, &mut put_records)?;
        }
        self.node_endpoints.write(out, layout)?;
        TaggedFields::default().finish(out);
        Ok(())
    }
}

impl<R: RecordSet> ShareFetchableTopicResponse<R> {
    fn write(
        &self,
        out: &mut Writer,
        layout: Layout,
        mut put_records: impl FnMut(&mut Writer, &R),
    ) -> Result<(), EncodeError> {
        out.uuid(self.topic_id);
        out.nullable_count(Some(self.partitions.len()), layout.flexible)?;
        for partition in &self.partitions {
            partition.write(out, layout, &mut put_records)?;
        }
        TaggedFields::default().finish(out);
        Ok(())
    }
}

impl<R: RecordSet> SharePartitionData<R> {
    fn write(
        &self,
        out: &mut Writer,
        layout: Layout,
        put_records: impl FnOnce(&mut Writer, &R),
    ) -> Result<(), EncodeError> {
        out.i32(self.partition_index);
        out.i16(self.error_code);
        self.error_message.write(out, layout)?;
        out.i16(self.acknowledge_error_code);
        self.acknowledge_error_message.write(out, layout)?;
        self.current_leader.write(out, layout)?;
        splice::write_records(self.records.as_ref(), out, layout, put_records)?;
        self.acquired_records.write(out, layout)?;
        TaggedFields::default().finish(out);
        Ok(())
    }
}

impl Message for ShareFetchResponse<Bytes> {
    const NAME: &'static str = "ShareFetchResponse";
    const VERSIONS: RangeInclusive<i16> = 1..=2;
    const FLEXIBLE_FROM: i16 = 0;
    const SCHEMA: &'static Schema = &Self::SCHEMA;

    fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let layout = layout_to_encode::<Self>(version)?;
        self.write(out, layout, |out, records| out.raw(records))
    }

    fn decode(input: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let layout = layout_to_decode::<Self>(version)?;
        let response = Self {
            throttle_time_ms: input.i32()?,
            error_code: input.i16()?,
            error_message: Option::read(input, layout)?,
            acquisition_lock_timeout_ms: input.i32()?,
            responses: Vec::read(input, layout)?,
            node_endpoints: Vec::read(input, layout)?,
        };
        input.tagged_fields(|_, _| Ok(()))?;
        Ok(response)
    }
}

impl crate::field::Field for ShareFetchableTopicResponse<Bytes> {
    const KIND: Kind = Kind::Struct(&Self::SCHEMA);

    /// Id, count and tags.
    fn size_min(_: Layout) -> usize {
        16 + 1 + 1
    }

    fn write(&self, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        Self::write(self, out, layout, |out, records| out.raw(records))
    }

    fn read(input: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let topic = Self { topic_id: input.uuid()?, partitions: Vec::read(input, layout)? };
        input.tagged_fields(|_, _| Ok(()))?;
        Ok(topic)
    }
}

impl crate::field::Field for SharePartitionData<Bytes> {
    const KIND: Kind = Kind::Struct(&Self::SCHEMA);

    /// Index, error and message, error and message; leader; two lengths and tags.
    fn size_min(layout: Layout) -> usize {
        4 + 3 + 3 + LeaderIdAndEpoch::size_min(layout) + 2 + 1
    }

    fn write(&self, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        Self::write(self, out, layout, |out, records| out.raw(records))
    }

    fn read(input: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let partition = Self {
            partition_index: input.i32()?,
            error_code: input.i16()?,
            error_message: Option::read(input, layout)?,
            acknowledge_error_code: input.i16()?,
            acknowledge_error_message: Option::read(input, layout)?,
            current_leader: LeaderIdAndEpoch::read(input, layout)?,
            records: splice::read_records(input, layout)?,
            acquired_records: Vec::read(input, layout)?,
        };
        input.tagged_fields(|_, _| Ok(()))?;
        Ok(partition)
    }
}

/// One row of the field tables below.
const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, is_in: |_| true, is_nullable_in: |_| false, tag: None, kind }
}

/// A row of a text that may be null.
const fn nullable_text(name: &'static str) -> Field {
    Field { is_nullable_in: |_| true, ..field(name, Kind::String) }
}

/// A field type's name in a schema.
const fn kind<T: crate::field::Field>() -> Kind {
    T::KIND
}

impl ShareFetchResponse<Bytes> {
    const SCHEMA: Schema = Schema {
        name: "ShareFetchResponse",
        fields: &[
            field("throttle_time_ms", Kind::I32),
            field("error_code", Kind::I16),
            nullable_text("error_message"),
            field("acquisition_lock_timeout_ms", Kind::I32),
            field("responses", kind::<Vec<ShareFetchableTopicResponse<Bytes>>>()),
            field("node_endpoints", kind::<Vec<NodeEndpoint>>()),
        ],
    };
}

impl ShareFetchableTopicResponse<Bytes> {
    const SCHEMA: Schema = Schema {
        name: "ShareFetchableTopicResponse",
        fields: &[
            field("topic_id", Kind::Uuid),
            field("partitions", kind::<Vec<SharePartitionData<Bytes>>>()),
        ],
    };
}

impl SharePartitionData<Bytes> {
    const SCHEMA: Schema = Schema {
        name: "SharePartitionData",
        fields: &[
            field("partition_index", Kind::I32),
            field("error_code", Kind::I16),
            nullable_text("error_message"),
            field("acknowledge_error_code", Kind::I16),
            nullable_text("acknowledge_error_message"),
            field("current_leader", kind::<LeaderIdAndEpoch>()),
            field("records", Kind::Bytes),
            field("acquired_records", kind::<Vec<AcquiredRecords>>()),
        ],
    };
}
