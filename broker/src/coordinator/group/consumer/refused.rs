//! Why a request of a member is refused.

use sendlog_protocol::error_code::ErrorCode;

/// Kafka's code, and the sentence that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The code.
    pub code: ErrorCode,
    /// What the client's user reads.
    pub message: String,
}

impl Refused {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }
}
