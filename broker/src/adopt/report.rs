//! What `broker adopt` prints.

use std::io::{self, Write};
use std::path::Path;

use super::args::AdoptArgs;
use super::source::KafkaDirs;
use super::topic::AdoptedTopic;
use super::transactions::TransactionCount;

/// Partitions whose offsets are printed.
const PARTITIONS_SHOWN: usize = 8;

/// Totals of all topics.
#[derive(Debug, Default)]
pub(super) struct Totals {
    topics: u64,
    partitions: u64,
    bytes: u64,
    records: u64,
    transactions: TransactionCount,
}

/// How the copies were made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copies {
    /// Bytes whose blocks are shared with the originals.
    pub(super) shared: u64,
    /// The rest.
    pub(super) copied: u64,
}

/// The sources, and what is passed over in them.
pub(super) fn sources(
    out: &mut dyn Write,
    source: &KafkaDirs,
    args: &AdoptArgs,
    skipped: &[String],
) -> io::Result<()> {
    for dir in &source.unclean {
        writeln!(
            out,
            "{}: Kafka did not stop cleanly; torn ends are cut, in the copies only. Better: start it once and stop it",
            dir.display()
        )?;
    }
    if source.cluster.is_none() {
        let dirs = list(args);
        writeln!(out, "{dirs}: no __cluster_metadata-0; the topics' settings in Kafka are not known")?;
    }
    for line in source.skipped.iter().chain(skipped) {
        writeln!(out, "skipped {line}")?;
    }
    Ok(())
}

/// A line for the topic, and one for each thing to know about it.
pub(super) fn topic(out: &mut dyn Write, topic: &AdoptedTopic, totals: &mut Totals) -> io::Result<()> {
    let sum =
        |count: fn(&super::topic::AdoptedPartition) -> u64| topic.partitions.iter().map(count).sum::<u64>();
    let (partitions, segments) = (topic.partitions.len() as u64, sum(|p| p.imported.segments as u64));
    let (bytes, records) = (sum(|p| p.imported.bytes), sum(|p| p.imported.records));
    let mut transactions = TransactionCount::default();
    topic.partitions.iter().for_each(|partition| transactions += partition.transactions);
    let records = records.saturating_sub(transactions.markers);
    let mut offsets: Vec<String> = topic
        .partitions
        .iter()
        .map(|p| format!("{}..{}", p.imported.checkpoint.start_offset, p.imported.checkpoint.end_offset))
        .collect();
    if PARTITIONS_SHOWN < offsets.len() {
        offsets.truncate(PARTITIONS_SHOWN);
        offsets.push("...".to_owned());
    }
    writeln!(
        out,
        "{}: {}, {}, {bytes} bytes, {}, offsets {}",
        topic.plan.name,
        count(partitions, "partition"),
        count(segments, "segment"),
        count(records, "record"),
        offsets.join(" ")
    )?;
    for note in &topic.notes {
        writeln!(out, "  {note}")?;
    }
    totals.topics += 1;
    totals.partitions += partitions;
    totals.bytes += bytes;
    totals.records += records;
    totals.transactions += transactions;
    Ok(())
}

/// What all came to, and what to do next.
pub(super) fn summary(
    out: &mut dyn Write,
    args: &AdoptArgs,
    totals: &Totals,
    copies: Option<Copies>,
) -> io::Result<()> {
    let (topics, partitions) = (count(totals.topics, "topic"), count(totals.partitions, "partition"));
    let (bytes, records) = (totals.bytes, count(totals.records, "record"));
    let all = format!("{topics}, {partitions}, {bytes} bytes, {records}");
    let data_dir = args.data_dir.display();
    let Some(Copies { shared, copied }) = copies else {
        writeln!(out, "dry run: {all} could be adopted; nothing was written")?;
        return writeln!(out, "next: the same without --dry-run");
    };
    writeln!(out, "adopted {all} ({copied} bytes copied, {shared} shared); {} is as it was", list(args))?;
    writeln!(out, "not taken over: the offsets of consumer groups, which sendlog does not serve yet")?;
    writeln!(out, "next: broker --data-dir {data_dir}")
}

fn list(args: &AdoptArgs) -> String {
    args.from.iter().map(|dir: &std::path::PathBuf| show(dir)).collect::<Vec<_>>().join(", ")
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
