//! Settings as DescribeConfigs and CreateTopics report them.

use sendlog_protocol::messages::{
    CreatableTopicConfigs, DescribeConfigsResourceResult, DescribeConfigsSynonym,
};

use crate::config::broker_table;
use crate::config::setting::Setting;
use crate::config::settings::Settings;
use crate::config::topic::{self, Overrides, Resolved, Source};
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
            let (name, value) = (synonym.name.to_owned(), Some(synonym.value));
            DescribeConfigsSynonym { name, value, source: synonym.source.code() }
        });
        DescribeConfigsResourceResult {
            value: Some(value),
            config_source: source.code(),
            synonyms: synonyms.collect(),
            documentation: detail.documentation.then(|| documentation(known)),
            ..described(&known.setting)
        }
    };
    TOPIC_SETTINGS.iter().filter(|known| wanted(known.setting.name)).map(entry).collect()
}

/// The broker's settings for which `wanted` is true. All are read at the start, so none can be altered.
pub(super) fn of_broker(
    broker: &Settings,
    detail: Detail,
    wanted: impl Fn(&str) -> bool,
) -> Vec<DescribeConfigsResourceResult> {
    let entry = |setting: &Setting| {
        let contributions =
            [(broker.given(setting.name), Source::StaticBroker), (setting.default, Source::Default)];
        let synonyms: Vec<DescribeConfigsSynonym> = contributions
            .into_iter()
            .filter_map(|(value, source)| {
                let (name, value) = (setting.name.to_owned(), Some(value?.to_owned()));
                Some(DescribeConfigsSynonym { name, value, source: source.code() })
            })
            .collect();
        DescribeConfigsResourceResult {
            value: broker.value(setting.name).map(str::to_owned),
            read_only: true,
            config_source: synonyms.first().map_or(Source::Default.code(), |first| first.source),
            synonyms: if detail.synonyms { synonyms } else { Vec::new() },
            documentation: detail.documentation.then(|| setting.doc.to_owned()),
            ..described(setting)
        }
    };
    broker_table::all().filter(|setting| wanted(setting.name)).map(entry).collect()
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
