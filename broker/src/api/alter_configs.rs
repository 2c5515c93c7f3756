//! AlterConfigs (key 33), versions 0 to 2: a topic has these settings and no others.
//!
//! Differs from Apache Kafka: topics only; a broker's settings are read at its start.

use std::ops::RangeInclusive;

use sendlog_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
    AlterableConfig,
};

use super::alteration::{Altered, Outcome, alter};
use super::refusal::{Refusal, outcome, repeated};
use super::{Context, Session};
use crate::catalog::alteration::Alteration;
use crate::catalog::{Apply, TopicError};
use crate::config::topic::{self, Overrides};

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
    let all = request.resources.into_iter().map(altered).collect();
    let responses = alter(context, all, apply).await.into_iter().map(response);
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
        topic::check(&config.name, config.value.as_deref()).map_err(TopicError::from)?;
        overrides.insert(config.name, config.value.unwrap_or_default());
    }
    Ok(Alteration::Replace(overrides))
}

fn response(altered: Outcome) -> AlterConfigsResourceResponse {
    let Outcome { resource_type, resource_name, result } = altered;
    let (error_code, error_message) = outcome(result);
    AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name }
}
