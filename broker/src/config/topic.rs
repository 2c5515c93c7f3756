//! The effective configuration of a topic: its own settings over the broker's over the table's defaults.

use sendlog_protocol::records::{Compression, Recompression};

use super::nearest::nearest;
use super::scope::{Overrides, Scope};
use super::setting::{Kind, Value};
use super::settings::Settings;
use super::source::Source;
use super::topic_table::{self, Support, Synonym, TOPIC_SETTINGS, TopicSetting};

/// Checked settings of a topic, as the log and the produce path need them.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    /// What happens to old records.
    pub cleanup: CleanupPolicy,
    /// Largest record batch that may be produced.
    pub max_message_bytes: usize,
    /// How batches are packed that come in another codec; `None` leaves all as they come.
    pub recompression: Option<Recompression>,
    /// Whose clock stamps records.
    pub timestamp_type: TimestampType,
    /// How far a record's timestamp may be behind the broker's clock; `i64::MAX` is any distance.
    pub timestamp_before_max_ms: i64,
    /// How far a record's timestamp may be ahead of the broker's clock; `i64::MAX` is any distance.
    pub timestamp_after_max_ms: i64,
    /// Age from which segments are removed; `None` keeps them.
    pub retention_ms: Option<i64>,
    /// Size of a partition from which its oldest segments are removed; `None` is no limit.
    pub retention_bytes: Option<u64>,
    /// How long the mark of a deleted key is kept.
    pub delete_retention_ms: i64,
    /// Records younger than this are not compacted.
    pub min_compaction_lag_ms: i64,
    /// Records older than this are compacted whatever the ratio; `i64::MAX` is never.
    pub max_compaction_lag_ms: i64,
    /// The uncompacted share of a log from which it is compacted.
    pub min_cleanable_dirty_ratio: f64,
    /// Size from which a segment is rolled.
    pub segment_bytes: u64,
    /// Age from which a segment is rolled.
    pub segment_ms: i64,
    /// Largest index file.
    pub segment_index_bytes: u32,
    /// Bytes between two index entries.
    pub index_interval_bytes: u32,
    /// 1: synced before the acknowledgement; more: synced when so many records wait for it.
    pub flush_messages: i64,
    /// Synced at the latest so long after the acknowledgement; 0: before it.
    pub flush_ms: i64,
}

/// `cleanup.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Segments past the retention limits are removed.
    pub delete: bool,
    /// The last record of each key is kept, and records need keys.
    pub compact: bool,
}

/// `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

/// Why a topic cannot have a setting; the text is sent to the client with INVALID_CONFIG.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    /// No topic setting has this name.
    #[error("Unknown topic config name: {name}{}", suggestion(*nearest))]
    Unknown {
        /// As the client wrote it.
        name: String,
        /// The known name most like it.
        nearest: Option<&'static str>,
    },
    /// The setting has no null.
    #[error("Null value not supported for topic configs: {0}")]
    Null(String),
    /// The value is outside the setting's bounds, or sendlog cannot serve it.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// As the client wrote it.
        value: String,
        /// Why.
        reason: String,
    },
    /// Only lists have items to add and take out.
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NotAList {
        /// `APPEND` or `SUBTRACT`.
        operation: &'static str,
        /// The setting.
        name: &'static str,
    },
    /// Two settings contradict each other.
    #[error("conflict topic config setting {0}")]
    Conflict(String),
}

