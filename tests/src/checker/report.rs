//! The checker's verdict.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::violation::{Violation, ViolationKind};

/// What a history consists of, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines.
    pub events: u64,
    /// Times that a broker died.
    pub crashes: u64,
    /// Batches that were sent, each counted once.
    pub batches_sent: u64,
    /// Batches that were acknowledged at least once.
    pub batches_acknowledged: u64,
    /// Records in them.
    pub records_acknowledged: u64,
    /// Batches sent again.
    pub repetitions: u64,
    /// Batches without any answer.
    pub batches_unanswered: u64,
    /// Of those, how many are there.
    pub unanswered_present: u64,
    /// Records in all answers to fetches: one that is read again counts again.
    pub records_read: u64,
    /// Acknowledged records that are not there any more.
    pub records_lost: u64,
    /// Records that were read and are not there any more.
    pub records_vanished: u64,
    /// All complaints, by rule.
    pub counts: BTreeMap<ViolationKind, u64>,
    /// The first complaints of every rule.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether there is nothing to complain about.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// Whether this rule was broken.
    pub fn has(&self, kind: ViolationKind) -> bool {
        self.counts.contains_key(&kind)
    }

    /// The figures, without the complaints' words.
    pub fn to_json(&self) -> Value {
        let counts: BTreeMap<String, u64> =
            self.counts.iter().map(|(kind, count)| (format!("{kind:?}"), *count)).collect();
        json!({
            "events": self.events,
            "crashes": self.crashes,
            "batches_sent": self.batches_sent,
            "batches_acknowledged": self.batches_acknowledged,
            "records_acknowledged": self.records_acknowledged,
            "repetitions": self.repetitions,
            "batches_unanswered": self.batches_unanswered,
            "unanswered_present": self.unanswered_present,
            "records_read": self.records_read,
            "records_lost": self.records_lost,
            "records_vanished": self.records_vanished,
            "violations": counts,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(out, "{violation}")?;
        }
        write!(out, "{}", self.to_json())
    }
}

/// Complaints: all counted, the first of every rule kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints {
    pub counts: BTreeMap<ViolationKind, u64>,
    pub kept: Vec<Violation>,
}

/// Of every rule.
const KEPT_MAX: u64 = 20;

impl Complaints {
    pub fn add(&mut self, violation: Violation) {
        let count = self.counts.entry(violation.kind).or_default();
        *count += 1;
        if *count <= KEPT_MAX {
            self.kept.push(violation);
        }
    }
}
