//! CreateTopics (key 19), versions 2 to 7.
//!
//! Differs from Apache Kafka: the topics are there when it is answered; there is one broker, so one replica; settings that
//! cannot be served with their meaning are refused with INVALID_CONFIG.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use uuid::Uuid;

use super::placement::{self, PARTITIONS_PER_REQUEST_MAX};
use super::refusal::{Refusal, blocking, check_count, repeated};
use super::{Context, Session, config_entries};
use crate::catalog::{Apply, Catalog, NewTopic, TopicError};
use crate::config::Config;
use crate::config::scope::Overrides;
use crate::config::topic;

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
    let work = move |config: &Config, catalog: &Catalog| create(config, catalog, version, request);
    CreateTopicsResponse { topics: blocking(context, work).await, ..Default::default() }
}

fn create(
    config: &Config,
    catalog: &Catalog,
    version: i16,
    request: CreateTopicsRequest,
) -> Vec<CreatableTopicResult> {
    let apply = if request.validate_only { Apply::CheckOnly } else { Apply::Now };
    let plans = plans(config, catalog, request.topics);
    let planned = plans.iter().filter_map(|(_, plan)| plan.as_ref().ok().cloned()).collect();
    let mut created = catalog.create(planned, apply).into_iter();
    let results = plans.into_iter().map(|(name, plan)| {
        let done = plan.and_then(|plan| {
            let created = created.next().expect("the catalog answers for every topic");
            Ok((plan, created?))
        });
        match done {
            Ok((plan, id)) => created_result(config, version, plan, id),
            Err(refusal) => refused_result(name, refusal),
        }
    });
    results.collect()
}

/// What is to be created of each topic; a topic that is named twice stands once, refused.
fn plans(
    config: &Config,
    catalog: &Catalog,
    topics: Vec<CreatableTopic>,
) -> Vec<(String, Result<NewTopic, Refusal>)> {
    let too_many = check_count(config, topics.len()).and_then(|()| check_partitions(config, &topics)).err();
    let twice: HashSet<String> = repeated(topics.iter().map(|topic| topic.name.clone()));
    let mut answered = HashSet::new();
    let mut plans = Vec::with_capacity(topics.len());
    for topic in topics {
        let name = topic.name.clone();
        let plan = match &too_many {
            Some(refusal) => Err(refusal.clone()),
            None if twice.contains(&name) && !answered.insert(name.clone()) => continue,
            None if twice.contains(&name) => Err(Refusal::invalid("Duplicate topic name.")),
            None => plan(config, catalog, topic),
        };
        plans.push((name, plan));
    }
    plans
}

