//! The reading part of the demonstration: readers that check every byte.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use sendlog_client::{Assignment, ClientConfig, Consumer, ConsumerConfig, Start};
use tokio::task::JoinSet;

use super::TOPIC;
use super::plan::{Check, Plan, Total};
use crate::error::CliError;
use crate::lines::has_newline;

/// How long nothing may come.
const SILENCE_MAX: Duration = Duration::from_secs(30);

pub(super) struct ReadBack {
    /// Of all readers together.
    pub(super) total: Total,
    pub(super) took: Duration,
}

/// Reads everything with several readers at a time, each of which gets and checks all of it.
pub(super) async fn read(
    client: &ClientConfig,
    plan: &Plan,
    readers: u32,
    bar: &ProgressBar,
) -> Result<ReadBack, CliError> {
    let plan = Arc::new(Plan { partitions: plan.partitions.clone() });
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        tasks.spawn(read_all(client.clone(), Arc::clone(&plan), bar.clone()));
    }
    let mut total = Total::default();
    while let Some(ended) = tasks.join_next().await {
        let read = ended.map_err(|error| CliError::Different(format!("a reader failed: {error}")))??;
        total.lines += read.lines;
        total.bytes += read.bytes;
    }
    Ok(ReadBack { total, took: start.elapsed() })
}

async fn read_all(client: ClientConfig, plan: Arc<Plan>, bar: ProgressBar) -> Result<Total, CliError> {
    let mut consumer = Consumer::connect(client, ConsumerConfig::default()).await?;
    let partitions = plan.partitions.len();
    let mut checks: Vec<Check<'_>> = (0..partitions).map(|partition| Check::new(&plan, partition)).collect();
    let numbers = 0..i32::try_from(partitions).unwrap_or(i32::MAX);
    consumer.assign(numbers.map(|partition| Assignment::new(TOPIC, partition, Start::Earliest)));
    let mut total = Total::default();
    while !checks.iter().all(Check::is_complete) {
        let polled = consumer.poll(SILENCE_MAX).await?;
        if polled.records.is_empty() {
            return Err(CliError::Different(format!("after {} lines nothing more came", total.lines)));
        }
        let before = total.bytes;
        let check = usize::try_from(polled.partition).ok().and_then(|partition| checks.get_mut(partition));
        let Some(check) = check else { continue };
        for record in &polled.records {
            let text = record.value.as_deref().unwrap_or_default();
            let has_newline = has_newline(record);
            check.add(text, has_newline)?;
            total.lines += 1;
            total.bytes += u64::try_from(text.len()).unwrap_or(0) + u64::from(has_newline);
        }
        bar.inc(total.bytes - before);
    }
    Ok(total)
}
