//! Finishes the files of closed segments, in the background.
//!
//! A segment that was rolled has indexes to trim and sync, and a seal to write. None of that is
//! needed for reading, nor for what was acknowledged, so no append waits for it. What a crash
//! leaves unfinished is rebuilt when the segment is next read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::stop::Stop;
use crate::storage::segment::Segment;

/// Pause before a segment is tried again whose maps a reader still held.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The segments that wait to be finished.
#[derive(Debug, Default)]
pub struct Settler {
    segments: Mutex<Vec<Arc<Segment>>>,
    added: Notify,
}

impl Settler {
    /// Queues segments; never waits.
    pub fn add(&self, segments: Vec<Arc<Segment>>) {
        if segments.is_empty() {
            return;
        }
        self.lock().extend(segments);
        self.added.notify_one();
    }

    /// Finishes segments until the broker stops; what is left then is finished by
    /// [`Settler::settle_all`].
    pub async fn run(self: Arc<Self>, stop: Stop) {
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                () = self.added.notified() => {}
            }
            let settler = Arc::clone(&self);
            let left = tokio::task::spawn_blocking(move || settler.settle_all()).await;
            if left.is_ok_and(|left| 0 < left) {
                tokio::select! {
                    () = stop.stopped() => return,
                    () = tokio::time::sleep(RETRY_PAUSE) => self.added.notify_one(),
                }
            }
        }
    }

    /// Finishes every segment that can be; returns how many cannot yet. Blocks on the disk.
    pub fn settle_all(&self) -> usize {
        let segments = std::mem::take(&mut *self.lock());
        let busy: Vec<Arc<Segment>> = segments.into_iter().filter(|segment| !settle(segment)).collect();
        let left = busy.len();
        self.lock().extend(busy);
        left
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn settle(segment: &Arc<Segment>) -> bool {
    match segment.settle() {
        Ok(is_settled) => is_settled,
        Err(error) => {
            // The segment stays readable; its indexes are rebuilt when they are needed.
            tracing::warn!(path = %segment.path().display(), %error, "a closed segment was not finished");
            true
        }
    }
}
