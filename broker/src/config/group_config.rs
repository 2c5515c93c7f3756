//! Settings of groups: what a group itself sets, over the broker's.
//!
//! Differs from Apache Kafka: settings of streams groups and of dead-letter queues are not known, as neither is served.

use super::groups::{Bounded, GroupSettings};
use super::iso_duration;
use super::scope::{Overrides, Scope, ScopeError, invalid, shown};
use super::setting::{Kind, Setting};

const INT_MAX: i64 = i32::MAX as i64;

/// A setting of a group.
#[derive(Debug, Clone, Copy)]
pub struct GroupSetting {
    /// Name, type, default, doc.
    pub setting: Setting,
    /// The broker's setting that gives the default, if there is one.
    pub synonym: Option<&'static str>,
}

const fn row(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    unit: &'static str,
    synonym: Option<&'static str>,
    doc: &'static str,
) -> GroupSetting {
    GroupSetting { setting: Setting { name, kind, default: Some(default), unit, doc }, synonym }
}

const fn int(min: i64) -> Kind {
    Kind::Int { min, max: INT_MAX }
}

/// Every setting of a group, by name.
pub static GROUP_SETTINGS: &[GroupSetting] = &[
    row(
        "consumer.assignment.interval.ms",
        int(0),
        "1000",
        "ms",
        Some("group.consumer.assignment.interval.ms"),
        "The shortest time between two assignments of a group of the consumer protocol.",
    ),
    row(
        "consumer.heartbeat.interval.ms",
        int(1),
        "5000",
        "ms",
        Some("group.consumer.heartbeat.interval.ms"),
        "How often members of a group of the consumer protocol are told to report.",
    ),
    row(
        "consumer.session.timeout.ms",
        int(1),
        "45000",
        "ms",
        Some("group.consumer.session.timeout.ms"),
        "How long a member of a group of the consumer protocol may be silent.",
    ),
    row(
        "share.assignment.interval.ms",
        int(0),
        "1000",
        "ms",
        Some("group.share.assignment.interval.ms"),
        "The shortest time between two assignments of a share group.",
    ),
    row(
        "share.auto.offset.reset",
        Kind::Text,
        "latest",
        "",
        None,
        "Where a share group begins to read a partition: `latest`, `earliest`, or `by_duration:` with an ISO 8601 duration \
         before the present, such as `by_duration:P7D`.",
    ),
    row(
        "share.delivery.count.limit",
        int(2),
        "5",
        "deliveries",
        Some("group.share.delivery.count.limit"),
        "How often a share group is given a record.",
    ),
    row(
        "share.heartbeat.interval.ms",
        int(1),
        "5000",
        "ms",
        Some("group.share.heartbeat.interval.ms"),
        "How often members of a share group are told to report.",
    ),
    row(
        "share.isolation.level",
        Kind::Choice(&["read_committed", "read_uncommitted"]),
        "read_uncommitted",
        "",
        None,
        "Whether a share group is given records of transactions that are not, or not yet, committed.",
    ),
    row(
        "share.partition.max.record.locks",
        int(100),
        "2000",
        "records",
        Some("group.share.partition.max.record.locks"),
        "Records of one partition that a share group may have in flight.",
    ),
    row(
        "share.record.lock.duration.ms",
        int(1000),
        "30000",
        "ms",
        Some("group.share.record.lock.duration.ms"),
        "How long a member of a share group has the records that it fetched.",
    ),
    row(
        "share.renew.acknowledge.enable",
        Kind::Boolean,
        "true",
        "",
        None,
        "Whether members of a share group may keep records for longer (KIP-1222).",
    ),
    row(
        "share.session.timeout.ms",
        int(1),
        "45000",
        "ms",
        Some("group.share.session.timeout.ms"),
        "How long a member of a share group may be silent.",
    ),
];

/// `share.auto.offset.reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareAutoOffsetReset {
    /// What is there.
    Earliest,
    /// What comes.
    Latest,
    /// What came in so many milliseconds.
    ByDuration {
        /// Before the present.
        ms: u64,
    },
}

