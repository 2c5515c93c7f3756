//! IncrementalAlterConfigs (key 44), versions 0 to 1: single settings are set, deleted, or have items added or taken out (KIP-339).
//!
//! Differs from Apache Kafka: there are no loggers, and names that are not known are refused for brokers too.

use std::ops::RangeInclusive;

use sendlog_protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource, IncrementalAlterConfigsResourceResponse,
    IncrementalAlterConfigsResponse, IncrementalAlterableConfig,
};

use super::alteration::{Altered, Outcome, alter};
use super::refusal::{Refusal, blocking, outcome, repeated};
use super::{Context, Session};
use crate::catalog::alteration::{Alteration, Edit, Operation};
use crate::catalog::{Apply, Catalog};
use crate::config::Config;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// Changes settings of each topic.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let apply = if request.validate_only { Apply::CheckOnly } else { Apply::Now };
    let work = move |config: &Config, catalog: &Catalog| {
        let all = request.resources.into_iter().map(altered).collect();
        alter(config, catalog, all, apply)
    };
    let responses = blocking(context, work).await.into_iter().map(response);
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn altered(resource: IncrementalAlterConfigsResource) -> Altered {
    Altered {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        alteration: edits(resource.configs),
    }
}

fn edits(configs: Vec<IncrementalAlterableConfig>) -> Result<Alteration, Refusal> {
    if !repeated(configs.iter().map(|config| &config.name)).is_empty() {
        return Err(Refusal::invalid("Error due to duplicate config keys"));
    }
    let edits: Result<Vec<Edit>, Refusal> = configs.into_iter().map(edit).collect();
    edits.map(Alteration::Edit)
}

fn edit(config: IncrementalAlterableConfig) -> Result<Edit, Refusal> {
    let IncrementalAlterableConfig { name, config_operation, value } = config;
    let operation = match (config_operation, value) {
        (1, _) => Operation::Delete,
        (0..=3, None) => return Err(Refusal::invalid(format!("Null value not supported for : {name}"))),
        (0, Some(value)) => Operation::Set(value),
        (2, Some(value)) => Operation::Append(value),
        (3, Some(value)) => Operation::Subtract(value),
        (other, _) => return Err(Refusal::invalid(format!("Unknown operation type {other} for : {name}"))),
    };
    Ok(Edit { name, operation })
}

