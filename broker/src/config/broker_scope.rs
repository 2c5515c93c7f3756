//! Which of the broker's settings can be changed while it runs (KIP-226), and how.
//!
//! Those of Kafka's that take effect here at once. The others are refused in Kafka's words: they are read at the start.

use super::broker_table;
use super::elsewhere;
use super::nearest::nearest;
use super::scope::{Overrides, Scope, ScopeError, invalid, shown};
use super::setting::{Kind, Setting};
use super::settings::Settings;

/// Settings that change while the broker runs.
pub static DYNAMIC: &[&str] = &[
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "group.consumer.assignment.interval.ms",
    "group.share.assignment.interval.ms",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleanup.policy",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.index.interval.bytes",
    "log.index.size.max.bytes",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.retention.bytes",
    "log.retention.ms",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "max.connections",
    "message.max.bytes",
    "min.insync.replicas",
    "producer.id.expiration.ms",
];

/// Settings that mean the same in other units, the strongest first, as Kafka lists them together.
static FAMILIES: &[&[&str]] = &[
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
];

/// Whether a setting can be changed while the broker runs.
#[must_use]
pub fn is_dynamic(name: &str) -> bool {
    DYNAMIC.contains(&name)
}

/// A setting and those that mean the same, the strongest first.
#[must_use]
pub fn family<'a>(name: &'a &'static str) -> &'a [&'static str] {
    FAMILIES.iter().find(|family| family.contains(name)).copied().unwrap_or(std::slice::from_ref(name))
}

/// The broker's settings, as they are in force.
#[derive(Debug)]
pub struct BrokerScope<'a>(pub &'a Settings);

fn dynamic(name: &str) -> Result<&'static Setting, ScopeError> {
    let known = broker_table::find(name);
    if let Some(setting) = known.filter(|setting| is_dynamic(setting.name)) {
        return Ok(setting);
    }
    if known.is_none() && elsewhere::without_effect(name).is_none() && elsewhere::refused(name).is_none() {
        let known = broker_table::all().map(|setting| setting.name);
        let suggestion =
            nearest(name, known).map_or_else(String::new, |name| format!(", did you mean {name}?"));
        return Err(ScopeError::Request(format!("Unknown broker config name: {}{suggestion}", shown(name))));
    }
    Err(ScopeError::Request(format!("Cannot update these configs dynamically: [{}]", shown(name))))
}

impl Scope for BrokerScope<'_> {
    type Error = ScopeError;

    fn check(&self, name: &str, value: &str) -> Result<(), ScopeError> {
        let setting = dynamic(name)?;
        match setting.kind.parse(value) {
            Ok(_) => Ok(()),
            Err(reason) => Err(ScopeError::Request(invalid(name, value, &reason))),
        }
    }

    fn in_force(&self, name: &str, before: &Overrides) -> Result<(Kind, String), ScopeError> {
        let setting = dynamic(name)?;
        let value = before.get(name).map(String::as_str).or_else(|| self.0.value(setting.name));
        Ok((setting.kind, value.unwrap_or_default().to_owned()))
    }

    fn not_a_list(&self, operation: &'static str, name: &str) -> ScopeError {
        let operation = operation.to_ascii_lowercase();
        ScopeError::Config(format!("Config value {operation} is not allowed for config key: {}", shown(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dynamic_is_in_the_table() {
        assert!(DYNAMIC.is_sorted());
        assert!(DYNAMIC.iter().all(|name| broker_table::find(name).is_some()));
        assert!(FAMILIES.iter().flat_map(|family| *family).all(|name| broker_table::find(name).is_some()));
        assert_eq!(family(&"log.retention.hours").len(), 3);
        assert_eq!(family(&"node.id"), ["node.id"]);
    }

    #[test]
    fn what_is_read_at_the_start_is_refused_as_kafka_does() {
        let settings = Settings::default();
        let refused = |name, value| BrokerScope(&settings).check(name, value).unwrap_err().to_string();
        assert_eq!(
            refused("num.partitions", "2"),
            "Cannot update these configs dynamically: [num.partitions]"
        );
        assert_eq!(
            refused("num.io.threads", "2"),
            "Cannot update these configs dynamically: [num.io.threads]"
        );
        assert!(refused("message.max.byte", "2").ends_with("did you mean message.max.bytes?"));
        let number = "Invalid value abc for configuration message.max.bytes: Not a number of type INT";
        assert_eq!(refused("message.max.bytes", "abc"), number);
        assert_eq!(BrokerScope(&settings).check("message.max.bytes", "100"), Ok(()));
    }
}