/// Checked settings of a group, as the coordinators need them. Fields are named after their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`.
    pub consumer_session_timeout_ms: i32,
    /// `consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_ms: i32,
    /// `consumer.assignment.interval.ms`.
    pub consumer_assignment_interval_ms: i32,
    /// `share.session.timeout.ms`.
    pub share_session_timeout_ms: i32,
    /// `share.heartbeat.interval.ms`.
    pub share_heartbeat_interval_ms: i32,
    /// `share.assignment.interval.ms`.
    pub share_assignment_interval_ms: i32,
    /// `share.record.lock.duration.ms`.
    pub share_record_lock_duration_ms: i32,
    /// `share.delivery.count.limit`.
    pub share_delivery_count_limit: i32,
    /// `share.partition.max.record.locks`.
    pub share_partition_max_record_locks: i32,
    /// `share.auto.offset.reset`.
    pub share_auto_offset_reset: ShareAutoOffsetReset,
    /// `share.isolation.level` is `read_committed`.
    pub share_reads_committed: bool,
    /// `share.renew.acknowledge.enable`.
    pub share_may_renew: bool,
}

impl GroupConfig {
    /// The configuration of a group with `overrides`, which were checked when they were set. A number that the broker's
    /// limits no longer allow becomes the nearest that they do.
    #[must_use]
    pub fn resolve(broker: &GroupSettings, overrides: &Overrides) -> Self {
        let number = |name: &str| {
            let bounds = bounds(broker, name).expect("numbers of groups have limits");
            let set = overrides.get(name).and_then(|value| value.trim().parse().ok());
            set.map_or(bounds.default, |value| bounds.clamp(value))
        };
        let text = |name: &str| overrides.get(name).map(|value| value.trim());
        let reset = text("share.auto.offset.reset").and_then(read_reset);
        Self {
            consumer_session_timeout_ms: number("consumer.session.timeout.ms"),
            consumer_heartbeat_interval_ms: number("consumer.heartbeat.interval.ms"),
            consumer_assignment_interval_ms: number("consumer.assignment.interval.ms"),
            share_session_timeout_ms: number("share.session.timeout.ms"),
            share_heartbeat_interval_ms: number("share.heartbeat.interval.ms"),
            share_assignment_interval_ms: number("share.assignment.interval.ms"),
            share_record_lock_duration_ms: number("share.record.lock.duration.ms"),
            share_delivery_count_limit: number("share.delivery.count.limit"),
            share_partition_max_record_locks: number("share.partition.max.record.locks"),
            share_auto_offset_reset: reset.unwrap_or(ShareAutoOffsetReset::Latest),
            share_reads_committed: text("share.isolation.level") == Some("read_committed"),
            share_may_renew: !text("share.renew.acknowledge.enable")
                .is_some_and(|value| value.eq_ignore_ascii_case("false")),
        }
    }
}

/// The broker's limits of a number of groups.
fn bounds(broker: &GroupSettings, name: &str) -> Option<Bounded> {
    let (consumer, share) = (&broker.consumer, &broker.share);
    Some(match name {
        "consumer.session.timeout.ms" => consumer.session_timeout_ms,
        "consumer.heartbeat.interval.ms" => consumer.heartbeat_interval_ms,
        "consumer.assignment.interval.ms" => consumer.assignment_interval_ms,
        "share.session.timeout.ms" => share.session_timeout_ms,
        "share.heartbeat.interval.ms" => share.heartbeat_interval_ms,
        "share.assignment.interval.ms" => share.assignment_interval_ms,
        "share.record.lock.duration.ms" => share.record_lock_duration_ms,
        "share.delivery.count.limit" => share.delivery_count_limit,
        "share.partition.max.record.locks" => share.partition_max_record_locks,
        _ => return None,
    })
}

fn read_reset(value: &str) -> Option<ShareAutoOffsetReset> {
    match value.trim() {
        "earliest" => Some(ShareAutoOffsetReset::Earliest),
        "latest" => Some(ShareAutoOffsetReset::Latest),
        other => {
            let ms = iso_duration::parse_ms(other.strip_prefix("by_duration:")?)?;
            Some(ShareAutoOffsetReset::ByDuration { ms })
        }
    }
}

/// The settings of groups on this broker.
#[derive(Debug)]
pub struct GroupScope<'a>(pub &'a GroupSettings);

