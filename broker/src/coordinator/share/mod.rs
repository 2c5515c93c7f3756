//! Share groups' records: who has which, and what became of them (KIP-932).
//!
//! ```text
//! api/share_fetch, share_acknowledge -> sessions -> ShareCoordinator -> Slot (one lock a share partition)
//!                                                     |                   SharePartition: pure
//!                                                     +-> state_log -> partition::Appender -> durable -> answers
//! first use: __share_group_state -> state_log -> SharePartition::restored, replay
//! ```
//!
//! Who is in a share group is known to [`super::group`], not here.

mod acknowledge;
mod acquire;
mod delivery;
mod durable;
mod share_partition;
mod spans;

pub use acknowledge::{AcknowledgeError, Acknowledgement, Verdict};
pub use acquire::{AcquiredRange, Fetched, LogBatch, Want};
pub use delivery::DurableState;
pub use durable::StateBatch;
pub use share_partition::{Limits, SharePartition};

#[cfg(test)]
mod tests;
