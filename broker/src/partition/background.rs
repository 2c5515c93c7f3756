//! The two threads behind the commit journal: one makes its files ready, one syncs the segments that it stands in for.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Appender;
use crate::storage::commit::Committer;

/// Both call the file system and little else.
const STACK_BYTES: usize = 128 << 10;

/// The longest pause between two syncs. They take as long again as they took, so that the disk has time for appends.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Pause between two steps of writing zeros.
const PREPARE_PAUSE: Duration = Duration::from_millis(1);

/// The running threads; they end once [`Committer::close`] was called and everything is synced.
#[derive(Debug)]
pub struct BackgroundSync {
    threads: Vec<JoinHandle<()>>,
}

impl BackgroundSync {
    /// Starts the threads, if there is a journal. A failed sync ends the broker through the appender. The journal's files leave
    /// `reserve_bytes` free.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        committer: &Arc<Committer>,
        appender: &Appender,
        reserve_bytes: u64,
    ) -> std::io::Result<Self> {
        if !committer.has_journal() {
            return Ok(Self { threads: Vec::new() });
        }
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        let (syncing, appender) = (Arc::clone(committer), appender.clone());
        let sync = thread("segment-sync").spawn(move || {
            if let Err(error) = syncing.run(&|took| std::thread::sleep(took.min(PAUSE_MAX))) {
                appender.fail(error);
            }
        })?;
        let preparing = Arc::clone(committer);
        let prepare = thread("journal").spawn(move || prepare(&preparing, reserve_bytes))?;
        Ok(Self { threads: vec![sync, prepare] })
    }

    /// Waits for the threads.
    pub fn finish(self) {
        for thread in self.threads {
            // A panic in there was printed; what it leaves unsynced is in the journal.
            let _ = thread.join();
        }
    }
}

/// Rounds go on without a journal until it is ready, and for good if it cannot be.
fn prepare(committer: &Committer, reserve_bytes: u64) {
    let pause = || {
        std::thread::sleep(PREPARE_PAUSE);
        !committer.is_closed()
    };
    if committer.until_used()
        && let Err(error) = committer.prepare(reserve_bytes, &pause)
    {
        tracing::warn!(%error, "the commit journal is smaller than asked for, or left out: segments are synced instead");
    }
}
