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
use super::refusal::{Refusal, outcome, repeated};
use super::{Context, Session};
use crate::catalog::Apply;
use crate::catalog::alteration::{Alteration, Edit, Operation};

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
    let all = request.resources.into_iter().map(altered).collect();
    let responses = alter(context, all, apply).await.into_iter().map(response);
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
