//! The settings of a topic: all that Apache Kafka 4.4 has, and how far sendlog serves each.

use super::setting::{Kind, Setting};

const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;
const MS_PER_MINUTE: i64 = 60 * 1000;
const MS_PER_HOUR: i64 = 60 * MS_PER_MINUTE;

/// A setting of a topic.
#[derive(Debug, Clone, Copy)]
pub struct TopicSetting {
    /// Name, type, default, doc.
    pub setting: Setting,
    /// Settings of the broker that give the default, the strongest first.
    pub synonyms: &'static [Synonym],
    /// How far it is served.
    pub support: Support,
}

/// A broker setting that gives a topic setting's default.
#[derive(Debug, Clone, Copy)]
pub struct Synonym {
    /// Name of the broker's setting.
    pub name: &'static str,
    /// The topic's unit in units of the broker's: 3,600,000 where the broker counts hours and the topic ms.
    pub factor: i64,
}

/// How far a topic setting is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// With Kafka's meaning.
    Full,
    /// Stored and reported; what it does not do here, in a sentence.
    Accepted(&'static str),
    /// Any value but the default is refused, for this reason.
    DefaultOnly(&'static str),
}

const NO_TIERING: Support = Support::DefaultOnly("sendlog has no tiered storage yet");
const NO_REPLICAS: Support = Support::DefaultOnly("sendlog has one replica, so there is nothing to throttle");

/// The setting called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static TopicSetting> {
    TOPIC_SETTINGS.iter().find(|topic_setting| topic_setting.setting.name == name)
}

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

const fn long(min: i64, max: i64) -> Kind {
    Kind::Long { min, max }
}

const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

const fn row(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    unit: &'static str,
    synonyms: &'static [Synonym],
    support: Support,
    doc: &'static str,
) -> TopicSetting {
    TopicSetting { setting: Setting { name, kind, default: Some(default), unit, doc }, synonyms, support }
}

