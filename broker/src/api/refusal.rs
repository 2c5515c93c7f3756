//! A Kafka error code with the sentence that goes with it, as administrative answers carry it.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;

use super::{Context, error};
use crate::catalog::name::NameError;
use crate::catalog::{Catalog, TopicError};
use crate::config::Config;
use crate::config::scope::ScopeError;

/// A sentence is shorter.
const MESSAGE_CHARS_MAX: usize = 1000;

/// Why one part of a request was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Kafka's code.
    pub(super) code: ErrorCode,
    /// What the client's user reads.
    pub(super) message: String,
}

impl Refusal {
    /// A refusal with a sentence.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message: String = message.into();
        // It may repeat what the client sent, and in early versions a string has at most 32,767 bytes.
        let message = if message.len() <= MESSAGE_CHARS_MAX { message } else { shortened(&message) };
        Self { code, message }
    }

    /// [`ErrorCode::InvalidRequest`] with a sentence.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// A topic that is not there.
    pub(super) fn unknown_topic() -> Self {
        TopicError::Unknown.into()
    }
}

impl From<TopicError> for Refusal {
    fn from(topic_error: TopicError) -> Self {
        Self::new(of_topic(&topic_error), topic_error.to_string())
    }
}

impl From<NameError> for Refusal {
    fn from(name_error: NameError) -> Self {
        TopicError::from(name_error).into()
    }
}

/// The code that a client gets for a change of the catalog that is refused.
fn of_topic(topic_error: &TopicError) -> ErrorCode {
    match topic_error {
        TopicError::Name(_) | TopicError::Internal(_) | TopicError::Collides { .. } => {
            ErrorCode::InvalidTopicException
        }
        TopicError::Exists(_) | TopicError::StillDeleting(_) => ErrorCode::TopicAlreadyExists,
        TopicError::Unknown | TopicError::NothingToAlter(_) => ErrorCode::UnknownTopicOrPartition,
        TopicError::Relaxed(_) | TopicError::Config(_) | TopicError::Setting(ScopeError::Config(_)) => {
            ErrorCode::InvalidConfig
        }
        TopicError::Prohibited(_) | TopicError::Setting(ScopeError::Request(_)) => ErrorCode::InvalidRequest,
        TopicError::Partitions(_) => ErrorCode::InvalidPartitions,
        TopicError::Limit { .. } => ErrorCode::PolicyViolation,
        TopicError::FolderInTheWay { .. } => ErrorCode::KafkaStorageError,
        TopicError::Storage(storage_error) => error::of_storage(storage_error),
    }
}

/// Does what waits for the disk, or takes long for a long request, on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&Config, &Catalog) -> T + Send + 'static,
) -> T {
    let _turn = context.catalog.turn().await;
    let catalog = Arc::clone(&context.catalog);
    match tokio::task::spawn_blocking(move || work(&catalog.live().config, &catalog)).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            // Our own fault: the connection's task ends as if it had been there.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Whether a request may name so many topics or other resources.
pub(super) fn check_count(config: &Config, count: usize) -> Result<(), Refusal> {
    let limit = config.request_topics_max;
    if limit < count {
        return Err(Refusal::invalid(format!(
            "{count} topics in one request are too many; {limit} are allowed (sendlog.request.topics.max)"
        )));
    }
    Ok(())
}

fn shortened(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).chain("...".chars()).collect()
}

/// Keys that occur more than once.
pub(super) fn repeated<K: Eq + Hash>(keys: impl Iterator<Item = K>) -> HashSet<K> {
    let mut seen = HashSet::new();
    let mut repeated = HashSet::new();
    for key in keys {
        if let Some(key) = seen.replace(key) {
            repeated.insert(key);
        }
    }
    repeated
}

/// Code and message of a result, as responses have them.
pub(super) fn outcome<T>(result: Result<T, Refusal>) -> (i16, Option<String>) {
    match result {
        Ok(_) => (ErrorCode::None.code(), None),
        Err(refusal) => (refusal.code.code(), Some(refusal.message)),
    }
}
