//! Faults that show that a model sees what it should: one is planted, and the run must fail.

use std::cell::Cell;

use sendlog_models::Faults;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// Counts are stored without Release.
    RelaxedPublish,
    /// Counts are loaded without Acquire.
    RelaxedLook,
    /// Whether a map lives is not asked before a file is cut.
    TrimBlindly,
}

/// All of them.
pub(crate) const FAULTS: Faults<Planted> = Faults(&[
    ("relaxed-publish", Planted::RelaxedPublish),
    ("relaxed-look", Planted::RelaxedLook),
    ("trim-blindly", Planted::TrimBlindly),
]);

thread_local! {
    static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
}

/// Plants a fault in all that runs on this thread, on which loom runs everything.
pub(crate) fn plant(fault: Option<Planted>) {
    PLANTED.set(fault);
}

/// Whether this is the planted fault.
pub(crate) fn is_planted(fault: Planted) -> bool {
    PLANTED.get() == Some(fault)
}
