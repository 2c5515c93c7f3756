//! Shuttle's locks under the names of the broker's `crate::sync`.

pub(crate) use shuttle::sync::{Mutex, MutexGuard};
pub(crate) use std::sync::PoisonError;

use std::sync::LockResult;

use crate::planted::{Planted, is_planted};

/// Shuttle's condition variable, which loses calls on demand.
#[derive(Debug)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    pub(crate) fn notify_one(&self) {
        if !is_planted(Planted::CallLost) {
            self.0.notify_one();
        }
    }

    pub(crate) fn notify_all(&self) {
        if !is_planted(Planted::CloseCallLost) {
            self.0.notify_all();
        }
    }
}
