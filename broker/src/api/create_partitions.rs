//! CreatePartitions (key 37), versions 0 to 3.
//!
//! Differs from Apache Kafka: the partitions are there when it is answered.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};

use super::placement::{self, PARTITIONS_PER_REQUEST_MAX};
use super::refusal::{Refusal, check_count, on_catalog, outcome, repeated};
use super::{Context, Session};
use crate::catalog::{Apply, Growth};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=3;

/// Adds partitions, to each topic for itself.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let apply = if request.validate_only { Apply::CheckOnly } else { Apply::Now };
    let plans = plans(context, request.topics);
    let planned: Vec<Growth> = plans.iter().filter_map(|(_, plan)| plan.as_ref().ok().cloned()).collect();
    let grown = on_catalog(context, move |catalog| catalog.grow(planned, apply)).await;
    let failed = grown.as_ref().err().cloned();
    let mut grown = grown.unwrap_or_default().into_iter();
    let results = plans.into_iter().map(|(name, plan)| {
        let result = plan.and_then(|_| match (grown.next(), &failed) {
            (Some(grown), _) => grown.map_err(Refusal::from),
            (None, Some(failed)) => Err(failed.clone()),
            (None, None) => Err(Refusal::new(ErrorCode::UnknownServerError, "no partition was added")),
        });
        let (error_code, error_message) = outcome(result);
        CreatePartitionsTopicResult { name, error_code, error_message }
    });
    CreatePartitionsResponse { results: results.collect(), ..Default::default() }
}

/// What is to be added to each topic; a topic that is named twice stands once, refused.
fn plans(context: &Context, topics: Vec<CreatePartitionsTopic>) -> Vec<(String, Result<Growth, Refusal>)> {
    let too_many = check_count(context, topics.len()).and_then(|()| check_partitions(context, &topics)).err();
    let twice: HashSet<String> = repeated(topics.iter().map(|topic| topic.name.clone()));
    let mut answered = HashSet::new();
    let mut plans = Vec::with_capacity(topics.len());
    for topic in topics {
        let plan = match &too_many {
            Some(refusal) => Err(refusal.clone()),
            None if twice.contains(&topic.name) && !answered.insert(topic.name.clone()) => continue,
            None if twice.contains(&topic.name) => Err(Refusal::invalid("Duplicate topic name.")),
            None => plan(context, &topic),
        };
        plans.push((topic.name, plan));
    }
    plans
}

/// How many partitions a topic would get; 0 where it has as many already, or is not there.
fn added(context: &Context, topic: &CreatePartitionsTopic) -> usize {
    let count = usize::try_from(topic.count).unwrap_or(0);
    let found = context.catalog.topic(&topic.name);
    found.map_or(0, |found| count.saturating_sub(found.partitions().len()))
}

fn check_partitions(context: &Context, topics: &[CreatePartitionsTopic]) -> Result<(), Refusal> {
    let partitions = topics.iter().map(|topic| added(context, topic)).fold(0, usize::saturating_add);
    if PARTITIONS_PER_REQUEST_MAX < partitions {
        let message = "Excessively large number of additional partitions per request.";
        return Err(Refusal::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

fn plan(context: &Context, topic: &CreatePartitionsTopic) -> Result<Growth, Refusal> {
    let added = added(context, topic);
    let growth = Growth { name: topic.name.clone(), count: topic.count };
    // What grows by nothing is refused by the catalog, in better words than for its assignments.
    let (Some(assignments), true) = (&topic.assignments, 0 < added) else { return Ok(growth) };
    if assignments.len() != added {
        let message = format!(
            "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        );
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    for assignment in assignments {
        placement::check(&assignment.broker_ids, context.config.node_id)?;
    }
    Ok(growth)
}
