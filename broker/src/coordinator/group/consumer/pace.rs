//! How often members report.
//!
//! A member hears of a change with its next heartbeat, and a partition that moves takes a heartbeat of the one that gives it
//! up and then one of the one that gets it. At Kafka's 5 seconds a move takes up to 10. So members of a group that changes,
//! or changed a moment ago and may again (its members are started one after the other), are told to come sooner. The more
//! members, the less: a group sends no more than about [`GROUP_RATE_MAX`] heartbeats a second for that.

use super::ConsumerGroup;
use super::member::Holding;
use crate::coordinator::group::Env;

/// Between heartbeats of a small group that changes.
const CHANGING_INTERVAL_MS: i64 = 500;

/// Heartbeats a second of one group that changes.
const GROUP_RATE_MAX: i64 = 100;

/// How long a group counts as changing after a change.
const CALM_AFTER_MS: i64 = 30_000;

impl ConsumerGroup {
    /// What a member is told: the interval of the settings, or less.
    pub(super) fn heartbeat_interval_ms(&self, holding: &Holding, env: &Env<'_>) -> i32 {
        let usual_ms = usual_interval_ms(env);
        let changed_lately =
            self.seen.changed_ms.is_some_and(|at_ms| env.now.steady_ms - at_ms < CALM_AFTER_MS);
        if !changed_lately && holding.is_reconciled_to(self.epoch.epoch) {
            return usual_ms;
        }
        let members = i64::try_from(self.members.len()).unwrap_or(i64::MAX);
        let changing_ms = members.saturating_mul(1000 / GROUP_RATE_MAX).max(CHANGING_INTERVAL_MS);
        i32::try_from(changing_ms).map_or(usual_ms, |changing_ms| changing_ms.min(usual_ms))
    }
}

/// `consumer.heartbeat.interval.ms` of the group.
pub(super) fn usual_interval_ms(env: &Env<'_>) -> i32 {
    env.group.consumer_heartbeat_interval_ms
}

/// `consumer.session.timeout.ms` of the group.
pub(super) fn session_timeout_ms(env: &Env<'_>) -> i64 {
    i64::from(env.group.consumer_session_timeout_ms)
}

/// `consumer.assignment.interval.ms` of the group.
pub(super) fn assignment_interval_ms(env: &Env<'_>) -> i64 {
    i64::from(env.group.consumer_assignment_interval_ms)
}
