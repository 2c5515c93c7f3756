//! The history checker: what clients saw, written down while they saw it, against what a log must never do.
//!
//! Clients record an [`Event`] before each request and after each answer, through a [`Recorder`]; the number of an event
//! is its line in the history file. The [`Checker`] takes events one after the other, complains at once where it can,
//! and judges the whole in [`Checker::verdict`]. It knows nothing of brokers, sockets or disks: `docs/testing.md` has
//! the format and the rules.
//!
//! [`model`] is a broker in memory that produces such histories, with faults planted on request: the proof that the
//! checker sees.

mod check;
mod event;
mod fetch;
mod floor;
mod history;
mod log_state;
pub mod model;
pub mod payload;
mod producer_state;
mod recorder;
mod report;
mod verdict;
mod violation;

pub use check::{Checker, CheckerOptions};
pub use event::{Event, Fetched, ParseError, PositionKind, ProducerKind, SeenBatch};
pub use history::{History, HistoryError};
pub use recorder::Recorder;
pub use report::Report;
pub use violation::{Violation, ViolationKind};
