//! What requests mean: one handler file per API, and the dispatch over them.
//!
//! A handler file opens with its key, the versions it serves and what differs from Apache Kafka,
//! and has `VERSIONS` (what ApiVersions advertises) and `handle`.

mod alter_configs;
mod alteration;
mod api_versions;
mod caller;
mod close;
mod config_entries;
mod config_resource;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod dispatch;
mod error;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod log_limit;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod placement;
mod produce;
mod refusal;
mod session;
mod sync_group;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::checkpoint::Checkpointer;
use crate::clock::Clock;
use crate::config::Config;
use crate::coordinator::group::GroupCoordinator;
use crate::partition::Appender;
use crate::producer_ids::ProducerIds;
use crate::scrubber::Scrubber;
use crate::stop::Stop;

pub use caller::Caller;
pub use close::Close;
pub use dispatch::{Answer, Incoming, answer, start_produce};
pub use log_limit::{Line, LogLimit};
pub use session::Session;

/// What handlers work with.
#[derive(Debug)]
pub struct Context {
    /// The broker's settings.
    pub config: Arc<Config>,
    /// Identity of the data directory, given to clients as the cluster's.
    pub cluster_id: String,
    /// Topics and partitions.
    pub catalog: Arc<Catalog>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// The way to the commit threads.
    pub appender: Appender,
    /// Writes checkpoints: a log start that moved must not come back.
    pub checkpointer: Arc<Checkpointer>,
    /// Ids for idempotent producers.
    pub producer_ids: Arc<ProducerIds>,
    /// Verifies closed segments in the background.
    pub scrubber: Arc<Scrubber>,
    /// The groups.
    pub groups: Arc<GroupCoordinator>,
    /// The broker's end.
    pub stop: Stop,
}
