//! Records of offsets and of classic groups.

use bytes::Bytes;
use uuid::Uuid;

message! {
    /// A partition of which a group has stored an offset.
    pub struct OffsetCommitKey: versions 0..=0, flexible from never {
        group: String, 0..;
        topic: String, 0..;
        partition: i32, 0..;
    }

    /// How far the group has read.
    pub struct OffsetCommitValue: versions 0..=4, flexible from 4 {
        /// The next one to read.
        offset: i64, 0..;
        /// Epoch of the last record read, -1 if unknown.
        leader_epoch: i32 = -1, 3..;
        /// Whatever the client wants to keep.
        metadata: String, 0..;
        commit_timestamp: i64, 0..;
        /// From clients that named a retention time, else -1.
        expire_timestamp: i64 = -1, 1..=1;
        /// Nil if unknown.
        topic_id: Uuid, 4.., tag 0;
    }
}

message! {
    /// A classic group.
    pub struct GroupMetadataKey: versions 0..=0, flexible from never {
        group: String, 0..;
    }

    /// Its generation.
    pub struct GroupMetadataValue: versions 0..=4, flexible from 4 {
        protocol_type: String, 0..;
        generation: i32, 0..;
        /// Null in a group without members.
        protocol: Option<String>, 0.., nullable 0..;
        /// Null in a group without members.
        leader: Option<String>, 0.., nullable 0..;
        /// -1 if unknown.
        current_state_timestamp: i64 = -1, 2..;
        members: Vec<GroupMetadataMember>, 0..;
    }

    /// One member.
    pub struct GroupMetadataMember {
        member_id: String, 0..;
        /// Set by static members alone (KIP-345).
        group_instance_id: Option<String>, 3.., nullable 3..;
        client_id: String, 0..;
        client_host: String, 0..;
        /// In milliseconds.
        rebalance_timeout: i32, 1..;
        /// In milliseconds.
        session_timeout: i32, 0..;
        subscription: Bytes, 0..;
        assignment: Bytes, 0..;
    }
}
