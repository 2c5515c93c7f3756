//! One member of a classic group.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use sendlog_protocol::messages::JoinGroupRequestProtocol;

use crate::coordinator::group::Ticket;

/// What each of a group's small things takes beside its bytes.
pub const ENTRY_BYTES: usize = 64;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Given by the coordinator.
    pub id: Arc<str>,
    /// Set by static members alone (KIP-345).
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connects from, with a slash before it.
    pub client_host: String,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// How long it is kept without a heartbeat.
    pub session_timeout_ms: i32,
    /// Assignors that it knows, the preferred one first; no name twice.
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// What it is assigned.
    pub assignment: Bytes,
    /// Not yet told of a generation: it has no id to send heartbeats with, so that even its waiting ends.
    pub is_new: bool,
    /// Its JoinGroup that waits for the others.
    pub awaiting_join: Option<Ticket>,
    /// Its SyncGroup that waits for the leader's.
    pub awaiting_sync: Option<Ticket>,
    /// When it is given up, by the steady clock; `i64::MAX` while nothing is expected of it.
    pub session_deadline_ms: i64,
}

impl Member {
    /// Its metadata for a protocol; empty if it does not know that.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let known = self.protocols.iter().find(|known| known.name == protocol);
        known.map(|known| known.metadata.clone()).unwrap_or_default()
    }

    /// Whether it would join with what it joined with before.
    pub fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols == protocols
    }

    /// The first of its protocols that is among the candidates.
    pub fn vote(&self, candidates: &BTreeSet<&str>) -> Option<&str> {
        self.protocols.iter().map(|known| known.name.as_str()).find(|name| candidates.contains(name))
    }

    /// Whether no heartbeat is expected: its request waits here.
    pub fn waits(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// About what it takes in memory and on disk.
    pub fn bytes(&self) -> usize {
        let names = 2 * self.id.len() + self.client_id.len() + self.client_host.len();
        let instance = self.instance_id.as_ref().map_or(0, String::len);
        ENTRY_BYTES + names + instance + protocols_bytes(&self.protocols) + self.assignment.len()
    }
}

/// About what protocols take.
pub fn protocols_bytes(protocols: &[JoinGroupRequestProtocol]) -> usize {
    protocols.iter().map(|protocol| ENTRY_BYTES + protocol.name.len() + protocol.metadata.len()).sum()
}

/// Protocols of a request, each name once, in memory of their own: a slice would keep the whole request's frame.
pub fn owned_protocols(protocols: Vec<JoinGroupRequestProtocol>) -> Vec<JoinGroupRequestProtocol> {
    let mut names = BTreeSet::new();
    let mut owned = Vec::new();
    for JoinGroupRequestProtocol { name, metadata } in protocols {
        if names.insert(name.clone()) {
            owned.push(JoinGroupRequestProtocol { name, metadata: Bytes::copy_from_slice(&metadata) });
        }
    }
    owned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol(name: &str, metadata: &'static [u8]) -> JoinGroupRequestProtocol {
        JoinGroupRequestProtocol { name: name.to_owned(), metadata: Bytes::from_static(metadata) }
    }

    #[test]
    fn a_protocol_given_twice_counts_once_with_its_first_metadata() {
        let owned = owned_protocols(vec![protocol("a", b"1"), protocol("b", b"2"), protocol("a", b"3")]);
        assert_eq!(owned, [protocol("a", b"1"), protocol("b", b"2")]);
    }
}
