//! When groups want to be looked at: one order, one task. A broker whose groups wait for nothing does nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A group that wants to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    /// When, by the steady clock.
    pub(super) deadline_ms: i64,
    /// Which one.
    pub(super) group_id: Arc<str>,
}

/// Deadlines of all groups, one of each: a group that changes its mind takes the old one back. Whoever takes an entry asks
/// the group what it is waiting for.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: Mutex<BTreeSet<Due>>,
    /// Something is due earlier than anything was before.
    earlier: Notify,
}

impl Timers {
    /// Adds a deadline.
    pub(super) fn add(&self, due: Due) {
        let mut all = self.lock();
        let is_first = all.first().is_none_or(|first| due.deadline_ms < first.deadline_ms);
        all.insert(due);
        drop(all);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Takes a deadline back.
    pub(super) fn remove(&self, due: &Due) {
        self.lock().remove(due);
    }

    /// The earliest deadline.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.lock().first().map(|due| due.deadline_ms)
    }

    /// Takes one that is due.
    pub(super) fn take_due(&self, now_ms: i64) -> Option<Due> {
        let mut all = self.lock();
        let is_due = all.first().is_some_and(|due| due.deadline_ms <= now_ms);
        if is_due { all.pop_first() } else { None }
    }

    /// Waits for a deadline earlier than all that were there. For one waiter.
    pub(super) async fn until_earlier(&self) {
        self.earlier.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_due_comes_in_order() {
        let timers = Timers::default();
        for deadline_ms in [30, 10, 20] {
            timers.add(Due { deadline_ms, group_id: "g".into() });
        }
        timers.until_earlier().await;
        assert_eq!(timers.next_ms(), Some(10));
        assert!(timers.take_due(9).is_none());
        assert_eq!(timers.take_due(25).map(|due| due.deadline_ms), Some(10));
        assert_eq!(timers.take_due(25).map(|due| due.deadline_ms), Some(20));
        assert!(timers.take_due(25).is_none());
        assert_eq!(timers.next_ms(), Some(30));
        timers.remove(&Due { deadline_ms: 30, group_id: "other".into() });
        assert_eq!(timers.next_ms(), Some(30));
        timers.remove(&Due { deadline_ms: 30, group_id: "g".into() });
        assert_eq!(timers.next_ms(), None);
    }
}
