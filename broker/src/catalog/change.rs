//! Changes of the catalog: create, delete, grow, alter. Each takes a whole request, writes the state file
//! once and publishes once.

use std::sync::Arc;

use uuid::Uuid;

use super::alteration::Alteration;
use super::error::TopicError;
use super::state::{self, StoredCatalog, StoredTopic};
use super::topic::Topic;
use super::topics::Topics;
use super::{Catalog, Changing, folder, name};
use crate::config::scope::Overrides;
use crate::config::topic::TopicScope;
use crate::config::{Config, TopicConfig};
use crate::partition::{OpenPartition, Partition};
use crate::storage::error::StorageError;
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::log::Resume;
use crate::storage::state_file::{self, StateFileError};

/// The most partitions that one topic may have, as many as Kafka makes in one request.
const TOPIC_PARTITIONS_MAX: i32 = 10_000;

/// Whether a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// It is made, and durable on return.
    Now,
    /// It is only checked: `validate_only`.
    CheckOnly,
}

/// Who creates a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Creator {
    /// A client, who may not take the names of the broker's own.
    Client,
    /// The broker.
    Broker,
}

/// A topic to create.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Its name, unchecked.
    pub name: String,
    /// How many partitions it gets.
    pub partitions: i32,
    /// What it sets itself, unchecked.
    pub overrides: Overrides,
}

/// Partitions to add.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The topic.
    pub name: String,
    /// How many partitions it has then.
    pub count: i32,
}

impl Catalog {
    /// Creates topics. For each the id, which is all zeros when it was only checked, or why there is none.
    ///
    /// One topic's refusal does not touch the others; a failed write refuses all. Blocks on the disk.
    pub fn create(&self, wanted: Vec<NewTopic>, apply: Apply) -> Vec<Result<Uuid, TopicError>> {
        self.create_for(Creator::Client, wanted, apply)
    }

    /// Whether a client may create a topic of this name now, whatever else it says of it.
    ///
    /// # Errors
    /// [`TopicError`], as [`Catalog::create`] would have it.
    pub fn check_new_name(&self, name: &str) -> Result<(), TopicError> {
        let changing = self.lock_changing();
        check_name(&changing, &self.load(), name, Creator::Client)
    }

    /// Creates a topic that the broker keeps something in. Blocks on the disk.
    ///
    /// # Errors
    /// [`TopicError`], as for every topic.
    pub fn create_internal(&self, new: NewTopic) -> Result<Uuid, TopicError> {
        let created = self.create_for(Creator::Broker, vec![new], Apply::Now);
        created.into_iter().next().unwrap_or(Err(TopicError::Unknown))
    }

    fn create_for(
        &self,
        creator: Creator,
        wanted: Vec<NewTopic>,
        apply: Apply,
    ) -> Vec<Result<Uuid, TopicError>> {
        let mut changing = self.lock_changing();
        let mut next = Topics::clone(&self.load());
        let mut added: Vec<Arc<Topic>> = Vec::new();
        let mut results = Vec::with_capacity(wanted.len());
        for new in wanted {
            let made = self.make(&mut changing, &next, new, creator);
            if let Ok(topic) = &made {
                next.put(Arc::clone(topic));
                changing.claim(&topic.name);
                added.push(Arc::clone(topic));
            }
            results.push(made.map(|topic| topic.id));
        }
        let saved = match apply {
            Apply::Now if !added.is_empty() => self.publish(&mut changing, next),
            Apply::Now | Apply::CheckOnly => Ok(()),
        };
        if apply == Apply::CheckOnly || saved.is_err() {
            for topic in &added {
                changing.release(&topic.name);
            }
            for id in results.iter_mut().flatten() {
                *id = Uuid::nil();
            }
        }
        refuse_all_on(saved, results)
    }