impl GroupScope<'_> {
    /// Whether settings that are right one by one are right together.
    ///
    /// # Errors
    /// A member would report more rarely than its session lasts.
    pub fn check_together(&self, overrides: &Overrides) -> Result<(), ScopeError> {
        let config = GroupConfig::resolve(self.0, overrides);
        for (protocol, heartbeat, session) in [
            ("consumer", config.consumer_heartbeat_interval_ms, config.consumer_session_timeout_ms),
            ("share", config.share_heartbeat_interval_ms, config.share_session_timeout_ms),
        ] {
            if session <= heartbeat {
                return Err(ScopeError::Config(format!(
                    "{protocol}.session.timeout.ms must be greater than {protocol}.heartbeat.interval.ms."
                )));
            }
        }
        Ok(())
    }
}

fn known(name: &str) -> Result<&'static GroupSetting, ScopeError> {
    let found = GROUP_SETTINGS.iter().find(|known| known.setting.name == name);
    found.ok_or_else(|| ScopeError::Config(format!("Unknown group config name: {}", shown(name))))
}

impl Scope for GroupScope<'_> {
    type Error = ScopeError;

    fn check(&self, name: &str, value: &str) -> Result<(), ScopeError> {
        let setting = known(name)?.setting;
        let refused = |reason: &str| ScopeError::Config(invalid(name, value, reason));
        setting.kind.parse(value).map_err(|reason| refused(&reason))?;
        if name == "share.auto.offset.reset" && read_reset(value).is_none() {
            return Err(refused(
                "The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
            ));
        }
        if let (Some(bounds), Ok(number)) = (bounds(self.0, name), value.trim().parse::<i32>()) {
            let Bounded { min, max, .. } = bounds;
            if number < min || max < number {
                return Err(ScopeError::Config(format!(
                    "{name} must be in the range {min} to {max} inclusive."
                )));
            }
        }
        Ok(())
    }

    fn in_force(&self, name: &str, before: &Overrides) -> Result<(Kind, String), ScopeError> {
        let setting = known(name)?.setting;
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
    use crate::config::broker_table;
    use crate::config::settings::Settings;

    fn broker() -> GroupSettings {
        GroupSettings::read(&Settings::default()).unwrap()
    }

    fn refused(name: &str, value: &str) -> String {
        GroupScope(&broker()).check(name, value).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_allowed_and_the_brokers() {
        let names: Vec<&str> = GROUP_SETTINGS.iter().map(|known| known.setting.name).collect();
        assert!(names.is_sorted());
        for GroupSetting { setting, synonym } in GROUP_SETTINGS {
            let default = setting.default.unwrap();
            assert_eq!(GroupScope(&broker()).check(setting.name, default), Ok(()), "{}", setting.name);
            if let Some(synonym) = synonym {
                assert_eq!(broker_table::find(synonym).unwrap().default, Some(default));
            }
        }
        let config = GroupConfig::resolve(&broker(), &Overrides::new());
        assert_eq!((config.consumer_session_timeout_ms, config.share_delivery_count_limit), (45_000, 5));
        assert!(config.share_may_renew && !config.share_reads_committed);
    }

    #[test]
    fn values_are_refused_in_kafkas_words() {
        let range = "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.";
        assert_eq!(refused("consumer.session.timeout.ms", "44999"), range);
        assert_eq!(refused("consumer.session.timeout.ms", "60001"), range);
        assert_eq!(refused("no.such", "1"), "Unknown group config name: no.such");
        let reset = refused("share.auto.offset.reset", "never");
        assert!(reset.contains("'by_duration:<PnDTnHnMn.nS>'"), "{reset}");
        let level = "Invalid value never for configuration share.isolation.level: String must be one of: read_committed, \
                     read_uncommitted";
        assert_eq!(refused("share.isolation.level", "never"), level);
    }

    #[test]
    fn what_a_group_sets_wins_within_the_brokers_limits() {
        let overrides: Overrides = [
            ("share.auto.offset.reset", "by_duration:PT1H"),
            ("share.isolation.level", "read_committed"),
            ("share.renew.acknowledge.enable", "FALSE"),
            ("share.record.lock.duration.ms", "90000"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let config = GroupConfig::resolve(&broker(), &overrides);
        let hour = ShareAutoOffsetReset::ByDuration { ms: 3_600_000 };
        assert_eq!(config.share_auto_offset_reset, hour);
        assert!(config.share_reads_committed && !config.share_may_renew);
        assert_eq!(config.share_record_lock_duration_ms, 60_000);
    }
}
