//! The broker's settings of the network and of limits on requests.

use super::broker_table::{INT_MAX, LONG_MAX, int, long, row};
use super::setting::{Kind, Setting};

/// Connections, requests, and what one client may ask for.
pub(super) const NETWORK: &[Setting] = &[
    row(
        "sendlog.sendfile",
        Kind::Boolean,
        Some("true"),
        "",
        "Whether fetched records go from the page cache to the socket by `sendfile`. `false`, or \
         `--no-sendfile`, reads and writes them instead.",
    ),
    row(
        "sendlog.worker.threads",
        int(0, 1024),
        Some("0"),
        "threads",
        "Threads that serve connections; 0 is one for every processor core.",
    ),
    row(
        "socket.request.max.bytes",
        int(1024, INT_MAX),
        Some("104857600"),
        "bytes",
        "Largest request; a longer one closes its connection.",
    ),
    row(
        "queued.max.request.bytes",
        long(1024, LONG_MAX),
        Some("134217728"),
        "bytes",
        "Memory for requests of all connections together; at it, reading waits. At least \
         `socket.request.max.bytes`. Batches that a topic's `compression.type` makes larger may take as much again \
         until they are written. Kafka's default, -1, is no limit.",
    ),
    row(
        "fetch.max.bytes",
        int(1024, INT_MAX),
        Some("57671680"),
        "bytes",
        "Largest fetch response. The first batch is sent whole even if it is larger (KIP-74).",
    ),
    row(
        "max.connections",
        int(1, INT_MAX),
        Some("10000"),
        "connections",
        "Open connections; at it, new ones are closed. Half of the descriptors that the process may have, \
         if that is less. Kafka has no limit by default.",
    ),
    row(
        "connections.max.idle.ms",
        long(1, LONG_MAX),
        Some("600000"),
        "ms",
        "A connection without a request for this long is closed.",
    ),
    row(
        "sendlog.frame.stall.timeout.ms",
        long(1, LONG_MAX),
        Some("30000"),
        "ms",
        "A connection whose half-sent request, or half-read response, makes no progress for this long is \
         closed.",
    ),
    row(
        "sendlog.inflight.requests.max",
        int(1, 10_000),
        Some("64"),
        "requests",
        "Requests of one connection that are read before the first of them is answered.",
    ),
    row(
        "sendlog.inflight.bytes.max",
        long(1024, LONG_MAX),
        Some("33554432"),
        "bytes",
        "Bytes of one connection's unanswered requests; at it, reading that connection waits. One request \
         is always let in.",
    ),
    row(
        "sendlog.socket.congestion.control",
        Kind::Text,
        None,
        "",
        "TCP congestion control of client connections, such as `cubic`; unset, the system's. On loopback \
         and local networks `cubic` can be twice as fast as `bbr`.",
    ),
    row(
        "sendlog.request.topics.max",
        int(1, 1_000_000),
        Some("10000"),
        "topics",
        "Topics, or other resources, in one administrative request; a longer one is refused with \
         INVALID_REQUEST.",
    ),
    row(
        "sendlog.shutdown.timeout.ms",
        long(0, LONG_MAX),
        Some("10000"),
        "ms",
        "At shutdown, how long requests in flight may take before their connections are closed.",
    ),
];
