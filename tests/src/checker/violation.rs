//! What the checker complains about.

use std::fmt;
use std::ops::Range;

/// A rule that a history breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ViolationKind {
    /// An acknowledged batch is not there any more.
    AcknowledgedLost,
    /// What was read is not there any more.
    ReadVanished,
    /// An acknowledgement names offsets that another batch has, or was given.
    SharedOffset,
    /// An acknowledgement without an offset that a log has.
    BadOffset,
    /// A batch has other bytes than were sent.
    Altered,
    /// Nobody sent this.
    NeverSent,
    /// It was refused, and is there.
    RefusedButPresent,
    /// It is there more often than it may have been appended.
    Duplicate,
    /// A producer's batches are not in the order in which it sent them.
    ProducerOrder,
    /// A batch of an idempotent producer is missing between two others.
    SequenceGap,
    /// A batch is before one that was there before it was sent.
    RealTimeOrder,
    /// Offsets without a batch.
    Gap,
    /// A fetch returned something else than the offset that it asked for.
    WrongPosition,
    /// The high watermark is lower than it was.
    HighWatermarkFell,
    /// A batch at or above the high watermark was served.
    BeyondHighWatermark,
    /// Nothing was served though the high watermark is above the offset that was asked for.
    Withheld,
    /// The log start is lower than it was.
    LogStartFell,
    /// The log start is higher than anybody asked for.
    LogStartMoved,
    /// The leader epoch is lower than it was.
    EpochFell,
    /// A batch has another leader epoch than when it was read before.
    EpochChanged,
    /// A leader epoch does not end where it is said to.
    EpochEnd,
    /// A committed offset is behind the end of the log.
    CommittedBeyondEnd,
    /// A committed offset is not the one that was committed last.
    CommittedWrong,
    /// A deleted log is served.
    DeletedServed,
    /// The history ends without a look, after the last crash, at an acknowledged batch.
    NotReadAgain,
    /// The history itself makes no sense: its writer is wrong.
    BadHistory,
}

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub kind: ViolationKind,
    /// `TOPIC-PARTITION`.
    pub log: String,
    /// Offsets that it is about.
    pub offsets: Range<i64>,
    /// Producers with their number of the first record.
    pub producers: Vec<(u32, u64)>,
    /// Events that contradict each other: lines of the history.
    pub events: Vec<u64>,
    /// In words.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {} offsets {}..{}", self.kind, self.log, self.offsets.start, self.offsets.end)?;
        for (producer, sequence) in &self.producers {
            write!(out, ", producer {producer} sequence {sequence}")?;
        }
        let events: Vec<String> =
            self.events.iter().filter(|event| **event != 0).map(ToString::to_string).collect();
        if !events.is_empty() {
            write!(out, ", lines {}", events.join(" "))?;
        }
        write!(out, ": {}", self.detail)
    }
}
