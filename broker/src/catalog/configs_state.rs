//! Settings that were made while the broker ran, as they are stored: state file `configs.state`, kind `CONF`.
//!
//! | field | bytes |
//! |---|---|
//! | all brokers | settings: count, then name and value each |
//! | brokers | count, then each: id (i32), settings |
//! | groups | count, then each: id, settings |
//! | client metrics | count, then each: name, settings |
//!
//! A broker that was never told any has no such file.

use serde::{Deserialize, Serialize};

use crate::config::live::DynamicConfigs;
use crate::config::scope::Overrides;
use crate::storage::state_file::StateKind;

/// Kind and version of the state file.
pub(crate) const KIND: StateKind = StateKind { tag: *b"CONF", version: 1 };

/// Name of the state file in the data directory.
pub(crate) const FILE_NAME: &str = "configs.state";

/// Name and value of each setting.
type Settings = Vec<(String, String)>;

/// [`DynamicConfigs`], stored.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredConfigs {
    /// Set on all brokers.
    pub cluster: Settings,
    /// Set on single brokers.
    pub brokers: Vec<(i32, Settings)>,
    /// Set on groups.
    pub groups: Vec<(String, Settings)>,
    /// Set on subscriptions to client metrics.
    pub client_metrics: Vec<(String, Settings)>,
}

impl From<&DynamicConfigs> for StoredConfigs {
    fn from(configs: &DynamicConfigs) -> Self {
        fn pairs(overrides: &Overrides) -> Settings {
            overrides.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
        }
        let brokers = configs.brokers.iter().map(|(id, overrides)| (*id, pairs(overrides)));
        let groups = configs.groups.iter().map(|(id, overrides)| (id.clone(), pairs(overrides)));
        let metrics = configs.client_metrics.iter().map(|(name, overrides)| (name.clone(), pairs(overrides)));
        Self {
            cluster: pairs(&configs.cluster),
            brokers: brokers.collect(),
            groups: groups.collect(),
            client_metrics: metrics.collect(),
        }
    }
}

impl From<StoredConfigs> for DynamicConfigs {
    fn from(stored: StoredConfigs) -> Self {
        fn overrides<K>((key, settings): (K, Settings)) -> (K, Overrides) {
            (key, settings.into_iter().collect())
        }
        Self {
            cluster: stored.cluster.into_iter().collect(),
            brokers: stored.brokers.into_iter().map(overrides).collect(),
            groups: stored.groups.into_iter().map(overrides).collect(),
            client_metrics: stored.client_metrics.into_iter().map(overrides).collect(),
        }
    }
}