    /// Deletes topics by id. For each whether it is gone.
    ///
    /// A deleted topic is gone for clients when the state file says so; its files are removed after that,
    /// before this returns. Files that cannot be removed are tried again at the next start. Blocks on the
    /// disk.
    pub fn delete(&self, ids: &[Uuid]) -> Vec<Result<(), TopicError>> {
        let mut changing = self.lock_changing();
        let mut next = Topics::clone(&self.load());
        let mut gone: Vec<Arc<Topic>> = Vec::new();
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            let taken = match next.by_id(*id) {
                Some(topic) if name::is_internal(&topic.name) => {
                    Err(TopicError::Internal(topic.name.to_string()))
                }
                _ => next.take(*id).ok_or(TopicError::Unknown),
            };
            results.push(taken.map(|topic| gone.push(topic)));
        }
        if gone.is_empty() {
            return results;
        }
        let deleting_before = changing.deleting.len();
        changing
            .deleting
            .extend(gone.iter().map(|topic| StoredTopic { overrides: Vec::new(), ..topic.to_stored() }));
        if let Err(error) = self.publish(&mut changing, next) {
            changing.deleting.truncate(deleting_before);
            return refuse_all_on(Err(error), results);
        }
        for topic in gone {
            changing.release(&topic.name);
            self.remove_files(&mut changing, &topic);
        }
        // The list on disk may be longer than what is left to do. A full disk is no reason to worry about
        // that now.
        if let Err(error) = self.save(&mut changing, &self.load()) {
            tracing::warn!(%error, "deleted topics stay noted in the catalog until its next change");
        }
        results
    }

    /// Adds partitions to topics. For each whether it has them. Blocks on the disk.
    pub fn grow(&self, wanted: Vec<Growth>, apply: Apply) -> Vec<Result<(), TopicError>> {
        self.change_topics(wanted, apply, |next, growth: Growth| {
            let topic = next.by_name(&growth.name).ok_or(TopicError::Unknown)?;
            if name::is_internal(&topic.name) {
                // What is in which partition goes by their number.
                return Err(TopicError::Internal(growth.name));
            }
            let before = topic.partition_count();
            check_growth(topic, growth.count)?;
            self.check_room(next, growth.count - before)?;
            let mut partitions = topic.partitions.to_vec();
            for index in before..growth.count {
                partitions.push(self.open_new(&topic.name, topic.id, index, &topic.config)?);
            }
            Ok(Topic {
                name: Arc::clone(&topic.name),
                id: topic.id,
                partitions: partitions.into(),
                config: Arc::clone(&topic.config),
                overrides: Arc::clone(&topic.overrides),
            })
        })
    }

    /// Changes what topics set. For each whether it is done. Blocks on the disk.
    pub fn alter(&self, wanted: Vec<(String, Alteration)>, apply: Apply) -> Vec<Result<(), TopicError>> {
        self.change_topics(wanted, apply, |next, (name, alteration)| {
            let live = self.live();
            let found = next.by_name(&name);
            let none = Arc::default();
            let before = found.map_or(&none, |topic| &topic.overrides);
            let overrides = alteration.apply(&TopicScope(&live.config.settings), before)?;
            let config = effective(&live.config, &overrides)?;
            // A wrong setting is the first that a client hears of, as with Kafka.
            let topic = found.ok_or(TopicError::NothingToAlter(name))?;
            let is_relaxed = !config.syncs_before_ack() && live.config.topic_defaults.syncs_before_ack();
            if is_relaxed && name::is_internal(&topic.name) {
                return Err(TopicError::Relaxed(topic.name.to_string()));
            }
            Ok(Topic {
                name: Arc::clone(&topic.name),
                id: topic.id,
                partitions: topic.partitions.clone(),
                config,
                overrides: Arc::new(overrides),
            })
        })
    }

    /// Makes another topic of each that is wanted, writes once and publishes once.
    fn change_topics<W>(
        &self,
        wanted: Vec<W>,
        apply: Apply,
        change: impl Fn(&Topics, W) -> Result<Topic, TopicError>,
    ) -> Vec<Result<(), TopicError>> {
        let mut changing = self.lock_changing();
        let mut next = Topics::clone(&self.load());
        let mut changed: Vec<Arc<Topic>> = Vec::new();
        let mut results = Vec::with_capacity(wanted.len());
        for one in wanted {
            let topic = change(&next, one).map(Arc::new);
            results.push(topic.map(|topic| {
                next.put(Arc::clone(&topic));
                changed.push(topic);
            }));
        }
        if changed.is_empty() || apply == Apply::CheckOnly {
            return results;
        }
        let before = self.topics();
        let saved = self.publish(&mut changing, next);
        if saved.is_ok() {
            for topic in changed {
                let was = before.by_name(&topic.name).map(|topic| Arc::clone(&topic.config));
                hand_over_config(&topic, was.as_deref());
            }
        }
        refuse_all_on(saved, results)
    }

    /// A topic that is neither stored nor visible yet.
    fn make(
        &self,
        changing: &mut Changing,
        next: &Topics,
        new: NewTopic,
        creator: Creator,
    ) -> Result<Arc<Topic>, TopicError> {
        check_name(changing, next, &new.name, creator)?;
        if new.partitions < 1 || TOPIC_PARTITIONS_MAX < new.partitions {
            return Err(TopicError::Partitions(format!(
                "Number of partitions must be between 1 and {TOPIC_PARTITIONS_MAX}, not {}",
                new.partitions
            )));
        }
        if self.at_start.topics_max <= next.len() {
            return Err(TopicError::Limit {
                limit: self.at_start.topics_max,
                what: "topics",
                setting: "sendlog.topics.max",
            });
        }
        self.check_room(next, new.partitions)?;
        let config = effective(&self.live().config, &new.overrides)?;
        let name: Arc<str> = new.name.into();
        let id = new_id();
        let partitions: Result<Vec<_>, TopicError> =
            (0..new.partitions).map(|index| self.open_new(&name, id, index, &config)).collect();
        let overrides = Arc::new(new.overrides);
        Ok(Arc::new(Topic { name, id, partitions: partitions?.into(), config, overrides }))
    }

    fn check_room(&self, next: &Topics, more: i32) -> Result<(), TopicError> {
        let limit = self.at_start.partitions_max;
        let more = usize::try_from(more).unwrap_or(usize::MAX);
        if limit < next.partition_count().saturating_add(more) {
            return Err(TopicError::Limit { limit, what: "partitions", setting: "sendlog.partitions.max" });
        }
        Ok(())
    }

    /// A partition that has no files yet. A folder that is there already would be taken for its own.
    fn open_new(
        &self,
        topic: &Arc<str>,
        topic_id: Uuid,
        index: i32,
        config: &Arc<TopicConfig>,
    ) -> Result<Arc<Partition>, TopicError> {
        let path = folder(&self.env, topic, index);
        if self.env.store.fs().file_len(&path).is_ok() {
            return Err(TopicError::FolderInTheWay { path });
        }
        let open = OpenPartition {
            topic: Arc::clone(topic),
            topic_id,
            index,
            config: Arc::clone(config),
            resume: Resume::Fresh,
            producers: Vec::new(),
            epochs: LeaderEpochs::default(),
        };
        let (partition, _) = Partition::open(&self.env, open)?;
        Ok(partition)
    }

    /// Writes `next` and lets readers see it.
    fn publish(&self, changing: &mut Changing, next: Topics) -> Result<(), Arc<StorageError>> {
        self.save(changing, &next)?;
        self.current.store(Arc::new(next));
        Ok(())
    }

    /// Writes the state file. Out of room, it is as it was; after any other failure it may be old or new,
    /// and a start would tell another story than readers were told: no change is possible from then on.
    fn save(&self, changing: &mut Changing, topics: &Topics) -> Result<(), Arc<StorageError>> {
        if let Some(failure) = &changing.failure {
            return Err(Arc::clone(failure));
        }
        let stored = StoredCatalog {
            topics: topics.iter().map(|topic| topic.to_stored()).collect(),
            deleting: changing.deleting.clone(),
        };
        let saved = state_file::save(self.env.store.fs(), &self.state_path(), state::KIND, &stored);
        self.note_failure(changing, saved)
    }

    /// What a write of a state file came to, for later changes and for the caller.
    pub(super) fn note_failure(
        &self,
        changing: &mut Changing,
        saved: Result<(), StateFileError>,
    ) -> Result<(), Arc<StorageError>> {
        let Err(error) = saved else { return Ok(()) };
        let is_full = error.is_full();
        let error = Arc::new(StorageError::from(error));
        if !is_full {
            changing.failure = Some(Arc::clone(&error));
            tracing::error!(%error, "the catalog cannot be written");
            if let Some(stop) = self.on_failure.get() {
                stop();
            }
        }
        Err(error)
    }

    fn remove_files(&self, changing: &mut Changing, topic: &Topic) {
        for partition in &topic.partitions {
            if let Err(error) = partition.delete() {
                let index = partition.index();
                tracing::error!(topic = %topic.name, index, %error, "files of a deleted topic are left");
                return;
            }
        }
        let id = topic.id.into_bytes();
        changing.deleting.retain(|deleting| deleting.id != id);
    }
}

