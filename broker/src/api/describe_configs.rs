//! DescribeConfigs (key 32), versions 1 to 4.
//!
//! Differs from Apache Kafka: `flush.messages` is 1 by default, because it is; there are no loggers; a resource that is
//! named twice is answered once. The broker has one entry that is no setting, `sendlog.scrub.status`: how
//! far the verification of stored records is, and what it has found.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult,
};

use super::config_entries::{self, Detail};
use super::config_resource::Resource;
use super::refusal::{Refusal, blocking, check_count};
use super::{Context, Session};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::config::scope::Overrides;
use crate::config::setting::Kind;
use crate::config::source::Source;
use crate::scrubber::Scrubber;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=4;

/// Told among the broker's settings.
const SCRUB_STATUS: &str = "sendlog.scrub.status";

/// Reports settings, their values and where these come from.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let scrubber = Arc::clone(&context.scrubber);
    let work = move |config: &Config, catalog: &Catalog| describe_all(config, catalog, &scrubber, request);
    DescribeConfigsResponse { results: blocking(context, work).await, ..Default::default() }
}

fn describe_all(
    config: &Config,
    catalog: &Catalog,
    scrubber: &Scrubber,
    request: DescribeConfigsRequest,
) -> Vec<DescribeConfigsResult> {
    let too_many = check_count(config, request.resources.len()).err();
    let detail = Detail { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let mut seen = HashSet::new();
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        if !seen.insert((resource.resource_type, resource.resource_name.clone())) {
            continue;
        }
        let entries = match &too_many {
            Some(refusal) => Err(refusal.clone()),
            None => describe(config, catalog, scrubber, &resource, detail),
        };
        results.push(answer(resource, entries));
    }
    results
}

/// How the verification of stored records stands.
fn scrub_status(catalog: &Catalog, scrubber: &Scrubber, detail: Detail) -> DescribeConfigsResourceResult {
    let damaged: usize = catalog.partitions().map(|partition| partition.quarantined().len()).sum();
    let documentation = "State of the background verification of closed segments, its running and its last pass, and how many \
                         ranges of all logs cannot be read. Not a setting.";
    DescribeConfigsResourceResult {
        name: SCRUB_STATUS.to_owned(),
        value: Some(format!("{} damaged.ranges={damaged}", scrubber.status())),
        read_only: true,
        config_source: Source::Default.code(),
        config_type: Kind::Text.type_code(),
        documentation: detail.documentation.then(|| documentation.to_owned()),
        ..Default::default()
    }
}

