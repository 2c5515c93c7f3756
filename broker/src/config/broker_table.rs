//! The broker's settings: every name that `--config` and `--set` know.
//!
//! Names, types and defaults are Apache Kafka's (4.4) wherever Kafka has the setting; where a default
//! differs, its doc says so. `docs/configuration.md` repeats this table; a test of [`super`] compares the
//! two.

use super::cleaner_table::{CLEANER, CLEANER_DEFAULTS};
use super::group_table::{CONSUMER_GROUPS, GROUPS, SHARE_GROUPS};
use super::network_table::NETWORK;
use super::setting::{Kind, Setting};

pub(super) const INT_MAX: i64 = i32::MAX as i64;
pub(super) const LONG_MAX: i64 = i64::MAX;
pub(super) const MIB: i64 = 1024 * 1024;

/// What a group of settings is about.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Heading in the document.
    pub title: &'static str,
    /// Its settings, in the document's order.
    pub settings: &'static [Setting],
}

/// Every setting of the broker, by section.
pub static SECTIONS: &[Section] = &[
    Section { title: "Broker", settings: BROKER },
    Section { title: "Topics", settings: TOPICS },
    Section { title: "Defaults of topic settings", settings: TOPIC_DEFAULTS },
    Section { title: "Defaults of topic settings for compaction", settings: CLEANER_DEFAULTS },
    Section { title: "Durability and the log", settings: LOG },
    Section { title: "Compaction", settings: CLEANER },
    Section { title: "Groups and their offsets", settings: GROUPS },
    Section { title: "Groups of the consumer protocol", settings: CONSUMER_GROUPS },
    Section { title: "Share groups", settings: SHARE_GROUPS },
    Section { title: "Network and limits", settings: NETWORK },
    Section { title: "Diagnostics", settings: DIAGNOSTICS },
];

/// The setting called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

/// Every setting of the broker.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

pub(super) const fn row(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    unit: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, kind, default, unit, doc }
}

pub(super) const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

pub(super) const fn long(min: i64, max: i64) -> Kind {
    Kind::Long { min, max }
}

const BROKER: &[Setting] = &[
    row(
        "log.dirs",
        Kind::Text,
        None,
        "",
        "The data directory; the same as `--data-dir`. One directory, created if it does not exist. \
         `log.dir` is the same setting.",
    ),
    row(
        "sendlog.data.dir.create",
        Kind::Boolean,
        Some("true"),
        "",
        "Whether a data directory that is missing or empty is begun anew. `false` refuses to start then: for a \
         directory on a disk of its own, which looks empty while that is not mounted.",
    ),
    row(
        "listeners",
        Kind::Text,
        Some("PLAINTEXT://127.0.0.1:9092"),
        "",
        "Where the broker listens, `HOST:PORT` with or without `PLAINTEXT://`; the same as `--listen`. An \
         empty host means every interface, port 0 any free port. One listener.",
    ),
    row(
        "advertised.listeners",
        Kind::Text,
        None,
        "",
        "The address that clients are told to connect to, `HOST:PORT` with or without `PLAINTEXT://`; the \
         same as `--advertise`. Unset, every client is told the address that it dialled.",
    ),
    row(
        "node.id",
        int(0, INT_MAX),
        Some("1"),
        "",
        "The broker's id in Metadata. `broker.id` is the same setting.",
    ),
    row("broker.rack", Kind::Text, None, "", "The rack in Metadata; not used by sendlog itself."),
];

const TOPICS: &[Setting] = &[
    row(
        "num.partitions",
        int(1, 10_000),
        Some("1"),
        "partitions",
        "Partitions of a topic that is created without saying how many.",
    ),
    row(
        "default.replication.factor",
        int(1, 1),
        Some("1"),
        "replicas",
        "Replicas of a topic that is created without saying how many. sendlog has one broker, so one.",
    ),
    row(
        "auto.create.topics.enable",
        Kind::Boolean,
        Some("true"),
        "",
        "Whether a Metadata request for an unknown topic creates it, if the client allows that.",
    ),
    row(
        "delete.topic.enable",
        Kind::Boolean,
        Some("true"),
        "",
        "Whether DeleteTopics is served; if not it answers TOPIC_DELETION_DISABLED.",
    ),
    row(
        "sendlog.topics.max",
        int(1, 1_000_000),
        Some("50000"),
        "topics",
        "Topics that may exist. Creating one more answers POLICY_VIOLATION.",
    ),
    row(
        "sendlog.partitions.max",
        int(1, 1_000_000),
        Some("100000"),
        "partitions",
        "Partitions of all topics together. Creating one more answers POLICY_VIOLATION.",
    ),
];

