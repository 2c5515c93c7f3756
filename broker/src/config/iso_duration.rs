//! Durations as ISO 8601 writes them, in the part of it that Java's `Duration` reads: `PnDTnHnMn.nS`.

/// Milliseconds of a duration that is not negative; a fraction of a millisecond is dropped.
#[must_use]
pub fn parse_ms(text: &str) -> Option<u64> {
    let text = text.to_ascii_uppercase();
    let rest = text.strip_prefix('P')?;
    let (days, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    if !days.is_empty() {
        total = whole(days.strip_suffix('D')?)?.checked_mul(24 * 60 * 60 * 1000)?;
    }
    let mut time = time;
    for (unit, ms) in [('H', 60 * 60 * 1000), ('M', 60 * 1000)] {
        if let Some((number, rest)) = time.split_once(unit) {
            total = total.checked_add(whole(number)?.checked_mul(ms)?)?;
            time = rest;
        }
    }
    if !time.is_empty() {
        total = total.checked_add(seconds_ms(time.strip_suffix('S')?)?)?;
    }
    Some(total)
}

fn whole(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

fn seconds_ms(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if 9 < fraction.len() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole(seconds)?.checked_mul(1000)?.checked_add(whole(&thousandths)?)
}

#[cfg(test)]
mod tests {
    use super::parse_ms;

    #[test]
    fn durations_are_read_as_java_does() {
        for (text, ms) in [
            ("PT0S", 0),
            ("P1D", 86_400_000),
            ("PT1H", 3_600_000),
            ("P2DT3H4M5.678S", 183_845_678),
            ("pt15m", 900_000),
            ("PT0.5S", 500),
            ("PT1.0009S", 1000),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "1D",
            "P1",
            "PT1",
            "PT-1S",
            "-PT1S",
            "P1H",
            "PT1D",
            "PT1M1H",
            "PT1.1234567890S",
            "PT.5S",
            "P99999999999999999999D",
            "PTéS",
        ] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }
}
