//! Changes of settings that are no topic's: brokers, groups, client metrics. Each is in the state file before it is in force.

use std::path::PathBuf;
use std::sync::Arc;

use super::alteration::Alteration;
use super::change::{Apply, hand_over_config};
use super::configs_state::{self, StoredConfigs};
use super::error::TopicError;
use super::topic::Topic;
use super::topics::Topics;
use super::{Catalog, Changing};
use crate::config::broker_scope::BrokerScope;
use crate::config::client_metrics::ClientMetricsScope;
use crate::config::group_config::GroupScope;
use crate::config::live::{DynamicConfigs, Live};
use crate::config::scope::{Overrides, ScopeError};
use crate::config::{Config, ConfigError};
use crate::storage::error::StorageError;
use crate::storage::files::FileSystem;
use crate::storage::state_file;

/// Whose settings change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigTarget {
    /// All brokers.
    Cluster,
    /// This broker.
    Broker,
    /// A group, which need not exist.
    Group(String),
    /// A subscription to client metrics, which begins to exist with its first setting.
    ClientMetrics(String),
}

/// The most groups and subscriptions that may have settings.
const RESOURCES_MAX: usize = 100_000;

/// The most bytes that the names and settings of all groups and subscriptions may have together: they are in memory, and
/// written with every change.
const BYTES_MAX: usize = 64 << 20;

impl Catalog {
    /// The settings in force.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Changes what a broker, a group or a subscription sets; durable and in force on return. Blocks on the disk.
    ///
    /// # Errors
    /// What is refused, or the disk.
    pub fn configure(
        &self,
        target: &ConfigTarget,
        alteration: Alteration,
        apply: Apply,
    ) -> Result<(), TopicError> {
        let mut changing = self.lock_changing();
        let before = self.live();
        let dynamic = altered(&self.at_start, &before, target, alteration)?;
        let live = Live::new(&self.at_start, dynamic).map_err(|error| contradiction(&error))?;
        let changes_brokers = matches!(target, ConfigTarget::Cluster | ConfigTarget::Broker);
        let topics = if changes_brokers { Some(self.under(&live)?) } else { None };
        if apply == Apply::CheckOnly || live.dynamic == before.dynamic {
            return Ok(());
        }
        self.save_configs(&mut changing, &live.dynamic).map_err(TopicError::Storage)?;
        self.live.store(Arc::new(live));
        if let Some(topics) = topics {
            let was = self.topics();
            self.current.store(Arc::new(topics));
            for topic in self.load().iter() {
                let before = was.by_name(&topic.name).map(|topic| Arc::clone(&topic.config));
                hand_over_config(topic, before.as_deref());
            }
        }
        Ok(())
    }

    /// All topics, each configured anew.
    fn under(&self, live: &Live) -> Result<Topics, TopicError> {
        let mut next = Topics::clone(&self.load());
        for topic in self.topics().iter() {
            let config =
                super::change::effective(&live.config, &topic.overrides).map_err(|error| match error {
                    TopicError::Config(error) => {
                        TopicError::from(ScopeError::Request(format!("topic {}: {error}", topic.name)))
                    }
                    other => other,
                })?;
            if config != topic.config {
                next.put(Arc::new(Topic {
                    name: Arc::clone(&topic.name),
                    id: topic.id,
                    partitions: topic.partitions.clone(),
                    config,
                    overrides: Arc::clone(&topic.overrides),
                }));
            }
        }
        Ok(next)
    }

    /// As with topics: out of room, the file is as it was; after any other failure nothing may change any more.
    fn save_configs(
        &self,
        changing: &mut Changing,
        dynamic: &DynamicConfigs,
    ) -> Result<(), Arc<StorageError>> {
        if let Some(failure) = &changing.failure {
            return Err(Arc::clone(failure));
        }
        let path = self.configs_path();
        let stored = StoredConfigs::from(dynamic);
        let saved = state_file::save(self.env.store.fs(), &path, configs_state::KIND, &stored);
        self.note_failure(changing, saved)
    }

    fn configs_path(&self) -> PathBuf {
        self.env.data_dir.join(configs_state::FILE_NAME)
    }
}

