//! Why a group is not reached.

use std::sync::Arc;

use sendlog_protocol::wire::EncodeError;

use crate::catalog::TopicError;
use crate::partition::AppendError;

/// Why an event did not happen, or is not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CoordinatorError {
    /// The group's partition of `__consumer_offsets` is still being read.
    #[error("the group is being loaded")]
    Loading,
    /// There is no such group.
    #[error("no group has this id")]
    UnknownGroup,
    /// A limit of the broker is reached.
    #[error("there are {limit} groups, as many as sendlog.groups.max allows")]
    TooManyGroups {
        /// How many there may be.
        limit: usize,
    },
    /// `__consumer_offsets` could not be made.
    #[error("the topic of the groups cannot be made: {0}")]
    Topic(Arc<TopicError>),
    /// What the event changed could not be stored.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// More than one batch takes.
    #[error("{bytes} bytes of records are more than a batch may have ({limit})")]
    TooLarge {
        /// Bytes of the batch.
        bytes: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// Too much of what earlier events changed could not be stored; the event did not happen.
    #[error("{bytes} bytes of earlier changes of the group are not stored yet")]
    Behind {
        /// Bytes that the log lacks.
        bytes: usize,
    },
    /// What the event changed cannot be written as a record.
    #[error("a record cannot be written: {0}")]
    Encode(#[from] EncodeError),
    /// The broker stops.
    #[error("the broker stops")]
    Stopping,
}
