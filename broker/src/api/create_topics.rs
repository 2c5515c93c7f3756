//! CreateTopics (key 19), versions 2 to 7.
//!
//! Differs from Apache Kafka: the topics are there when it is answered; there is one broker, so one replica; settings that
//! cannot be served with their meaning are refused with INVALID_CONFIG.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use uuid::Uuid;

use super::placement::{self, PARTITIONS_PER_REQUEST_MAX};
use super::refusal::{Refusal, check_count, on_catalog, repeated};
use super::{Context, Session, config_entries};
use crate::catalog::{Apply, NewTopic, TopicError};
use crate::config::topic::{self, Overrides};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 2..=7;

/// The first version whose answer lists the topic's settings (KIP-525).
const FIRST_WITH_CONFIGS: i16 = 5;

/// Stands for the broker's default number of partitions or replicas (KIP-464).
const DEFAULT: i32 = -1;

/// Creates the topics, each for itself.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let apply = if request.validate_only { Apply::CheckOnly } else { Apply::Now };
    let names = plans(context, request.topics);
    let planned: Vec<NewTopic> = names.iter().filter_map(|(_, plan)| plan.as_ref().ok().cloned()).collect();
    let created = on_catalog(context, move |catalog| catalog.create(planned, apply)).await;
    let failed = created.as_ref().err().cloned();
    let mut created = created.unwrap_or_default().into_iter();
    let results = names.into_iter().map(|(name, plan)| {
        let done = plan.and_then(|plan| match (created.next(), &failed) {
            (Some(created), _) => Ok((plan, created.map_err(Refusal::from)?)),
            (None, Some(failed)) => Err(failed.clone()),
            (None, None) => Err(Refusal::new(ErrorCode::UnknownServerError, "the topic was not created")),
        });
        match done {
            Ok((plan, id)) => created_result(context, version, plan, id),
            Err(refusal) => refused_result(name, refusal),
        }
    });
    CreateTopicsResponse { topics: results.collect(), ..Default::default() }
}

/// What is to be created of each topic; a topic that is named twice stands once, refused.
fn plans(context: &Context, topics: Vec<CreatableTopic>) -> Vec<(String, Result<NewTopic, Refusal>)> {
    let too_many = check_count(context, topics.len()).and_then(|()| check_partitions(context, &topics)).err();
    let twice: HashSet<String> = repeated(topics.iter().map(|topic| topic.name.clone()));
    let mut answered = HashSet::new();
    let mut plans = Vec::with_capacity(topics.len());
    for topic in topics {
        let name = topic.name.clone();
        let plan = match &too_many {
            Some(refusal) => Err(refusal.clone()),
            None if twice.contains(&name) && !answered.insert(name.clone()) => continue,
            None if twice.contains(&name) => Err(Refusal::invalid("Duplicate topic name.")),
            None => plan(context, topic),
        };
        plans.push((name, plan));
    }
    plans
}

fn check_partitions(context: &Context, topics: &[CreatableTopic]) -> Result<(), Refusal> {
    let count = |topic: &CreatableTopic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        DEFAULT => usize::try_from(context.config.num_partitions).unwrap_or(0),
        count => usize::try_from(count).unwrap_or(0),
    };
    let partitions = topics.iter().map(count).fold(0, usize::saturating_add);
    if PARTITIONS_PER_REQUEST_MAX < partitions {
        let message = "Excessively large number of partitions per request.";
        return Err(Refusal::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

fn plan(context: &Context, topic: CreatableTopic) -> Result<NewTopic, Refusal> {
    let partitions = partition_count(context, &topic)?;
    let mut overrides = Overrides::new();
    for config in topic.configs {
        let known = topic::check(&config.name, config.value.as_deref()).map_err(TopicError::from)?;
        overrides.insert(known.setting.name.to_owned(), config.value.unwrap_or_default());
    }
    Ok(NewTopic { name: topic.name, partitions, overrides })
}

fn partition_count(context: &Context, topic: &CreatableTopic) -> Result<i32, Refusal> {
    if !topic.assignments.is_empty() {
        return assigned_count(context, topic);
    }
    let replicas = topic.replication_factor;
    let refused = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
    if replicas < -1 || replicas == 0 {
        return refused(
            "Replication factor must be larger than 0, or -1 to use the default value.".to_owned(),
        );
    }
    let partitions = topic.num_partitions;
    if partitions < DEFAULT || partitions == 0 {
        let message = "Number of partitions was set to an invalid non-positive value.";
        return Err(Refusal::new(ErrorCode::InvalidPartitions, message));
    }
    if 1 < replicas {
        return refused(format!(
            "Unable to replicate the partition {replicas} time(s): The target replication factor of {replicas} \
             cannot be reached because only 1 broker(s) are registered."
        ));
    }
    Ok(if partitions == DEFAULT { context.config.num_partitions } else { partitions })
}

/// The number of partitions that the client placed by hand.
fn assigned_count(context: &Context, topic: &CreatableTopic) -> Result<i32, Refusal> {
    for (value, what) in
        [(i32::from(topic.replication_factor), "replication factor"), (topic.num_partitions, "numPartitions")]
    {
        if value != DEFAULT {
            return Err(Refusal::invalid(format!(
                "A manual partition assignment was specified, but {what} was not set to -1."
            )));
        }
    }
    let refused = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    let mut indexes = HashSet::new();
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        if !indexes.insert(index) {
            return refused(format!("Found multiple manual partition assignments for partition {index}"));
        }
        placement::check(&assignment.broker_ids, context.config.node_id)?;
    }
    let count = i32::try_from(indexes.len()).unwrap_or(i32::MAX);
    if !(0..count).all(|index| indexes.contains(&index)) {
        return refused("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    Ok(count)
}

fn created_result(context: &Context, version: i16, plan: NewTopic, id: Uuid) -> CreatableTopicResult {
    let configs = match version < FIRST_WITH_CONFIGS {
        true => Vec::new(),
        false => config_entries::of_new_topic(&context.config.settings, &plan.overrides),
    };
    CreatableTopicResult {
        name: plan.name,
        topic_id: id,
        num_partitions: plan.partitions,
        replication_factor: 1,
        configs: Some(configs),
        ..Default::default()
    }
}

fn refused_result(name: String, refusal: Refusal) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: refusal.code.code(),
        error_message: Some(refusal.message),
        ..Default::default()
    }
}
