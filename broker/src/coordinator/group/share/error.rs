//! Why a share group refuses.

use sendlog_protocol::error_code::ErrorCode;
use thiserror::Error;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShareGroupError {
    /// Nobody of that name is a member.
    #[error("Member {member_id} is not a member of group {group_id}.")]
    UnknownMember {
        /// The member asked for.
        member_id: String,
        /// The group.
        group_id: String,
    },
    /// The member's epoch is one that it does not have yet.
    #[error(
        "The share group member has a greater member epoch ({found}) than the one known by the group coordinator ({known}). The member must abandon all its partitions and rejoin."
    )]
    Ahead {
        /// The epoch of the request.
        found: i32,
        /// The member's epoch.
        known: i32,
    },
    /// The member's epoch is neither the present one nor the one before.
    #[error(
        "The share group member has a smaller member epoch ({found}) than the one known by the group coordinator ({known}), and it does not match the previous member epoch ({previous}). The member must abandon all its partitions and rejoin."
    )]
    Behind {
        /// The epoch of the request.
        found: i32,
        /// The member's epoch.
        known: i32,
        /// The one before.
        previous: i32,
    },
    /// No more members.
    #[error("The share group has reached its maximum capacity of {limit} members.")]
    Full {
        /// Members that may be.
        limit: usize,
    },
    /// It has members.
    #[error("The group is not empty.")]
    NotEmpty,
}

impl ShareGroupError {
    /// Kafka's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownMember { .. } => ErrorCode::UnknownMemberId,
            Self::Ahead { .. } | Self::Behind { .. } => ErrorCode::FencedMemberEpoch,
            Self::Full { .. } => ErrorCode::GroupMaxSizeReached,
            Self::NotEmpty => ErrorCode::NonEmptyGroup,
        }
    }
}
