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
pub mod coordinator;
mod delivery;
mod durable;
pub mod error;
mod key;
pub mod sessions;
mod share_partition;
pub mod slot;
mod spans;
mod state_record;
pub mod state_topic;
mod upkeep;
mod written;

pub use acknowledge::{AcknowledgeError, Acknowledgement, Verdict};
pub use acquire::{AcquiredRange, Fetched, LogBatch, Want};
pub use coordinator::{Acknowledged, ShareCoordinator, ShareParts};
pub use delivery::DurableState;
pub use durable::StateBatch;
pub use error::ShareError;
pub use key::ShareKey;
pub use sessions::{SessionError, SessionKey, Sessions, TopicPartition};
pub use share_partition::{Limits, SharePartition};
pub use slot::Slot;

#[cfg(test)]
mod tests;
