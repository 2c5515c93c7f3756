//! Settings, with their units, defaults and bounds. Kafka's name of each stands in its description.

use std::time::Duration;

use sendlog_protocol::records::Compression;
use thiserror::Error;

/// Settings that every client has.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Brokers to ask first, `HOST:PORT` each (`bootstrap.servers`). One that answers is enough.
    pub bootstrap: Vec<String>,
    /// Name in the broker's logs (`client.id`). Default `sendlog-client`.
    pub client_id: String,
    /// How long a TCP connection may take (`socket.connection.setup.timeout.ms`). Default 10 s.
    pub connect_timeout: Duration,
    /// How long an answer may take before the connection is given up (`request.timeout.ms`). Default 30 s.
    pub request_timeout: Duration,
    /// How long operations of `Admin`, look-ups of offsets and the like are retried in all (`default.api.timeout.ms`).
    /// Default 60 s.
    pub api_timeout: Duration,
    /// First pause before something is tried again (`retry.backoff.ms`). Default 100 ms.
    pub retry_backoff: Duration,
    /// Longest pause (`retry.backoff.max.ms`). Default 1 s.
    pub retry_backoff_max: Duration,
    /// Age at which what is known of topics and leaders is asked for again (`metadata.max.age.ms`). Default 5 min.
    pub metadata_max_age: Duration,
    /// Largest answer that is taken from a broker, bytes. Default 256 MiB.
    pub response_bytes_max: usize,
}

impl ClientConfig {
    /// Defaults, and brokers as a comma-separated list of `HOST:PORT`.
    #[must_use]
    pub fn new(bootstrap: &str) -> Self {
        let bootstrap = bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty());
        Self {
            bootstrap: bootstrap.map(str::to_owned).collect(),
            client_id: "sendlog-client".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            response_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// When a broker answers a produce request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// Not at all: offsets stay unknown and losses unnoticed.
    None,
    /// When the leader has the records. A sendlog broker has them on disk then.
    Leader,
    /// When all replicas in sync have the records.
    #[default]
    All,
}

impl Acks {
    /// The number in a produce request.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// Settings of a `Producer`.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// When a broker answers (`acks`). Default all.
    pub acks: Acks,
    /// Whether retries can neither duplicate nor reorder records (`enable.idempotence`). Needs `acks` all and at most 5 in
    /// flight. Default true.
    pub idempotent: bool,
    /// Codec of batches (`compression.type`). Default none.
    pub compression: Compression,
    /// How long a batch that is not full waits for more records (`linger.ms`). Default 5 ms.
    pub linger: Duration,
    /// Size at which a batch is full, uncompressed bytes (`batch.size`). A larger record gets a batch of its own. Default
    /// 1,000,000: with its header, below Kafka's default `max.message.bytes`.
    pub batch_bytes: usize,
    /// Largest request, bytes (`max.request.size`). Default 8 MiB. A record that cannot fit is refused by `send`.
    pub request_bytes_max: usize,
    /// Memory for records that are not yet acknowledged, bytes (`buffer.memory`). When it is used up, `send` waits. Default
    /// 64 MiB.
    pub buffer_bytes: usize,
    /// Requests in flight for each broker (`max.in.flight.requests.per.connection`). Default 5.
    pub in_flight_max: usize,
    /// How long `send` may wait for memory and for the topic's metadata (`max.block.ms`). Default 60 s.
    pub send_timeout: Duration,
    /// How long after `send` a record is delivered or failed (`delivery.timeout.ms`). Default 120 s.
    pub delivery_timeout: Duration,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotent: true,
            compression: Compression::None,
            linger: Duration::from_millis(5),
            batch_bytes: 1_000_000,
            request_bytes_max: 8 * 1024 * 1024,
            buffer_bytes: 64 * 1024 * 1024,
            in_flight_max: 5,
            send_timeout: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// The most batches of a partition that a broker remembers, and so the most that an idempotent producer may have in flight.
pub(crate) const IDEMPOTENT_IN_FLIGHT_MAX: usize = 5;

impl ProducerConfig {
    /// Whether the settings fit together.
    ///
    /// # Errors
    /// [`ConfigError`] that names the setting.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |setting, reason| Err(ConfigError { setting, reason });
        if self.idempotent && self.acks != Acks::All {
            return refuse("idempotent", "needs acks = all");
        }
        if self.in_flight_max == 0 {
            return refuse("in_flight_max", "must be at least 1");
        }
        if self.idempotent && IDEMPOTENT_IN_FLIGHT_MAX < self.in_flight_max {
            return refuse("in_flight_max", "must be at most 5 for an idempotent producer");
        }
        if self.request_bytes_max < self.batch_bytes {
            return refuse("request_bytes_max", "must not be smaller than batch_bytes");
        }
        if self.buffer_bytes < self.batch_bytes || u32::try_from(self.buffer_bytes).is_err() {
            return refuse("buffer_bytes", "must be between batch_bytes and 4 GiB");
        }
        Ok(())
    }
}

/// What a consumer does when its position is not, or no longer, in the log (`auto.offset.reset`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutOfRange {
    /// `poll` returns an error; seek to go on.
    #[default]
    Error,
    /// Goes on at the first record there is.
    Earliest,
    /// Goes on at the end.
    Latest,
}

