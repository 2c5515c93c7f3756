//! What is to be adopted: topics whose partitions are all there, and of one id. Decides, and changes nothing.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::args::AdoptArgs;
use super::error::{AdoptError, TopicRefusal};
use super::kafka_files;
use super::source::{self, KafkaDirs, PartitionFolder, SegmentFile};
use crate::storage::files::RealFs;
use crate::storage::partition_metadata;

/// Names in an error message.
const NAMES_SHOWN: usize = 10;

/// A topic to adopt.
#[derive(Debug)]
pub(super) struct TopicPlan {
    pub(super) name: String,
    pub(super) id: Uuid,
    /// Kafka has given it no id: it is older than version 2.8.
    pub(super) is_id_new: bool,
    /// What it sets itself, if the cluster's metadata is there.
    pub(super) settings: Option<BTreeMap<String, String>>,
    pub(super) partitions: Vec<PartitionPlan>,
}

/// A partition to adopt.
#[derive(Debug)]
pub(super) struct PartitionPlan {
    pub(super) folder: PartitionFolder,
    pub(super) segments: Vec<SegmentFile>,
    /// As Kafka lists them; none without a list.
    pub(super) epochs: Option<Vec<(i32, i64)>>,
}

/// What is to be adopted, and what is not.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) topics: Vec<TopicPlan>,
    /// One sentence for each topic that is passed over.
    pub(super) skipped: Vec<String>,
    pub(super) refused: Vec<(String, TopicRefusal)>,
}

impl PartitionPlan {
    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Whether nothing was ever written to it: sendlog makes the folder with the first record.
    pub(super) fn is_untouched(&self) -> bool {
        let is_at_zero = |segment: &SegmentFile| segment.size == 0 && segment.base_offset == 0;
        self.segments.iter().all(is_at_zero) && self.folder.log_start.is_none_or(|start| start == 0)
    }
}

/// Sorts the folders into topics.
pub(super) fn make(source: &KafkaDirs, args: &AdoptArgs) -> Result<Plan, AdoptError> {
    let mut by_topic: BTreeMap<&str, Vec<&PartitionFolder>> = BTreeMap::new();
    for folder in &source.folders {
        by_topic.entry(&folder.topic).or_default().push(folder);
    }
    for name in args.topic.iter().chain(&args.skip) {
        if !by_topic.contains_key(name.as_str()) {
            return Err(no_such_topic(name, &by_topic));
        }
    }
    let mut plan = Plan { topics: Vec::new(), skipped: Vec::new(), refused: Vec::new() };
    let mut names_by_id: HashMap<Uuid, String> = HashMap::new();
    for (name, folders) in &by_topic {
        let is_wanted = args.topic.is_empty() || args.topic.iter().any(|wanted| wanted == name);
        if !is_wanted || args.skip.iter().any(|skipped| skipped == name) {
            continue;
        }
        match topic(source, name, folders)? {
            Made::Topic(topic) => match names_by_id.insert(topic.id, topic.name.clone()) {
                Some(other) => {
                    plan.refused.push((topic.name, TopicRefusal::IdTwice { other, id: topic.id }));
                }
                None => plan.topics.push(topic),
            },
            Made::Skipped(reason) => plan.skipped.push(format!("{name}: {reason}")),
            Made::Refused(refusal) => plan.refused.push(((*name).to_owned(), refusal)),
        }
    }
    if args.topic.is_empty() {
        plan.skipped.extend(elsewhere(source, &by_topic));
    }
    Ok(plan)
}

/// Topics of the cluster that have no partition here.
fn elsewhere(source: &KafkaDirs, by_topic: &BTreeMap<&str, Vec<&PartitionFolder>>) -> Vec<String> {
    let topics = source.cluster.iter().flat_map(|cluster| cluster.topics.values());
    let names = topics.map(|topic| topic.name.as_str());
    let mut missing: Vec<&str> =
        names.filter(|name| !name.starts_with("__") && !by_topic.contains_key(name)).collect();
    missing.sort_unstable();
    missing.iter().map(|name| format!("{name}: has no partition in these directories")).collect()
}

