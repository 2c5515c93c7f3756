//! The broker's settings of groups and of compaction, typed.
//!
//! Fields are named after their settings, which `super::group_table` and `super::cleaner_table` document.

use super::error::ConfigError;
use super::settings::Settings;

/// Limits of one number, and the value for a group that sets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded {
    /// Smallest allowed.
    pub min: i32,
    /// Largest allowed.
    pub max: i32,
    /// Where a group sets none.
    pub default: i32,
}

impl Bounded {
    /// `value`, or the nearest that is allowed. A group's value may have been set before the broker's limits were.
    #[must_use]
    pub fn clamp(self, value: i32) -> i32 {
        value.max(self.min).min(self.max)
    }
}

/// Classic groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicGroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub size_max: usize,
    /// `sendlog.group.members.bytes.max`.
    pub members_bytes_max: usize,
}

/// Offsets of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetsSettings {
    /// `offsets.retention.minutes`, in milliseconds.
    pub retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_interval_ms: u64,
    /// `sendlog.group.offsets.bytes.max`, of all groups together.
    pub bytes_max: u64,
    /// `offset.metadata.max.bytes`.
    pub metadata_bytes_max: usize,
    /// `offsets.topic.num.partitions`.
    pub topic_partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub topic_segment_bytes: i32,
}

/// Groups of the consumer protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupSettings {
    /// `group.consumer.session.timeout.ms` and its limits.
    pub session_timeout_ms: Bounded,
    /// `group.consumer.heartbeat.interval.ms` and its limits.
    pub heartbeat_interval_ms: Bounded,
    /// `group.consumer.assignment.interval.ms` and its limits.
    pub assignment_interval_ms: Bounded,
    /// `group.consumer.max.size`.
    pub size_max: usize,
    /// `group.consumer.assignors`, at least one; the first is the default.
    pub assignors: Vec<String>,
    /// `group.consumer.migration.policy`: a classic group may become a consumer group.
    pub may_upgrade: bool,
    /// `group.consumer.migration.policy`: a consumer group may become a classic group.
    pub may_downgrade: bool,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub regex_refresh_interval_ms: u64,
}

/// Share groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareGroupSettings {
    /// `group.share.session.timeout.ms` and its limits.
    pub session_timeout_ms: Bounded,
    /// `group.share.heartbeat.interval.ms` and its limits.
    pub heartbeat_interval_ms: Bounded,
    /// `group.share.assignment.interval.ms` and its limits.
    pub assignment_interval_ms: Bounded,
    /// `group.share.record.lock.duration.ms` and its limits.
    pub record_lock_duration_ms: Bounded,
    /// `group.share.delivery.count.limit` and its limits.
    pub delivery_count_limit: Bounded,
    /// `group.share.partition.max.record.locks` and its limits.
    pub partition_max_record_locks: Bounded,
    /// `group.share.max.size`.
    pub size_max: usize,
    /// `group.share.max.share.sessions`.
    pub sessions_max: usize,
    /// `share.coordinator.state.topic.num.partitions`.
    pub state_topic_partitions: i32,
    /// `share.coordinator.state.topic.segment.bytes`.
    pub state_topic_segment_bytes: i32,
    /// `share.coordinator.snapshot.update.records.per.snapshot`.
    pub updates_per_snapshot: u32,
}

/// Settings of everything that concerns groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// `sendlog.groups.max`, of all kinds.
    pub groups_max: usize,
    /// `group.coordinator.rebalance.protocols` has `classic`.
    pub serves_classic: bool,
    /// `group.coordinator.rebalance.protocols` has `consumer`.
    pub serves_consumer: bool,
    /// `group.coordinator.rebalance.protocols` has `share`.
    pub serves_share: bool,
    /// Of classic groups.
    pub classic: ClassicGroupSettings,
    /// Of offsets.
    pub offsets: OffsetsSettings,
    /// Of groups of the consumer protocol.
    pub consumer: ConsumerGroupSettings,
    /// Of share groups.
    pub share: ShareGroupSettings,
}