impl TopicConfig {
    /// The configuration of a topic with `overrides` on this broker.
    ///
    /// # Errors
    /// The first setting of the result that is wrong. The broker's own settings are checked when it starts,
    /// so that with a running broker it is always one of `overrides`.
    pub fn resolve(broker: &Settings, overrides: &Overrides) -> Result<Self, TopicConfigError> {
        for (name, value) in overrides {
            check(name, Some(value))?;
        }
        let values = Effective { broker, overrides };
        let min_lag = values.whole("min.compaction.lag.ms")?;
        let max_lag = values.whole("max.compaction.lag.ms")?;
        if max_lag < min_lag {
            return Err(TopicConfigError::Conflict(format!(
                "min.compaction.lag.ms ({min_lag}) > max.compaction.lag.ms ({max_lag})"
            )));
        }
        let cleanup = values.list("cleanup.policy")?;
        Ok(Self {
            cleanup: CleanupPolicy {
                delete: cleanup.iter().any(|word| word == "delete"),
                compact: cleanup.iter().any(|word| word == "compact"),
            },
            max_message_bytes: values.number("max.message.bytes")?,
            recompression: values.recompression()?,
            timestamp_type: match values.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: values.whole("message.timestamp.before.max.ms")?,
            timestamp_after_max_ms: values.whole("message.timestamp.after.max.ms")?,
            retention_ms: Some(values.whole("retention.ms")?).filter(|limit| 0 <= *limit),
            retention_bytes: u64::try_from(values.whole("retention.bytes")?).ok(),
            delete_retention_ms: values.whole("delete.retention.ms")?,
            min_compaction_lag_ms: min_lag,
            max_compaction_lag_ms: max_lag,
            min_cleanable_dirty_ratio: values.ratio("min.cleanable.dirty.ratio")?,
            segment_bytes: values.number("segment.bytes")?,
            segment_ms: values.whole("segment.ms")?,
            segment_index_bytes: values.number("segment.index.bytes")?,
            index_interval_bytes: values.number("index.interval.bytes")?,
            flush_messages: values.whole("flush.messages")?,
            flush_ms: values.whole("flush.ms")?,
        })
    }

    /// Whether an acknowledged record is on disk.
    #[must_use]
    pub fn syncs_before_ack(&self) -> bool {
        self.flush_messages <= 1 || self.flush_ms == 0
    }
}

/// The setting with this name.
///
/// # Errors
/// [`TopicConfigError::Unknown`].
pub fn known(name: &str) -> Result<&'static TopicSetting, TopicConfigError> {
    topic_table::find(name).ok_or_else(|| {
        let names = TOPIC_SETTINGS.iter().map(|known| known.setting.name);
        TopicConfigError::Unknown { name: name.chars().take(249).collect(), nearest: nearest(name, names) }
    })
}

/// Whether a topic may set `name` to `value`.
///
/// # Errors
/// A name that no topic setting has, no value at all, and a value that is out of bounds or cannot be served.
pub fn check(name: &str, value: Option<&str>) -> Result<&'static TopicSetting, TopicConfigError> {
    let found = known(name)?;
    let Some(value) = value else { return Err(TopicConfigError::Null(name.to_owned())) };
    let invalid = |reason: String| TopicConfigError::Invalid {
        name: found.setting.name,
        value: value.chars().take(200).collect(),
        reason,
    };
    found.setting.kind.parse(value).map_err(invalid)?;
    match found.support {
        Support::DefaultOnly(why) if !found.setting.is_default(value) => {
            let default = found.setting.default.unwrap_or("");
            Err(invalid(format!("only `{default}` is supported: {why}")))
        }
        _ => Ok(found),
    }
}

/// The settings of topics on this broker.
#[derive(Debug)]
pub struct TopicScope<'a>(pub &'a Settings);

impl Scope for TopicScope<'_> {
    type Error = TopicConfigError;

    fn check(&self, name: &str, value: &str) -> Result<(), TopicConfigError> {
        check(name, Some(value)).map(drop)
    }

    fn in_force(&self, name: &str, before: &Overrides) -> Result<(Kind, String), TopicConfigError> {
        let found = known(name)?;
        Ok((found.setting.kind, resolve(found, self.0, before).value))
    }

    fn not_a_list(&self, operation: &'static str, name: &str) -> TopicConfigError {
        match known(name) {
            Ok(found) => TopicConfigError::NotAList { operation, name: found.setting.name },
            Err(unknown) => unknown,
        }
    }
}

/// A value with the setting that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// Name of the setting, of the topic or of the broker.
    pub name: &'static str,
    /// Its value, in its own unit.
    pub value: String,
    /// Where it was set.
    pub source: Source,
}

/// The value of a topic setting and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// In the topic setting's unit.
    pub value: String,
    /// Where the value was set.
    pub source: Source,
    /// Every place that gives a value, the winning one first (KIP-226).
    pub synonyms: Vec<Contribution>,
}

