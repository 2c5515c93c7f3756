//! Settings of a subscription to client metrics (KIP-714).
//!
//! Kept and reported for the tools that manage them. sendlog asks no client for metrics, so they have no effect.

use super::scope::{Overrides, Scope, ScopeError, invalid, shown};
use super::setting::{Kind, Setting};

/// What clients can be chosen by.
static SELECTORS: &[&str] = &[
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Every setting of a subscription.
pub static CLIENT_METRICS_SETTINGS: &[Setting] = &[
    Setting {
        name: "interval.ms",
        kind: Kind::Int { min: 100, max: 3_600_000 },
        default: Some("300000"),
        unit: "ms",
        doc: "How often clients would send metrics.",
    },
    Setting {
        name: "match",
        kind: Kind::List(&[]),
        default: Some(""),
        unit: "",
        doc: "Which clients would send metrics, each item `selector=pattern`; none is all clients.",
    },
    Setting {
        name: "metrics",
        kind: Kind::List(&[]),
        default: Some(""),
        unit: "",
        doc: "Beginnings of the names of the metrics; `*` is all, none is none.",
    },
];

/// The settings of subscriptions.
#[derive(Debug)]
pub struct ClientMetricsScope;

fn known(name: &str) -> Result<&'static Setting, ScopeError> {
    let found = CLIENT_METRICS_SETTINGS.iter().find(|setting| setting.name == name);
    found.ok_or_else(|| ScopeError::Request(format!("Unknown client metrics configuration: {}", shown(name))))
}

impl Scope for ClientMetricsScope {
    type Error = ScopeError;

    fn check(&self, name: &str, value: &str) -> Result<(), ScopeError> {
        let setting = known(name)?;
        if let Err(reason) = setting.kind.parse(value) {
            let reason = match name {
                "interval.ms" => format!(
                    "Invalid value {} for interval.ms, interval must be between 100 and 3600000 (1 hour)",
                    shown(value)
                ),
                _ => invalid(name, value, &reason),
            };
            return Err(ScopeError::Request(reason));
        }
        if name == "match" {
            let is_selector = |item: &str| {
                item.split_once('=').is_some_and(|(selector, pattern)| {
                    let is_pattern = !pattern.trim().is_empty() && !pattern.contains('=');
                    is_pattern && SELECTORS.contains(&selector.trim())
                })
            };
            let mut items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            if let Some(wrong) = items.find(|item| !is_selector(item)) {
                let wrong = shown(wrong);
                return Err(ScopeError::Config(format!("Illegal client matching pattern: {wrong}")));
            }
        }
        Ok(())
    }

    fn in_force(&self, name: &str, before: &Overrides) -> Result<(Kind, String), ScopeError> {
        let setting = known(name)?;
        let value = before.get(name).map(String::as_str).or(setting.default);
        Ok((setting.kind, value.unwrap_or_default().to_owned()))
    }

    fn not_a_list(&self, operation: &'static str, name: &str) -> ScopeError {
        let name = shown(name);
        ScopeError::Config(format!("Can't {operation} to key {name} because its type is not LIST."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_checked_as_kafka_does() {
        let check = |name, value| ClientMetricsScope.check(name, value).map_err(|error| error.to_string());
        for (name, value) in [
            ("metrics", "org.apache.kafka.consumer.,org.apache.kafka.producer."),
            ("interval.ms", "100"),
            ("match", "client_id=a.*, client_source_port=[0-9]+"),
            ("match", ""),
        ] {
            assert_eq!(check(name, value), Ok(()));
        }
        assert!(check("interval.ms", "99").unwrap_err().contains("must be between 100 and 3600000"));
        assert_eq!(check("match", "color=a").unwrap_err(), "Illegal client matching pattern: color=a");
        assert!(check("match", "client_id=").is_err());
        assert!(check("match", "client_id=a=b").is_err());
        assert!(check("metrics", "a,,b").is_err());
        assert_eq!(check("x", "1").unwrap_err(), "Unknown client metrics configuration: x");
    }
}
