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
use super::refusal::{Refusal, blocking, check_count, outcome, repeated};
use super::{Context, Session};
use crate::catalog::{Apply, Catalog, Growth};
use crate::config::Config;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=3;

/// Adds partitions, to each topic for itself.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let work = move |config: &Config, catalog: &Catalog| grow(config, catalog, request);
    CreatePartitionsResponse { results: blocking(context, work).await, ..Default::default() }
}

fn grow(
    config: &Config,
    catalog: &Catalog,
    request: CreatePartitionsRequest,
) -> Vec<CreatePartitionsTopicResult> {
    let apply = if request.validate_only { Apply::CheckOnly } else { Apply::Now };
    let plans = plans(config, catalog, request.topics);
    let planned = plans.iter().filter_map(|(_, plan)| plan.as_ref().ok().cloned()).collect();
    let mut grown = catalog.grow(planned, apply).into_iter();
    let results = plans.into_iter().map(|(name, plan)| {
        let result = plan.and_then(|_| Ok(grown.next().expect("the catalog answers for every topic")?));
        let (error_code, error_message) = outcome(result);
        CreatePartitionsTopicResult { name, error_code, error_message }
    });
    results.collect()
}

/// What is to be added to each topic; a topic that is named twice stands once, refused.
fn plans(
    config: &Config,
    catalog: &Catalog,
    topics: Vec<CreatePartitionsTopic>,
) -> Vec<(String, Result<Growth, Refusal>)> {
    let too_many = check_count(config, topics.len()).and_then(|()| check_partitions(catalog, &topics)).err();
    let twice: HashSet<String> = repeated(topics.iter().map(|topic| topic.name.clone()));
    let mut answered = HashSet::new();
    let mut plans = Vec::with_capacity(topics.len());
    for topic in topics {
        let plan = match &too_many {
            Some(refusal) => Err(refusal.clone()),
            None if twice.contains(&topic.name) && !answered.insert(topic.name.clone()) => continue,
            None if twice.contains(&topic.name) => Err(Refusal::invalid("Duplicate topic name.")),
            None => plan(config, catalog, &topic),
        };
        plans.push((topic.name, plan));
    }
    plans
}

/// How many partitions a topic would get; 0 where it has as many already, or is not there.
fn added(catalog: &Catalog, topic: &CreatePartitionsTopic) -> usize {
    let count = usize::try_from(topic.count).unwrap_or(0);
    let found = catalog.topic(&topic.name);
    found.map_or(0, |found| count.saturating_sub(found.partitions().len()))
}

fn check_partitions(catalog: &Catalog, topics: &[CreatePartitionsTopic]) -> Result<(), Refusal> {
    let partitions = topics.iter().map(|topic| added(catalog, topic)).fold(0, usize::saturating_add);
    if PARTITIONS_PER_REQUEST_MAX < partitions {
        let message = "Excessively large number of additional partitions per request.";
        return Err(Refusal::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

fn plan(config: &Config, catalog: &Catalog, topic: &CreatePartitionsTopic) -> Result<Growth, Refusal> {
    let added = added(catalog, topic);
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
        placement::check(&assignment.broker_ids, config.node_id)?;
    }
    Ok(growth)
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::messages::CreatePartitionsAssignment;

    use super::*;
    use crate::api::testing::Fixture;

    fn grow(name: &str, count: i32, brokers: Option<&[i32]>) -> CreatePartitionsTopic {
        let assignment = |id: &i32| CreatePartitionsAssignment { broker_ids: vec![*id] };
        let assignments = brokers.map(|brokers| brokers.iter().map(assignment).collect());
        CreatePartitionsTopic { name: name.to_owned(), count, assignments }
    }

    async fn ask(
        fixture: &Fixture,
        topics: Vec<CreatePartitionsTopic>,
        validate_only: bool,
    ) -> Vec<(i16, String)> {
        let request = CreatePartitionsRequest { topics, validate_only, ..Default::default() };
        let response = handle(&fixture.context, &fixture.session, 3, request).await;
        let said = |result: CreatePartitionsTopicResult| {
            (result.error_code, result.error_message.unwrap_or_default())
        };
        response.results.into_iter().map(said).collect()
    }

    fn count(fixture: &Fixture) -> usize {
        fixture.context.catalog.topic("a").unwrap().partitions().len()
    }

    #[tokio::test]
    async fn partitions_are_added() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        assert_eq!(ask(&fixture, vec![grow("a", 3, None)], true).await[0].0, 0);
        assert_eq!(count(&fixture), 1);
        assert_eq!(ask(&fixture, vec![grow("a", 3, None)], false).await[0].0, 0);
        assert_eq!(ask(&fixture, vec![grow("a", 5, Some(&[1, 1]))], false).await[0].0, 0);
        assert_eq!(count(&fixture), 5);
    }

    #[tokio::test]
    async fn what_kafka_refuses_is_refused_in_its_words() {
        let fixture = Fixture::new();
        fixture.create("a", 2).await;
        let said = async |topic| ask(&fixture, vec![topic], false).await.remove(0);
        assert_eq!(said(grow("a", 2, None)).await, (37, "Topic already has 2 partition(s).".to_owned()));
        let less = "The topic a currently has 2 partition(s); 1 would not be an increase.";
        assert_eq!(said(grow("a", 1, None)).await, (37, less.to_owned()));
        let few = "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.";
        assert_eq!(said(grow("a", 4, Some(&[1]))).await, (39, few.to_owned()));
        assert_eq!(said(grow("a", 3, Some(&[9]))).await.0, 39);
        assert_eq!(said(grow("none", 3, None)).await.0, 3);
        let huge = "Excessively large number of additional partitions per request.";
        assert_eq!(said(grow("a", 10_003, None)).await, (44, huge.to_owned()));
        let twice = ask(&fixture, vec![grow("a", 3, None), grow("a", 4, None)], false).await;
        assert_eq!(twice, [(42, "Duplicate topic name.".to_owned())]);
        assert_eq!(count(&fixture), 2);
    }
}