/// The settings of the start with what the state file has.
///
/// # Errors
/// The file cannot be read.
pub(super) fn load(fs: &dyn FileSystem, at_start: &Config) -> Result<Live, StorageError> {
    let path = at_start.data_dir.join(configs_state::FILE_NAME);
    let stored = state_file::load::<StoredConfigs>(fs, &path, configs_state::KIND)?.unwrap_or_default();
    let (live, left_out) = Live::sifted(at_start, stored.into());
    for sentence in left_out {
        tracing::warn!("a stored setting is not in force: {sentence}");
    }
    Ok(live)
}

/// What is set when `target` has been altered.
fn altered(
    at_start: &Config,
    live: &Live,
    target: &ConfigTarget,
    alteration: Alteration,
) -> Result<DynamicConfigs, TopicError> {
    let mut dynamic = live.dynamic.clone();
    match target {
        ConfigTarget::Cluster => {
            dynamic.cluster = alteration.apply(&BrokerScope(&live.config.settings), &dynamic.cluster)?;
        }
        ConfigTarget::Broker => {
            let scope = BrokerScope(&live.config.settings);
            put(&mut dynamic.brokers, at_start.node_id, |before| Ok(alteration.apply(&scope, before)?))?;
        }
        ConfigTarget::Group(id) => {
            let scope = GroupScope(&live.config.groups);
            put(&mut dynamic.groups, id.clone(), |before| {
                let after = alteration.apply(&scope, before)?;
                scope.check_together(&after)?;
                Ok(after)
            })?;
        }
        ConfigTarget::ClientMetrics(name) => put(&mut dynamic.client_metrics, name.clone(), |before| {
            Ok(alteration.apply(&ClientMetricsScope, before)?)
        })?,
    }
    check_room(&dynamic)?;
    Ok(dynamic)
}

/// Whether so much may be set. What brokers set has limits without this: their names are known.
fn check_room(dynamic: &DynamicConfigs) -> Result<(), TopicError> {
    let resources = || dynamic.groups.iter().chain(&dynamic.client_metrics);
    let limit = |limit, what| Err(TopicError::Limit { limit, what, setting: "fixed" });
    if RESOURCES_MAX < resources().count() {
        return limit(RESOURCES_MAX, "groups and client metrics with settings");
    }
    let settings = |overrides: &Overrides| -> usize {
        overrides.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum()
    };
    let bytes: usize = resources().map(|(id, overrides)| id.len().saturating_add(settings(overrides))).sum();
    if BYTES_MAX < bytes {
        return limit(BYTES_MAX, "bytes of settings of groups and client metrics");
    }
    Ok(())
}

/// Changes an entry; one without settings goes.
fn put<K: Ord>(
    all: &mut std::collections::BTreeMap<K, Overrides>,
    key: K,
    change: impl FnOnce(&Overrides) -> Result<Overrides, TopicError>,
) -> Result<(), TopicError> {
    let nothing = Overrides::new();
    let after = change(all.get(&key).unwrap_or(&nothing))?;
    if after.is_empty() {
        all.remove(&key);
    } else {
        all.insert(key, after);
    }
    Ok(())
}

fn contradiction(error: &ConfigError) -> TopicError {
    TopicError::from(ScopeError::Request(error.to_string()))
}

impl From<ScopeError> for TopicError {
    fn from(error: ScopeError) -> Self {
        Self::Setting(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_groups_and_subscriptions_set_has_limits() {
        let of_bytes = |bytes: usize| {
            let overrides = Overrides::from([("metrics".to_owned(), "v".repeat(bytes - "mmetrics".len()))]);
            let client_metrics = [("m".to_owned(), overrides)].into();
            DynamicConfigs { client_metrics, ..Default::default() }
        };
        let of_groups = |count: usize| {
            let groups = (0..count).map(|id| (id.to_string(), Overrides::new())).collect();
            DynamicConfigs { groups, ..Default::default() }
        };
        assert!(check_room(&of_bytes(BYTES_MAX)).is_ok() && check_room(&of_groups(RESOURCES_MAX)).is_ok());
        for over in [of_bytes(BYTES_MAX + 1), of_groups(RESOURCES_MAX + 1)] {
            assert!(matches!(check_room(&over), Err(TopicError::Limit { .. })));
        }
    }
}