/// Every setting of a topic, by name.
pub static TOPIC_SETTINGS: &[TopicSetting] = &[
    row(
        "cleanup.policy",
        Kind::List(&["compact", "delete"]),
        "delete",
        "",
        &[same("log.cleanup.policy")],
        Support::Full,
        "What happens to old records: `delete` removes segments past the retention limits, `compact` \
         keeps the last record of each key; none at all keeps everything.",
    ),
    row(
        "compression.gzip.level",
        Kind::Level { min: 1, max: 9 },
        "-1",
        "",
        &[same("compression.gzip.level")],
        Support::Full,
        "Level of gzip where the broker compresses.",
    ),
    row(
        "compression.lz4.level",
        int(1, 17),
        "9",
        "",
        &[same("compression.lz4.level")],
        Support::Accepted("No effect: this lz4 has one level."),
        "Level of lz4 where the broker compresses.",
    ),
    row(
        "compression.type",
        Kind::Choice(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "producer",
        "",
        &[same("compression.type")],
        Support::Full,
        "The codec of stored batches. `producer` keeps the producer's; any other packs batches anew that come in another one, \
         before they are stored.",
    ),
    row(
        "compression.zstd.level",
        int(-131_072, 22),
        "3",
        "",
        &[same("compression.zstd.level")],
        Support::Full,
        "Level of zstd where the broker compresses.",
    ),
    row(
        "delete.retention.ms",
        long(0, LONG_MAX),
        "86400000",
        "ms",
        &[same("log.cleaner.delete.retention.ms")],
        Support::Full,
        "How long a compacted topic keeps the mark of a deleted key.",
    ),
    row(
        "errors.deadletterqueue.group.enable",
        Kind::Boolean,
        "false",
        "",
        &[],
        Support::DefaultOnly("sendlog has no dead-letter queues yet"),
        "Whether share groups may use the topic as a dead-letter queue.",
    ),
    row(
        "file.delete.delay.ms",
        long(0, LONG_MAX),
        "60000",
        "ms",
        &[],
        Support::Accepted("No effect: `log.segment.delete.delay.ms` decides for all topics."),
        "How long a deleted segment's files stay.",
    ),
    row(
        "flush.messages",
        long(1, LONG_MAX),
        "1",
        "records",
        &[same("log.flush.interval.messages"), same("sendlog.flush")],
        Support::Full,
        "1: every acknowledged record is on disk before the acknowledgement. N: records are acknowledged from memory \
         until N wait for a sync; the one that makes it N waits for a sync of them all. A crash of the machine may \
         lose those that wait. Default: 1 with --flush sync unless the topic sets `flush.ms`, else \
         9223372036854775807.",
    ),
    row(
        "flush.ms",
        long(0, LONG_MAX),
        "9223372036854775807",
        "ms",
        &[same("log.flush.interval.ms"), same("sendlog.flush")],
        Support::Full,
        "Set on a topic, records are acknowledged from memory (unless `flush.messages` is set to 1) and \
         on disk so many ms later at the latest; 0: before the acknowledgement.",
    ),
    row(
        "follower.replication.throttled.replicas",
        Kind::List(&[]),
        "",
        "",
        &[],
        NO_REPLICAS,
        "Replicas whose fetching is throttled.",
    ),
    row(
        "index.interval.bytes",
        int(0, INT_MAX),
        "4096",
        "bytes",
        &[same("log.index.interval.bytes")],
        Support::Full,
        "Bytes appended between two entries of the offset index.",
    ),
    row(
        "leader.replication.throttled.replicas",
        Kind::List(&[]),
        "",
        "",
        &[],
        NO_REPLICAS,
        "Replicas whose sending is throttled.",
    ),
    row(
        "local.retention.bytes",
        long(-2, LONG_MAX),
        "-2",
        "bytes",
        &[],
        NO_TIERING,
        "Bytes kept locally of a tiered topic.",
    ),
    row(
        "local.retention.ms",
        long(-2, LONG_MAX),
        "-2",
        "ms",
        &[],
        NO_TIERING,
        "Time that a tiered topic's segments are kept locally.",
    ),
    row(
        "max.compaction.lag.ms",
        long(1, LONG_MAX),
        "9223372036854775807",
        "ms",
        &[same("log.cleaner.max.compaction.lag.ms")],
        Support::Full,
        "The longest a record stays uncompacted.",
    ),
    row(
        "max.decompressed.message.bytes",
        int(1, 2_147_483_639),
        "2147483639",
        "bytes",
        &[],
        Support::DefaultOnly(
            "sendlog limits what a whole batch unpacks to, by the broker's \
             sendlog.decompressed.batch.bytes.max",
        ),
        "Largest record after decompression.",
    ),
    row(
        "max.message.bytes",
        int(0, INT_MAX),
        "1048588",
        "bytes",
        &[same("message.max.bytes")],
        Support::Full,
        "Largest record batch, as sent.",
    ),
    row(
        "message.timestamp.after.max.ms",
        long(0, LONG_MAX),
        "3600000",
        "ms",
        &[same("log.message.timestamp.after.max.ms")],
        Support::Full,
        "How far a record's timestamp may be ahead of the broker's clock, with CreateTime.",
    ),
    row(
        "message.timestamp.before.max.ms",
        long(0, LONG_MAX),
        "9223372036854775807",
        "ms",
        &[same("log.message.timestamp.before.max.ms")],
        Support::Full,
        "How far a record's timestamp may be behind the broker's clock, with CreateTime.",
    ),
    row(
        "message.timestamp.type",
        Kind::Choice(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "",
        &[same("log.message.timestamp.type")],
        Support::Full,
        "Whether a record's timestamp is the producer's or the time of its append.",
    ),
    row(
        "min.cleanable.dirty.ratio",
        Kind::Ratio,
        "0.5",
        "",
        &[same("log.cleaner.min.cleanable.ratio")],
        Support::Full,
        "The uncompacted share of a log that starts compaction.",
    ),
    row(
        "min.compaction.lag.ms",
        long(0, LONG_MAX),
        "0",
        "ms",
        &[same("log.cleaner.min.compaction.lag.ms")],
        Support::Full,
        "The shortest a record stays uncompacted.",
    ),
    row(
        "min.insync.replicas",
        int(1, INT_MAX),
        "1",
        "replicas",
        &[same("min.insync.replicas")],
        Support::DefaultOnly("sendlog has one replica, so acks=all would never be given"),
        "Replicas that must have a record before acks=all is given.",
    ),
    row(
        "preallocate",
        Kind::Boolean,
        "false",
        "",
        &[],
        Support::DefaultOnly("sendlog does not preallocate segment files"),
        "Whether a segment file's space is reserved when it is created.",
    ),
    row(
        "remote.copy.lag.bytes",
        long(-1, LONG_MAX),
        "-1",
        "bytes",
        &[],
        NO_TIERING,
        "Bytes that tiering may lag behind.",
    ),
    row(
        "remote.copy.lag.ms",
        long(-1, LONG_MAX),
        "0",
        "ms",
        &[],
        NO_TIERING,
        "Time that tiering may lag behind.",
    ),
    row(
        "remote.log.copy.disable",
        Kind::Boolean,
        "false",
        "",
        &[],
        NO_TIERING,
        "Whether tiering of the topic is read-only.",
    ),
    row(
        "remote.log.delete.on.disable",
        Kind::Boolean,
        "false",
        "",
        &[],
        NO_TIERING,
        "Whether tiered data goes when tiering is turned off.",
    ),
    row("remote.storage.enable", Kind::Boolean, "false", "", &[], NO_TIERING, "Whether the topic is tiered."),
    row(
        "retention.bytes",
        long(-1, LONG_MAX),
        "-1",
        "bytes",
        &[same("log.retention.bytes")],
        Support::Full,
        "Size of a partition from which its oldest segments are removed; -1 is no limit.",
    ),
    row(
        "retention.ms",
        long(-1, LONG_MAX),
        "604800000",
        "ms",
        &[
            same("log.retention.ms"),
            Synonym { name: "log.retention.minutes", factor: MS_PER_MINUTE },
            Synonym { name: "log.retention.hours", factor: MS_PER_HOUR },
        ],
        Support::Full,
        "Age of a segment's newest record from which the segment is removed; -1 keeps it for ever.",
    ),
    row(
        "segment.bytes",
        int(1024, INT_MAX),
        "1073741824",
        "bytes",
        &[same("log.segment.bytes")],
        Support::Full,
        "Size of a segment file from which a new one is begun. Kafka 4 refuses less than 1 MiB.",
    ),
    row(
        "segment.index.bytes",
        int(96, INT_MAX),
        "10485760",
        "bytes",
        &[same("log.index.size.max.bytes")],
        Support::Full,
        "Largest index file; a full index begins a new segment. Kafka's smallest is 4.",
    ),
    row(
        "segment.jitter.ms",
        long(0, LONG_MAX),
        "0",
        "ms",
        &[same("log.roll.jitter.ms"), Synonym { name: "log.roll.jitter.hours", factor: MS_PER_HOUR }],
        Support::Accepted("No effect: segments are begun on time."),
        "The largest random time taken off `segment.ms`.",
    ),
    row(
        "segment.ms",
        long(1, LONG_MAX),
        "604800000",
        "ms",
        &[same("log.roll.ms"), Synonym { name: "log.roll.hours", factor: MS_PER_HOUR }],
        Support::Full,
        "Age of a segment from which a new one is begun.",
    ),
    row(
        "unclean.leader.election.enable",
        Kind::Boolean,
        "false",
        "",
        &[],
        Support::Accepted("No effect: the only replica always leads."),
        "Whether a replica that misses records may lead.",
    ),
];
