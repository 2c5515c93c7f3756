//! IncrementalAlterConfigs (key 44), versions 0 to 1: single settings of a topic are set, deleted, or have items added or taken
//! out (KIP-339).
//!
//! Differs from Apache Kafka: topics only; a broker's settings are read at its start.

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
        let broker = ask(&fixture, 4, "1", &[("num.partitions", SET, Some("2"))]).await;
        assert!(broker.0 == 42 && broker.1.contains("--config"));
    }
}
