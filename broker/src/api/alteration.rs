//! What AlterConfigs and IncrementalAlterConfigs share: one alteration for each resource, made in one go.

use std::collections::HashSet;

use super::config_resource::{Resource, broker_is_fixed};
use super::refusal::{Refusal, check_count, repeated};
use crate::catalog::alteration::Alteration;
use crate::catalog::{Apply, Catalog};
use crate::config::Config;

/// A resource of a request with what is to become of it.
#[derive(Debug)]
pub(super) struct Altered {
    /// `ConfigResource.Type`.
    pub(super) resource_type: i8,
    /// Name of the topic, or id of the broker.
    pub(super) resource_name: String,
    /// What is to become of it, or why that cannot be.
    pub(super) alteration: Result<Alteration, Refusal>,
}

/// An altered resource with what became of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// As in [`Altered`].
    pub(super) resource_type: i8,
    /// As in [`Altered`].
    pub(super) resource_name: String,
    /// Whether it was altered.
    pub(super) result: Result<(), Refusal>,
}

/// Alters each resource for itself; one that is named twice stands once, refused.
pub(super) fn alter(config: &Config, catalog: &Catalog, all: Vec<Altered>, apply: Apply) -> Vec<Outcome> {
    let too_many = check_count(config, all.len()).err();
    let key = |altered: &Altered| (altered.resource_type, altered.resource_name.clone());
    let twice: HashSet<(i8, String)> = repeated(all.iter().map(key));
    let mut answered = HashSet::new();
    let mut outcomes = Vec::with_capacity(all.len());
    let mut wanted = Vec::new();
    for altered in all {
        let is_twice = twice.contains(&key(&altered));
        if is_twice && !answered.insert(key(&altered)) {
            continue;
        }
        let Altered { resource_type, resource_name, alteration } = altered;
        let alteration = match &too_many {
            Some(refusal) => Err(refusal.clone()),
            None if is_twice => Err(Refusal::invalid("Each resource must appear at most once.")),
            None => check_resource(config, resource_type, &resource_name).and(alteration),
        };
        let result = alteration.map(|alteration| wanted.push((resource_name.clone(), alteration)));
        outcomes.push(Outcome { resource_type, resource_name, result });
    }
    let mut altered = catalog.alter(wanted, apply).into_iter();
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.result.is_ok()) {
        let result = altered.next().expect("the catalog answers for every topic");
        outcome.result = result.map_err(Refusal::from);
    }
    outcomes
}

fn check_resource(config: &Config, kind: i8, name: &str) -> Result<(), Refusal> {
    match Resource::read(config.node_id, kind, name)? {
        Resource::Topic(_) => Ok(()),
        Resource::Broker | Resource::AllBrokers => Err(broker_is_fixed()),
    }
}
