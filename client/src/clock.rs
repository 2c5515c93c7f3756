//! The wall clock, for the timestamps of records. Waiting uses tokio's monotonic timers.

use std::time::UNIX_EPOCH;

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the one place in the client that reads the wall clock")]
pub(crate) fn now_ms() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
