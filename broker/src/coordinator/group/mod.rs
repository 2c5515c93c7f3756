//! Groups: committed offsets, classic members (KIP-62, 345, 394, 429), consumer groups (KIP-848), share groups (KIP-932).
//!
//! A group is a state machine without I/O: an event is a call with an [`Env`] (the time, the topics, the settings) that
//! changes the group in memory and leaves in [`Effects`] what must happen outside: records to append to
//! `__consumer_offsets`, and answers to requests that were parked. The shell around it holds one lock a group, appends the
//! records of an event as one batch in the order of the events, and sends an event's answer and replies when all that its
//! group has appended so far is durable. Nobody is told of a state that a crash takes back.
//!
//! ```text
//! api/join_group ... -> coordinator (shell) -> group (one lock) -> {classic, consumer, share}, offsets
//!                         |                      pure: (state, event, env) -> effects
//!                         +-> partition::Appender -> durable -> answers
//! start: __consumer_offsets -> load -> group.replay(record) ... -> group.loaded(env)
//! ```

pub mod assign;
mod backlog;
mod batch;
pub mod classic;
pub mod commit;
pub mod commits;
pub mod consumer;
mod consumers;
pub mod coordinator;
pub mod effects;
pub mod env;
pub mod error;
#[expect(clippy::module_inception, reason = "one noun a file")]
pub mod group;
mod images;
mod load;
pub(in crate::coordinator) mod log_scan;
pub mod members;
pub mod offsets;
pub mod offsets_topic;
mod record;
mod replay;
pub mod share;
mod slot;
pub mod testing;
mod timers;
pub mod topics_image;

pub use coordinator::{CoordinatorParts, GroupCoordinator, Meet};
pub use effects::{Effects, Reply, Ticket};
pub use env::{Env, Moment};
pub use error::CoordinatorError;
pub use group::{Group, Kind};
pub use topics_image::{TopicImage, TopicsImage};
