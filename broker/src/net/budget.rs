//! How many bytes of requests the broker holds, over all connections.
//!
//! A connection charges the budget as bytes arrive, never by what a length prefix claims, and a
//! request keeps its charge until it is answered. A connection that gets nothing for a while is
//! closed: otherwise half-sent frames that wait for each other would wait for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that may be held; cheap to clone.
#[derive(Debug, Clone)]
pub struct Budget {
    bytes: Arc<Semaphore>,
    limit: usize,
}

/// Bytes charged to a budget, given back when dropped.
#[derive(Debug, Default)]
pub struct Charge {
    permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Bytes that are charged now.
    pub fn used(&self) -> usize {
        self.limit - self.bytes.available_permits()
    }

    /// Charges `bytes`, at most the whole budget. `None` if there was no room for as long as `patience`.
    pub async fn charge(&self, bytes: usize, patience: Duration) -> Option<Charge> {
        let bytes = u32::try_from(bytes.min(self.limit)).unwrap_or(u32::MAX);
        if bytes == 0 {
            return Some(Charge::default());
        }
        let permits = Arc::clone(&self.bytes).acquire_many_owned(bytes);
        match tokio::time::timeout(patience, permits).await {
            Ok(Ok(permit)) => Some(Charge { permit: Some(permit) }),
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

impl Charge {
    /// The charged bytes.
    pub fn bytes(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Adds another charge to this one.
    pub fn merge(&mut self, other: Self) {
        match (&mut self.permit, other.permit) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (mine, theirs) => *mine = mine.take().or(theirs),
        }
    }

    /// Takes up to `bytes` out, for a request that goes its own way.
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes());
        Self { permit: self.permit.as_mut().and_then(|permit| permit.split(bytes)) }
    }

    /// Gives back all but `bytes`.
    pub fn keep(&mut self, bytes: usize) {
        let excess = self.bytes().saturating_sub(bytes);
        drop(self.split(excess));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn charges_come_back() {
        let budget = Budget::new(100);
        let mut charge = budget.charge(60, PATIENCE).await.expect("room");
        charge.merge(budget.charge(30, PATIENCE).await.expect("room"));
        let part = charge.split(50);
        assert_eq!((charge.bytes(), part.bytes(), budget.used()), (40, 50, 90));
        charge.keep(10);
        assert_eq!(budget.used(), 60);
        drop((charge, part));
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let budget = Budget::new(10);
        let held = budget.charge(1_000, PATIENCE).await.expect("clamped to the whole budget");
        assert_eq!(held.bytes(), 10);
        assert!(budget.charge(1, PATIENCE).await.is_none());
    }
}
