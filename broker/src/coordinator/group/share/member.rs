//! A member of a share group.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::assignor::Assignment;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareMember {
    /// Its rack, if it says so.
    pub rack_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// Names of the topics that it reads.
    pub topics: BTreeSet<Arc<str>>,
    /// The assignment epoch that it knows.
    pub epoch: i32,
    /// The one before: the answer with the last one may have been lost.
    pub previous_epoch: i32,
    /// What it reads.
    pub assigned: Assignment,
    /// When it is given up, by the steady clock; not stored.
    pub session_until_ms: i64,
}

impl Default for ShareMember {
    /// One of which nothing is known yet.
    fn default() -> Self {
        Self {
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            topics: BTreeSet::new(),
            epoch: 0,
            previous_epoch: 0,
            assigned: Assignment::new(),
            session_until_ms: i64::MAX,
        }
    }
}
