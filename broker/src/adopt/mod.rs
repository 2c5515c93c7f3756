//! `broker adopt`: takes over the topics of a stopped Apache Kafka, from its log directories.
//!
//! ```text
//! source      Kafka's directories: locked, listed, read, never changed
//! plan        which topics, with all their partitions
//! topic       copied into a staging folder, every batch checked
//! staging     renamed into place, and
//! catalog     made visible by its last write: all of it or nothing
//! ```
//!
//! The segment files stay as Kafka wrote them; offsets, leader epochs, topic ids, log starts, idempotent producers and
//! what is known of settings come along. Consumer groups' offsets, and transactions that are under way, do not.

mod args;
mod copy;
mod epochs;
mod error;
mod kafka_files;
mod metadata_log;
mod plan;
mod report;
mod settings;
mod source;
mod staging;
mod target;
mod topic;
mod transactions;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use args::AdoptArgs;
pub use error::{AdoptError, TopicRefusal};

use crate::catalog::AddedTopic;
use crate::checkpoint;
use crate::clock::Clock;
use crate::storage::files::{FileSystem, RealFs};
use crate::storage::store::Store;
use copy::Copier;
use plan::{Plan, TopicPlan};
use report::{Copies, Totals};
use source::KafkaDirs;
use staging::Staging;
use target::Target;
use topic::{AdoptedTopic, Adoption, Failure};

/// Segments that may be open at a time: they are handled one after another.
const OPEN_SEGMENTS_MAX: usize = 8;

/// Adopts, and prints a line for each topic to `out`.
///
/// # Errors
/// [`AdoptError`], with the way out. Nothing was adopted then, and running it again is safe.
pub fn run(args: &AdoptArgs, clock: &dyn Clock, out: &mut dyn Write) -> Result<(), AdoptError> {
    check_apart(args)?;
    let source = KafkaDirs::open(&args.from)?;
    let plan = plan::make(&source, args)?;
    // Whoever does not read the report has it all the same in the data directory.
    let _ = report::sources(out, &source, args, &plan.skipped);
    if plan.topics.is_empty() && plan.refused.is_empty() {
        let from: Vec<_> = args.from.iter().map(|dir| dir.display().to_string()).collect();
        return Err(AdoptError::Nothing { from: from.join(", ") });
    }
    let files: Arc<dyn FileSystem> = Arc::new(RealFs);
    let store = Store::new(Arc::clone(&files), OPEN_SEGMENTS_MAX);
    let adoption = Adoption { store: &store, now_ms: clock.now_ms(), allow_aborted: args.allow_aborted };
    if args.dry_run {
        let target = Target::look(&files, &args.data_dir)?;
        return look(args, &adoption, &target, plan, out);
    }
    if let Some((topic, reason)) = plan.refused.into_iter().next() {
        return Err(AdoptError::Topic { topic, reason });
    }
    let mut target = Target::open(&files, &args.data_dir)?;
    let adopted = adopt(args, &adoption, &source, &mut target, plan.topics, out);
    let is_checkpoint_whole = adopted.as_ref().map_or(true, |adopted| adopted.is_checkpoint_whole);
    let left = target.leave(is_checkpoint_whole);
    let adopted = adopted?;
    left?;
    let _ = report::summary(out, args, &adopted.totals, Some(adopted.copies));
    Ok(())
}

/// What came of it.
struct Adopted {
    totals: Totals,
    copies: Copies,
    /// The checkpoint has what the last broker has left, too.
    is_checkpoint_whole: bool,
}

fn adopt(
    args: &AdoptArgs,
    adoption: &Adoption<'_>,
    source: &KafkaDirs,
    target: &mut Target,
    topics: Vec<TopicPlan>,
    out: &mut dyn Write,
) -> Result<Adopted, AdoptError> {
    let fs = adoption.store.fs();
    let mut staging = Staging::begin(fs, &args.data_dir, &target.catalog)?;
    let mut copier = Copier::default();
    let mut totals = Totals::default();
    let staged = check_target(args, target, &topics)
        .and_then(|()| check_room(args, fs, &topics, &staging))
        .and_then(|()| stage(adoption, topics, &mut staging, &mut copier, &mut totals, out))
        .and_then(|staged| source.check_stopped().map(|()| staged));
    let staged = staged.inspect_err(|_| {
        // What is left is removed by the next attempt.
        let _ = staging.remove();
    })?;
    if target.catalog.is_new() {
        // With folders in place and no catalog, a broker would think that the catalog was lost.
        target.catalog.save()?;
    }
    let had_topics = 0 < target.catalog.topic_count();
    let mut added = Vec::new();
    for topic in staged {
        added.extend(topic.partitions.into_iter().filter_map(|partition| partition.added));
        let TopicPlan { name, id, partitions, .. } = topic.plan;
        let partitions = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        target.catalog.add(AddedTopic { name, id, partitions, overrides: topic.overrides });
    }
    let was_there = checkpoint::add_partitions(fs, &args.data_dir, added)?;
    staging.place()?;
    target.catalog.save()?;
    staging.remove()?;
    let copies = Copies { shared: copier.shared, copied: copier.copied };
    Ok(Adopted { totals, copies, is_checkpoint_whole: was_there || !had_topics })
}