/// The value that `topic_setting` has for a topic with `overrides`.
#[must_use]
pub fn resolve(topic_setting: &TopicSetting, broker: &Settings, overrides: &Overrides) -> Resolved {
    let name = topic_setting.setting.name;
    let mut synonyms = Vec::new();
    let mut values = Vec::new();
    if let Some(value) = overrides.get(name) {
        synonyms.push(Contribution { name, value: value.clone(), source: Source::DynamicTopic });
        values.push((value.clone(), Source::DynamicTopic));
    }
    // By source and then by synonym, as Kafka has it: what is set now in hours is stronger than what a file says in ms.
    for source in Source::OF_BROKER {
        for synonym in topic_setting.synonyms {
            let Some(value) = broker.value_from(source, synonym.name) else { continue };
            synonyms.push(Contribution { name: synonym.name, value: value.to_owned(), source });
            values.push((converted(topic_setting, synonym, value, overrides, broker), source));
        }
    }
    values.push((default_of(topic_setting, overrides, broker), Source::Default));
    let (value, source) = values.swap_remove(0);
    Resolved { value, source, synonyms }
}

/// A broker's value in the unit of the topic's setting.
fn converted(
    topic_setting: &TopicSetting,
    synonym: &Synonym,
    value: &str,
    overrides: &Overrides,
    broker: &Settings,
) -> String {
    if synonym.name == "sendlog.flush" {
        return default_of(topic_setting, overrides, broker);
    }
    match value.parse::<i64>() {
        // -1 means the same in every unit.
        Ok(number) if synonym.factor != 1 && number < 0 => "-1".to_owned(),
        Ok(number) if synonym.factor != 1 => number.saturating_mul(synonym.factor).to_string(),
        _ => value.to_owned(),
    }
}

/// The default of a topic's setting; those of `flush.messages` and `flush.ms` follow from `sendlog.flush`
/// and each other.
fn default_of(topic_setting: &TopicSetting, overrides: &Overrides, broker: &Settings) -> String {
    let mode = broker.value("sendlog.flush").and_then(|mode| mode.parse().ok()).unwrap_or(FlushMode::Sync);
    let time_is_set = overrides.contains_key("flush.ms") || broker.given("log.flush.interval.ms").is_some();
    match (topic_setting.setting.name, mode) {
        ("flush.messages", FlushMode::Sync) if !time_is_set => "1".to_owned(),
        ("flush.ms", FlushMode::Interval { ms }) => ms.to_string(),
        ("flush.messages" | "flush.ms", _) => i64::MAX.to_string(),
        _ => topic_setting.setting.default.unwrap_or("").to_owned(),
    }
}

/// `sendlog.flush`: when acknowledged records are on disk, unless a topic says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushMode {
    /// Before the acknowledgement.
    Sync,
    /// At most so many milliseconds after it.
    Interval {
        /// At least one.
        ms: u64,
    },
    /// When the kernel writes them.
    Os,
}

impl std::str::FromStr for FlushMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "sync" => Ok(Self::Sync),
            None if text == "os" => Ok(Self::Os),
            Some(("interval", ms)) => match ms.parse() {
                Ok(ms) if 1 <= ms && i64::try_from(ms).is_ok() => Ok(Self::Interval { ms }),
                _ => Err(format!("`{ms}` is not a number of milliseconds, at least 1")),
            },
            _ => Err("it is `sync`, `interval:MS` or `os`".to_owned()),
        }
    }
}

/// Typed reading of effective values.
struct Effective<'a> {
    broker: &'a Settings,
    overrides: &'a Overrides,
}

