//! Settings as DescribeConfigs and CreateTopics report them.

use sendlog_protocol::messages::{
    CreatableTopicConfigs, DescribeConfigsResourceResult, DescribeConfigsSynonym,
};

use crate::config::broker_scope;
use crate::config::broker_table;
use crate::config::client_metrics::CLIENT_METRICS_SETTINGS;
use crate::config::group_config::{GROUP_SETTINGS, GroupSetting};
use crate::config::scope::Overrides;
use crate::config::setting::Setting;
use crate::config::settings::Settings;
use crate::config::source::Source;
use crate::config::topic::{self, Resolved};
use crate::config::topic_table::{Support, TOPIC_SETTINGS, TopicSetting};

/// What a client wants to know of each setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detail {
    /// Where else the value could have come from (KIP-226).
    pub(super) synonyms: bool,
    /// What the setting means.
    pub(super) documentation: bool,
}

/// Every setting of a topic, for the answer that creates it.
pub(super) fn of_new_topic(broker: &Settings, overrides: &Overrides) -> Vec<CreatableTopicConfigs> {
    let entry = |known: &TopicSetting| {
        let Resolved { value, source, .. } = topic::resolve(known, broker, overrides);
        CreatableTopicConfigs {
            name: known.setting.name.to_owned(),
            value: Some(value),
            read_only: false,
            config_source: source.code(),
            is_sensitive: false,
        }
    };
    TOPIC_SETTINGS.iter().map(entry).collect()
}

/// The settings of a topic for which `wanted` is true.
pub(super) fn of_topic(
    broker: &Settings,
    overrides: &Overrides,
    detail: Detail,
    wanted: impl Fn(&str) -> bool,
) -> Vec<DescribeConfigsResourceResult> {
    let entry = |known: &TopicSetting| {
        let Resolved { value, source, synonyms } = topic::resolve(known, broker, overrides);
        let synonyms = synonyms.into_iter().filter(|_| detail.synonyms).map(|synonym| {
            let value = match synonym.source {
                Source::DynamicTopic => known.setting.kind.shown(&synonym.value),
                _ => synonym.value,
            };
            let name = synonym.name.to_owned();
            DescribeConfigsSynonym { name, value: Some(value), source: synonym.source.code() }
        });
        DescribeConfigsResourceResult {
            value: Some(known.setting.kind.shown(&value)),
            config_source: source.code(),
            synonyms: synonyms.collect(),
            documentation: detail.documentation.then(|| documentation(known)),
            ..described(&known.setting)
        }
    };
    TOPIC_SETTINGS.iter().filter(|known| wanted(known.setting.name)).map(entry).collect()
}

/// The broker's settings for which `wanted` is true.
pub(super) fn of_broker(
    broker: &Settings,
    detail: Detail,
    wanted: impl Fn(&str) -> bool,
) -> Vec<DescribeConfigsResourceResult> {
    let entry = |setting: &'static Setting| {
        let source =
            Source::OF_BROKER.into_iter().find(|from| broker.value_from(*from, setting.name).is_some());
        DescribeConfigsResourceResult {
            value: broker.value(setting.name).map(|value| setting.kind.shown(value)),
            read_only: !broker_scope::is_dynamic(setting.name),
            config_source: source.unwrap_or(Source::Default).code(),
            synonyms: if detail.synonyms { contributions(broker, &setting.name) } else { Vec::new() },
            documentation: detail.documentation.then(|| setting.doc.to_owned()),
            ..described(setting)
        }
    };
    broker_table::all().filter(|setting| wanted(setting.name)).map(entry).collect()
}

/// What is set on all brokers while they run; nothing else belongs to them together.
pub(super) fn of_all_brokers(
    broker: &Settings,
    detail: Detail,
    wanted: impl Fn(&str) -> bool,
) -> Vec<DescribeConfigsResourceResult> {
    let source = Source::DynamicDefaultBroker;
    let entry = |setting: &'static Setting| {
        let value = broker.value_from(source, setting.name)?;
        Some(DescribeConfigsResourceResult {
            value: Some(value.to_owned()),
            config_source: source.code(),
            synonyms: synonyms(detail, [Some((setting.name, value, source))]),
            documentation: detail.documentation.then(|| setting.doc.to_owned()),
            ..described(setting)
        })
    };
    broker_table::all().filter(|setting| wanted(setting.name)).filter_map(entry).collect()
}