impl Changing {
    /// The existing topic whose name is too like `name`.
    fn colliding(&self, name: &str) -> Option<Arc<str>> {
        self.collision_keys.get(name::collision_key(name).as_ref()).cloned()
    }

    /// Notes the name of a topic that exists.
    pub(super) fn claim(&mut self, name: &Arc<str>) {
        if name.contains(['.', '_']) {
            self.collision_keys.insert(name::collision_key(name).into_owned(), Arc::clone(name));
        }
    }

    fn release(&mut self, name: &str) {
        self.collision_keys.remove(name::collision_key(name).as_ref());
    }
}

/// Whether a topic may get this name.
fn check_name(changing: &Changing, next: &Topics, name: &str, creator: Creator) -> Result<(), TopicError> {
    name::check(name)?;
    if creator == Creator::Client && name == name::METADATA_LOG {
        return Err(TopicError::Prohibited(name.to_owned()));
    }
    if creator == Creator::Client && name::is_internal(name) {
        return Err(TopicError::Internal(name.to_owned()));
    }
    if next.by_name(name).is_some() {
        return Err(TopicError::Exists(name.to_owned()));
    }
    if changing.deleting.iter().any(|deleting| deleting.name == name) {
        return Err(TopicError::StillDeleting(name.to_owned()));
    }
    if let Some(existing) = changing.colliding(name) {
        return Err(TopicError::Collides { existing: existing.to_string(), name: name.to_owned() });
    }
    Ok(())
}

