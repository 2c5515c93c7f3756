//! Faults that show that a model sees what it should: one is planted, and the run must fail.

use std::cell::Cell;

use sendlog_models::Faults;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// A commit thread that is called does not wake.
    CallLost,
    /// The threads are not woken when the queue is closed.
    CloseCallLost,
    /// A thread syncs without leaving the write stage first.
    StageNotLeft,
    /// Two rounds may sync at a time.
    NoSyncStage,
    /// Answers leave before the sync.
    AckBeforeSync,
    /// Readers may see what is not synced.
    WatermarkBeforeSync,
    /// The thread in the sync stage does not look whether another one has failed.
    FailureForgotten,
    /// A thread that breaks off takes the write stage with it.
    TurnLost,
    /// A fetch looks first and parks then.
    LookBeforePark,
    /// Fetches are woken first and the watermark moves then.
    WakeBeforeMove,
}

/// All of them.
pub(crate) const FAULTS: Faults<Planted> = Faults(&[
    ("call-lost", Planted::CallLost),
    ("close-call-lost", Planted::CloseCallLost),
    ("stage-not-left", Planted::StageNotLeft),
    ("no-sync-stage", Planted::NoSyncStage),
    ("ack-before-sync", Planted::AckBeforeSync),
    ("watermark-before-sync", Planted::WatermarkBeforeSync),
    ("failure-forgotten", Planted::FailureForgotten),
    ("turn-lost", Planted::TurnLost),
    ("look-before-park", Planted::LookBeforePark),
    ("wake-before-move", Planted::WakeBeforeMove),
]);

thread_local! {
    static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
}

/// Plants a fault in all that runs on this thread, on which shuttle runs everything.
pub(crate) fn plant(fault: Option<Planted>) {
    PLANTED.set(fault);
}

/// Whether this is the planted fault.
pub(crate) fn is_planted(fault: Planted) -> bool {
    PLANTED.get() == Some(fault)
}
