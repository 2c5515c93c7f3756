//! The broker's settings of compaction.

use super::broker_table::{INT_MAX, LONG_MAX, MIB, int, long, row};
use super::setting::{Kind, Setting};

/// The threads that compact.
pub(super) const CLEANER: &[Setting] = &[
    row(
        "log.cleaner.enable",
        Kind::Boolean,
        Some("true"),
        "",
        "Whether topics with `cleanup.policy=compact` are compacted.",
    ),
    row(
        "log.cleaner.threads",
        int(1, 64),
        Some("1"),
        "threads",
        "Accepted: one thread compacts. Kafka allows 0.",
    ),
    row(
        "log.cleaner.dedupe.buffer.size",
        long(MIB, LONG_MAX),
        Some("134217728"),
        "bytes",
        "Memory for the keys of all threads together. A log with more keys takes more than one pass.",
    ),
    row(
        "log.cleaner.io.buffer.size",
        int(1024, INT_MAX),
        Some("524288"),
        "bytes",
        "Accepted: 1 MiB is read and written at a time, more for a larger batch.",
    ),
    row(
        "log.cleaner.io.buffer.load.factor",
        Kind::Ratio,
        Some("0.9"),
        "",
        "How full the memory for keys may become; more than 0.95 counts as that.",
    ),
    row(
        "log.cleaner.io.max.bytes.per.second",
        Kind::Double,
        Some("1.7976931348623157E308"),
        "bytes/s",
        "How fast all threads together read and write.",
    ),
    row(
        "log.cleaner.backoff.ms",
        long(0, LONG_MAX),
        Some("15000"),
        "ms",
        "How long to wait when there was nothing to compact.",
    ),
];

/// Defaults of topic settings.
pub(super) const CLEANER_DEFAULTS: &[Setting] = &[
    row(
        "log.cleaner.min.cleanable.ratio",
        Kind::Ratio,
        Some("0.5"),
        "",
        "Default of `min.cleanable.dirty.ratio`.",
    ),
    row(
        "log.cleaner.min.compaction.lag.ms",
        long(0, LONG_MAX),
        Some("0"),
        "ms",
        "Default of `min.compaction.lag.ms`.",
    ),
    row(
        "log.cleaner.max.compaction.lag.ms",
        long(1, LONG_MAX),
        Some("9223372036854775807"),
        "ms",
        "Default of `max.compaction.lag.ms`.",
    ),
    row(
        "log.cleaner.delete.retention.ms",
        long(0, LONG_MAX),
        Some("86400000"),
        "ms",
        "Default of `delete.retention.ms`.",
    ),
];
