//! What can go wrong. Errors are cheap to clone, because one failed connection or batch has many waiters.

use std::fmt;
use std::io;
use std::sync::Arc;

use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::frame::FrameError;
use sendlog_protocol::records::BatchError;
use sendlog_protocol::wire::{DecodeError, EncodeError};
use thiserror::Error;

use crate::config::ConfigError;

/// Why a connection cannot be used, or a request not be made on it.
#[derive(Debug, Clone, Error)]
pub enum ConnectionError {
    /// The connection could not be made.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// `HOST:PORT`.
        address: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The connection was not made in time.
    #[error("cannot connect to {address} within {timeout_ms} ms")]
    ConnectTimeout {
        /// `HOST:PORT`.
        address: String,
        /// The limit (`connect_timeout`).
        timeout_ms: u128,
    },
    /// Reading or writing went wrong.
    #[error("connection to {address}: {source}")]
    Io {
        /// `HOST:PORT`.
        address: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The broker closed the connection; Kafka does so for requests that it does not support.
    #[error("{address} closed the connection")]
    Closed {
        /// `HOST:PORT`.
        address: String,
    },
    /// An answer did not come in time. The connection is given up, for answers come in order.
    #[error("{address} did not answer {api} within {timeout_ms} ms")]
    Timeout {
        /// `HOST:PORT`.
        address: String,
        /// The request.
        api: &'static str,
        /// The limit (`request_timeout`).
        timeout_ms: u128,
    },
    /// A frame of an impossible length.
    #[error("{address} does not speak the Kafka protocol: {source}")]
    Frame {
        /// `HOST:PORT`.
        address: String,
        /// What is wrong with the frame.
        source: FrameError,
    },
    /// An answer that makes no sense.
    #[error("{api} answer of {address}: {source}")]
    Decode {
        /// `HOST:PORT`.
        address: String,
        /// The request.
        api: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// An answer to something else than what was asked next.
    #[error("{address} answered {api} out of order: correlation id {found} instead of {expected}")]
    OutOfOrder {
        /// `HOST:PORT`.
        address: String,
        /// The request whose turn it was.
        api: &'static str,
        /// Its id.
        expected: i32,
        /// The id that came.
        found: i32,
    },
    /// Bytes that nobody asked for.
    #[error("{address} sent an answer without a request")]
    Unrequested {
        /// `HOST:PORT`.
        address: String,
    },
    /// The request cannot be put into bytes; the connection is as good as before.
    #[error("{api} request: {source}")]
    Encode {
        /// The request.
        api: &'static str,
        /// What does not fit.
        source: EncodeError,
    },
    /// Client and broker have no version of an API in common.
    #[error("{address} supports {api} {broker}, this client needs one of {client}")]
    NoCommonVersion {
        /// `HOST:PORT`.
        address: String,
        /// The API.
        api: &'static str,
        /// What the broker supports.
        broker: String,
        /// What the client supports.
        client: String,
    },
    /// The broker refused the negotiation of versions.
    #[error("{address} refused ApiVersions: {error}")]
    Negotiation {
        /// `HOST:PORT`.
        address: String,
        /// Its answer.
        error: BrokerError,
    },
}

impl ConnectionError {
    /// Whether the connection is as good as before: the request was never sent.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::Encode { .. } | Self::NoCommonVersion { .. })
    }

    pub(crate) fn no_common_version(
        address: &str,
        key: ApiKey,
        broker: Option<(i16, i16)>,
        client: std::ops::RangeInclusive<i16>,
    ) -> Self {
        Self::NoCommonVersion {
            address: address.to_owned(),
            api: key.name(),
            broker: broker
                .map_or_else(|| "not at all".to_owned(), |(min, max)| format!("versions {min} to {max}")),
            client: format!("{} to {}", client.start(), client.end()),
        }
    }
}

/// An error code from a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerError {
    /// The code as it came; it may be one that this client does not know.
    pub code: i16,
    /// What the broker said besides, if anything.
    pub message: Option<String>,
}