fn check_growth(topic: &Topic, count: i32) -> Result<(), TopicError> {
    let before = topic.partition_count();
    if count == before {
        return Err(TopicError::Partitions(format!("Topic already has {before} partition(s).")));
    }
    if count < before {
        return Err(TopicError::Partitions(format!(
            "The topic {} currently has {before} partition(s); {count} would not be an increase.",
            topic.name
        )));
    }
    if TOPIC_PARTITIONS_MAX < count {
        return Err(TopicError::Partitions(format!("A topic may have {TOPIC_PARTITIONS_MAX} partitions")));
    }
    Ok(())
}

/// The configuration of a topic that sets these; shared by all that set nothing.
pub(super) fn effective(config: &Config, overrides: &Overrides) -> Result<Arc<TopicConfig>, TopicError> {
    if overrides.is_empty() {
        return Ok(Arc::clone(&config.topic_defaults));
    }
    Ok(Arc::new(TopicConfig::resolve(&config.settings, overrides)?))
}

/// Tells the partitions what counts from now on, if it differs from what counted before.
pub(super) fn hand_over_config(topic: &Topic, before: Option<&TopicConfig>) {
    if before == Some(&*topic.config) {
        return;
    }
    for partition in &topic.partitions {
        partition.set_config(Arc::clone(&topic.config));
    }
}

/// The results, or a refusal for each if the catalog could not be written.
fn refuse_all_on<T>(
    saved: Result<(), Arc<StorageError>>,
    results: Vec<Result<T, TopicError>>,
) -> Vec<Result<T, TopicError>> {
    let Err(error) = saved else { return results };
    let refuse = |result: Result<T, TopicError>| result.and(Err(TopicError::Storage(Arc::clone(&error))));
    results.into_iter().map(refuse).collect()
}

/// A random id that is none of Kafka's reserved ones and does not begin with `-` in base64, which command
/// lines would take for a flag.
fn new_id() -> Uuid {
    const BASE64_OF_DASH: u8 = 62;
    loop {
        let id = Uuid::new_v4();
        let first_digit = id.as_bytes()[0] >> 2;
        if first_digit != BASE64_OF_DASH {
            return id;
        }
    }
}
