//! What runs on a timer or in the background: checkpoints, retention, expiry of producers and offsets, the scrub, compaction, groups.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::api::Context;
use crate::cleaner::Cleaner;
use crate::partition::{Partition, RetentionError};
use crate::retention_clock::RetentionClock;
use crate::scrubber::ScrubParts;
use crate::stop::Stop;
use crate::storage::error::StorageError;

/// How often it is looked at, while there are appends, whether a checkpoint is due by bytes.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Stack of the scrub's thread, and of the cleaner's.
const STACK_BYTES: usize = 512 << 10;

/// How often states of share partitions are pruned; Kafka's default of `share.coordinator.state.topic.prune.interval.ms`.
const SHARE_PRUNE_INTERVAL: Duration = Duration::from_secs(300);

/// The running timers.
#[derive(Debug)]
pub struct Housekeeping {
    tasks: Vec<JoinHandle<()>>,
}

impl Housekeeping {
    /// Starts the timers; they end with the broker.
    pub fn start(context: &Arc<Context>, clock: Arc<RetentionClock>, cleaner: Cleaner) -> Self {
        let checkpoints = tokio::spawn(write_checkpoints(Arc::clone(context)));
        let retention = tokio::spawn(apply_retention(Arc::clone(context), Arc::clone(&clock)));
        let scrub = tokio::spawn(scrub(Arc::clone(context)));
        tokio::spawn(look_at_files(Arc::clone(context)));
        let cleaner = tokio::spawn(clean(Arc::clone(context), cleaner));
        let loading = tokio::spawn(load_groups(Arc::clone(context)));
        let expiry = tokio::spawn(expire_offsets(Arc::clone(context), clock));
        let timers = tokio::spawn(Arc::clone(&context.groups).keep_time());
        let locks = tokio::spawn(Arc::clone(&context.shares).keep_time());
        let pruning = tokio::spawn(prune_share_states(Arc::clone(context)));
        Self { tasks: vec![checkpoints, retention, scrub, cleaner, loading, expiry, timers, locks, pruning] }
    }

    /// Waits for what is under way; the broker must have been told to stop.
    pub async fn finish(self) {
        for task in self.tasks {
            // A panic in there was logged, and takes nothing from what was acknowledged.
            let _ = task.await;
        }
    }
}

/// Writes a checkpoint when enough was appended, or some time after the first append that none has.
/// A broker that is idle does nothing here.
async fn write_checkpoints(context: Arc<Context>) {
    let interval_max = Duration::from_millis(context.config.checkpoint_interval_ms);
    let bytes_max = context.config.checkpoint_interval_bytes;
    loop {
        tokio::select! {
            () = context.stop.stopped() => return,
            () = context.appender.until_appended() => {}
        }
        let (from_bytes, due) = (context.appender.appended_bytes(), Instant::now() + interval_max);
        while Instant::now() < due && context.appender.appended_bytes() - from_bytes < bytes_max {
            tokio::select! {
                () = context.stop.stopped() => return,
                () = sleep_until(due.min(Instant::now() + LOOK_INTERVAL)) => {}
            }
        }
        let job = Arc::clone(&context);
        run("the checkpoint was not written", move || {
            job.checkpointer.write(job.catalog.partitions(), &job.appender)
        })
        .await;
    }
}

/// Deletes segments that no topic keeps any longer, and forgets silent producers.
async fn apply_retention(context: Arc<Context>, clock: Arc<RetentionClock>) {
    let every = Duration::from_millis(context.config.retention_check_interval_ms);
    let mut next = Instant::now() + every;
    loop {
        tokio::select! {
            () = context.stop.stopped() => return,
            () = sleep_until(next) => {}
        }
        next = Instant::now() + every;
        let (job, clock) = (Arc::clone(&context), Arc::clone(&clock));
        run("retention was not applied", move || {
            let now_ms = clock.now_ms();
            let expiration_ms = job.catalog.live().config.producer_id_expiration_ms;
            let silent_since_ms = now_ms.saturating_sub(expiration_ms);
            let partitions = || job.catalog.partitions();
            partitions().for_each(|partition| partition.expire_producers(silent_since_ms));
            match delete_old(partitions(), now_ms) {
                Ok(0) => Ok(()),
                Ok(_) => job.checkpointer.write(partitions(), &job.appender),
                Err(error) => {
                    job.appender.fail(error);
                    Ok(())
                }
            }
        })
        .await;
    }
}

/// Returns how many segments went. A partition that cannot be read keeps its own, and no other's.
fn delete_old(partitions: impl Iterator<Item = Arc<Partition>>, now_ms: i64) -> Result<usize, StorageError> {
    let mut removed = 0;
    for partition in partitions {
        let (topic, index) = (partition.topic(), partition.index());
        match partition.apply_retention(now_ms) {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(%topic, index, segments = count, "segments deleted by retention");
                removed += count;
            }
            Err(RetentionError::Read(error)) => {
                tracing::error!(%topic, index, %error, "retention was not applied");
            }
            Err(RetentionError::Failed(error)) => return Err(error),
        }
    }
    Ok(removed)
}

/// Makes the groups that the log knows, behind the start's back.
async fn load_groups(context: Arc<Context>) {
    let groups = Arc::clone(&context.groups);
    run("groups were not loaded", move || {
        groups.load();
        Ok::<(), std::convert::Infallible>(())
    })
    .await;
}

