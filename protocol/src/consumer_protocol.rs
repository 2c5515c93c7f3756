//! What consumers say to each other through a classic group: subscriptions in JoinGroup, assignments in SyncGroup.
//!
//! Opaque to the coordinator, but where it shows a group to an administrator or takes a member over into the consumer
//! protocol. Clients of any age meet in a group, so a version newer than these is read as the newest of these, and what
//! follows is left.

use bytes::Bytes;

use crate::message::Message;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

message! {
    /// What a consumer wants to read.
    pub struct ConsumerProtocolSubscription: versions 0..=3, flexible from never {
        topics: Vec<String>, 0..;
        user_data: Option<Bytes>, 0.., nullable 0..;
        /// What it owns and may keep (KIP-429).
        owned_partitions: Vec<ConsumerProtocolTopicPartition>, 1..;
        /// In which generation it got that (KIP-792).
        generation_id: i32 = -1, 2..;
        /// Where it is (KIP-881).
        rack_id: Option<String>, 3.., nullable 3..;
    }

    /// Partitions of one topic.
    pub struct ConsumerProtocolTopicPartition {
        topic: String, 0..;
        partitions: Vec<i32>, 0..;
    }
}

message! {
    /// What a consumer is to read.
    pub struct ConsumerProtocolAssignment: versions 0..=3, flexible from never {
        assigned_partitions: Vec<ConsumerProtocolTopicPartition>, 0..;
        user_data: Option<Bytes>, 0.., nullable 0..;
    }
}

impl ConsumerProtocolSubscription {
    /// Reads a version and the subscription.
    ///
    /// # Errors
    /// The bytes are no subscription.
    pub fn from_metadata(bytes: Bytes) -> Result<Self, DecodeError> {
        decode(bytes)
    }

    /// Writes `version` and the subscription.
    ///
    /// # Errors
    /// The version is not known, or something is too long.
    pub fn to_metadata(&self, version: i16) -> Result<Bytes, EncodeError> {
        encode(self, version)
    }
}

impl ConsumerProtocolAssignment {
    /// Reads a version and the assignment.
    ///
    /// # Errors
    /// The bytes are no assignment.
    pub fn from_metadata(bytes: Bytes) -> Result<Self, DecodeError> {
        decode(bytes)
    }

    /// Writes `version` and the assignment.
    ///
    /// # Errors
    /// The version is not known, or something is too long.
    pub fn to_metadata(&self, version: i16) -> Result<Bytes, EncodeError> {
        encode(self, version)
    }
}

fn decode<M: Message>(bytes: Bytes) -> Result<M, DecodeError> {
    let mut input = Reader::new(bytes);
    let version = input.i16()?.min(*M::VERSIONS.end());
    M::decode(&mut input, version)
}

fn encode<M: Message>(body: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut out = Writer::new();
    out.i16(version);
    body.encode(&mut out, version)?;
    Ok(out.into_bytes().freeze())
}
