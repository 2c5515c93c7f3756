//! The catalog as it is stored: state file `catalog.state`, kind `CATA`.
//!
//! | field | bytes |
//! |---|---|
//! | topics | count, then each: name, id (16 bytes), partitions (i32), settings (count, then name and value each) |
//! | deleting | count, then each: name, id, partitions, no settings |
//!
//! A topic moves from `topics` to `deleting` in one write, its folders are removed, and a second write
//! forgets it: a crash in between is finished at the next start.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::storage::state_file::StateKind;

/// Kind and version of the state file.
pub(crate) const KIND: StateKind = StateKind { tag: *b"CATA", version: 1 };

/// Name of the state file in the data directory.
pub(crate) const FILE_NAME: &str = "catalog.state";

/// Everything that the catalog must remember.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredCatalog {
    /// Topics that exist.
    pub topics: Vec<StoredTopic>,
    /// Topics that are gone, some of whose files may be left.
    pub deleting: Vec<StoredTopic>,
}

/// A topic, existing or gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredTopic {
    /// Its name.
    pub name: String,
    /// Its id, as [`Uuid::into_bytes`].
    pub id: [u8; 16],
    /// How many partitions it has.
    pub partitions: i32,
    /// What it sets itself, name and value.
    pub overrides: Vec<(String, String)>,
}

impl StoredTopic {
    /// The id.
    #[must_use]
    pub(crate) fn uuid(&self) -> Uuid {
        Uuid::from_bytes(self.id)
    }
}
