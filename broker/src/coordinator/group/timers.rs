//! When groups want to be looked at: one heap, one task. A broker whose groups wait for nothing does nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
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

/// Deadlines of all groups. A group that has changed its mind may be in here several times; whoever takes an entry asks
/// the group what it is waiting for.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: Mutex<BinaryHeap<Reverse<Due>>>,
    /// Something is due earlier than anything was before.
    earlier: Notify,
}

impl Timers {
    /// Adds a deadline.
    pub(super) fn add(&self, due: Due) {
        let deadline_ms = due.deadline_ms;
        let mut heap = self.lock();
        let is_first = heap.peek().is_none_or(|Reverse(first)| deadline_ms < first.deadline_ms);
        heap.push(Reverse(due));
        drop(heap);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// The earliest deadline.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.lock().peek().map(|Reverse(due)| due.deadline_ms)
    }

    /// Takes one that is due.
    pub(super) fn take_due(&self, now_ms: i64) -> Option<Due> {
        let mut heap = self.lock();
        let is_due = heap.peek().is_some_and(|Reverse(due)| due.deadline_ms <= now_ms);
        if is_due { heap.pop().map(|Reverse(due)| due) } else { None }
    }

    /// Waits for a deadline earlier than all that were there. For one waiter.
    pub(super) async fn until_earlier(&self) {
        self.earlier.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Due>>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
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
    }
}
