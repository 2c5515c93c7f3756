//! Kafka's settings that sendlog does not have: which are harmless in a file written for Kafka, and which
//! are not.
//!
//! A stock `server.properties` should start a broker. So settings that have nothing to set here are
//! accepted with one warning each; settings whose absence would surprise (security, tiering) are refused.
//! Everything else is unknown.

/// Accepted without effect, with the reason.
pub static WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("process.roles", "sendlog is one process and needs no controller"),
    ("controller.quorum.voters", "sendlog is one process and needs no controller"),
    ("controller.quorum.bootstrap.servers", "sendlog is one process and needs no controller"),
    ("controller.listener.names", "sendlog is one process and needs no controller"),
    ("inter.broker.listener.name", "sendlog is one process and talks to no other broker"),
    ("listener.security.protocol.map", "sendlog has one PLAINTEXT listener"),
    ("zookeeper.connect", "sendlog needs no ZooKeeper"),
    ("zookeeper.connection.timeout.ms", "sendlog needs no ZooKeeper"),
    ("num.network.threads", "sendlog has one pool of workers, sendlog.worker.threads"),
    ("num.io.threads", "sendlog has one pool of workers, sendlog.worker.threads"),
    ("num.recovery.threads.per.data.dir", "recovery reads only what was written since the last checkpoint"),
    ("background.threads", "sendlog has one pool of workers, sendlog.worker.threads"),
    ("socket.send.buffer.bytes", "the kernel sizes socket buffers by itself"),
    ("socket.receive.buffer.bytes", "the kernel sizes socket buffers by itself"),
    ("queued.max.requests", "requests are bounded by bytes, queued.max.request.bytes"),
    ("offsets.topic.replication.factor", "sendlog has one replica"),
    ("transaction.state.log.replication.factor", "sendlog has one replica"),
    ("transaction.state.log.min.isr", "sendlog has one replica"),
    ("share.coordinator.state.topic.replication.factor", "sendlog has one replica"),
    ("share.coordinator.state.topic.min.isr", "sendlog has one replica"),
    ("offsets.commit.timeout.ms", "a commit waits for the disk alone"),
    ("offsets.load.buffer.size", "offsets are loaded by a buffer of fixed size"),
    ("offsets.topic.compression.codec", "batches of offsets are too small to gain from compression"),
    ("group.coordinator.threads", "sendlog has one pool of workers, sendlog.worker.threads"),
    ("group.coordinator.background.threads", "sendlog has one pool of workers, sendlog.worker.threads"),
    ("group.coordinator.append.linger.ms", "group commit batches without lingering"),
    ("group.coordinator.cached.buffer.max.bytes", "no buffers are kept"),
    ("share.coordinator.threads", "sendlog has one pool of workers, sendlog.worker.threads"),
    ("share.coordinator.append.linger.ms", "group commit batches without lingering"),
    ("share.coordinator.cached.buffer.max.bytes", "no buffers are kept"),
    ("share.coordinator.load.buffer.size", "state is loaded by a buffer of fixed size"),
    (
        "share.coordinator.state.topic.compression.codec",
        "batches of state are too small to gain from compression",
    ),
    ("share.coordinator.write.timeout.ms", "a write waits for the disk alone"),
    ("share.fetch.purgatory.purge.interval.requests", "there is no purgatory to purge"),
    ("unclean.leader.election.enable", "sendlog has one replica, which always leads"),
    ("auto.leader.rebalance.enable", "sendlog has one replica, which always leads"),
    ("controlled.shutdown.enable", "a shutdown is always orderly"),
    ("controller.quorum.election.timeout.ms", "sendlog is one process and needs no controller"),
    ("controller.quorum.election.backoff.max.ms", "sendlog is one process and needs no controller"),
    ("controller.quorum.fetch.timeout.ms", "sendlog is one process and needs no controller"),
    ("metadata.log.dir", "sendlog is one process and needs no controller"),
    ("broker.heartbeat.interval.ms", "sendlog is one process and needs no controller"),
    ("broker.session.timeout.ms", "sendlog is one process and needs no controller"),
    ("zookeeper.session.timeout.ms", "sendlog needs no ZooKeeper"),
    ("num.replica.fetchers", "sendlog has one replica"),
    ("num.replica.alter.log.dirs.threads", "sendlog has one replica"),
    ("replica.fetch.backoff.ms", "sendlog has one replica"),
    ("replica.fetch.max.bytes", "sendlog has one replica"),
    ("replica.fetch.min.bytes", "sendlog has one replica"),
    ("replica.fetch.response.max.bytes", "sendlog has one replica"),
    ("replica.fetch.wait.max.ms", "sendlog has one replica"),
    ("replica.high.watermark.checkpoint.interval.ms", "sendlog has one replica"),
    ("replica.lag.time.max.ms", "sendlog has one replica"),
    ("replica.socket.receive.buffer.bytes", "sendlog has one replica"),
    ("replica.socket.timeout.ms", "sendlog has one replica"),
    ("leader.imbalance.check.interval.seconds", "sendlog has one replica, which always leads"),
    ("leader.imbalance.per.broker.percentage", "sendlog has one replica, which always leads"),
    ("transaction.state.log.load.buffer.size", "sendlog has no transactions yet, and refuses them"),
    ("transaction.state.log.num.partitions", "sendlog has no transactions yet, and refuses them"),
    ("transaction.state.log.segment.bytes", "sendlog has no transactions yet, and refuses them"),
    ("transaction.max.timeout.ms", "sendlog has no transactions yet, and refuses them"),
    (
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        "sendlog has no transactions yet, and refuses them",
    ),
    (
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        "sendlog has no transactions yet, and refuses them",
    ),
    ("transactional.id.expiration.ms", "sendlog has no transactions yet, and refuses them"),
    ("fetch.purgatory.purge.interval.requests", "there is no purgatory to purge"),
    ("producer.purgatory.purge.interval.requests", "there is no purgatory to purge"),
    ("delete.records.purgatory.purge.interval.requests", "there is no purgatory to purge"),
];

/// Refused by the beginning of the name, with the reason.
pub static REFUSED: &[(&str, &str)] = &[
    ("ssl.", "sendlog has no TLS yet, and must not look as if it had"),
    ("sasl.", "sendlog has no authentication yet, and must not look as if it had"),
    ("security.", "sendlog has no authentication yet, and must not look as if it had"),
    ("authorizer.", "sendlog has no authorization yet, and must not look as if it had"),
    ("super.users", "sendlog has no authorization yet, and must not look as if it had"),
    ("allow.everyone.if.no.acl.found", "sendlog has no authorization yet, and must not look as if it had"),
    ("listener.name.", "sendlog has one PLAINTEXT listener without settings of its own"),
    ("remote.log.", "sendlog has no tiered storage yet"),
    ("quota.", "sendlog has no quotas yet"),
    ("group.streams.", "sendlog has no streams groups; Kafka Streams works with its classic protocol"),
];

/// Why `name` is accepted and has no effect, if that is so.
#[must_use]
pub fn without_effect(name: &str) -> Option<&'static str> {
    WITHOUT_EFFECT.iter().find(|(known, _)| *known == name).map(|(_, why)| *why)
}

/// Why `name`, a setting of Kafka's, is refused, if that is so.
#[must_use]
pub fn refused(name: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, why)| *why)
}
