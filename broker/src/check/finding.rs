//! What a check finds: how bad, where, why, and what can be done.

use std::ops::Range;
use std::path::PathBuf;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// To know.
    Info,
    /// An interrupted broker leaves it, and the next start finishes it.
    Unfinished,
    /// No data is lost or wrong, and yet it is not as it should be.
    Warning,
    /// Stored data, or what the broker must know of it, is wrong or missing.
    Damage,
    /// The system refused to read it: nobody knows.
    Unreadable,
}

impl Severity {
    pub(super) const ALL: [Self; 5] =
        [Self::Damage, Self::Unreadable, Self::Warning, Self::Unfinished, Self::Info];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Unfinished => "unfinished",
            Self::Warning => "warning",
            Self::Damage => "damage",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What it is; the names are part of the JSON output and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    StateFile,
    Checkpoint,
    Journal,
    Folder,
    Metadata,
    Batch,
    MissingOffsets,
    Overlap,
    TornTail,
    LeaderEpoch,
    RecordCount,
    Records,
    OffsetIndex,
    TimeIndex,
    Seal,
    EmptySegment,
    Obsolete,
    Leftover,
    Unclaimed,
    SetAside,
    Quarantined,
    Foreign,
    Unreadable,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::StateFile => "state-file",
            Self::Checkpoint => "checkpoint",
            Self::Journal => "journal",
            Self::Folder => "folder",
            Self::Metadata => "metadata",
            Self::Batch => "batch",
            Self::MissingOffsets => "missing-offsets",
            Self::Overlap => "overlap",
            Self::TornTail => "torn-tail",
            Self::LeaderEpoch => "leader-epoch",
            Self::RecordCount => "record-count",
            Self::Records => "records",
            Self::OffsetIndex => "offset-index",
            Self::TimeIndex => "time-index",
            Self::Seal => "seal",
            Self::EmptySegment => "empty-segment",
            Self::Obsolete => "obsolete",
            Self::Leftover => "leftover",
            Self::Unclaimed => "unclaimed",
            Self::SetAside => "set-aside",
            Self::Quarantined => "quarantined",
            Self::Foreign => "foreign",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing needs to.
    None,
    /// The next start of the broker deals with it.
    NextStart(&'static str),
    /// `--repair` does this.
    Repair(&'static str),
    /// A person has to.
    ByHand(String),
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) kind: Kind,
    /// File or folder, relative to the data directory.
    pub(super) file: PathBuf,
    /// Where in the file it starts.
    pub(super) position: Option<u64>,
    /// How long it is there.
    pub(super) bytes: Option<u64>,
    /// The offsets that it is about.
    pub(super) offsets: Option<Range<i64>>,
    pub(super) reason: String,
    pub(super) remedy: Remedy,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        kind: Kind,
        file: impl Into<PathBuf>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            kind,
            file: file.into(),
            position: None,
            bytes: None,
            offsets: None,
            reason: reason.into(),
            remedy: Remedy::None,
        }
    }

    /// A part of the file.
    pub(super) fn at(mut self, position: u64, bytes: u64) -> Self {
        (self.position, self.bytes) = (Some(position), Some(bytes));
        self
    }

    pub(super) fn offsets(mut self, offsets: Range<i64>) -> Self {
        self.offsets = Some(offsets);
        self
    }

    pub(super) fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = remedy;
        self
    }

    pub(super) fn by_hand(self, what: impl Into<String>) -> Self {
        self.remedy(Remedy::ByHand(what.into()))
    }

    pub(super) fn next_start(self, what: &'static str) -> Self {
        self.remedy(Remedy::NextStart(what))
    }
}
