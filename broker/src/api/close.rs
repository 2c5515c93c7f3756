//! Why a connection is closed: what the log line about it says.
//!
//! Kafka answers what it can with an error code. Where it has none (a frame that is not Kafka's,
//! an API that the broker does not have) it closes the connection, and so do we, with a reason.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use sendlog_protocol::frame::FrameError;
use sendlog_protocol::wire::{DecodeError, EncodeError};
use thiserror::Error;

use super::log_limit::{Line, LogLimit};

/// Characters of a reason in the log.
const REASON_CHARS_MAX: usize = 400;

/// A broken or hostile client may come back at once, and many may.
static LIMIT: LogLimit = LogLimit::new(20, Duration::from_secs(1));

/// Why a connection is closed by the broker.
#[derive(Debug, Error)]
pub enum Close {
    /// The length prefix of a frame is impossible.
    #[error("{error}{hint}")]
    Frame {
        /// What is wrong with it.
        #[source]
        error: FrameError,
        /// What the bytes look like.
        hint: &'static str,
    },
    /// The peer closed in the middle of a frame.
    #[error("the peer closed in the middle of a request, after {received} bytes of it")]
    Truncated {
        /// Bytes that had come.
        received: usize,
    },
    /// A frame did not become whole.
    #[error("a request stayed incomplete: {received} bytes of it came in {waited:?}")]
    HalfFrame {
        /// Bytes that had come.
        received: usize,
        /// Since it began.
        waited: Duration,
    },
    /// All request memory is in use.
    #[error("no memory for this request: queued.max.request.bytes is used up by other connections")]
    NoBudget,
    /// The header cannot be read.
    #[error("not a Kafka request header: {0}")]
    Header(#[source] DecodeError),
    /// The body cannot be read.
    #[error("malformed {api} request, version {version}: {error}")]
    Body {
        /// Name of the API.
        api: &'static str,
        /// Version of the request.
        version: i16,
        /// What is wrong.
        #[source]
        error: DecodeError,
    },
    /// The broker has no such API, or not in this version.
    #[error("API key {key} version {version} is not supported")]
    Unsupported {
        /// The key as sent.
        key: i16,
        /// The version as sent.
        version: i16,
    },
    /// A produce request without acknowledgement failed: closing is how Kafka tells.
    #[error("a produce request with acks=0 failed: {reason}")]
    Unacknowledged {
        /// What went wrong.
        reason: String,
    },
    /// An answer could not be encoded.
    #[error("an answer could not be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The socket failed.
    #[error("{0}")]
    Socket(#[source] io::Error),
}

impl Close {
    /// A bad length prefix, with a guess at what the peer speaks.
    pub fn frame(error: FrameError, received: &[u8]) -> Self {
        let hint = match received {
            [0x16, 0x03, ..] => " (this looks like TLS; this listener is plain text)",
            [b'G', b'E', b'T', b' ', ..]
            | [b'P', b'O', b'S', b'T', ..]
            | [b'P', b'U', b'T', b' ', ..]
            | [b'H', b'E', b'A', b'D', ..] => " (this looks like HTTP; this is a Kafka broker)",
            _ => "",
        };
        Self::Frame { error, hint }
    }

    /// The reason, of bounded length: it may hold names that a stranger chose. The log escapes it.
    fn line(&self) -> String {
        self.to_string().chars().take(REASON_CHARS_MAX).collect()
    }

    /// Writes the log line. A peer that just went away is not worth more than a debug line.
    pub fn log(&self, peer: SocketAddr) {
        match self {
            Self::Socket(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                tracing::debug!(%peer, reason = self.line(), "connection lost");
            }
            _ => match LIMIT.line() {
                Line::LeaveOut => {}
                Line::Write { left_out: 0 } => {
                    tracing::warn!(%peer, reason = self.line(), "connection closed");
                }
                Line::Write { left_out } => {
                    tracing::warn!(%peer, reason = self.line(), left_out, "connection closed, like others before");
                }
            },
        }
    }
}