fn check_partitions(config: &Config, topics: &[CreatableTopic]) -> Result<(), Refusal> {
    let count = |topic: &CreatableTopic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        DEFAULT => usize::try_from(config.num_partitions).unwrap_or(0),
        count => usize::try_from(count).unwrap_or(0),
    };
    let partitions = topics.iter().map(count).fold(0, usize::saturating_add);
    if PARTITIONS_PER_REQUEST_MAX < partitions {
        let message = "Excessively large number of partitions per request.";
        return Err(Refusal::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

/// What is to be created, refused in Kafka's order: who only makes sure that a topic is there must hear that it is, whatever
/// else the request says of it. Then come its settings, and its partitions last.
fn plan(config: &Config, catalog: &Catalog, topic: CreatableTopic) -> Result<NewTopic, Refusal> {
    catalog.check_new_name(&topic.name)?;
    let partitions = partition_count(config, &topic);
    let mut given = BTreeMap::new();
    for config in topic.configs {
        if config.value.is_none() {
            topic::check(&config.name, None).map_err(TopicError::from)?;
        }
        // The last value for a name counts.
        given.insert(config.name, config.value.unwrap_or_default());
    }
    let mut overrides = Overrides::new();
    for (name, value) in given {
        let known = topic::check(&name, Some(&value)).map_err(TopicError::from)?;
        overrides.insert(known.setting.name.to_owned(), value);
    }
    Ok(NewTopic { name: topic.name, partitions: partitions?, overrides })
}

fn partition_count(config: &Config, topic: &CreatableTopic) -> Result<i32, Refusal> {
    if !topic.assignments.is_empty() {
        return assigned_count(config, topic);
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
    Ok(if partitions == DEFAULT { config.num_partitions } else { partitions })
}

/// The number of partitions that the client placed by hand.
fn assigned_count(config: &Config, topic: &CreatableTopic) -> Result<i32, Refusal> {
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
        placement::check(&assignment.broker_ids, config.node_id)?;
    }
    let count = i32::try_from(indexes.len()).unwrap_or(i32::MAX);
    if !(0..count).all(|index| indexes.contains(&index)) {
        return refused("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    Ok(count)
}

fn created_result(config: &Config, version: i16, plan: NewTopic, id: Uuid) -> CreatableTopicResult {
    let configs = match version < FIRST_WITH_CONFIGS {
        true => Vec::new(),
        false => config_entries::of_new_topic(&config.settings, &plan.overrides),
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

#[cfg(test)]
mod tests {
    use sendlog_protocol::messages::{CreatableReplicaAssignment, CreatableTopicConfig};

    use super::*;
    use crate::api::testing::Fixture;

    fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
        CreatableTopic { name: name.to_owned(), num_partitions, replication_factor, ..Default::default() }
    }

    fn with(name: &str, config: &str, value: Option<&str>) -> CreatableTopic {
        let config = CreatableTopicConfig { name: config.to_owned(), value: value.map(str::to_owned) };
        CreatableTopic { configs: vec![config], ..topic(name, -1, -1) }
    }

    fn assigned(name: &str, replicas: &[(i32, &[i32])]) -> CreatableTopic {
        let assignment = |(partition_index, broker_ids): &(i32, &[i32])| CreatableReplicaAssignment {
            partition_index: *partition_index,
            broker_ids: broker_ids.to_vec(),
        };
        CreatableTopic { assignments: replicas.iter().map(assignment).collect(), ..topic(name, -1, -1) }
    }

    async fn create(fixture: &Fixture, topics: Vec<CreatableTopic>) -> Vec<CreatableTopicResult> {
        let request = CreateTopicsRequest { topics, ..Default::default() };
        handle(&fixture.context, &fixture.session, 7, request).await.topics
    }

    fn said(result: &CreatableTopicResult) -> (i16, &str) {
        (result.error_code, result.error_message.as_deref().unwrap_or(""))
    }

    #[tokio::test]
    async fn defaults_are_filled_in_and_reported() {
        let fixture = Fixture::with(&["num.partitions=2"]);
        let results = create(&fixture, vec![with("a", "retention.ms", Some("5"))]).await;
        let result = &results[0];
        assert_eq!((said(result), result.num_partitions, result.replication_factor), ((0, ""), 2, 1));
        assert_eq!(result.topic_id, fixture.context.catalog.topic("a").unwrap().id());
        let configs = result.configs.as_ref().unwrap();
        let retention = configs.iter().find(|config| config.name == "retention.ms").unwrap();
        assert_eq!((retention.value.as_deref(), retention.config_source), (Some("5"), 1));
        let flush = configs.iter().find(|config| config.name == "flush.messages").unwrap();
        assert_eq!((flush.value.as_deref(), flush.config_source), (Some("1"), 5));
    }

    #[tokio::test]
    async fn only_checking_creates_nothing() {
        let fixture = Fixture::new();
        let topics = vec![topic("a", 2, 1), topic("a b", 1, 1)];
        let request = CreateTopicsRequest { topics, validate_only: true, ..Default::default() };
        let results = handle(&fixture.context, &fixture.session, 7, request).await.topics;
        assert_eq!(
            (results[0].error_code, results[0].topic_id, results[0].num_partitions),
            (0, Uuid::nil(), 2)
        );
        assert_eq!(results[1].error_code, 17);
        assert_eq!(fixture.context.catalog.topic_count(), 0);
    }

    #[tokio::test]
    async fn a_name_that_comes_twice_is_refused_once_and_the_others_are_made() {
        let fixture = Fixture::new();
        let results = create(&fixture, vec![topic("a", 1, 1), topic("b", 1, 1), topic("a", 1, 1)]).await;
        assert_eq!(results.len(), 2);
        assert_eq!(said(&results[0]), (42, "Duplicate topic name."));
        assert_eq!((results[1].name.as_str(), results[1].error_code), ("b", 0));
        assert_eq!(
            said(&create(&fixture, vec![topic("b", 1, 1)]).await[0]),
            (36, "Topic 'b' already exists.")
        );
    }

    #[tokio::test]
    async fn numbers_are_checked_as_kafka_does() {
        let fixture = Fixture::new();
        let wrong =
            vec![topic("a", 0, 1), topic("b", -2, 1), topic("c", 1, 0), topic("d", 1, -2), topic("e", 1, 3)];
        let results = create(&fixture, wrong).await;
        let codes: Vec<i16> = results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [37, 37, 38, 38, 38]);
        assert!(said(&results[4]).1.contains("only 1 broker(s) are registered"));
        assert_eq!(fixture.context.catalog.topic_count(), 0);
    }

    #[tokio::test]
    async fn that_a_topic_is_there_is_said_before_all_else() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let wrong = [topic("a", 1, 3), topic("a", 0, 1), with("a", "retention.ms", Some("x"))];
        for topic in wrong.into_iter().chain([assigned("a", &[(0, &[9])])]) {
            assert_eq!(said(&create(&fixture, vec![topic]).await[0]), (36, "Topic 'a' already exists."));
        }
        assert_eq!(create(&fixture, vec![topic("a b", 0, 3)]).await[0].error_code, 17);
        let both = CreatableTopic { replication_factor: 3, ..with("b", "retention.ms", Some("x")) };
        assert_eq!(create(&fixture, vec![both]).await[0].error_code, 40, "settings before partitions");
        let metadata = create(&fixture, vec![topic("__cluster_metadata", 1, 1)]).await;
        let prohibited = "Creation of internal topic __cluster_metadata is prohibited.";
        assert_eq!(said(&metadata[0]), (42, prohibited));
    }

    #[tokio::test]
    async fn one_request_makes_so_many_partitions_and_no_more() {
        let fixture = Fixture::new();
        let results = create(&fixture, vec![topic("a", 9_999, 1), topic("b", 2, 1)]).await;
        assert_eq!(said(&results[1]), (44, "Excessively large number of partitions per request."));
        assert_eq!(create(&fixture, vec![topic("a", 9_999, 1), topic("b", 1, 1)]).await[0].error_code, 0);
    }

    #[tokio::test]
    async fn one_request_names_so_many_topics_and_no_more() {
        let fixture = Fixture::with(&["sendlog.request.topics.max=2"]);
        let three = vec![topic("a", 1, 1), topic("b", 1, 1), topic("c", 1, 1)];
        assert_eq!(create(&fixture, three.clone()).await[0].error_code, 42);
        assert_eq!(create(&fixture, three[..2].to_vec()).await[0].error_code, 0);
    }

    #[tokio::test]
    async fn replicas_can_be_placed_on_this_broker_only() {
        let fixture = Fixture::new();
        let results = create(
            &fixture,
            vec![
                assigned("good", &[(1, &[1]), (0, &[1])]),
                assigned("other", &[(0, &[9])]),
                assigned("twice", &[(0, &[1, 1])]),
                assigned("empty", &[(0, &[])]),
                assigned("hole", &[(0, &[1]), (2, &[1])]),
                assigned("again", &[(0, &[1]), (0, &[1])]),
                CreatableTopic { num_partitions: 2, ..assigned("both", &[(0, &[1])]) },
            ],
        )
        .await;
        let codes: Vec<i16> = results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [0, 39, 39, 39, 39, 39, 42]);
        assert_eq!(results[0].num_partitions, 2);
        assert!(said(&results[1]).1.ends_with("includes broker 9, but no such broker is registered."));
    }

    #[tokio::test]
    async fn settings_that_cannot_be_are_refused_with_a_sentence() {
        let fixture = Fixture::new();
        let results = create(
            &fixture,
            vec![
                with("a", "no.such", Some("1")),
                with("b", "retention.ms", Some("x")),
                with("c", "retention.ms", None),
                with("d", "remote.storage.enable", Some("true")),
            ],
        )
        .await;
        assert!(results.iter().all(|result| result.error_code == 40));
        assert_eq!(said(&results[0]).1, "Unknown topic config name: no.such");
        assert_eq!(
            said(&results[1]).1,
            "Invalid value x for configuration retention.ms: Not a number of type LONG"
        );
        assert_eq!(said(&results[2]).1, "Null value not supported for topic configs: retention.ms");
        assert!(said(&results[3]).1.contains("no tiered storage"));
    }

    #[tokio::test]
    async fn the_last_value_of_a_setting_counts() {
        let fixture = Fixture::new();
        let mut topic = with("a", "retention.ms", Some("x"));
        topic.configs.extend(with("a", "retention.ms", Some("5")).configs);
        assert_eq!(said(&create(&fixture, vec![topic]).await[0]), (0, ""));
        assert_eq!(fixture.context.catalog.topic("a").unwrap().config().retention_ms, Some(5));
    }

    #[tokio::test]
    async fn topics_are_there_after_a_restart() {
        let fixture = Fixture::new();
        let id = fixture.create("a", 3).await;
        let fixture = fixture.restarted();
        let topic = fixture.context.catalog.topic_by_id(id).unwrap();
        assert_eq!(topic.partitions().len(), 3);
    }
}
