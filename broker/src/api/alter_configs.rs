//! AlterConfigs (key 33), versions 0 to 2: a resource has these settings and no others.
//!
//! Differs from Apache Kafka: there are no loggers, and names that are not known are refused for brokers too.

use std::ops::RangeInclusive;

use sendlog_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
    AlterableConfig,
};

use super::alteration::{Altered, Outcome, alter};
use super::refusal::{Refusal, blocking, outcome, repeated};
use super::{Context, Session};
use crate::catalog::alteration::Alteration;
use crate::catalog::{Apply, Catalog};
use crate::config::Config;
use crate::config::scope::Overrides;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=2;

/// Replaces the settings of each topic.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let apply = if request.validate_only { Apply::CheckOnly } else { Apply::Now };
    let work = move |config: &Config, catalog: &Catalog| {
        let all = request.resources.into_iter().map(altered).collect();
        alter(config, catalog, all, apply)
    };
    let responses = blocking(context, work).await.into_iter().map(response);
    AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn altered(resource: AlterConfigsResource) -> Altered {
    Altered {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        alteration: replacement(resource.configs),
    }
}

fn replacement(configs: Vec<AlterableConfig>) -> Result<Alteration, Refusal> {
    if !repeated(configs.iter().map(|config| &config.name)).is_empty() {
        return Err(Refusal::invalid("Error due to duplicate config keys"));
    }
    let nulls: Vec<&str> =
        configs.iter().filter(|config| config.value.is_none()).map(|config| config.name.as_str()).collect();
    if !nulls.is_empty() {
        return Err(Refusal::invalid(format!("Null value not supported for : {}", nulls.join(","))));
    }
    let mut overrides = Overrides::new();
    for config in configs {
        overrides.insert(config.name, config.value.unwrap_or_default());
    }
    Ok(Alteration::Replace(overrides))
}

fn response(altered: Outcome) -> AlterConfigsResourceResponse {
    let Outcome { resource_type, resource_name, result } = altered;
    let (error_code, error_message) = outcome(result);
    AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    fn resource(kind: i8, name: &str, configs: &[(&str, Option<&str>)]) -> AlterConfigsResource {
        let config = |(name, value): &(&str, Option<&str>)| AlterableConfig {
            name: (*name).to_owned(),
            value: value.map(str::to_owned),
        };
        AlterConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: configs.iter().map(config).collect(),
        }
    }

    async fn ask(fixture: &Fixture, resources: Vec<AlterConfigsResource>, validate_only: bool) -> Vec<i16> {
        let request = AlterConfigsRequest { resources, validate_only };
        let response = handle(&fixture.context, &fixture.session, 2, request).await;
        response.responses.iter().map(|response| response.error_code).collect()
    }

    #[tokio::test]
    async fn settings_that_are_not_named_go() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let both = [("retention.ms", Some("5")), ("segment.bytes", Some("4096"))];
        assert_eq!(ask(&fixture, vec![resource(2, "a", &both)], false).await, [0]);
        assert_eq!(ask(&fixture, vec![resource(2, "a", &[])], true).await, [0]);
        assert_eq!(fixture.context.catalog.topic("a").unwrap().overrides().len(), 2, "only checked");
        assert_eq!(ask(&fixture, vec![resource(2, "a", &both[..1])], false).await, [0]);
        let topic = fixture.context.catalog.topic("a").unwrap();
        assert_eq!((topic.config().retention_ms, topic.config().segment_bytes), (Some(5), 1 << 30));
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        fixture.create("c", 1).await;
        let all = vec![
            resource(2, "none", &[]),
            resource(4, "1", &[("num.partitions", Some("2"))]),
            resource(2, "a", &[("retention.ms", None)]),
            resource(2, "b", &[("retention.ms", Some("1")), ("retention.ms", Some("2"))]),
            resource(2, "c", &[("no.such", Some("1"))]),
        ];
        assert_eq!(ask(&fixture, all, false).await, [3, 42, 42, 42, 40]);
        let twice = vec![resource(2, "a", &[]), resource(2, "a", &[])];
        assert_eq!(ask(&fixture, twice, false).await, [42]);
    }
}
