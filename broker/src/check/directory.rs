//! Sorts the names in a data directory: state files, partitions, and files of others.

use std::collections::HashMap;
use std::path::Path;

use uuid::Uuid;

use crate::catalog::configs_state::FILE_NAME as CONFIGS;
use crate::catalog::name;
use crate::catalog::state::{FILE_NAME as CATALOG, StoredCatalog, StoredTopic};
use crate::checkpoint::FILE_NAME as CHECKPOINT;
use crate::cleaner::progress::FILE_NAME as CLEANER;
use crate::producer_ids::FILE_NAME as PRODUCER_IDS;
use crate::retention_clock::FILE_NAME as CLOCK;
use crate::scrubber::FILE_NAME as SCRUB;
use crate::storage::data_dir::{CLEAN_FILE, FAILED_FILE, LOCK_FILE, META_FILE};
use crate::storage::file_names::{self, LOG, PARTITION_METADATA};
use crate::storage::files::FileSystem;
use crate::storage::journal::ring::FOLDER as JOURNAL;
use crate::storage::partition_metadata;

use super::finding::{Finding, Kind, Severity};
use super::listing::{self, Entry, EntryKind};
use super::partition::PartitionTask;
use super::plan::SET_ASIDE;
use super::state::State;

/// Files with a meaning, each read elsewhere.
const STATE_FILES: [&str; 8] = [META_FILE, CATALOG, CONFIGS, CHECKPOINT, PRODUCER_IDS, SCRUB, CLEANER, CLOCK];
/// Names with a meaning of which the content does not matter.
const MARKS: [&str; 5] = [LOCK_FILE, CLEAN_FILE, FAILED_FILE, JOURNAL, "lost+found"];
/// Copies of `broker adopt` in the making.
const ADOPTION: &str = "adopt.tmp";
/// Settings of a topic that matter here.
const CLEANUP_POLICY: &str = "cleanup.policy";
const INDEX_INTERVAL_BYTES: &str = "index.interval.bytes";
/// Kafka's default of the latter.
const INDEX_INTERVAL_BYTES_DEFAULT: u32 = 4096;

/// Whether there is anything in a directory that only sendlog makes.
pub(super) fn is_ours(entries: &[Entry]) -> bool {
    [META_FILE, CATALOG].iter().any(|name| listing::find(entries, name).is_some())
}

/// Which partition a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    topic: String,
    index: i32,
}

impl Name {
    fn parse(folder: &str) -> Option<Self> {
        let (topic, index) = folder.rsplit_once('-')?;
        let parsed = Self { topic: topic.to_owned(), index: index.parse().ok()? };
        let is_exact = 0 <= parsed.index && parsed.folder() == folder && name::check(topic).is_ok();
        is_exact.then_some(parsed)
    }

    fn folder(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }
}

/// What is in the folder of a partition, at a glance.
struct Glance {
    bytes: u64,
    has_segments: bool,
    has_metadata: bool,
}

/// See [`sort`].
struct Sorter<'a> {
    fs: &'a dyn FileSystem,
    state: &'a State,
    /// Topics of the catalog by name.
    topics: HashMap<&'a str, &'a StoredTopic>,
    findings: &'a mut Vec<Finding>,
    tasks: Vec<PartitionTask>,
}

/// The partitions to check; what else is in the directory goes into `findings`.
pub(super) fn sort(
    fs: &dyn FileSystem,
    state: &State,
    entries: &[Entry],
    findings: &mut Vec<Finding>,
) -> Vec<PartitionTask> {
    let topics = state.catalog.iter().flat_map(|catalog| &catalog.topics);
    let topics = topics.map(|topic| (topic.name.as_str(), topic)).collect();
    let mut sorter = Sorter { fs, state, topics, findings, tasks: Vec::new() };
    for entry in entries {
        sorter.sort_name(entry);
    }
    if let Some(catalog) = &state.catalog {
        sorter.add_missing(catalog, entries);
    }
    sorter.tasks
}