impl std::error::Error for BrokerError {}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ErrorCode::from_code(self.code) {
            Some(code) => write!(f, "{code}")?,
            None => write!(f, "error code {}", self.code)?,
        }
        match &self.message {
            Some(message) => write!(f, " ({message})"),
            None => Ok(()),
        }
    }
}

impl BrokerError {
    /// `Ok` for code 0.
    ///
    /// # Errors
    /// The code as an error.
    pub fn check(code: i16, message: Option<String>) -> Result<(), Self> {
        if code == ErrorCode::None.code() {
            return Ok(());
        }
        Err(Self { code, message })
    }

    /// The code, if this client knows it.
    #[must_use]
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::from_code(self.code)
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.error_code().is_some_and(ErrorCode::is_retriable)
    }
}

impl From<ErrorCode> for BrokerError {
    fn from(code: ErrorCode) -> Self {
        Self { code: code.code(), message: None }
    }
}

/// Why an operation failed.
#[derive(Debug, Clone, Error)]
pub enum ClientError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A connection failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// No broker can be reached.
    #[error("no broker answers: {}", list(failures))]
    NoBroker {
        /// What each attempt ended with.
        failures: Vec<ConnectionError>,
    },
    /// A broker refused.
    #[error("{what}: {error}")]
    Broker {
        /// What was asked, such as `topic demo`.
        what: String,
        /// The broker's answer.
        error: BrokerError,
    },
    /// There is no such topic.
    #[error("there is no topic {topic}")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// A topic does not have this partition.
    #[error("topic {topic} has {partitions} partitions, there is no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many there are.
        partitions: usize,
    },
    /// A partition has no leader at present.
    #[error("partition {topic}-{partition} has no leader")]
    NoLeader {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A broker's answer lacks what was asked for.
    #[error("the answer of the broker lacks {what}")]
    Incomplete {
        /// What is missing.
        what: String,
    },
    /// It was tried until the time was up.
    #[error("{what}: not done within {timeout_ms} ms{}", last_failure(last.as_deref()))]
    TimedOut {
        /// What was tried.
        what: String,
        /// The limit.
        timeout_ms: u128,
        /// What the last attempt ended with.
        last: Option<Box<ClientError>>,
    },
    /// A record is too large for this client's settings or the format.
    #[error("record of about {bytes} bytes, the limit is {limit} (request_bytes_max, buffer_bytes)")]
    RecordTooLarge {
        /// Size of the record in a batch.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A batch of records cannot be made or read.
    #[error("{topic}-{partition} at offset {offset}: {source}")]
    Batch {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where; -1 for a batch that is not written yet.
        offset: i64,
        /// What is wrong.
        source: BatchError,
    },
    /// A consumer's position is not in the log.
    #[error("{topic}-{partition}: offset {offset} is not in the log")]
    OffsetOutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The position.
        offset: i64,
    },
    /// The consumer does not read this partition.
    #[error("{topic}-{partition} is not assigned")]
    NotAssigned {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// Another producer took over this one's id; it can be used no more.
    #[error("the producer was fenced: {error}")]
    Fenced {
        /// The broker's answer.
        error: BrokerError,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl ClientError {
    pub(crate) fn broker(what: impl Into<String>, error: BrokerError) -> Self {
        Self::Broker { what: what.into(), error }
    }

    /// Whether trying again may help: a lost connection, a missing leader, or a broker that says so.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connection(error) => !error.is_harmless(),
            Self::NoBroker { .. } | Self::NoLeader { .. } => true,
            Self::Broker { error, .. } => error.is_retriable(),
            Self::Config(_)
            | Self::UnknownTopic { .. }
            | Self::UnknownPartition { .. }
            | Self::Incomplete { .. }
            | Self::TimedOut { .. }
            | Self::RecordTooLarge { .. }
            | Self::Batch { .. }
            | Self::OffsetOutOfRange { .. }
            | Self::NotAssigned { .. }
            | Self::Fenced { .. }
            | Self::Closed => false,
        }
    }
}

fn list(failures: &[ConnectionError]) -> String {
    if failures.is_empty() {
        return "no address is known".to_owned();
    }
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn last_failure(last: Option<&ClientError>) -> String {
    last.map(|last| format!("; last: {last}")).unwrap_or_default()
}
