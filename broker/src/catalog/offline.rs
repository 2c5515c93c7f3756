//! The catalog of a data directory that no broker has open, for commands that add to it. Whoever uses it holds the
//! directory's lock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::error::{CatalogError, TopicError};
use super::name;
use super::state::{self, StoredCatalog, StoredTopic};
use crate::config::scope::Overrides;
use crate::storage::error::StorageError;
use crate::storage::files::FileSystem;
use crate::storage::state_file;

/// The list of topics, in memory and on disk.
#[derive(Debug)]
pub struct OfflineCatalog {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    stored: StoredCatalog,
    is_new: bool,
}

/// A topic to add, whose partitions are in place.
#[derive(Debug, Clone)]
pub struct AddedTopic {
    /// Its name, checked by [`OfflineCatalog::check`].
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
    /// What it sets itself, checked.
    pub overrides: Overrides,
}

impl OfflineCatalog {
    /// Reads the catalog in `data_dir`; an empty one if there is none.
    ///
    /// # Errors
    /// [`CatalogError::Storage`] if it is there and cannot be read.
    pub fn load(fs: Arc<dyn FileSystem>, data_dir: &Path) -> Result<Self, CatalogError> {
        let path = data_dir.join(state::FILE_NAME);
        let loaded = state_file::load::<StoredCatalog>(fs.as_ref(), &path, state::KIND);
        let loaded = loaded.map_err(StorageError::from)?;
        let is_new = loaded.is_none();
        Ok(Self { fs, path, stored: loaded.unwrap_or_default(), is_new })
    }

    /// Whether there is no file yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// How many topics there are.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.stored.topics.len()
    }

    /// The topic with this id, existing or gone with files left.
    #[must_use]
    pub fn name_of(&self, id: Uuid) -> Option<&str> {
        let all = self.stored.topics.iter().chain(&self.stored.deleting);
        all.into_iter().find(|topic| topic.uuid() == id).map(|topic| topic.name.as_str())
    }

    /// Whether a topic of that name could be added.
    ///
    /// # Errors
    /// The rules for a topic that a client creates.
    pub fn check(&self, name: &str) -> Result<(), TopicError> {
        name::check(name)?;
        if name::is_internal(name) {
            return Err(TopicError::Internal(name.to_owned()));
        }
        let key = name::collision_key(name);
        for topic in &self.stored.topics {
            if topic.name == name {
                return Err(TopicError::Exists(name.to_owned()));
            }
            if name::collision_key(&topic.name) == key {
                return Err(TopicError::Collides { name: name.to_owned(), existing: topic.name.clone() });
            }
        }
        if self.stored.deleting.iter().any(|topic| topic.name == name) {
            return Err(TopicError::StillDeleting(name.to_owned()));
        }
        Ok(())
    }

    /// Adds a topic, in memory.
    pub fn add(&mut self, topic: AddedTopic) {
        self.stored.topics.push(StoredTopic {
            name: topic.name,
            id: topic.id.into_bytes(),
            partitions: topic.partitions,
            overrides: topic.overrides.into_iter().collect(),
        });
    }

    /// Writes the file: durable on return.
    ///
    /// # Errors
    /// [`CatalogError::Storage`]; the file is the old one or the new one.
    pub fn save(&mut self) -> Result<(), CatalogError> {
        let saved = state_file::save(self.fs.as_ref(), &self.path, state::KIND, &self.stored);
        saved.map_err(StorageError::from)?;
        self.is_new = false;
        Ok(())
    }
}
