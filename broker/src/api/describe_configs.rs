//! DescribeConfigs (key 32), versions 1 to 4.
//!
//! Differs from Apache Kafka: `flush.messages` is 1 by default, because it is; the broker's settings are all read-only; a
//! resource that is named twice is answered once.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use sendlog_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult,
};

use super::config_entries::{self, Detail};
use super::config_resource::Resource;
use super::refusal::{Refusal, check_count};
use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=4;

/// Reports settings, their values and where these come from.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let too_many = check_count(context, request.resources.len()).err();
    let detail = Detail { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let mut seen = HashSet::new();
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        if !seen.insert((resource.resource_type, resource.resource_name.clone())) {
            continue;
        }
        let entries = match &too_many {
            Some(refusal) => Err(refusal.clone()),
            None => describe(context, &resource, detail),
        };
        results.push(answer(resource, entries));
    }
    DescribeConfigsResponse { results, ..Default::default() }
}

fn describe(
    context: &Context,
    resource: &DescribeConfigsResource,
    detail: Detail,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    // Null asks for all, and so does an empty list (as Kafka's ConfigHelper has it).
    let keys = resource.configuration_keys.as_deref().filter(|keys| !keys.is_empty());
    let keys: Option<HashSet<&str>> = keys.map(|keys| keys.iter().map(String::as_str).collect());
    let wanted = |name: &str| keys.as_ref().is_none_or(|keys| keys.contains(name));
    let broker = &context.config.settings;
    match Resource::read(context, resource.resource_type, &resource.resource_name)? {
        Resource::Topic(name) => {
            let topic = context.catalog.topic(name).ok_or_else(Refusal::unknown_topic)?;
            Ok(config_entries::of_topic(broker, topic.overrides(), detail, wanted))
        }
        Resource::Broker => Ok(config_entries::of_broker(broker, detail, wanted)),
        Resource::AllBrokers => Ok(Vec::new()),
    }
}

fn answer(
    resource: DescribeConfigsResource,
    entries: Result<Vec<DescribeConfigsResourceResult>, Refusal>,
) -> DescribeConfigsResult {
    let mut result = DescribeConfigsResult {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        ..Default::default()
    };
    match entries {
        Ok(entries) => result.configs = entries,
        Err(refusal) => {
            result.error_code = refusal.code.code();
            result.error_message = Some(refusal.message);
        }
    }
    result
}