fn no_such_topic(name: &str, by_topic: &BTreeMap<&str, Vec<&PartitionFolder>>) -> AdoptError {
    let mut there: Vec<&str> = by_topic.keys().take(NAMES_SHOWN).copied().collect();
    if NAMES_SHOWN < by_topic.len() {
        there.push("...");
    }
    AdoptError::NoSuchTopic { name: name.to_owned(), there: there.join(", ") }
}

enum Made {
    Topic(TopicPlan),
    Skipped(&'static str),
    Refused(TopicRefusal),
}

fn topic(source: &KafkaDirs, name: &str, folders: &[&PartitionFolder]) -> Result<Made, AdoptError> {
    let mut ids: Vec<Option<Uuid>> = Vec::new();
    for folder in folders {
        ids.push(partition_metadata::read(&RealFs, &folder.path)?);
    }
    let listed = source.cluster.as_ref().and_then(|cluster| {
        cluster.topics.iter().find(|(_, topic)| topic.name == name).map(|(id, topic)| (*id, topic.partitions))
    });
    if source.cluster.is_some()
        && !listed.is_some_and(|(id, _)| ids.iter().any(|found| found.is_none_or(|found| found == id)))
    {
        return Ok(Made::Skipped("a deleted topic: the cluster's metadata does not have it, skipped"));
    }
    let found = ids.iter().flatten().next().copied();
    let id = listed.map(|(id, _)| id).or(found);
    for (folder, found) in folders.iter().zip(&ids) {
        if let (Some(expected), Some(found)) = (id, *found)
            && expected != found
        {
            return Ok(Made::Refused(TopicRefusal::Ids { folder: folder.path.clone(), found, expected }));
        }
    }
    if let Some(refusal) = incomplete(folders, listed.map(|(_, partitions)| partitions)) {
        return Ok(Made::Refused(refusal));
    }
    let mut partitions = Vec::new();
    for folder in folders {
        partitions.push(PartitionPlan {
            folder: (*folder).clone(),
            segments: without_deleted(source::segments(&folder.path)?, folder.log_start),
            epochs: kafka_files::leader_epochs(&folder.path)?,
        });
    }
    Ok(Made::Topic(TopicPlan {
        name: name.to_owned(),
        id: id.unwrap_or_else(Uuid::new_v4),
        is_id_new: id.is_none(),
        settings: source.cluster.as_ref().map(|cluster| cluster.settings_of(name)),
        partitions,
    }))
}

/// Without segments that lie wholly below the log's start: Kafka has deleted their records and not yet their files.
fn without_deleted(mut segments: Vec<SegmentFile>, log_start: Option<i64>) -> Vec<SegmentFile> {
    let next_bases = segments.iter().skip(1).map(|next| next.base_offset);
    let below = next_bases.take_while(|base| log_start.is_some_and(|start| *base <= start)).count();
    segments.drain(..below);
    segments
}

/// Whether a partition is missing, or there twice. `folders` are in the order of their numbers.
fn incomplete(folders: &[&PartitionFolder], listed: Option<i32>) -> Option<TopicRefusal> {
    for pair in folders.windows(2) {
        if pair[0].index == pair[1].index {
            let (first, second) = (pair[0].path.clone(), pair[1].path.clone());
            return Some(TopicRefusal::PartitionTwice { index: pair[0].index, first, second });
        }
    }
    let highest = folders.last().map_or(0, |folder| folder.index.saturating_add(1));
    let count = listed.unwrap_or(highest).max(highest);
    let missing = (0..count).find(|index| folders.iter().all(|folder| folder.index != *index));
    missing.map(|missing| TopicRefusal::PartitionMissing { missing, count })
}
