//! The faults that a model broker can have, and what a checker has to call them.

use crate::checker::violation::ViolationKind;

/// Something that a broker must never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Acknowledges what is not durable, and crashes.
    AckBeforeSync,
    /// Loses one acknowledged batch.
    DroppedBatch,
    /// Exchanges two acknowledged batches.
    Swapped,
    /// Answers an error as if the batch were at offset 0.
    BaseOffsetZeroOnError,
    /// Appends an idempotent producer's repetition again.
    DuplicateOnRetry,
    /// Appends a batch twice that was sent once.
    DuplicateUnasked,
    /// Serves what is not durable, and crashes.
    ReadBeforeSync,
    /// Serves a fetch from another place than it asked for.
    StaleIndexHit,
    /// An acknowledged batch has the leader epoch of before the crash.
    WrongEpoch,
    /// Serves another leader epoch than it did before.
    ChangedEpoch,
    /// One byte of a stored batch changes.
    AlteredByte,
    /// Leaves an offset out.
    Gap,
    /// Appends what nobody sent.
    Invented,
    /// Appends what it refuses.
    RefusedButPresent,
    /// Appends a producer's batches in another order.
    Reordered,
    /// Forgets a batch of an idempotent producer and takes the next one.
    SkippedSequence,
    /// Appends, at a start, what was lost in an earlier crash: a stale journal.
    LateReplay,
    /// Tells a high watermark lower than before.
    WatermarkFalls,
    /// Serves above the high watermark that it tells.
    BeyondWatermark,
    /// Serves nothing though there is something.
    Withheld,
    /// Forgets at a crash that records were deleted.
    LogStartReturns,
    /// Deletes more than it was asked to.
    DeletesTooMuch,
    /// Forgets the last commit of a group.
    CommitForgotten,
    /// Says that an epoch ends behind the beginning of the next.
    EpochEndWrong,
}

impl Fault {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::AckBeforeSync,
        Self::DroppedBatch,
        Self::Swapped,
        Self::BaseOffsetZeroOnError,
        Self::DuplicateOnRetry,
        Self::DuplicateUnasked,
        Self::ReadBeforeSync,
        Self::StaleIndexHit,
        Self::WrongEpoch,
        Self::ChangedEpoch,
        Self::AlteredByte,
        Self::Gap,
        Self::Invented,
        Self::RefusedButPresent,
        Self::Reordered,
        Self::SkippedSequence,
        Self::LateReplay,
        Self::WatermarkFalls,
        Self::BeyondWatermark,
        Self::Withheld,
        Self::LogStartReturns,
        Self::DeletesTooMuch,
        Self::CommitForgotten,
        Self::EpochEndWrong,
    ];

    /// At least one of these complaints has to come.
    pub fn complaints(self) -> &'static [ViolationKind] {
        use ViolationKind as Kind;
        match self {
            Self::AckBeforeSync | Self::DroppedBatch | Self::Swapped | Self::DeletesTooMuch => {
                &[Kind::AcknowledgedLost, Kind::LogStartMoved]
            }
            Self::BaseOffsetZeroOnError => &[Kind::SharedOffset],
            Self::DuplicateOnRetry | Self::DuplicateUnasked => &[Kind::Duplicate],
            Self::ReadBeforeSync => &[Kind::ReadVanished],
            Self::StaleIndexHit => &[Kind::WrongPosition],
            Self::WrongEpoch => &[Kind::EpochFell, Kind::EpochChanged],
            Self::ChangedEpoch => &[Kind::EpochChanged],
            Self::AlteredByte => &[Kind::Altered],
            Self::Gap => &[Kind::Gap],
            Self::Invented => &[Kind::NeverSent],
            Self::RefusedButPresent => &[Kind::RefusedButPresent],
            Self::Reordered => &[Kind::ProducerOrder],
            Self::SkippedSequence => &[Kind::SequenceGap],
            Self::LateReplay => &[Kind::RealTimeOrder],
            Self::WatermarkFalls => &[Kind::HighWatermarkFell],
            Self::BeyondWatermark => &[Kind::BeyondHighWatermark],
            Self::Withheld => &[Kind::Withheld],
            Self::LogStartReturns => &[Kind::LogStartFell],
            Self::CommitForgotten => &[Kind::CommittedWrong],
            Self::EpochEndWrong => &[Kind::EpochEnd],
        }
    }
}