impl Sorter<'_> {
    fn sort_name(&mut self, entry: &Entry) {
        let name = entry.name.as_str();
        if STATE_FILES.contains(&name) || MARKS.contains(&name) {
            return;
        }
        let stem = |extension| name.strip_suffix(extension).is_some_and(|stem| STATE_FILES.contains(&stem));
        let partition = Name::parse(name);
        match (entry.kind, partition) {
            (EntryKind::File(bytes), _) if stem(".tmp") => self.findings.push(
                Finding::new(Severity::Unfinished, Kind::Leftover, name, "an interrupted change has left it")
                    .at(0, bytes)
                    .next_start("replaces it with the next change"),
            ),
            (EntryKind::File(bytes), _) if name.starts_with(&format!("{CHECKPOINT}.{SET_ASIDE}")) => {
                let reason = "a checkpoint that could not be read";
                self.findings.push(Finding::new(Severity::Info, Kind::SetAside, name, reason).at(0, bytes));
            }
            (EntryKind::Folder, None) if name == ADOPTION => self.findings.push(
                Finding::new(Severity::Unfinished, Kind::Leftover, name, "`broker adopt` was interrupted")
                    .by_hand("run it again, which begins anew, or remove the folder"),
            ),
            (EntryKind::Folder, Some(partition)) => self.sort_partition(entry, &partition),
            (_, Some(partition)) if self.claims(&partition).is_some() => self.findings.push(
                Finding::new(
                    Severity::Damage,
                    Kind::Folder,
                    name,
                    "it has the name of a partition's folder and is none",
                )
                .by_hand("move it away"),
            ),
            _ => self.foreign(name),
        }
    }

    fn foreign(&mut self, name: &str) {
        self.findings.push(Finding::new(Severity::Info, Kind::Foreign, name, "not ours, ignored"));
    }

    fn claims(&self, partition: &Name) -> Option<&StoredTopic> {
        let topic = self.topics.get(partition.topic.as_str()).copied();
        topic.filter(|topic| partition.index < topic.partitions)
    }

    fn sort_partition(&mut self, entry: &Entry, partition: &Name) {
        let glance = glance(&entry.path);
        if let Some(topic) = self.claims(partition).cloned() {
            self.add_task(&topic, partition, glance.bytes);
            return;
        }
        let found =
            partition_metadata::read(self.fs, &entry.path).ok().flatten().filter(|_| glance.has_metadata);
        if self.state.catalog.is_none() && (glance.has_metadata || glance.has_segments) {
            // Its own word is all there is.
            let topic = StoredTopic {
                name: partition.topic.clone(),
                id: found.unwrap_or(Uuid::nil()).into_bytes(),
                partitions: partition.index.saturating_add(1),
                overrides: Vec::new(),
            };
            self.add_task(&topic, partition, glance.bytes);
            return;
        }
        let is_deleted = |topic: &StoredTopic| {
            topic.name == partition.topic
                && partition.index < topic.partitions
                && found.is_none_or(|id| id == topic.uuid())
        };
        let finding = if self.state.catalog.iter().flat_map(|catalog| &catalog.deleting).any(is_deleted) {
            Finding::new(Severity::Unfinished, Kind::Leftover, &entry.name, "its topic was deleted")
                .next_start("removes it")
        } else if !self.state.has_catalog_file && found.is_some() {
            Finding::new(
                Severity::Damage,
                Kind::StateFile,
                CATALOG,
                format!("it is not there, but {} is", entry.name),
            )
            .by_hand("restore it from a backup; the broker does not start without it")
        } else if glance.has_segments || glance.has_metadata {
            let reason = match found {
                Some(id) => format!("no topic of the catalog claims it; it says it is of topic id {id}"),
                None => "no topic of the catalog claims it".to_owned(),
            };
            Finding::new(Severity::Warning, Kind::Unclaimed, &entry.name, reason)
                .by_hand("nothing of it is served; move it away, or restore the catalog that knows it")
        } else {
            return self.foreign(&entry.name);
        };
        let finding = Finding { bytes: Some(glance.bytes), ..finding };
        if !self.findings.iter().any(|other| other.kind == finding.kind && other.file == finding.file) {
            self.findings.push(finding);
        }
    }

    fn add_task(&mut self, topic: &StoredTopic, partition: &Name, bytes: u64) {
        let setting = |wanted: &str| {
            let found = topic.overrides.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let interval = setting(INDEX_INTERVAL_BYTES).and_then(|value| value.trim().parse().ok());
        let checkpoint = self.state.checkpoint.as_ref();
        self.tasks.push(PartitionTask {
            folder: partition.folder(),
            topic_id: topic.uuid(),
            index: partition.index,
            is_sparse: setting(CLEANUP_POLICY).is_some_and(|policy| policy.contains("compact"))
                || self.state.cleaned.has(topic.uuid(), partition.index),
            index_interval_bytes: interval.unwrap_or(INDEX_INTERVAL_BYTES_DEFAULT),
            checkpoint: checkpoint.and_then(|all| all.log(topic.uuid(), partition.index)).cloned(),
            bytes,
        });
    }

    /// Partitions without a folder of which the checkpoint knows something.
    fn add_missing(&mut self, catalog: &StoredCatalog, entries: &[Entry]) {
        for topic in &catalog.topics {
            if let Err(error) = name::check(&topic.name) {
                let finding = Finding::new(Severity::Damage, Kind::StateFile, CATALOG, error.to_string());
                self.findings.push(finding.by_hand("the broker does not start with it"));
                continue;
            }
            for index in 0..topic.partitions {
                let partition = Name { topic: topic.name.clone(), index };
                let checkpoint = self.state.checkpoint.as_ref();
                let is_known = checkpoint.and_then(|all| all.log(topic.uuid(), index)).is_some();
                if is_known && listing::find(entries, &partition.folder()).is_none() {
                    self.add_task(topic, &partition, 0);
                }
            }
        }
    }
}

fn glance(path: &Path) -> Glance {
    let entries = listing::list(path).unwrap_or_default();
    let logs = entries.iter().filter(|entry| file_names::base_offset_of(&entry.name, LOG).is_some());
    Glance {
        bytes: logs.clone().filter_map(Entry::file_bytes).sum(),
        has_segments: logs.clone().next().is_some(),
        has_metadata: listing::find(&entries, PARTITION_METADATA)
            .is_some_and(|entry| entry.file_bytes().is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_partitions() {
        for (folder, topic, index) in
            [("t-0", "t", 0), ("a-b-12", "a-b", 12), ("a.b_c-2147483647", "a.b_c", i32::MAX)]
        {
            assert_eq!(Name::parse(folder), Some(Name { topic: topic.to_owned(), index }), "{folder}");
        }
        for folder in ["t", "t-", "-0", "t-00", "t-+1", "t-x", "t-2147483648", "..-0", "t 1-0", "ä-0"] {
            assert_eq!(Name::parse(folder), None, "{folder}");
        }
    }
}
