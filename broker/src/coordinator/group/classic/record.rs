//! The group in `__consumer_offsets`: one `GroupMetadata` record holds its last whole generation.

use std::sync::Arc;

use bytes::Bytes;
use sendlog_protocol::group_records::{
    GroupMetadataKey, GroupMetadataMember, GroupMetadataValue, GroupRecord,
};
use sendlog_protocol::messages::JoinGroupRequestProtocol;

use super::member::Member;
use super::{ClassicGroup, State};
use crate::coordinator::group::{Effects, Env};

impl ClassicGroup {
    /// Takes the group from the log: all that it was before is gone, by a tombstone too. Other records than this group's
    /// metadata change nothing.
    pub fn replay(&mut self, record: &GroupRecord) {
        let GroupRecord::GroupMetadata(_, value) = record else { return };
        *self = Self::new(&Arc::clone(&self.id));
        let Some(value) = value else { return };
        self.generation = value.generation;
        self.state_since_ms = value.current_state_timestamp;
        self.protocol_type = Some(value.protocol_type.clone()).filter(|name| !name.is_empty());
        self.protocol.clone_from(&value.protocol);
        for member in &value.members {
            self.roster.add(loaded_member(member, value.protocol.as_deref().unwrap_or_default()));
        }
        if let Some(leader) = &value.leader {
            self.roster.set_leader(leader);
        }
        if !self.roster.is_empty() {
            self.state = State::Stable;
        }
        self.subscribed = self.subscribed_topics();
    }

    /// The log was read to its end: every member has a session of full length from now on. A group that has more members
    /// than it may have by now rebalances, and those that join last are turned away.
    pub fn loaded(&mut self, env: &Env<'_>, fx: &mut Effects) {
        self.begin_sessions(env);
        if env.config.groups.classic.size_max < self.roster.len() {
            self.rebalance("the group has more members than group.max.size", env, fx);
        }
    }

    /// What replay needs to build the last whole generation. Nothing while another one is made: until that is whole, what
    /// is in the log stands.
    pub fn snapshot(&self) -> Vec<GroupRecord> {
        match self.state {
            State::Empty | State::Stable => vec![self.record()],
            State::PreparingRebalance(_) | State::CompletingRebalance => Vec::new(),
        }
    }

    /// What deletes the group.
    pub fn tombstones(&self) -> Vec<GroupRecord> {
        vec![GroupRecord::GroupMetadata(self.key(), None)]
    }

    /// The group as it is.
    pub(super) fn record(&self) -> GroupRecord {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |member: &Member| GroupMetadataMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type().to_owned(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader().map(ToString::to_string),
            current_state_timestamp: self.state_since_ms,
            members: self.roster.iter().map(member).collect(),
        };
        GroupRecord::GroupMetadata(self.key(), Some(value))
    }

    fn key(&self) -> GroupMetadataKey {
        GroupMetadataKey { group: self.id.to_string() }
    }
}

/// A member as the log has it: with the one protocol of its generation.
fn loaded_member(stored: &GroupMetadataMember, protocol: &str) -> Member {
    // Records before version 1 have no rebalance time-out.
    let rebalance_timeout_ms =
        if stored.rebalance_timeout < 0 { stored.session_timeout } else { stored.rebalance_timeout };
    let owned = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    Member {
        id: stored.member_id.as_str().into(),
        instance_id: stored.group_instance_id.clone(),
        client_id: stored.client_id.clone(),
        client_host: stored.client_host.clone(),
        rebalance_timeout_ms,
        session_timeout_ms: stored.session_timeout,
        protocols: vec![JoinGroupRequestProtocol {
            name: protocol.to_owned(),
            metadata: owned(&stored.subscription),
        }],
        assignment: owned(&stored.assignment),
        is_new: false,
        awaiting_join: None,
        awaiting_sync: None,
        session_deadline_ms: i64::MAX,
    }
}