fn stage(
    adoption: &Adoption<'_>,
    topics: Vec<TopicPlan>,
    staging: &mut Staging<'_>,
    copier: &mut Copier,
    totals: &mut Totals,
    out: &mut dyn Write,
) -> Result<Vec<AdoptedTopic>, AdoptError> {
    let mut staged = Vec::new();
    for topic in topics {
        let name = topic.name.clone();
        let adopted = adoption.adopt(topic, staging, copier).map_err(|failure| match failure {
            Failure::Refused(reason) => AdoptError::Topic { topic: name, reason },
            Failure::Broken(error) => error,
        })?;
        let _ = report::topic(out, &adopted, totals);
        staged.push(adopted);
    }
    Ok(staged)
}

fn check_target(args: &AdoptArgs, target: &Target, topics: &[TopicPlan]) -> Result<(), AdoptError> {
    topics.iter().try_for_each(|topic| {
        let checked = target.check(&args.data_dir, topic);
        checked.map_err(|reason| AdoptError::Topic { topic: topic.name.clone(), reason })
    })
}

/// The room for copies, unless their blocks can be shared.
fn check_room(
    args: &AdoptArgs,
    fs: &dyn FileSystem,
    topics: &[TopicPlan],
    staging: &Staging<'_>,
) -> Result<(), AdoptError> {
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    let mut files = partitions.flat_map(|partition| {
        partition.segments.iter().map(|segment| (partition.folder.path.join(&segment.name), segment.size))
    });
    let Some((example, _)) = files.find(|(_, size)| 0 < *size) else { return Ok(()) };
    if Copier::can_share(fs, &example, &staging.folder("probe"))? {
        return Ok(());
    }
    target::check_room(&args.data_dir, target::needed(topics))
}

fn look(
    args: &AdoptArgs,
    adoption: &Adoption<'_>,
    target: &Target,
    plan: Plan,
    out: &mut dyn Write,
) -> Result<(), AdoptError> {
    let mut totals = Totals::default();
    let mut refused = plan.refused;
    target::check_room(&args.data_dir, target::needed(&plan.topics)).or_else(|error| {
        // Blocks may be shared: that is not known without writing.
        writeln!(out, "{error}; unless the file system can share blocks")
            .map_err(AdoptError::io(&args.data_dir, "report on"))
    })?;
    for topic in plan.topics {
        let name = topic.name.clone();
        if let Err(reason) = target.check(&args.data_dir, &topic) {
            refused.push((name, reason));
            continue;
        }
        match adoption.look(topic) {
            Ok(topic) => drop(report::topic(out, &topic, &mut totals)),
            Err(Failure::Refused(reason)) => refused.push((name, reason)),
            Err(Failure::Broken(error)) => return Err(error),
        }
    }
    for (topic, reason) in &refused {
        let _ = writeln!(out, "cannot adopt {topic}: {reason}");
    }
    let _ = report::summary(out, args, &totals, None);
    if refused.is_empty() { Ok(()) } else { Err(AdoptError::Refused { count: refused.len() }) }
}

/// The target must not be in a source, which is never changed.
fn check_apart(args: &AdoptArgs) -> Result<(), AdoptError> {
    let data_dir = canonical(&args.data_dir).map_err(AdoptError::io(&args.data_dir, "look for"))?;
    for from in &args.from {
        let source = fs::canonicalize(from).map_err(AdoptError::io(from, "open"))?;
        if data_dir.starts_with(&source) {
            return Err(AdoptError::Within { data_dir: args.data_dir.clone(), from: from.clone() });
        }
    }
    Ok(())
}

/// The path without links, of which the end need not exist.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    for existing in absolute.ancestors() {
        if let Ok(found) = fs::canonicalize(existing) {
            let rest = absolute.strip_prefix(existing).map_err(io::Error::other)?;
            return Ok(if rest.as_os_str().is_empty() { found } else { found.join(rest) });
        }
    }
    Ok(absolute)
}
