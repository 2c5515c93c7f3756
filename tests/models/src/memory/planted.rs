//! Faults that show that a model sees what it should: one is planted, and the run must fail.

use std::cell::Cell;

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

const NAMES: &[(&str, Planted)] = &[
    ("relaxed-publish", Planted::RelaxedPublish),
    ("relaxed-look", Planted::RelaxedLook),
    ("trim-blindly", Planted::TrimBlindly),
];

thread_local! {
    static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
}

impl Planted {
    pub(crate) fn named(wanted: &str) -> Option<Self> {
        NAMES.iter().find(|(name, _)| *name == wanted).map(|(_, fault)| *fault)
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, fault)| *fault == self).map_or("", |(name, _)| name)
    }
}

/// Plants a fault in all that runs on this thread, on which loom runs everything.
pub(crate) fn plant(fault: Option<Planted>) {
    PLANTED.set(fault);
}

/// Whether this is the planted fault.
pub(crate) fn is_planted(fault: Planted) -> bool {
    PLANTED.get() == Some(fault)
}