/// Forgets offsets that nobody has used for long.
async fn expire_offsets(context: Arc<Context>, clock: Arc<RetentionClock>) {
    let every = Duration::from_millis(context.config.groups.offsets.retention_check_interval_ms);
    loop {
        tokio::select! {
            () = context.stop.stopped() => return,
            () = sleep_until(Instant::now() + every) => {}
        }
        let (groups, clock) = (Arc::clone(&context.groups), Arc::clone(&clock));
        run("offsets were not expired", move || {
            groups.expire_offsets(clock.now_ms());
            Ok::<(), std::convert::Infallible>(())
        })
        .await;
    }
}

/// Keeps the topic of share partitions small. Where its logs start then is in the next checkpoint.
async fn prune_share_states(context: Arc<Context>) {
    loop {
        tokio::select! {
            () = context.stop.stopped() => return,
            () = sleep_until(Instant::now() + SHARE_PRUNE_INTERVAL) => {}
        }
        if let Err(error) = context.shares.prune().await {
            tracing::warn!(%error, "states of share partitions were not pruned");
        }
    }
}

/// Looks once, behind the start's back, whether all closed segments are there.
async fn look_at_files(context: Arc<Context>) {
    run("the segment files were not looked at", move || {
        let partitions = context.catalog.partitions().take_while(|_| !context.stop.is_stopped());
        partitions.for_each(|partition| partition.look_at_files());
        Ok::<(), std::convert::Infallible>(())
    })
    .await;
}

/// Has closed segments verified, by a thread of its own: it sleeps far more than it reads.
async fn scrub(context: Arc<Context>) {
    if !context.scrubber.is_on() {
        return;
    }
    let (scrubber, stop) = (Arc::clone(&context.scrubber), context.stop.clone());
    let parts = ScrubParts {
        catalog: Arc::clone(&context.catalog),
        checkpointer: Arc::clone(&context.checkpointer),
        appender: context.appender.clone(),
    };
    drop(context);
    run_thread("scrub", stop, move |stopping| scrubber.run(&parts, &stopping)).await;
}

/// Has topics compacted, by a thread of its own.
async fn clean(context: Arc<Context>, cleaner: Cleaner) {
    let (is_enabled, stop) = (context.config.cleaner.is_enabled, context.stop.clone());
    drop(context);
    if is_enabled {
        run_thread("cleaner", stop, move |stopping| cleaner.run(&stopping)).await;
    }
}

/// Runs work that sleeps far more than it does anything, until the broker stops: then the other end of its channel is closed.
async fn run_thread(name: &'static str, stop: Stop, work: impl FnOnce(mpsc::Receiver<()>) + Send + 'static) {
    let (running, stopping) = mpsc::channel();
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    let thread = match thread.spawn(move || work(stopping)) {
        Ok(thread) => thread,
        Err(error) => {
            tracing::error!(%error, name, "there is no thread for this, so it is not done");
            return;
        }
    };
    stop.stopped().await;
    drop(running);
    // A panic in there was logged, and takes nothing from what was acknowledged.
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
}

/// Runs a job that touches files where it may wait for them.
async fn run<E: std::fmt::Display + Send + 'static>(
    complaint: &'static str,
    job: impl FnOnce() -> Result<(), E> + Send + 'static,
) {
    match tokio::task::spawn_blocking(job).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "{complaint}"),
        Err(error) => tracing::error!(%error, "{complaint}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sendlog_protocol::records::Compression;
    use uuid::Uuid;

    use super::*;
    use crate::clock::ManualClock;
    use crate::config::{Args, Config};
    use crate::partition::{OpenPartition, PartitionEnv};
    use crate::storage::checkpoint::{PartitionCheckpoint, SealedSegment};
    use crate::storage::file_names::{LOG, segment_file};
    use crate::storage::files::RealFs;
    use crate::storage::leader_epochs::LeaderEpochs;
    use crate::storage::log::Resume;
    use crate::storage::store::Store;
    use crate::storage::summary::SegmentSummary;
    use crate::storage::testing::batch;

    #[test]
    fn a_partition_that_cannot_be_read_does_not_keep_the_others() {
        let root = tempfile::tempdir().unwrap();
        let mut args = Args::for_data_dir(root.path());
        args.set = vec!["log.retention.ms=1000".to_owned()];
        let config = Config::load(&args).unwrap().topic_defaults;
        let old = batch(0, &[5; 10], 10, Compression::None).bytes;
        let open = |index| {
            let env = PartitionEnv {
                store: Store::new(Arc::new(RealFs), 4),
                data_dir: root.path().to_owned(),
                clock: Arc::new(ManualClock::at(0)),
                producers_max: 1,
            };
            let log = PartitionCheckpoint {
                start_offset: 0,
                end_offset: 10,
                active: Some(SegmentSummary::new(10, 0)),
                sealed: Some(vec![SealedSegment { base_offset: 0, size: old.len() as u64 }]),
                quarantined: Vec::new(),
            };
            let open = OpenPartition {
                topic: "t".into(),
                topic_id: Uuid::from_u128(7),
                index,
                config: Arc::clone(&config),
                resume: Resume::Clean(log),
                producers: Vec::new(),
                epochs: LeaderEpochs::default(),
            };
            Partition::open(&env, open).unwrap().0
        };
        // No file, but something that is there.
        fs::create_dir_all(segment_file(&root.path().join("t-0"), 0, LOG)).unwrap();
        fs::create_dir(root.path().join("t-1")).unwrap();
        fs::write(segment_file(&root.path().join("t-1"), 0, LOG), &old).unwrap();
        let partitions = [open(0), open(1)];
        assert_eq!(delete_old(partitions.iter().map(Arc::clone), 10_000).unwrap(), 1);
        assert_eq!(partitions.map(|partition| partition.offsets().log_start), [0, 10]);
    }
}
