//! Fetches that wait for a partition to grow.
//!
//! A long-polling fetch parks one [`Waiter`] in every partition it reads and is woken when any of
//! their high watermarks moves. Nothing here polls. The waker does not know what the fetch waits
//! for: the fetch looks again and parks again.
//!
//! The race that matters: a fetch parks *before* it looks. A watermark that moves between the two
//! finds the waiter and leaves a permit in it, so the wait that follows returns at once.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// One parked fetch, shared by all the partitions that it waits for.
pub type Waiter = Arc<Notify>;

/// The fetches parked at one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    parked: Mutex<Vec<Waiter>>,
}

impl Waiters {
    /// Parks a fetch. It stays until [`Waiters::wake_all`] or [`Waiters::leave`].
    pub fn park(&self, waiter: &Waiter) {
        self.lock().push(Arc::clone(waiter));
    }

    /// Takes a fetch that no longer waits out again.
    pub fn leave(&self, waiter: &Waiter) {
        self.lock().retain(|parked| !Arc::ptr_eq(parked, waiter));
    }

    /// Wakes every parked fetch; they are no longer parked here.
    pub fn wake_all(&self) {
        let woken = {
            let mut parked = self.lock();
            if parked.is_empty() {
                return;
            }
            std::mem::take(&mut *parked)
        };
        for waiter in woken {
            waiter.notify_one();
        }
    }

    /// How many fetches are parked.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost() {
        let waiters = Waiters::default();
        let waiter = Waiter::default();
        waiters.park(&waiter);
        waiters.wake_all();
        waiter.notified().await;
        assert!(waiters.is_empty());
    }

    #[test]
    fn leaving_takes_out_only_oneself() {
        let waiters = Waiters::default();
        let (one, two) = (Waiter::default(), Waiter::default());
        waiters.park(&one);
        waiters.park(&two);
        waiters.leave(&one);
        assert_eq!(waiters.len(), 1);
    }
}