/// Settings of the threads that compact.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanerSettings {
    /// `log.cleaner.enable`.
    pub is_enabled: bool,
    /// `log.cleaner.threads`.
    pub threads: usize,
    /// `log.cleaner.dedupe.buffer.size`, of all threads together.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.size`, of all threads together.
    pub io_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`.
    pub dedupe_load_factor: f64,
    /// `log.cleaner.io.max.bytes.per.second`; `f64::MAX` is no limit.
    pub io_bytes_per_second_max: f64,
    /// `log.cleaner.backoff.ms`.
    pub backoff_ms: u64,
}

impl GroupSettings {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let protocols = settings.list("group.coordinator.rebalance.protocols");
        let serves = |protocol: &str| protocols.iter().any(|served| served == protocol);
        Ok(Self {
            groups_max: settings.number("sendlog.groups.max"),
            serves_classic: serves("classic"),
            serves_consumer: serves("consumer"),
            serves_share: serves("share"),
            classic: classic(settings)?,
            offsets: OffsetsSettings {
                retention_ms: settings.number::<i64>("offsets.retention.minutes").saturating_mul(60_000),
                retention_check_interval_ms: settings.number("offsets.retention.check.interval.ms"),
                bytes_max: settings.number("sendlog.group.offsets.bytes.max"),
                metadata_bytes_max: settings.number("offset.metadata.max.bytes"),
                topic_partitions: settings.number("offsets.topic.num.partitions"),
                topic_segment_bytes: settings.number("offsets.topic.segment.bytes"),
            },
            consumer: consumer(settings)?,
            share: share(settings)?,
        })
    }
}

impl CleanerSettings {
    pub(super) fn read(settings: &Settings) -> Self {
        Self {
            is_enabled: settings.boolean("log.cleaner.enable"),
            threads: settings.number("log.cleaner.threads"),
            dedupe_buffer_bytes: settings.number("log.cleaner.dedupe.buffer.size"),
            io_buffer_bytes: settings.number("log.cleaner.io.buffer.size"),
            dedupe_load_factor: settings.double("log.cleaner.io.buffer.load.factor"),
            io_bytes_per_second_max: settings.double("log.cleaner.io.max.bytes.per.second"),
            backoff_ms: settings.number("log.cleaner.backoff.ms"),
        }
    }
}

fn classic(settings: &Settings) -> Result<ClassicGroupSettings, ConfigError> {
    let read = ClassicGroupSettings {
        session_timeout_ms_min: settings.number("group.min.session.timeout.ms"),
        session_timeout_ms_max: settings.number("group.max.session.timeout.ms"),
        initial_rebalance_delay_ms: settings.number("group.initial.rebalance.delay.ms"),
        size_max: settings.number("group.max.size"),
        members_bytes_max: settings.number("sendlog.group.members.bytes.max"),
    };
    if read.session_timeout_ms_max < read.session_timeout_ms_min {
        let (min, max) = (read.session_timeout_ms_min, read.session_timeout_ms_max);
        return Err(ConfigError::Conflict(format!(
            "group.max.session.timeout.ms ({max}) is less than group.min.session.timeout.ms ({min})"
        )));
    }
    Ok(read)
}

fn consumer(settings: &Settings) -> Result<ConsumerGroupSettings, ConfigError> {
    let policy = settings.value("group.consumer.migration.policy");
    let assignors = settings.list("group.consumer.assignors");
    if assignors.is_empty() {
        return Err(ConfigError::Conflict("group.consumer.assignors names no assignor".to_owned()));
    }
    let session_timeout_ms = bounded(settings, "group.consumer", "session.timeout.ms")?;
    let heartbeat_interval_ms = bounded(settings, "group.consumer", "heartbeat.interval.ms")?;
    check_heartbeats("group.consumer", heartbeat_interval_ms, session_timeout_ms)?;
    Ok(ConsumerGroupSettings {
        session_timeout_ms,
        heartbeat_interval_ms,
        assignment_interval_ms: bounded(settings, "group.consumer", "assignment.interval.ms")?,
        size_max: settings.number("group.consumer.max.size"),
        assignors,
        may_upgrade: matches!(policy, Some("upgrade" | "bidirectional")),
        may_downgrade: matches!(policy, Some("downgrade" | "bidirectional")),
        regex_refresh_interval_ms: settings.number("group.consumer.regex.refresh.interval.ms"),
    })
}

fn share(settings: &Settings) -> Result<ShareGroupSettings, ConfigError> {
    let session_timeout_ms = bounded(settings, "group.share", "session.timeout.ms")?;
    let heartbeat_interval_ms = bounded(settings, "group.share", "heartbeat.interval.ms")?;
    check_heartbeats("group.share", heartbeat_interval_ms, session_timeout_ms)?;
    Ok(ShareGroupSettings {
        session_timeout_ms,
        heartbeat_interval_ms,
        assignment_interval_ms: bounded(settings, "group.share", "assignment.interval.ms")?,
        record_lock_duration_ms: bounded(settings, "group.share", "record.lock.duration.ms")?,
        delivery_count_limit: bounded(settings, "group.share", "delivery.count.limit")?,
        partition_max_record_locks: bounded(settings, "group.share", "partition.max.record.locks")?,
        size_max: settings.number("group.share.max.size"),
        sessions_max: settings.number("group.share.max.share.sessions"),
        state_topic_partitions: settings.number("share.coordinator.state.topic.num.partitions"),
        state_topic_segment_bytes: settings.number("share.coordinator.state.topic.segment.bytes"),
        updates_per_snapshot: settings.number("share.coordinator.snapshot.update.records.per.snapshot"),
    })
}

/// `prefix.name` between `prefix.min.name` and `prefix.max.name`.
fn bounded(settings: &Settings, prefix: &str, name: &str) -> Result<Bounded, ConfigError> {
    let read = |middle: &str| settings.number(&format!("{prefix}.{middle}{name}"));
    let bounded = Bounded { min: read("min."), max: read("max."), default: read("") };
    let Bounded { min, max, default } = bounded;
    if max < min || default < min || max < default {
        return Err(ConfigError::Conflict(format!(
            "{prefix}.{name} ({default}) is not between {prefix}.min.{name} ({min}) and {prefix}.max.{name} ({max})"
        )));
    }
    Ok(bounded)
}

/// A member that reports more rarely than its session lasts would lose it every time.
fn check_heartbeats(prefix: &str, heartbeat: Bounded, session: Bounded) -> Result<(), ConfigError> {
    if session.default <= heartbeat.default {
        return Err(ConfigError::Conflict(format!(
            "{prefix}.heartbeat.interval.ms ({}) is not less than {prefix}.session.timeout.ms ({})",
            heartbeat.default, session.default
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::error::Origin;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in pairs {
            settings.give(name, value, Origin::Flag("--set")).unwrap();
        }
        settings
    }

    #[test]
    fn defaults_are_kafkas() {
        let groups = GroupSettings::read(&Settings::default()).unwrap();
        assert!(groups.serves_classic && groups.serves_consumer && groups.serves_share);
        assert_eq!(groups.classic.session_timeout_ms_max, 1_800_000);
        assert_eq!(groups.offsets.retention_ms, 7 * 24 * 60 * 60 * 1000);
        assert_eq!(groups.consumer.assignors, ["uniform", "range"]);
        assert!(groups.consumer.may_upgrade && groups.consumer.may_downgrade);
        let locks = Bounded { min: 15_000, max: 60_000, default: 30_000 };
        assert_eq!(groups.share.record_lock_duration_ms, locks);
        assert_eq!((locks.clamp(1), locks.clamp(20_000), locks.clamp(99_999)), (15_000, 20_000, 60_000));
        let cleaner = CleanerSettings::read(&Settings::default());
        assert_eq!(
            (cleaner.is_enabled, cleaner.threads, cleaner.io_bytes_per_second_max),
            (true, 1, f64::MAX)
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let refused = |pairs: &[_]| GroupSettings::read(&settings(pairs)).unwrap_err().to_string();
        let said = refused(&[("group.consumer.session.timeout.ms", "44999")]);
        assert!(said.contains("is not between group.consumer.min.session.timeout.ms (45000)"), "{said}");
        let said = refused(&[("group.max.session.timeout.ms", "5")]);
        assert!(said.contains("is less than group.min.session.timeout.ms (6000)"), "{said}");
        let said = refused(&[
            ("group.share.heartbeat.interval.ms", "45000"),
            ("group.share.max.heartbeat.interval.ms", "45000"),
        ]);
        assert!(said.contains("is not less than group.share.session.timeout.ms"), "{said}");
        assert!(refused(&[("group.consumer.assignors", "")]).contains("names no assignor"));
    }

    #[test]
    fn a_migration_has_a_direction() {
        let policy = |policy| {
            let pairs = [("group.consumer.migration.policy", policy)];
            let consumer = GroupSettings::read(&settings(&pairs)).unwrap().consumer;
            (consumer.may_upgrade, consumer.may_downgrade)
        };
        assert_eq!(policy("upgrade"), (true, false));
        assert_eq!(policy("downgrade"), (false, true));
        assert_eq!(policy("disabled"), (false, false));
    }
}
