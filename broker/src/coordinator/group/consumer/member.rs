//! A member of a consumer group: what it said of itself, what it owns, and how long it may be silent.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use uuid::Uuid;

use crate::coordinator::group::assign::Assignment;
use crate::coordinator::group::classic::ENTRY_BYTES;

/// Epoch of a request that joins.
pub(super) const JOIN_EPOCH: i32 = 0;

/// Epoch of a request that leaves for good.
pub(super) const LEAVE_EPOCH: i32 = -1;

/// Epoch of a static member that is away and will be back.
pub(super) const AWAY_EPOCH: i32 = -2;

/// Partitions by topic, each with the group's epoch at which the member got it (KIP-1251).
pub(super) type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// What a member said of itself: the value of its `ConsumerGroupMemberMetadata` record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Profile {
    pub(super) instance_id: Option<String>,
    pub(super) rack_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) topic_names: BTreeSet<String>,
    /// Empty for none.
    pub(super) topic_regex: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) assignor: Option<String>,
    /// Set while it speaks the classic protocol.
    pub(super) classic: Option<ClassicProfile>,
}

/// What a member that speaks the classic protocol said in JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ClassicProfile {
    pub(super) session_timeout_ms: i32,
    /// The preferred assignor first, each with the member's subscription.
    pub(super) protocols: Vec<ClassicProtocol>,
}

/// An assignor that a classic member knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClassicProtocol {
    pub(super) name: String,
    pub(super) metadata: Bytes,
}

/// How far a member's assignment has come. Numbers as in Kafka's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    /// It has all of the target of its epoch.
    #[default]
    Stable,
    /// It has yet to give up partitions, and stays in its epoch until then.
    UnrevokedPartitions,
    /// Others have yet to give up partitions that it is to get.
    UnreleasedPartitions,
    /// Written by a broker of another version.
    Unknown,
}

/// What a member owns: the value of its `ConsumerGroupCurrentMemberAssignment` record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Holding {
    pub(super) epoch: i32,
    /// Its epoch before: the answer with the present one may have been lost.
    pub(super) previous_epoch: i32,
    pub(super) state: State,
    pub(super) assigned: Owned,
    /// What it was told to give up and has not.
    pub(super) revoking: Owned,
}

/// Moments of the steady clock; none of them is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Deadlines {
    /// When its silence ends its membership.
    pub(super) session_ms: Option<i64>,
    /// When it must have given up what it was told to.
    pub(super) revoke_ms: Option<i64>,
    /// When a classic member must have joined again.
    pub(super) join_ms: Option<i64>,
    /// When a classic member must have fetched its assignment.
    pub(super) sync_ms: Option<i64>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Member {
    pub(super) profile: Profile,
    pub(super) holding: Holding,
    pub(super) deadlines: Deadlines,
}

impl Deadlines {
    pub(super) fn earliest_ms(&self) -> Option<i64> {
        [self.session_ms, self.revoke_ms, self.join_ms, self.sync_ms].into_iter().flatten().min()
    }
}

impl Profile {
    /// Whether the member speaks the classic protocol.
    pub(super) fn is_classic(&self) -> bool {
        self.classic.is_some()
    }

    /// About what it takes in memory and on disk.
    pub(super) fn bytes(&self) -> usize {
        let said = [&self.instance_id, &self.rack_id, &self.assignor].into_iter().flatten();
        let said = said.chain([&self.client_id, &self.client_host, &self.topic_regex]).map(String::len);
        let names = self.topic_names.iter().map(|name| ENTRY_BYTES + name.len());
        let protocols = self.classic.iter().flat_map(|classic| &classic.protocols);
        let protocols = protocols.map(|protocol| ENTRY_BYTES + protocol.name.len() + protocol.metadata.len());
        ENTRY_BYTES + said.chain(names).chain(protocols).sum::<usize>()
    }
}

impl Holding {
    /// Whether it has reached the target of this epoch.
    pub(super) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == State::Stable && self.epoch == target_epoch
    }

    /// Moves to an epoch; the one it comes from becomes the previous one.
    pub(super) fn advance(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }

    /// Everything that nobody else may read: assigned, or not yet given up.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (Uuid, i32)> + '_ {
        let both = self.assigned.iter().chain(&self.revoking);
        both.flat_map(|(topic, partitions)| partitions.keys().map(|partition| (*topic, *partition)))
    }

    /// The same, by topic: what tools show as its own.
    pub(super) fn owned(&self) -> Assignment {
        let mut owned = Assignment::new();
        for (topic, partition) in self.partitions() {
            owned.entry(topic).or_default().insert(partition);
        }
        owned
    }

    /// The epoch at which it got a partition that it still holds.
    pub(super) fn assigned_epoch(&self, topic: Uuid, partition: i32) -> Option<i32> {
        let of = |owned: &Owned| owned.get(&topic).and_then(|partitions| partitions.get(&partition)).copied();
        of(&self.assigned).or_else(|| of(&self.revoking))
    }
}

/// The partitions without their epochs.
pub(super) fn without_epochs(owned: &Owned) -> Assignment {
    owned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect()
}

/// All of an assignment, got at this epoch.
pub(super) fn owned_since(assignment: &Assignment, epoch: i32) -> Owned {
    let since = |partitions: &BTreeSet<i32>| partitions.iter().map(|partition| (*partition, epoch)).collect();
    assignment.iter().map(|(topic, partitions)| (*topic, since(partitions))).collect()
}