/// Settings of a `Consumer`.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// How long a broker holds a fetch back until there are `fetch_bytes_min` (`fetch.max.wait.ms`). Default 500 ms.
    pub fetch_wait: Duration,
    /// Bytes that are worth an answer (`fetch.min.bytes`). Default 1.
    pub fetch_bytes_min: usize,
    /// Most bytes of an answer (`fetch.max.bytes`); a batch larger than this still comes whole. Default 50 MiB.
    pub fetch_bytes_max: usize,
    /// Most bytes of one partition in an answer (`max.partition.fetch.bytes`). Default 4 MiB.
    pub partition_bytes_max: usize,
    /// Memory for records fetched ahead of `poll`, bytes, for all partitions together. One answer may go beyond it. Default
    /// 64 MiB.
    pub prefetch_bytes: usize,
    /// Most records that a `poll` returns (`max.poll.records`). Default 10,000.
    pub poll_records_max: usize,
    /// Most bytes that a batch may decompress to. Default 128 MiB.
    pub decompressed_bytes_max: usize,
    /// Whether the checksum of every batch is verified (`check.crcs`). Default true.
    pub check_crc: bool,
    /// What to do when a position is not in the log. Default: an error.
    pub out_of_range: OutOfRange,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            fetch_wait: Duration::from_millis(500),
            fetch_bytes_min: 1,
            fetch_bytes_max: 50 * 1024 * 1024,
            partition_bytes_max: 4 * 1024 * 1024,
            prefetch_bytes: 64 * 1024 * 1024,
            poll_records_max: 10_000,
            decompressed_bytes_max: 128 * 1024 * 1024,
            check_crc: true,
            out_of_range: OutOfRange::Error,
        }
    }
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("setting {setting} {reason}")]
pub struct ConfigError {
    /// Name of the field.
    pub setting: &'static str,
    /// What it must be.
    pub reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_lists_are_split() {
        let config = ClientConfig::new(" a:1, b:2 ,,c:3");
        assert_eq!(config.bootstrap, ["a:1", "b:2", "c:3"]);
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let refused = |config: ProducerConfig| config.check().expect_err("refused").setting;
        let default = ProducerConfig::default;
        assert_eq!(default().check(), Ok(()));
        assert_eq!(refused(ProducerConfig { acks: Acks::Leader, ..default() }), "idempotent");
        assert_eq!(refused(ProducerConfig { in_flight_max: 6, ..default() }), "in_flight_max");
        assert_eq!(refused(ProducerConfig { in_flight_max: 0, ..default() }), "in_flight_max");
        assert_eq!(refused(ProducerConfig { request_bytes_max: 10, ..default() }), "request_bytes_max");
        assert_eq!(refused(ProducerConfig { buffer_bytes: 10, ..default() }), "buffer_bytes");
        let loose = ProducerConfig { acks: Acks::None, idempotent: false, in_flight_max: 50, ..default() };
        assert_eq!(loose.check(), Ok(()));
    }
}
