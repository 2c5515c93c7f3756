//! Copies in the making: `adopt.tmp` in the data directory, out of every topic's way.
//!
//! The catalog is written last. Before a folder gets its real name, the list of all such folders is written (`placed.state`):
//! if the catalog never is, the next attempt knows which folders are nobody's, and removes them.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::error::AdoptError;
use crate::catalog::OfflineCatalog;
use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, remove_folder};
use crate::storage::partition_metadata;
use crate::storage::state_file::{self, StateKind};

const FOLDER: &str = "adopt.tmp";
const PLACED: &str = "placed.state";
const PLACED_KIND: StateKind = StateKind { tag: *b"ADPT", version: 1 };

/// Folder names, and the ids of their topics.
type Placed = Vec<(String, [u8; 16])>;

/// The folder with the copies.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    fs: &'a dyn FileSystem,
    data_dir: &'a Path,
    path: PathBuf,
    placed: Placed,
}

impl<'a> Staging<'a> {
    /// Removes what an interrupted attempt has left, and begins anew.
    pub(super) fn begin(
        fs: &'a dyn FileSystem,
        data_dir: &'a Path,
        catalog: &OfflineCatalog,
    ) -> Result<Self, AdoptError> {
        let path = data_dir.join(FOLDER);
        let staging = Self { fs, data_dir, path, placed: Placed::new() };
        staging.remove_leftovers(catalog)?;
        fs.create_dir(&staging.path).map_err(storage_error(&staging.path, "create"))?;
        Ok(staging)
    }

    /// Where a copy is made.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder of a partition with its topic id; its files are still to come.
    pub(super) fn create(&mut self, name: &str, id: Uuid) -> Result<PathBuf, AdoptError> {
        let folder = self.folder(name);
        let metadata = partition_metadata::create_folder(self.fs, &folder, id)?;
        metadata.file.sync_data().map_err(storage_error(&metadata.path, "sync"))?;
        self.placed.push((name.to_owned(), id.into_bytes()));
        Ok(folder)
    }

    /// Gives all folders their real names; durable on return. Until the catalog has their topics they are nobody's.
    pub(super) fn place(&self) -> Result<(), AdoptError> {
        self.fs.sync_dir(&self.path).map_err(storage_error(&self.path, "sync"))?;
        state_file::save(self.fs, &self.path.join(PLACED), PLACED_KIND, &self.placed)
            .map_err(StorageError::from)?;
        self.fs.sync_dir(self.data_dir).map_err(storage_error(self.data_dir, "sync"))?;
        for (name, _) in &self.placed {
            let folder = self.folder(name);
            self.fs.rename(&folder, &self.data_dir.join(name)).map_err(storage_error(&folder, "rename"))?;
        }
        self.fs.sync_dir(self.data_dir).map_err(storage_error(self.data_dir, "sync"))
    }

    /// Removes the folder, once the catalog has the topics or nothing was placed.
    pub(super) fn remove(&self) -> Result<(), AdoptError> {
        let names = match self.fs.list(&self.path) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(storage_error(&self.path, "list")(error)),
        };
        // The list goes last: as long as one of its folders may be in place, it is needed.
        for name in names.iter().filter(|name| !name.starts_with(PLACED)) {
            let path = self.folder(name);
            if path.is_dir() {
                remove_folder(self.fs, &path).map_err(storage_error(&path, "remove"))?;
            } else {
                self.fs.remove(&path).map_err(storage_error(&path, "remove"))?;
            }
        }
        remove_folder(self.fs, &self.path).map_err(storage_error(&self.path, "remove"))
    }

    fn remove_leftovers(&self, catalog: &OfflineCatalog) -> Result<(), AdoptError> {
        let placed = state_file::load::<Placed>(self.fs, &self.path.join(PLACED), PLACED_KIND);
        for (name, id) in placed.map_err(StorageError::from)?.unwrap_or_default() {
            let (folder, id) = (self.data_dir.join(name), Uuid::from_bytes(id));
            let is_nobodys = catalog.name_of(id).is_none()
                && partition_metadata::read(self.fs, &folder).is_ok_and(|found| found == Some(id));
            if is_nobodys {
                remove_folder(self.fs, &folder).map_err(storage_error(&folder, "remove"))?;
            }
        }
        self.remove()
    }
}

fn storage_error(path: &Path, op: &'static str) -> impl FnOnce(io::Error) -> AdoptError {
    let path = path.to_path_buf();
    move |source| AdoptError::Storage(StorageError::io(&path, op, source))
}
