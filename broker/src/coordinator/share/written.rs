//! Records of a share partition on their way to the disk, and whether all of them got there.
//!
//! Whoever waits for a record may stop waiting, with a connection that breaks for one. What became of the record is told to
//! the share partition all the same, for what it writes next depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::error::ShareError;
use crate::partition::AppendResult;

/// What is on its way to the disk; none if nothing had to be written.
pub(super) type Written = Option<Queued>;

/// What became of a share partition's records.
#[derive(Debug, Default)]
pub(super) struct Fates {
    pending: AtomicUsize,
    is_any_lost: AtomicBool,
}

/// A record on its way. One that is dropped before its fate is known counts as lost.
#[derive(Debug)]
pub(super) struct Queued {
    answer: oneshot::Receiver<AppendResult>,
    /// None once the fate is known.
    fates: Option<Arc<Fates>>,
}

/// Waits until what was written is durable.
///
/// # Errors
/// [`ShareError::Append`]: memory is ahead of the log then, and the next record makes up for it.
pub(super) async fn stored(written: Written) -> Result<(), ShareError> {
    match written {
        Some(queued) => queued.durable().await,
        None => Ok(()),
    }
}

impl Fates {
    /// Whether a record is on its way.
    pub(super) fn is_pending(&self) -> bool {
        0 < self.pending.load(Ordering::Acquire)
    }

    /// Whether the log lacks a record, or may lack one, since this was last asked.
    pub(super) fn take_lost(&self) -> bool {
        self.is_any_lost.swap(false, Ordering::AcqRel)
    }
}

impl Queued {
    pub(super) fn new(answer: oneshot::Receiver<AppendResult>, fates: &Arc<Fates>) -> Self {
        fates.pending.fetch_add(1, Ordering::Relaxed);
        Self { answer, fates: Some(Arc::clone(fates)) }
    }

    /// Waits until the record is durable.
    async fn durable(mut self) -> Result<(), ShareError> {
        let answer = (&mut self.answer).await;
        self.settle(matches!(answer, Ok(Ok(_))));
        answer.map_err(|_| ShareError::Stopping)?.map(drop).map_err(ShareError::from)
    }

    /// Whether its fate is known by now.
    pub(super) fn is_settled(&mut self) -> bool {
        match self.answer.try_recv() {
            Err(TryRecvError::Empty) => return false,
            answer => self.settle(matches!(answer, Ok(Ok(_)))),
        }
        true
    }

    fn settle(&mut self, is_stored: bool) {
        let Some(fates) = self.fates.take() else { return };
        if !is_stored {
            fates.is_any_lost.store(true, Ordering::Release);
        }
        // After the loss: who finds nothing pending must find that, too.
        fates.pending.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if self.fates.is_some() && !self.is_settled() {
            self.settle(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::AppendError;

    fn queue(fates: &Arc<Fates>) -> (oneshot::Sender<AppendResult>, Queued) {
        let (reply, answer) = oneshot::channel();
        (reply, Queued::new(answer, fates))
    }

    #[tokio::test]
    async fn a_record_is_lost_if_it_was_refused_or_nobody_waited_to_see() {
        let fates = Arc::default();
        let (reply, mut queued) = queue(&fates);
        assert!(!queued.is_settled() && fates.is_pending() && !fates.take_lost());
        reply.send(Err(AppendError::Deleted)).unwrap();
        assert!(queued.is_settled() && !fates.is_pending() && fates.take_lost());
        assert!(!fates.take_lost(), "it was told");

        let (reply, queued) = queue(&fates);
        reply.send(Err(AppendError::Deleted)).unwrap();
        assert!(matches!(stored(Some(queued)).await, Err(ShareError::Append(AppendError::Deleted))));
        assert!(!fates.is_pending() && fates.take_lost());

        let (_reply, left) = queue(&fates);
        drop(left);
        assert!(!fates.is_pending() && fates.take_lost());
    }
}
