//! Assignors: which member is to own which partitions. Pure: subscriptions and what is assigned now go in, a target comes out.
//!
//! `uniform` and `range` are Kafka's server-side assignors (KIP-848), by their names and their promises. Neither reads a
//! clock or a random number, so that the same group always gets the same target.

pub mod range;
#[cfg(test)]
mod tests;
pub mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// Partitions by the id of their topic. Topics without partitions are not in it.
pub type Assignment = BTreeMap<Uuid, BTreeSet<i32>>;

/// A member as an assignor sees it.
#[derive(Debug, Clone, Copy)]
pub struct Subscriber<'a> {
    /// Its id.
    pub member_id: &'a str,
    /// Of a static member.
    pub instance_id: Option<&'a str>,
    /// What it reads: topics that exist.
    pub topics: &'a BTreeSet<Uuid>,
    /// What the last target gave it; may hold what is no longer there.
    pub assigned: &'a Assignment,
}

/// How many partitions each subscribed topic has.
pub type PartitionCounts = BTreeMap<Uuid, i32>;

/// A server-side assignor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Assignor {
    /// Equal shares, with as few moves as possible.
    Uniform,
    /// Ranges of partitions, the same of every topic where that is possible.
    Range,
}

impl Assignor {
    /// The assignor with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Self::Uniform),
            "range" => Some(Self::Range),
            _ => None,
        }
    }

    /// Its name in requests and settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The target of each member, in the members' order. Every partition of a topic that somebody subscribes to has exactly
    /// one owner, who subscribes to it.
    #[must_use]
    pub fn assign(self, members: &[Subscriber<'_>], counts: &PartitionCounts) -> Vec<Assignment> {
        match self {
            Self::Uniform => uniform::assign(members, counts),
            Self::Range => range::assign(members, counts),
        }
    }
}
