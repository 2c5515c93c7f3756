//! What requests mean: one handler file per API, and the dispatch over them.
//!
//! A handler file opens with its key, the versions it serves and what differs from Apache Kafka,
//! and has `VERSIONS` (what ApiVersions advertises) and `handle`.

mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod alter_share_group_offsets;
mod alteration;
mod api_versions;
mod caller;
mod close;
mod config_entries;
mod config_resource;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_share_group_offsets;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_share_group_offsets;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod dispatch;
mod elect_leaders;
mod error;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod log_limit;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod packing;
mod placement;
mod produce;
mod refusal;
mod session;
mod share_acknowledge;
mod share_acks;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod share_read;
mod sync_group;
#[cfg(test)]
pub(crate) mod testing;
mod update_features;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::checkpoint::Checkpointer;
use crate::clock::Clock;
use crate::config::Config;
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::share::ShareCoordinator;
use crate::partition::Appender;
use crate::producer_ids::ProducerIds;
use crate::scrubber::Scrubber;
use crate::stop::Stop;

pub use caller::Caller;
pub use close::Close;
pub use dispatch::{Answer, Incoming, answer, start_produce};
pub use log_limit::{Line, LogLimit};
pub use packing::Packing;
pub use session::Session;

/// A connection is closed: nothing is kept for it.
pub fn disconnected(context: &Context, session: &Session) {
    context.shares.disconnected(session.id);
}

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
    /// Batches that change their codec on that way.
    pub packing: Packing,
    /// Writes checkpoints: a log start that moved must not come back.
    pub checkpointer: Arc<Checkpointer>,
    /// Ids for idempotent producers.
    pub producer_ids: Arc<ProducerIds>,
    /// Verifies closed segments in the background.
    pub scrubber: Arc<Scrubber>,
    /// The groups.
    pub groups: Arc<GroupCoordinator>,
    /// What share groups have of the records.
    pub shares: Arc<ShareCoordinator>,
    /// The broker's end.
    pub stop: Stop,
}
