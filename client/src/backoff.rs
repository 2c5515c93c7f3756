//! Pauses between attempts: doubling, capped, and spread so that clients do not knock in step (KIP-580).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The pauses of one series of attempts.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
    random: Random,
}

impl Backoff {
    /// Pauses from `first` up to `max`.
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0, random: Random::new() }
    }

    /// The pause after one more failure: the last one doubled, give or take a fifth.
    pub(crate) fn next(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let fifths = f64::from(u32::try_from(self.random.below(401)).unwrap_or(0)) / 1000.0;
        doubled.min(self.max).mul_f64(0.8 + fifths)
    }

    /// Failures since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Starts over after a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A small generator (xorshift64) for spreading load; not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by the operating system.
    pub(crate) fn new() -> Self {
        Self::seeded(RandomState::new().build_hasher().finish())
    }

    /// Repeatable.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for wanted_ms in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next().as_secs_f64() * 1000.0;
            let wanted = f64::from(wanted_ms);
            assert!((0.79 * wanted..=1.21 * wanted).contains(&pause), "{pause} for {wanted}");
        }
        for _ in 0..100 {
            assert!(backoff.next() <= Duration::from_millis(1201));
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(121));
    }
}