impl Effective<'_> {
    /// Without the spaces around it that [`Kind::parse`] allows: words are compared.
    fn text(&self, name: &'static str) -> String {
        let found = topic_table::find(name).expect("topic settings are read by names of the table");
        resolve(found, self.broker, self.overrides).value.trim().to_owned()
    }

    fn parsed(&self, name: &'static str) -> Result<Value, TopicConfigError> {
        let value = self.text(name);
        let found = check(name, Some(&value))?;
        let invalid = |reason| TopicConfigError::Invalid { name, value: value.clone(), reason };
        found.setting.kind.parse(&value).map_err(invalid)
    }

    fn whole(&self, name: &'static str) -> Result<i64, TopicConfigError> {
        match self.parsed(name)? {
            Value::Whole(number) => Ok(number),
            other => unreachable!("{name} is not a whole number: {other:?}"),
        }
    }

    fn number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<T, TopicConfigError> {
        let number = self.whole(name)?;
        T::try_from(number).map_err(|_| TopicConfigError::Invalid {
            name,
            value: number.to_string(),
            reason: "too large".to_owned(),
        })
    }

    fn recompression(&self) -> Result<Option<Recompression>, TopicConfigError> {
        let name = self.text("compression.type");
        let level = match name.as_str() {
            "gzip" => Some(self.number("compression.gzip.level")?).filter(|level| 1 <= *level),
            "zstd" => Some(self.number("compression.zstd.level")?),
            _ => None,
        };
        let codec = match name.as_str() {
            "uncompressed" => Some(Compression::None),
            other => Compression::from_name(other).filter(|codec| *codec != Compression::None),
        };
        Ok(codec.map(|codec| Recompression { codec, level }))
    }

    fn ratio(&self, name: &'static str) -> Result<f64, TopicConfigError> {
        match self.parsed(name)? {
            Value::Ratio(ratio) => Ok(ratio),
            other => unreachable!("{name} is not a ratio: {other:?}"),
        }
    }

    fn list(&self, name: &'static str) -> Result<Vec<String>, TopicConfigError> {
        match self.parsed(name)? {
            Value::List(items) => Ok(items),
            other => unreachable!("{name} is not a list: {other:?}"),
        }
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(", did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::error::Origin;

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn broker(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in pairs {
            settings.give(name, value, Origin::Flag("--set")).unwrap();
        }
        settings
    }

    fn config(on_broker: &[(&str, &str)], on_topic: &[(&str, &str)]) -> TopicConfig {
        TopicConfig::resolve(&broker(on_broker), &overrides(on_topic)).unwrap()
    }

    fn refusal(on_topic: &[(&str, &str)]) -> String {
        TopicConfig::resolve(&Settings::default(), &overrides(on_topic)).unwrap_err().to_string()
    }

    #[test]
    fn every_default_is_allowed_and_agrees_with_the_brokers() {
        for known in TOPIC_SETTINGS {
            let default = known.setting.default.unwrap();
            check(known.setting.name, Some(default)).unwrap();
            let resolved = resolve(known, &Settings::default(), &Overrides::new());
            assert_eq!(resolved.value, default, "{}", known.setting.name);
            assert_eq!(resolved.source, Source::Default);
        }
        let names: Vec<&str> = TOPIC_SETTINGS.iter().map(|known| known.setting.name).collect();
        assert!(names.is_sorted());
    }

    #[test]
    fn the_topic_wins_over_the_broker_and_shorter_units_over_longer() {
        assert_eq!(config(&[], &[]).retention_ms, Some(604_800_000));
        assert_eq!(config(&[("log.retention.hours", "2")], &[]).retention_ms, Some(7_200_000));
        assert_eq!(config(&[("log.retention.hours", "-1")], &[]).retention_ms, None);
        let both = [("log.retention.hours", "2"), ("log.retention.minutes", "3")];
        assert_eq!(config(&both, &[]).retention_ms, Some(180_000));
        assert_eq!(config(&both, &[("retention.ms", "5")]).retention_ms, Some(5));
        assert_eq!(config(&both, &[("retention.ms", "-1")]).retention_ms, None);
    }

    #[test]
    fn synonyms_list_every_contribution_the_winner_first() {
        let settings = broker(&[("log.retention.minutes", "3")]);
        let known = topic_table::find("retention.ms").unwrap();
        let resolved = resolve(known, &settings, &overrides(&[("retention.ms", "5")]));
        let said: Vec<_> =
            resolved.synonyms.iter().map(|s| (s.name, s.value.as_str(), s.source.code())).collect();
        assert_eq!(
            said,
            [("retention.ms", "5", 1), ("log.retention.minutes", "3", 4), ("log.retention.hours", "168", 5)]
        );
        let without = resolve(known, &settings, &Overrides::new());
        assert_eq!((without.value.as_str(), without.source), ("180000", Source::StaticBroker));
    }

    #[test]
    fn flush_settings_say_when_an_acknowledged_record_is_on_disk() {
        let flush = |on_broker: &[(&str, &str)], on_topic: &[(&str, &str)]| {
            let config = config(on_broker, on_topic);
            (config.flush_messages, config.flush_ms, config.syncs_before_ack())
        };
        assert_eq!(flush(&[], &[]), (1, i64::MAX, true));
        assert_eq!(flush(&[], &[("flush.ms", "100")]), (i64::MAX, 100, false));
        assert_eq!(flush(&[], &[("flush.messages", "50")]), (50, i64::MAX, false));
        assert_eq!(flush(&[], &[("flush.messages", "1"), ("flush.ms", "100")]), (1, 100, true));
        assert_eq!(flush(&[("sendlog.flush", "interval:20")], &[]), (i64::MAX, 20, false));
        assert_eq!(flush(&[("sendlog.flush", "os")], &[]), (i64::MAX, i64::MAX, false));
        assert_eq!(flush(&[("sendlog.flush", "os")], &[("flush.messages", "1")]), (1, i64::MAX, true));
        assert_eq!(flush(&[("log.flush.interval.ms", "9")], &[]), (i64::MAX, 9, false));
        assert_eq!(flush(&[("sendlog.flush", "os")], &[("flush.ms", "0")]), (i64::MAX, 0, true));
    }

    #[test]
    fn codecs_have_the_level_that_is_in_force() {
        let packed = |on_topic: &[_]| config(&[("compression.zstd.level", "7")], on_topic).recompression;
        let to = |codec, level| Some(Recompression { codec, level });
        assert_eq!(packed(&[]), None);
        assert_eq!(packed(&[("compression.type", "zstd")]), to(Compression::Zstd, Some(7)));
        let own = [("compression.type", "zstd"), ("compression.zstd.level", "-3")];
        assert_eq!(packed(&own), to(Compression::Zstd, Some(-3)));
        assert_eq!(packed(&[("compression.type", "gzip")]), to(Compression::Gzip, None));
        let best = [("compression.type", "gzip"), ("compression.gzip.level", "9")];
        assert_eq!(packed(&best), to(Compression::Gzip, Some(9)));
        assert_eq!(packed(&[("compression.type", "lz4")]), to(Compression::Lz4, None));
        assert_eq!(packed(&[("compression.type", "uncompressed")]), to(Compression::None, None));
        assert!(!refusal(&[("compression.type", "none")]).is_empty());
        let fast = config(&[("compression.zstd.level", "-3")], &[("compression.type", "zstd")]);
        assert_eq!(
            fast.recompression,
            to(Compression::Zstd, Some(-3)),
            "a broker's level may be negative too"
        );
    }

    #[test]
    fn spaces_around_a_word_do_not_count() {
        let spaced =
            config(&[], &[("compression.type", " lz4 "), ("message.timestamp.type", " LogAppendTime")]);
        assert_eq!(spaced.timestamp_type, TimestampType::LogAppendTime);
        assert_eq!(spaced.recompression, Some(Recompression { codec: Compression::Lz4, level: None }));
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_a_sentence() {
        assert_eq!(
            refusal(&[("preallocate", "true")]),
            "Invalid value true for configuration preallocate: only `false` is supported: sendlog does not preallocate \
             segment files"
        );
        assert!(refusal(&[("remote.storage.enable", "true")]).contains("no tiered storage"));
        assert!(refusal(&[("min.insync.replicas", "2")]).contains("one replica"));
        assert_eq!(
            refusal(&[("retention.sm", "1")]),
            "Unknown topic config name: retention.sm, did you mean retention.ms?"
        );
        assert_eq!(
            refusal(&[("retention.ms", "-2")]),
            "Invalid value -2 for configuration retention.ms: Value must be at least -1"
        );
        assert_eq!(
            refusal(&[("min.compaction.lag.ms", "5"), ("max.compaction.lag.ms", "4")]),
            "conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (4)"
        );
        assert_eq!(
            check("retention.ms", None).unwrap_err().to_string(),
            "Null value not supported for topic configs: retention.ms"
        );
    }

    #[test]
    fn cleanup_policies_are_read() {
        let cleanup = |value| config(&[], &[("cleanup.policy", value)]).cleanup;
        assert_eq!(cleanup("delete"), CleanupPolicy { delete: true, compact: false });
        assert_eq!(cleanup("compact,delete"), CleanupPolicy { delete: true, compact: true });
        assert_eq!(cleanup(""), CleanupPolicy { delete: false, compact: false });
    }

    #[test]
    fn flush_modes_are_read() {
        assert_eq!("interval:5".parse(), Ok(FlushMode::Interval { ms: 5 }));
        for wrong in ["", "fast", "interval", "interval:", "interval:0", "interval:-1", "sync:1"] {
            assert!(wrong.parse::<FlushMode>().is_err(), "{wrong}");
        }
    }
}
