//! The settings in force: those of the start, what was changed since, and what groups set.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Config;
use super::broker_scope::BrokerScope;
use super::client_metrics::ClientMetricsScope;
use super::error::ConfigError;
use super::group_config::{GroupConfig, GroupScope};
use super::scope::{Overrides, Scope};

/// Everything that is set while the broker runs, but for topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DynamicConfigs {
    /// On all brokers.
    pub cluster: Overrides,
    /// On single brokers, by id. There may be other ids than this broker's, if it had another once.
    pub brokers: BTreeMap<i32, Overrides>,
    /// On groups, by id.
    pub groups: BTreeMap<String, Overrides>,
    /// On subscriptions to client metrics, by name.
    pub client_metrics: BTreeMap<String, Overrides>,
}

/// Settings at one moment. A change makes another one.
#[derive(Debug)]
pub struct Live {
    /// The broker's, with what was changed since the start.
    pub config: Arc<Config>,
    /// What was changed since the start.
    pub dynamic: DynamicConfigs,
    groups: HashMap<String, Arc<GroupConfig>>,
    group_defaults: Arc<GroupConfig>,
}

impl Live {
    /// The settings of the start with `dynamic` over them.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn new(at_start: &Config, dynamic: DynamicConfigs) -> Result<Self, ConfigError> {
        let broker = dynamic.brokers.get(&at_start.node_id).cloned().unwrap_or_default();
        let config = Arc::new(if dynamic.cluster.is_empty() && broker.is_empty() {
            at_start.clone()
        } else {
            at_start.with_dynamic(dynamic.cluster.clone(), broker)?
        });
        let group = |(id, overrides): (&String, &Overrides)| {
            (id.clone(), Arc::new(GroupConfig::resolve(&config.groups, overrides)))
        };
        let groups = dynamic.groups.iter().map(group).collect();
        let group_defaults = Arc::new(GroupConfig::resolve(&config.groups, &Overrides::new()));
        Ok(Self { config, dynamic, groups, group_defaults })
    }

    /// Leaves out of `stored` what this program and its start settings do not allow, with a sentence for each: it may be
    /// older than the one that stored them.
    #[must_use]
    pub fn sifted(at_start: &Config, mut stored: DynamicConfigs) -> (Self, Vec<String>) {
        let mut left_out = Vec::new();
        let broker = BrokerScope(&at_start.settings);
        sift(&broker, "all brokers", &mut stored.cluster, &mut left_out);
        for (id, overrides) in &mut stored.brokers {
            sift(&broker, &format!("broker {id}"), overrides, &mut left_out);
        }
        for (id, overrides) in &mut stored.groups {
            // The limits of the broker may have changed; they are applied when the values are used.
            overrides.retain(|name, value| {
                let is_known = GroupScope(&at_start.groups).in_force(name, &Overrides::new()).is_ok();
                if !is_known {
                    left_out.push(format!("group {id}: {name}={value} is not used"));
                }
                is_known
            });
        }
        for (name, overrides) in &mut stored.client_metrics {
            sift(&ClientMetricsScope, &format!("client metrics {name}"), overrides, &mut left_out);
        }
        let live = Self::new(at_start, stored.clone()).unwrap_or_else(|error| {
            left_out.push(format!("the broker's dynamic settings are not used: {error}"));
            let fallback = DynamicConfigs { cluster: Overrides::new(), brokers: BTreeMap::new(), ..stored };
            Self::new(at_start, fallback).expect("the settings of the start were checked")
        });
        (live, left_out)
    }

    /// The configuration of a group, known or not.
    #[must_use]
    pub fn group(&self, id: &str) -> Arc<GroupConfig> {
        Arc::clone(self.groups.get(id).unwrap_or(&self.group_defaults))
    }
}

fn sift<S: Scope<Error: std::fmt::Display>>(
    scope: &S,
    what: &str,
    overrides: &mut Overrides,
    left_out: &mut Vec<String>,
) {
    overrides.retain(|name, value| match scope.check(name, value) {
        Ok(()) => true,
        Err(error) => {
            left_out.push(format!("{what}: {name}={value} is not used: {error}"));
            false
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Args;
    use clap::Parser;

    fn at_start() -> Config {
        Config::load(&Args::parse_from(["broker", "--data-dir", "d", "--set", "message.max.bytes=500"]))
            .unwrap()
    }

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_broker_wins_over_all_brokers_and_they_over_the_file() {
        let live = |dynamic| Live::new(&at_start(), dynamic).unwrap().config.topic_defaults.max_message_bytes;
        assert_eq!(live(DynamicConfigs::default()), 500);
        let cluster =
            DynamicConfigs { cluster: overrides(&[("message.max.bytes", "600")]), ..Default::default() };
        assert_eq!(live(cluster.clone()), 600);
        let other = BTreeMap::from([(7, overrides(&[("message.max.bytes", "700")]))]);
        assert_eq!(live(DynamicConfigs { brokers: other, ..cluster.clone() }), 600);
        let this = BTreeMap::from([(1, overrides(&[("message.max.bytes", "700")]))]);
        assert_eq!(live(DynamicConfigs { brokers: this, ..cluster }), 700);
    }

    #[test]
    fn what_is_stored_and_no_longer_allowed_is_left_out() {
        let stored = DynamicConfigs {
            cluster: overrides(&[("message.max.bytes", "600"), ("num.partitions", "4")]),
            groups: BTreeMap::from([(
                "g".to_owned(),
                overrides(&[("share.isolation.level", "read_committed")]),
            )]),
            client_metrics: BTreeMap::from([("m".to_owned(), overrides(&[("color", "red")]))]),
            ..Default::default()
        };
        let (live, left_out) = Live::sifted(&at_start(), stored);
        assert_eq!(left_out.len(), 2, "{left_out:?}");
        assert_eq!(live.config.topic_defaults.max_message_bytes, 600);
        assert!(live.group("g").share_reads_committed && !live.group("other").share_reads_committed);
    }
}