/// The settings of a group for which `wanted` is true.
pub(super) fn of_group(
    broker: &Settings,
    overrides: &Overrides,
    detail: Detail,
    wanted: impl Fn(&str) -> bool,
) -> Vec<DescribeConfigsResourceResult> {
    let entry = |known: &GroupSetting| {
        let setting = &known.setting;
        let set = overrides.get(setting.name).map(|value| (setting.name, value.as_str(), Source::Group));
        let from_broker = |source| {
            let name = known.synonym?;
            Some((name, broker.value_from(source, name)?, source))
        };
        let own = match known.synonym {
            Some(_) => None,
            None => setting.default.map(|value| (setting.name, value, Source::Default)),
        };
        let places = [set].into_iter().chain(Source::OF_BROKER.map(from_broker)).chain([own]);
        let places: Vec<_> = places.flatten().collect();
        let (_, value, source) = places.first().copied().unwrap_or((setting.name, "", Source::Default));
        DescribeConfigsResourceResult {
            value: Some(value.to_owned()),
            config_source: source.code(),
            synonyms: synonyms(detail, places.into_iter().map(Some)),
            documentation: detail.documentation.then(|| setting.doc.to_owned()),
            ..described(setting)
        }
    };
    GROUP_SETTINGS.iter().filter(|known| wanted(known.setting.name)).map(entry).collect()
}

/// The settings of a subscription to client metrics for which `wanted` is true.
pub(super) fn of_client_metrics(
    overrides: &Overrides,
    detail: Detail,
    wanted: impl Fn(&str) -> bool,
) -> Vec<DescribeConfigsResourceResult> {
    let entry = |setting: &Setting| {
        let set =
            overrides.get(setting.name).map(|value| (setting.name, value.as_str(), Source::ClientMetrics));
        DescribeConfigsResourceResult {
            value: set.map(|(_, value, _)| value).or(setting.default).map(str::to_owned),
            config_source: set.map_or(Source::Default, |(_, _, source)| source).code(),
            synonyms: synonyms(detail, [set]),
            documentation: detail.documentation.then(|| setting.doc.to_owned()),
            ..described(setting)
        }
    };
    CLIENT_METRICS_SETTINGS.iter().filter(|setting| wanted(setting.name)).map(entry).collect()
}

/// Every place that gives a broker's setting a value, by source and then by name, as Kafka has them.
fn contributions(broker: &Settings, name: &&'static str) -> Vec<DescribeConfigsSynonym> {
    let family = broker_scope::family(name);
    let of_source = |source| {
        let values = family.iter().filter_map(move |name| Some((*name, broker.value_from(source, name)?)));
        values.map(move |(name, value)| synonym(name, value, source))
    };
    Source::OF_BROKER.into_iter().flat_map(of_source).collect()
}

fn synonyms<'a>(
    detail: Detail,
    places: impl IntoIterator<Item = Option<(&'a str, &'a str, Source)>>,
) -> Vec<DescribeConfigsSynonym> {
    let places = places.into_iter().flatten().filter(|_| detail.synonyms);
    places.map(|(name, value, source)| synonym(name, value, source)).collect()
}

fn synonym(name: &str, value: &str, source: Source) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym { name: name.to_owned(), value: Some(value.to_owned()), source: source.code() }
}

fn described(setting: &Setting) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        name: setting.name.to_owned(),
        config_type: setting.kind.type_code(),
        ..Default::default()
    }
}

fn documentation(known: &TopicSetting) -> String {
    match known.support {
        Support::Full => known.setting.doc.to_owned(),
        Support::Accepted(note) => format!("{} {note}", known.setting.doc),
        Support::DefaultOnly(why) => format!("{} Only the default: {why}.", known.setting.doc),
    }
}
