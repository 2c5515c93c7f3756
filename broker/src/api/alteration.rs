//! What AlterConfigs and IncrementalAlterConfigs share: one alteration for each resource, made in one go.

use std::collections::HashSet;

use super::config_resource::{Resource, TOPIC};
use super::refusal::{Refusal, check_count, repeated};
use crate::catalog::alteration::Alteration;
use crate::catalog::{Apply, Catalog, ConfigTarget};
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
    let mut topics = Vec::new();
    for altered in all {
        let is_twice = twice.contains(&key(&altered));
        if is_twice && !answered.insert(key(&altered)) {
            continue;
        }
        let Altered { resource_type, resource_name, alteration } = altered;
        let alteration = match &too_many {
            Some(refusal) => Err(refusal.clone()),
            None if is_twice => Err(Refusal::invalid("Each resource must appear at most once.")),
            None => alteration,
        };
        let result = alteration.and_then(|alteration| {
            if resource_type == TOPIC && resource_name.is_empty() {
                return Err(Refusal::invalid("Default topic resources are not allowed."));
            }
            match Resource::read(config.node_id, resource_type, &resource_name)? {
                Resource::Topic(_) => topics.push((resource_name.clone(), alteration)),
                other => catalog.configure(&target(other), alteration, apply)?,
            }
            Ok(())
        });
        outcomes.push(Outcome { resource_type, resource_name, result });
    }
    // Topics are altered together: the catalog is written once.
    let mut altered = catalog.alter(topics, apply).into_iter();
    let is_topic = |outcome: &&mut Outcome| outcome.resource_type == TOPIC && outcome.result.is_ok();
    for outcome in outcomes.iter_mut().filter(is_topic) {
        let result = altered.next().expect("the catalog answers for every topic");
        outcome.result = result.map_err(Refusal::from);
    }
    outcomes
}

/// What is no topic.
fn target(resource: Resource<'_>) -> ConfigTarget {
    match resource {
        Resource::AllBrokers => ConfigTarget::Cluster,
        Resource::Group(id) => ConfigTarget::Group(id.to_owned()),
        Resource::ClientMetrics(name) => ConfigTarget::ClientMetrics(name.to_owned()),
        Resource::Broker | Resource::Topic(_) => ConfigTarget::Broker,
    }
}
