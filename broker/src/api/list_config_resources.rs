//! ListConfigResources (key 74), versions 0 to 1: the names of what has settings. Version 0 lists client metrics alone.
//!
//! Differs from Apache Kafka: there are no loggers.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::config_resource::{BROKER, CLIENT_METRICS, GROUP, TOPIC};
use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// The first version that says what it asks for.
const FIRST_WITH_TYPES: i16 = 1;

/// In Kafka's order.
const TYPES: [i8; 4] = [GROUP, CLIENT_METRICS, BROKER, TOPIC];

/// `ConfigResource.Type.BROKER_LOGGER`, of which there are none.
const BROKER_LOGGER: i8 = 8;

/// Lists the names.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let wanted = |kind: &i8| match version {
        FIRST_WITH_TYPES.. => request.resource_types.is_empty() || request.resource_types.contains(kind),
        _ => *kind == CLIENT_METRICS,
    };
    if request.resource_types.iter().any(|kind| !TYPES.contains(kind) && *kind != BROKER_LOGGER) {
        return ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            ..Default::default()
        };
    }
    let resources = TYPES.into_iter().filter(wanted).flat_map(|kind| {
        let resource = move |resource_name| ConfigResource { resource_name, resource_type: kind };
        names(context, kind).into_iter().map(resource)
    });
    ListConfigResourcesResponse { config_resources: resources.collect(), ..Default::default() }
}

fn names(context: &Context, kind: i8) -> Vec<String> {
    let live = context.catalog.live();
    match kind {
        GROUP => live.dynamic.groups.keys().cloned().collect(),
        CLIENT_METRICS => live.dynamic.client_metrics.keys().cloned().collect(),
        BROKER => vec![context.config.node_id.to_string()],
        _ => context.catalog.topics().iter().map(|topic| topic.name().to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;
    use crate::catalog::alteration::Alteration;
    use crate::catalog::{Apply, ConfigTarget};

    #[tokio::test]
    async fn what_has_settings_is_listed() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        for (target, name, value) in [
            (ConfigTarget::Group("g".to_owned()), "share.isolation.level", "read_committed"),
            (ConfigTarget::ClientMetrics("m".to_owned()), "metrics", "x."),
        ] {
            let alteration = Alteration::Replace([(name.to_owned(), value.to_owned())].into());
            fixture.context.catalog.configure(&target, alteration, Apply::Now).unwrap();
        }
        let ask = async |version, types: &[i8]| {
            let request = ListConfigResourcesRequest { resource_types: types.to_vec() };
            let response = handle(&fixture.context, &fixture.session, version, request).await;
            let resources = response.config_resources.into_iter();
            let named: Vec<_> = resources.map(|of| (of.resource_type, of.resource_name)).collect();
            (response.error_code, named)
        };
        let all = [(32, "g"), (16, "m"), (4, "1"), (2, "a")].map(|(kind, name)| (kind, name.to_owned()));
        assert_eq!(ask(1, &[]).await, (0, all.to_vec()));
        assert_eq!(ask(1, &[4, 8]).await, (0, all[2..3].to_vec()));
        assert_eq!(ask(0, &[]).await, (0, all[1..2].to_vec()));
        assert_eq!(ask(1, &[99]).await, (35, vec![]));
    }
}