fn describe(
    config: &Config,
    catalog: &Catalog,
    scrubber: &Scrubber,
    resource: &DescribeConfigsResource,
    detail: Detail,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    // Null asks for all, and so does an empty list (as Kafka's ConfigHelper has it).
    let keys = resource.configuration_keys.as_deref().filter(|keys| !keys.is_empty());
    let keys: Option<HashSet<&str>> = keys.map(|keys| keys.iter().map(String::as_str).collect());
    let wanted = |name: &str| keys.as_ref().is_none_or(|keys| keys.contains(name));
    let broker = &config.settings;
    let nothing = Overrides::new();
    match Resource::read(config.node_id, resource.resource_type, &resource.resource_name)? {
        Resource::Topic(name) => {
            let topic = catalog.topic(name).ok_or_else(Refusal::unknown_topic)?;
            Ok(config_entries::of_topic(broker, topic.overrides(), detail, wanted))
        }
        Resource::Broker => {
            let mut entries = config_entries::of_broker(broker, detail, wanted);
            entries.extend(wanted(SCRUB_STATUS).then(|| scrub_status(catalog, scrubber, detail)));
            Ok(entries)
        }
        Resource::AllBrokers => Ok(config_entries::of_all_brokers(broker, detail, wanted)),
        Resource::Group(id) => {
            let live = catalog.live();
            let overrides = live.dynamic.groups.get(id).unwrap_or(&nothing);
            Ok(config_entries::of_group(broker, overrides, detail, wanted))
        }
        Resource::ClientMetrics(name) => {
            let live = catalog.live();
            let overrides = live.dynamic.client_metrics.get(name).unwrap_or(&nothing);
            Ok(config_entries::of_client_metrics(overrides, detail, wanted))
        }
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
        Ok(entries) => {
            result.configs = entries;
            // Not null, as in Kafka.
            result.error_message = Some(String::new());
        }
        Err(refusal) => {
            result.error_code = refusal.code.code();
            result.error_message = Some(refusal.message);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;
    use crate::catalog::alteration::Alteration;
    use crate::catalog::{Apply, ConfigTarget};

    fn resource(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResource {
        let keys = keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
        DescribeConfigsResource { resource_type, resource_name: name.to_owned(), configuration_keys: keys }
    }

    async fn ask(
        fixture: &Fixture,
        resources: Vec<DescribeConfigsResource>,
        detail: bool,
    ) -> Vec<DescribeConfigsResult> {
        let request =
            DescribeConfigsRequest { resources, include_synonyms: detail, include_documentation: detail };
        handle(&fixture.context, &fixture.session, 4, request).await.results
    }

    #[tokio::test]
    async fn every_setting_of_a_topic_is_reported() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let results = ask(&fixture, vec![resource(2, "a", None)], false).await;
        let configs = &results[0].configs;
        for name in
            ["cleanup.policy", "flush.messages", "retention.ms", "segment.bytes", "min.insync.replicas"]
        {
            assert!(configs.iter().any(|config| config.name == name), "{name}");
        }
        assert!(configs.iter().all(|config| config.synonyms.is_empty() && config.documentation.is_none()));
        assert!(configs.iter().all(|config| !config.read_only && config.value.is_some()));
    }

    #[tokio::test]
    async fn keys_are_picked_and_an_empty_list_is_all() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let picked = ask(&fixture, vec![resource(2, "a", Some(&["flush.messages", "no.such"]))], true).await;
        let [flush] = picked[0].configs.as_slice() else { panic!("one setting is asked for") };
        assert_eq!((flush.value.as_deref(), flush.config_source, flush.config_type), (Some("1"), 5, 5));
        assert!(
            flush
                .documentation
                .as_ref()
                .is_some_and(|doc| doc.contains("on disk before the acknowledgement"))
        );
        assert_eq!(flush.synonyms[0].name, "sendlog.flush");
        assert!(30 < ask(&fixture, vec![resource(2, "a", Some(&[]))], true).await[0].configs.len());
    }

    #[tokio::test]
    async fn the_brokers_settings_say_where_they_come_from_and_which_are_read_only() {
        let fixture = Fixture::with(&["num.partitions=4"]);
        let keys = ["num.partitions", "log.retention.hours", "broker.rack"];
        let results = ask(&fixture, vec![resource(4, "1", Some(&keys))], true).await;
        let find = |name: &str| results[0].configs.iter().find(|config| config.name == name).unwrap();
        let partitions = find("num.partitions");
        assert_eq!(
            (partitions.value.as_deref(), partitions.config_source, partitions.read_only),
            (Some("4"), 4, true)
        );
        assert_eq!(partitions.synonyms.len(), 2);
        assert_eq!((find("log.retention.hours").config_source, find("broker.rack").value.clone()), (5, None));
    }

    #[tokio::test]
    async fn dynamic_settings_have_kafkas_sources_and_synonyms() {
        let fixture = Fixture::with(&["message.max.bytes=400"]);
        fixture.create("a", 1).await;
        let set = |target: ConfigTarget, pairs: &[(&str, &str)]| {
            let overrides = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let alteration = Alteration::Replace(overrides.collect());
            fixture.context.catalog.configure(&target, alteration, Apply::Now).unwrap();
        };
        set(ConfigTarget::Cluster, &[("message.max.bytes", "500"), ("log.retention.ms", "5000")]);
        set(ConfigTarget::Broker, &[("message.max.bytes", "600")]);
        set(ConfigTarget::Group("g".to_owned()), &[("share.isolation.level", "read_committed")]);
        set(ConfigTarget::ClientMetrics("m".to_owned()), &[("metrics", "a.")]);
        let places = async |kind, name: &str, key: &str| {
            let result = ask(&fixture, vec![resource(kind, name, Some(&[key]))], true).await.remove(0);
            assert_eq!(result.error_code, 0, "{:?}", result.error_message);
            let config = result.configs.into_iter().next().expect("the setting is known");
            let synonyms = config.synonyms.into_iter();
            let synonyms =
                synonyms.map(|of| format!("{}={} {}", of.name, of.value.unwrap_or_default(), of.source));
            (config.value.unwrap_or_default(), config.config_source, synonyms.collect::<Vec<_>>())
        };
        let layers = [
            "message.max.bytes=600 2",
            "message.max.bytes=500 3",
            "message.max.bytes=400 4",
            "message.max.bytes=1048588 5",
        ];
        let layers: Vec<String> = layers.map(str::to_owned).to_vec();
        assert_eq!(places(4, "1", "message.max.bytes").await, ("600".to_owned(), 2, layers.clone()));
        assert_eq!(places(2, "a", "max.message.bytes").await, ("600".to_owned(), 2, layers));
        let retention = vec!["log.retention.ms=5000 3".to_owned(), "log.retention.hours=168 5".to_owned()];
        assert_eq!(places(4, "1", "log.retention.ms").await, ("5000".to_owned(), 3, retention.clone()));
        assert_eq!(places(2, "a", "retention.ms").await, ("5000".to_owned(), 3, retention));
        let cluster = vec!["message.max.bytes=500 3".to_owned()];
        assert_eq!(places(4, "", "message.max.bytes").await, ("500".to_owned(), 3, cluster));
        let level = vec![
            "share.isolation.level=read_committed 8".to_owned(),
            "share.isolation.level=read_uncommitted 5".to_owned(),
        ];
        assert_eq!(places(32, "g", "share.isolation.level").await, ("read_committed".to_owned(), 8, level));
        let session = vec!["group.consumer.session.timeout.ms=45000 5".to_owned()];
        assert_eq!(places(32, "x", "consumer.session.timeout.ms").await, ("45000".to_owned(), 5, session));
        let metrics = vec!["metrics=a. 7".to_owned()];
        assert_eq!(places(16, "m", "metrics").await, ("a.".to_owned(), 7, metrics));
        assert_eq!(places(16, "m", "interval.ms").await, ("300000".to_owned(), 5, vec![]));
        let all = ask(&fixture, vec![resource(4, "", None), resource(4, "1", None)], true).await;
        assert_eq!(all[0].configs.len(), 2);
        let fixed = all[1].configs.iter().filter(|config| config.read_only).count();
        assert!(30 < fixed && fixed < all[1].configs.len());
    }

    #[tokio::test]
    async fn the_scrub_tells_how_it_stands() {
        let fixture = Fixture::new();
        let results = ask(&fixture, vec![resource(4, "1", Some(&["sendlog.scrub.status"]))], true).await;
        let [status] = results[0].configs.as_slice() else { panic!("one entry is asked for") };
        assert_eq!(status.value.as_deref(), Some("state=waiting passes=0 damaged.ranges=0"));
        assert!(status.read_only && status.documentation.is_some());
        let all = ask(&fixture, vec![resource(4, "1", None)], false).await;
        assert!(all[0].configs.iter().any(|config| config.name == "sendlog.scrub.status"));
    }

    #[tokio::test]
    async fn what_is_not_there_has_its_own_error() {
        let fixture = Fixture::new();
        let wanted = vec![
            resource(2, "none", None),
            resource(2, "a b", None),
            resource(4, "77", None),
            resource(4, "x", None),
            resource(4, "", None),
            resource(8, "1", None),
            resource(99, "1", None),
            resource(2, "none", None),
        ];
        let results = ask(&fixture, wanted, false).await;
        let codes: Vec<i16> = results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [3, 17, 42, 42, 0, 42, 42], "a resource is answered once");
        let unexpected = "Unexpected broker id, expected 1 or empty string, but received 77";
        assert_eq!(results[2].error_message.as_deref(), Some(unexpected));
    }
}
