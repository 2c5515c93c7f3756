//! Why a share partition is not reached.

use std::sync::Arc;

use thiserror::Error;

use crate::catalog::TopicError;
use crate::coordinator::group::CoordinatorError;
use crate::partition::{AppendError, ReadError};

/// Why a share partition is not reached, or what happened to it is not stored.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The group does not read this partition.
    #[error("the group keeps no state of this partition")]
    NotInitialized,
    /// The group cannot be asked.
    #[error(transparent)]
    Group(#[from] CoordinatorError),
    /// `__share_group_state` could not be made.
    #[error("the topic of the share partitions cannot be made: {0}")]
    Topic(Arc<TopicError>),
    /// The partition's log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What happened is not stored.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// `__share_group_state` cannot be read.
    #[error("the states of share partitions cannot be read: {0}")]
    Unreadable(String),
    /// The state was deleted meanwhile.
    #[error("the state of the share partition was deleted")]
    Gone,
    /// The broker stops.
    #[error("the broker stops")]
    Stopping,
}