fn response(altered: Outcome) -> IncrementalAlterConfigsResourceResponse {
    let Outcome { resource_type, resource_name, result } = altered;
    let (error_code, error_message) = outcome(result);
    IncrementalAlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    const SET: i8 = 0;
    const DELETE: i8 = 1;
    const APPEND: i8 = 2;
    const SUBTRACT: i8 = 3;

    async fn ask(
        fixture: &Fixture,
        kind: i8,
        name: &str,
        configs: &[(&str, i8, Option<&str>)],
    ) -> (i16, String) {
        let config = |(name, operation, value): &(&str, i8, Option<&str>)| IncrementalAlterableConfig {
            name: (*name).to_owned(),
            config_operation: *operation,
            value: value.map(str::to_owned),
        };
        let resource = IncrementalAlterConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: configs.iter().map(config).collect(),
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let mut response = handle(&fixture.context, &fixture.session, 1, request).await;
        let result = response.responses.remove(0);
        (result.error_code, result.error_message.unwrap_or_default())
    }

    #[tokio::test]
    async fn settings_change_one_by_one() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let alter = async |configs: &[_]| ask(&fixture, 2, "a", configs).await.0;
        let set = [("retention.ms", SET, Some("5")), ("cleanup.policy", APPEND, Some("compact"))];
        assert_eq!(alter(&set).await, 0);
        let config = || fixture.context.catalog.topic("a").unwrap().config().clone();
        assert_eq!(config().retention_ms, Some(5));
        assert!(config().cleanup.compact && config().cleanup.delete);
        let undo = [("retention.ms", DELETE, None), ("cleanup.policy", SUBTRACT, Some("delete"))];
        assert_eq!(alter(&undo).await, 0);
        assert!(config().cleanup.compact && !config().cleanup.delete);
        assert_eq!(fixture.context.catalog.partition("a", 0).unwrap().config(), config());
        let fixture = fixture.restarted();
        assert!(fixture.context.catalog.topic("a").unwrap().config().cleanup.compact);
    }

    #[tokio::test]
    async fn what_kafka_refuses_is_refused_in_its_words() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let topic = async |configs: &[_]| ask(&fixture, 2, "a", configs).await;
        let list = "Can't APPEND to key retention.ms because its type is not LIST.";
        assert_eq!(topic(&[("retention.ms", APPEND, Some("5"))]).await, (40, list.to_owned()));
        let null = "Null value not supported for : retention.ms";
        assert_eq!(topic(&[("retention.ms", SET, None)]).await, (42, null.to_owned()));
        let twice = [("retention.ms", SET, Some("5")), ("retention.ms", DELETE, None)];
        assert_eq!(topic(&twice).await, (42, "Error due to duplicate config keys".to_owned()));
        assert_eq!(topic(&[("retention.ms", 9, Some("5"))]).await.0, 42);
        assert_eq!(topic(&[("no.such", SET, Some("5"))]).await.0, 40);
        assert_eq!(topic(&[("no.such", DELETE, None)]).await.0, 0);
        let none = "The topic 'none' does not exist.";
        assert_eq!(ask(&fixture, 2, "none", &[]).await, (3, none.to_owned()));
        let all = "Default topic resources are not allowed.";
        assert_eq!(ask(&fixture, 2, "", &[]).await, (42, all.to_owned()));
        let wrong = ask(&fixture, 2, "none", &[("retention.ms", SET, Some("x"))]).await;
        assert_eq!(wrong.0, 40, "{}", wrong.1);
        let fixed = "Cannot update these configs dynamically: [num.partitions]";
        let broker = ask(&fixture, 4, "1", &[("num.partitions", SET, Some("2"))]).await;
        assert_eq!(broker, (42, fixed.to_owned()));
        let list = "Config value append is not allowed for config key: message.max.bytes";
        let broker = ask(&fixture, 4, "1", &[("message.max.bytes", APPEND, Some("2"))]).await;
        assert_eq!(broker, (40, list.to_owned()));
        assert_eq!(ask(&fixture, 4, "7", &[]).await.0, 42);
        assert_eq!(ask(&fixture, 8, "1", &[("root", SET, Some("DEBUG"))]).await.0, 42);
        assert_eq!(ask(&fixture, 32, "g", &[("no.such", SET, Some("1"))]).await.0, 40);
        assert_eq!(ask(&fixture, 32, "", &[]).await.0, 42);
        let together = "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms.";
        let fixture = Fixture::with(&["group.consumer.max.heartbeat.interval.ms=50000"]);
        let group = ask(&fixture, 32, "g", &[("consumer.heartbeat.interval.ms", SET, Some("45000"))]).await;
        assert_eq!(group, (40, together.to_owned()));
    }

    #[tokio::test]
    async fn a_brokers_settings_reach_every_topic_at_once_and_outlive_a_restart() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        fixture.create("own", 1).await;
        assert_eq!(ask(&fixture, 2, "own", &[("max.message.bytes", SET, Some("700"))]).await.0, 0);
        let all = [
            ("message.max.bytes", SET, Some("500")),
            ("log.retention.ms", SET, Some("5000")),
            ("log.cleanup.policy", APPEND, Some("compact")),
        ];
        assert_eq!(ask(&fixture, 4, "", &all).await, (0, String::new()));
        assert_eq!(ask(&fixture, 4, "1", &[("message.max.bytes", SET, Some("600"))]).await.0, 0);
        fixture.create("later", 1).await;
        let check = |fixture: &Fixture| {
            let catalog = &fixture.context.catalog;
            let bytes =
                ["a", "own", "later"].map(|topic| catalog.topic(topic).unwrap().config().max_message_bytes);
            assert_eq!(bytes, [600, 700, 600]);
            let config = catalog.partition("a", 0).unwrap().config();
            assert!(config.retention_ms == Some(5000) && config.cleanup.compact && config.cleanup.delete);
        };
        check(&fixture);
        let fixture = fixture.restarted();
        check(&fixture);
        assert_eq!(ask(&fixture, 4, "1", &[("message.max.bytes", DELETE, None)]).await.0, 0);
        assert_eq!(fixture.context.catalog.topic("a").unwrap().config().max_message_bytes, 500);
        let out = ask(&fixture, 4, "", &[("message.max.bytes", SET, Some("5"))]).await;
        assert_eq!(out.0, 42, "{}", out.1);
        assert_eq!(fixture.context.catalog.live().dynamic.cluster.len(), 3);
    }

    #[tokio::test]
    async fn groups_and_subscriptions_have_settings_that_outlive_a_restart() {
        let fixture = Fixture::new();
        let group = [("consumer.session.timeout.ms", SET, Some("50000"))];
        assert_eq!(ask(&fixture, 32, "g", &group).await, (0, String::new()));
        let metrics = [("metrics", APPEND, Some("a.,b.")), ("interval.ms", SET, Some("1000"))];
        assert_eq!(ask(&fixture, 16, "m", &metrics).await, (0, String::new()));
        let fixture = fixture.restarted();
        let live = fixture.context.catalog.live();
        assert_eq!(live.group("g").consumer_session_timeout_ms, 50_000);
        assert_eq!(live.group("h").consumer_session_timeout_ms, 45_000);
        assert_eq!(live.dynamic.client_metrics["m"]["metrics"], "a.,b.");
        let gone = [("metrics", DELETE, None), ("interval.ms", DELETE, None)];
        assert_eq!(ask(&fixture, 16, "m", &gone).await.0, 0);
        assert!(fixture.context.catalog.live().dynamic.client_metrics.is_empty());
    }

    #[tokio::test]
    async fn what_is_only_checked_changes_nothing() {
        let fixture = Fixture::new();
        let config = IncrementalAlterableConfig {
            name: "message.max.bytes".to_owned(),
            config_operation: SET,
            value: Some("500".to_owned()),
        };
        let resource = IncrementalAlterConfigsResource {
            resource_type: 4,
            resource_name: String::new(),
            configs: vec![config],
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: true };
        let response = handle(&fixture.context, &fixture.session, 1, request).await;
        assert_eq!(response.responses[0].error_code, 0);
        assert!(fixture.context.catalog.live().dynamic.cluster.is_empty());
    }
}
