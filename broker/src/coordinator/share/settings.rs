//! What a share group's settings come to.

use std::time::Duration;

use super::share_partition::Limits;
use crate::config::groups::ShareGroupSettings;

/// Where a group begins to read a partition that it has not read yet: `share.auto.offset.reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// With all that is there.
    Earliest,
    /// With what comes.
    Latest,
    /// With what is not older than this.
    ByDuration(Duration),
}

impl Beginning {
    /// As Kafka writes it: `earliest`, `latest`, or `by_duration:` and an ISO 8601 duration.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            _ => text.strip_prefix("by_duration:").and_then(parse_duration).map(Self::ByDuration),
        }
    }
}

/// The limits of a group that sets none of its own.
pub fn limits(settings: &ShareGroupSettings) -> Limits {
    Limits {
        lock_ms: settings.record_lock_duration_ms.default.into(),
        deliveries_max: i16::try_from(settings.delivery_count_limit.default).unwrap_or(i16::MAX),
        in_flight_max: settings.partition_max_record_locks.default.into(),
        may_renew: true,
    }
}

/// `PnDTnHnMn.nS`, not negative, as Java's `Duration.parse` has it.
fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let (mut rest, mut time_rest) = (days, time);
    let mut total = take_unit(&mut rest, 'D', 86_400)?;
    for (unit, seconds) in [('H', 3_600), ('M', 60), ('S', 1)] {
        total = total.checked_add(take_unit(&mut time_rest, unit, seconds)?)?;
    }
    (rest.is_empty() && time_rest.is_empty()).then_some(total)
}

/// The number before `unit`, if there is one; only seconds have fractions.
fn take_unit(rest: &mut &str, unit: char, seconds: u64) -> Option<Duration> {
    let Some((number, after)) = rest.split_once(unit) else { return Some(Duration::ZERO) };
    *rest = after;
    if unit == 'S'
        && let Some((whole, fraction)) = number.split_once('.')
    {
        let digits = fraction.bytes().all(|byte| byte.is_ascii_digit()) && fraction.len() <= 9;
        let nanos = digits.then(|| format!("{fraction:0<9}").parse().ok())??;
        return Some(Duration::new(whole.parse().ok()?, nanos));
    }
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_read_as_kafka_writes_them() {
        assert_eq!(Beginning::parse("earliest"), Some(Beginning::Earliest));
        assert_eq!(Beginning::parse("latest"), Some(Beginning::Latest));
        let by = |text: &str| match Beginning::parse(&format!("by_duration:{text}")) {
            Some(Beginning::ByDuration(duration)) => Some(duration.as_millis()),
            _ => None,
        };
        assert_eq!(by("PT1H"), Some(3_600_000));
        assert_eq!(by("P2DT3H4M5.25S"), Some(((2 * 24 + 3) * 3600 + 4 * 60 + 5) * 1000 + 250));
        assert_eq!(by("P1D"), Some(86_400_000));
        for wrong in
            ["", "P", "PT", "P1DT", "-PT1H", "PT-1H", "PT1X", "PT1S1M", "P1H", "PT99999999999999999999S"]
        {
            assert_eq!(by(wrong), None, "{wrong}");
        }
        assert_eq!(Beginning::parse("none"), None);
    }
}
