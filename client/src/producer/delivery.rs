//! How the senders of records learn what became of them. One shared result for a batch; a record adds its index.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::record::RecordMetadata;
use crate::error::ClientError;

/// What a broker said of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) partition: i32,
    /// Or -1.
    pub(super) base_offset: i64,
    /// Or -1, if records keep their own time.
    pub(super) log_append_time: i64,
}

/// The result of a batch, once there is one.
#[derive(Debug, Default)]
pub(super) struct Outcome(Mutex<OutcomeState>);

#[derive(Debug, Default)]
struct OutcomeState {
    result: Option<Result<Acknowledged, ClientError>>,
    wakers: Vec<Waker>,
}

impl Outcome {
    /// Sets the result and wakes who waits.
    pub(super) fn complete(&self, result: Result<Acknowledged, ClientError>) {
        let mut state = self.lock();
        debug_assert!(state.result.is_none(), "a batch completes once");
        state.result.get_or_insert(result);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The result, or a place for the waker; `slot` is the place from an earlier poll.
    fn poll(
        &self,
        slot: &mut Option<usize>,
        context: &Context<'_>,
    ) -> Poll<Result<Acknowledged, ClientError>> {
        let mut state = self.lock();
        if let Some(result) = &state.result {
            return Poll::Ready(result.clone());
        }
        match slot.and_then(|slot| state.wakers.get_mut(slot)) {
            Some(waker) => waker.clone_from(context.waker()),
            None => {
                *slot = Some(state.wakers.len());
                state.wakers.push(context.waker().clone());
            }
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, OutcomeState> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a batch.
#[derive(Debug)]
pub(super) struct Completion {
    outcome: Arc<Outcome>,
    slot: Option<usize>,
}

impl Completion {
    pub(super) fn of(outcome: Arc<Outcome>) -> Self {
        Self { outcome, slot: None }
    }
}

impl Future for Completion {
    type Output = Result<Acknowledged, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.outcome.poll(&mut this.slot, context)
    }
}

/// A record on its way: a future of where it ended up. It may be dropped; the record is sent all the same, and
/// [`flush`](super::Producer::flush) tells of failures.
#[derive(Debug)]
#[must_use = "a record that is not delivered is noticed here or in flush"]
pub struct Delivery {
    completion: Completion,
    index: i32,
    timestamp: i64,
}

impl Delivery {
    pub(super) fn new(outcome: Arc<Outcome>, index: i32, timestamp: i64) -> Self {
        Self { completion: Completion::of(outcome), index, timestamp }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (index, timestamp) = (self.index, self.timestamp);
        Pin::new(&mut self.completion).poll(context).map_ok(|batch| RecordMetadata {
            partition: batch.partition,
            offset: if batch.base_offset < 0 { -1 } else { batch.base_offset + i64::from(index) },
            timestamp: if batch.log_append_time < 0 { timestamp } else { batch.log_append_time },
        })
    }
}
