//! Domain errors to Kafka error codes: the only place that knows both.

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::records::{BatchError, BatchErrorKind};

use crate::coordinator::group::CoordinatorError;
use crate::coordinator::share::{SessionError, ShareError};
use crate::partition::{AppendError, DeleteRecordsError, ReadError, SequenceError};
use crate::storage::error::{self, StorageError};

/// The code that a client gets for `error`.
pub fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Sequence(SequenceError::Gap { .. }) => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::Sequence(SequenceError::Fenced { .. }) => ErrorCode::InvalidProducerEpoch,
        AppendError::Full(_) | AppendError::Poisoned(_) => ErrorCode::KafkaStorageError,
        AppendError::Deleted => ErrorCode::UnknownTopicOrPartition,
        AppendError::Stopping => ErrorCode::NotLeaderOrFollower,
    }
}

/// The code that a client gets for a batch that is refused.
pub fn of_batch(error: &BatchError) -> ErrorCode {
    match error.kind() {
        BatchErrorKind::Corrupt => ErrorCode::CorruptMessage,
        // Kafka answers UNKNOWN_SERVER_ERROR to data that does not decompress.
        BatchErrorKind::InvalidRecord | BatchErrorKind::Undecodable => ErrorCode::InvalidRecord,
        BatchErrorKind::InvalidTimestamp => ErrorCode::InvalidTimestamp,
        BatchErrorKind::TooLarge => ErrorCode::MessageTooLarge,
        BatchErrorKind::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
    }
}

/// The code that a client gets for a read that is not served.
pub fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Deleted => ErrorCode::UnknownTopicOrPartition,
        ReadError::Fenced { .. } => ErrorCode::FencedLeaderEpoch,
        ReadError::UnknownEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
        ReadError::Log(error::ReadError::OutOfRange { .. }) => ErrorCode::OffsetOutOfRange,
        ReadError::Log(
            error::ReadError::Corrupt { .. }
            | error::ReadError::Quarantined { .. }
            | error::ReadError::Undecodable { .. },
        ) => ErrorCode::CorruptMessage,
        ReadError::Log(error::ReadError::Io { .. } | error::ReadError::WouldBlock) => {
            ErrorCode::KafkaStorageError
        }
    }
}

/// The code that a client gets for a group that is not reached, or whose change is not stored. A full disk is a reason to
/// try again, as a broker that stops is.
pub fn of_coordinator(error: &CoordinatorError) -> ErrorCode {
    match error {
        CoordinatorError::Loading => ErrorCode::CoordinatorLoadInProgress,
        CoordinatorError::UnknownGroup => ErrorCode::GroupIdNotFound,
        CoordinatorError::TooManyGroups { .. } => ErrorCode::PolicyViolation,
        CoordinatorError::TooLarge { .. } => ErrorCode::InvalidCommitOffsetSize,
        CoordinatorError::Encode(_) => ErrorCode::UnknownServerError,
        CoordinatorError::Append(_)
        | CoordinatorError::Behind { .. }
        | CoordinatorError::Topic(_)
        | CoordinatorError::Stopping => ErrorCode::CoordinatorNotAvailable,
    }
}

/// The code that a client gets for a share partition that is not reached, or whose change is not stored.
pub fn of_share(error: &ShareError) -> ErrorCode {
    match error {
        ShareError::NotInitialized | ShareError::Gone => ErrorCode::UnknownTopicOrPartition,
        ShareError::Group(error) => of_coordinator(error),
        ShareError::Topic(_) => ErrorCode::CoordinatorNotAvailable,
        ShareError::Unreadable(_) => ErrorCode::KafkaStorageError,
        ShareError::Read(error) => of_read(error),
        ShareError::Append(error) => of_append(error),
        ShareError::Stopping => ErrorCode::NotLeaderOrFollower,
    }
}

/// The code that a client gets for a request that is not the next one of its share session.
pub fn of_share_session(error: &SessionError) -> ErrorCode {
    match error {
        SessionError::NotFound => ErrorCode::ShareSessionNotFound,
        SessionError::InvalidEpoch { .. } => ErrorCode::InvalidShareSessionEpoch,
        SessionError::LimitReached => ErrorCode::ShareSessionLimitReached,
    }
}

/// The code that a client gets for records that could not be deleted.
pub fn of_delete_records(error: &DeleteRecordsError) -> ErrorCode {
    match error {
        DeleteRecordsError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        DeleteRecordsError::Deleted => ErrorCode::UnknownTopicOrPartition,
        DeleteRecordsError::Storage(error) => of_storage(error),
    }
}

/// The code that a client gets for a failure of the storage: damage is told apart from the rest.
pub fn of_storage(error: &StorageError) -> ErrorCode {
    match error {
        StorageError::Corrupt { .. } => ErrorCode::CorruptMessage,
        StorageError::Full { .. }
        | StorageError::Io { .. }
        | StorageError::Poisoned { .. }
        | StorageError::ForeignPartition { .. }
        | StorageError::State(_) => ErrorCode::KafkaStorageError,
    }
}