const TOPIC_DEFAULTS: &[Setting] = &[
    row(
        "log.segment.bytes",
        int(1024, INT_MAX),
        Some("1073741824"),
        "bytes",
        "Default of `segment.bytes`. Kafka 4 refuses less than 1 MiB.",
    ),
    row("log.roll.ms", long(1, LONG_MAX), None, "ms", "Default of `segment.ms`."),
    row(
        "log.roll.hours",
        int(1, INT_MAX),
        Some("168"),
        "hours",
        "Default of `segment.ms` where `log.roll.ms` is not set.",
    ),
    row("log.roll.jitter.ms", long(0, LONG_MAX), None, "ms", "Default of `segment.jitter.ms`."),
    row(
        "log.roll.jitter.hours",
        int(0, INT_MAX),
        Some("0"),
        "hours",
        "Default of `segment.jitter.ms` where `log.roll.jitter.ms` is not set.",
    ),
    row(
        "log.retention.ms",
        long(-1, LONG_MAX),
        None,
        "ms",
        "Default of `retention.ms`; -1 keeps records for ever.",
    ),
    row(
        "log.retention.minutes",
        int(-1, INT_MAX),
        None,
        "minutes",
        "Default of `retention.ms` where `log.retention.ms` is not set.",
    ),
    row(
        "log.retention.hours",
        int(-1, INT_MAX),
        Some("168"),
        "hours",
        "Default of `retention.ms` where neither `log.retention.ms` nor `log.retention.minutes` is set.",
    ),
    row(
        "log.retention.bytes",
        long(-1, LONG_MAX),
        Some("-1"),
        "bytes",
        "Default of `retention.bytes`; -1 is no limit.",
    ),
    row(
        "log.index.interval.bytes",
        int(0, INT_MAX),
        Some("4096"),
        "bytes",
        "Default of `index.interval.bytes`.",
    ),
    row(
        "log.index.size.max.bytes",
        int(96, INT_MAX),
        Some("10485760"),
        "bytes",
        "Default of `segment.index.bytes`.",
    ),
    row("message.max.bytes", int(61, INT_MAX), Some("1048588"), "bytes", "Default of `max.message.bytes`."),
    row(
        "log.message.timestamp.type",
        Kind::Choice(&["CreateTime", "LogAppendTime"]),
        Some("CreateTime"),
        "",
        "Default of `message.timestamp.type`.",
    ),
    row(
        "log.message.timestamp.before.max.ms",
        long(0, LONG_MAX),
        Some("9223372036854775807"),
        "ms",
        "Default of `message.timestamp.before.max.ms`.",
    ),
    row(
        "log.message.timestamp.after.max.ms",
        long(0, LONG_MAX),
        Some("3600000"),
        "ms",
        "Default of `message.timestamp.after.max.ms`.",
    ),
    row(
        "log.cleanup.policy",
        Kind::List(&["compact", "delete"]),
        Some("delete"),
        "",
        "Default of `cleanup.policy`.",
    ),
    row(
        "log.flush.interval.messages",
        long(1, LONG_MAX),
        None,
        "records",
        "Default of `flush.messages`; unset, `sendlog.flush` decides. Not together with `sendlog.flush`.",
    ),
    row(
        "log.flush.interval.ms",
        long(0, LONG_MAX),
        None,
        "ms",
        "Default of `flush.ms`; unset, `sendlog.flush` decides. Not together with `sendlog.flush`.",
    ),
    row(
        "compression.type",
        Kind::Choice(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        Some("producer"),
        "",
        "Default of `compression.type`.",
    ),
    row(
        "compression.gzip.level",
        Kind::Level { min: 1, max: 9 },
        Some("-1"),
        "",
        "Default of `compression.gzip.level`.",
    ),
    row("compression.lz4.level", int(1, 17), Some("9"), "", "Default of `compression.lz4.level`."),
    row("compression.zstd.level", int(-131_072, 22), Some("3"), "", "Default of `compression.zstd.level`."),
    row(
        "min.insync.replicas",
        int(1, 1),
        Some("1"),
        "replicas",
        "Default of `min.insync.replicas`. sendlog has one replica, so one.",
    ),
];

const LOG: &[Setting] = &[
    row(
        "sendlog.flush",
        Kind::Text,
        Some("sync"),
        "",
        "When acknowledged records are on disk; the same as `--flush`. `sync`: before the \
         acknowledgement. `interval:MS`: at most MS milliseconds after it. `os`: when the kernel writes \
         them. Topics override it by `flush.messages` and `flush.ms`.",
    ),
    row(
        "sendlog.sync.threads",
        int(1, 256),
        Some("64"),
        "threads",
        "Threads that run `fdatasync` for a group commit. They wait for the disk and use no processor time.",
    ),
    row(
        "sendlog.journal.bytes",
        long(0, 1 << 40),
        Some("67108864"),
        "bytes",
        "Size of the commit journal, which makes rounds of small appends durable by one write instead of a sync of every \
         segment. Its files are written in the background once there are appends, if the disk has room. 0: no journal.",
    ),
    row(
        "sendlog.checkpoint.interval.ms",
        long(100, LONG_MAX),
        Some("60000"),
        "ms",
        "A checkpoint is written when this time has passed since the last one. Shorter means less to \
         check after a crash.",
    ),
    row(
        "sendlog.checkpoint.interval.bytes",
        long(MIB, LONG_MAX),
        Some("67108864"),
        "bytes",
        "A checkpoint is written when this much was appended since the last one.",
    ),
    row(
        "log.retention.check.interval.ms",
        long(1, LONG_MAX),
        Some("300000"),
        "ms",
        "How often segments past `retention.ms` or `retention.bytes` are looked for.",
    ),
    row(
        "sendlog.scrub.bytes.per.second",
        long(0, LONG_MAX),
        Some("8388608"),
        "bytes/s",
        "How fast closed segments are read in the background to find out whether they are still what was \
         written. 0 turns that off.",
    ),
    row(
        "sendlog.scrub.interval.ms",
        long(1, LONG_MAX),
        Some("604800000"),
        "ms",
        "From the end of one such pass over all closed segments to the start of the next.",
    ),
    row(
        "log.segment.delete.delay.ms",
        long(0, LONG_MAX),
        Some("60000"),
        "ms",
        "How long a client may go on reading a segment that was deleted. Then its connection is closed, and the \
         space comes back. Files go at once otherwise.",
    ),
    row(
        "sendlog.clock.jump.wait.ms",
        long(0, LONG_MAX),
        Some("86400000"),
        "ms",
        "When the machine's clock has jumped, nothing is deleted by the new time until the broker has run beside \
         it as long as the jump was, and this long at most. 0 believes the clock at once, as Kafka does.",
    ),
    row(
        "sendlog.min.free.bytes",
        long(0, LONG_MAX),
        Some("16777216"),
        "bytes",
        "Produce is refused with KAFKA_STORAGE_ERROR while the data directory's file system has less free \
         space.",
    ),
    row(
        "sendlog.compressed.batch.check",
        Kind::Boolean,
        Some("true"),
        "",
        "Whether the records inside compressed batches are checked before they are stored, as Kafka does. \
         `false` saves the decompression; a broken batch then reaches consumers.",
    ),
    row(
        "sendlog.decompressed.batch.bytes.max",
        int(1024, INT_MAX),
        Some("134217728"),
        "bytes",
        "A compressed batch that unpacks to more is refused with MESSAGE_TOO_LARGE.",
    ),
    row(
        "producer.id.expiration.ms",
        int(1, INT_MAX),
        Some("86400000"),
        "ms",
        "An idempotent producer that has sent nothing for this long is forgotten.",
    ),
];

const DIAGNOSTICS: &[Setting] = &[
    row(
        "sendlog.log.format",
        Kind::Choice(&["human", "json"]),
        Some("human"),
        "",
        "Format of the broker's own log lines on standard error; the same as `--log-format`.",
    ),
    row(
        "sendlog.log.level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        Some("info"),
        "",
        "Least severe log line that is printed; the same as `--log-level`.",
    ),
];
