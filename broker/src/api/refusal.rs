//! A Kafka error code with the sentence that goes with it, as administrative answers carry it.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;

use super::{Context, error};
use crate::catalog::name::NameError;
use crate::catalog::{Catalog, TopicError};

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
        Self { code, message: message.into() }
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
        Self { code: of_topic(&topic_error), message: topic_error.to_string() }
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
        TopicError::Config(_) => ErrorCode::InvalidConfig,
        TopicError::Partitions(_) => ErrorCode::InvalidPartitions,
        TopicError::Limit { .. } => ErrorCode::PolicyViolation,
        TopicError::FolderInTheWay { .. } => ErrorCode::KafkaStorageError,
        TopicError::Storage(storage_error) => error::of_storage(storage_error),
    }
}

/// Does what may wait for the disk on a thread that may.
pub(super) async fn on_catalog<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&Catalog) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let catalog = Arc::clone(&context.catalog);
    blocking(move || work(&catalog)).await
}

/// The same for what needs more than the catalog.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    // Only a panic in there, which is our own fault and was printed, leaves no result.
    let failed =
        |_| Refusal::new(ErrorCode::UnknownServerError, "the broker failed at this request; see its log");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// Whether a request may name so many topics or other resources.
pub(super) fn check_count(context: &Context, count: usize) -> Result<(), Refusal> {
    let limit = context.config.request_topics_max;
    if limit < count {
        return Err(Refusal::invalid(format!(
            "{count} topics in one request are too many; {limit} are allowed (sendlog.request.topics.max)"
        )));
    }
    Ok(())
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
