//! The names on a [`SimDisk`](super::SimDisk): what its folders hold, now and for sure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path};

use super::crash::Crash;
use super::sim_file::SimFile;

/// Number of a file or folder, whatever it is called.
pub(super) type NodeId = usize;

/// The folder that everything is in.
const ROOT: NodeId = 0;

pub(super) type Names = BTreeMap<OsString, NodeId>;

/// A file or a folder.
#[derive(Debug)]
pub(super) enum Node {
    File(SimFile),
    Folder,
}

/// A change of names that no sync of its folder has made durable.
#[derive(Debug)]
struct PendingName {
    number: u64,
    change: NameChange,
}

#[derive(Debug, Clone)]
struct Place {
    folder: NodeId,
    name: OsString,
}

#[derive(Debug, Clone)]
enum NameChange {
    Add {
        to: Place,
        node: NodeId,
    },
    Remove {
        from: Place,
        node: NodeId,
    },
    /// At once: never is a file under neither name.
    Rename {
        from: Place,
        to: Place,
        node: NodeId,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// For every folder, by its number, the names as programs see them; empty for files.
    names: Vec<Names>,
    /// The names that the disk has.
    durable: Vec<Names>,
    pending: Vec<PendingName>,
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Tree {
    pub(super) fn new() -> Self {
        let names = vec![Names::default()];
        Self { nodes: vec![Node::Folder], durable: names.clone(), names, pending: Vec::new() }
    }

    /// Adds what is on the disk already. `path` is relative, its folder was added before.
    pub(super) fn add_durable(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let to = self.place(path)?;
        let change = NameChange::Add { to, node: self.push(node) };
        change.apply(&mut self.names);
        change.apply(&mut self.durable);
        Ok(())
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.names.push(Names::default());
        self.durable.push(Names::default());
        self.nodes.len() - 1
    }

    pub(super) fn find(&self, path: &Path) -> Option<NodeId> {
        path.components().try_fold(ROOT, |folder, component| match component {
            Component::Normal(name) => self.names[folder].get(name).copied(),
            _ => None,
        })
    }

    pub(super) fn file_mut(&mut self, node: NodeId) -> Option<&mut SimFile> {
        match self.nodes.get_mut(node) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    pub(super) fn add(&mut self, number: u64, path: &Path, node: Node) -> io::Result<()> {
        let to = self.place(path)?;
        let change = NameChange::Add { to, node: self.push(node) };
        self.change(number, change);
        Ok(())
    }

    pub(super) fn remove(&mut self, number: u64, path: &Path) -> io::Result<()> {
        let node = self.find(path).ok_or_else(not_found)?;
        let from = self.place(path)?;
        self.change(number, NameChange::Remove { from, node });
        Ok(())
    }

    pub(super) fn rename(&mut self, number: u64, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from).ok_or_else(not_found)?;
        let (from, to) = (self.place(from)?, self.place(to)?);
        self.change(number, NameChange::Rename { from, to, node });
        Ok(())
    }

    /// Changes of names in this folder are durable from now on.
    pub(super) fn sync(&mut self, path: &Path) -> io::Result<()> {
        let folder = self.find(path).ok_or_else(not_found)?;
        let (synced, pending): (Vec<_>, Vec<_>) =
            self.pending.drain(..).partition(|pending| pending.change.is_in(folder));
        self.pending = pending;
        synced.iter().for_each(|pending| pending.change.apply(&mut self.durable));
        Ok(())
    }

    /// The number of the first unsynced change.
    pub(super) fn first_pending(&self) -> Option<u64> {
        let in_files = self.nodes.iter().filter_map(|node| match node {
            Node::File(file) => file.first_pending(),
            Node::Folder => None,
        });
        in_files.chain(self.pending.first().map(|pending| pending.number)).min()
    }

    /// The names that the disk may have after a crash, in every folder.
    pub(super) fn after(&self, crash: &mut Crash) -> Vec<Names> {
        let mut folders = self.durable.clone();
        for PendingName { number, change } in &self.pending {
            if crash.keeps(*number) {
                change.apply(&mut folders);
            }
        }
        folders
    }

    pub(super) fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node]
    }

    /// Where a node is now, if it has a name.
    pub(super) fn path_of(&self, node: NodeId) -> Option<std::path::PathBuf> {
        fn search(tree: &Tree, folder: NodeId, wanted: NodeId) -> Option<std::path::PathBuf> {
            tree.names[folder].iter().find_map(|(name, node)| {
                if *node == wanted {
                    return Some(name.into());
                }
                search(tree, *node, wanted).map(|below| Path::new(name).join(below))
            })
        }
        search(self, ROOT, node)
    }

    fn change(&mut self, number: u64, change: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(PendingName { number, change });
    }

    fn place(&self, path: &Path) -> io::Result<Place> {
        let name = path.file_name().ok_or_else(not_found)?.to_owned();
        let folder = self.find(path.parent().unwrap_or(Path::new(""))).ok_or_else(not_found)?;
        Ok(Place { folder, name })
    }
}

impl NameChange {
    fn is_in(&self, folder: NodeId) -> bool {
        match self {
            Self::Add { to: place, .. } | Self::Remove { from: place, .. } => place.folder == folder,
            Self::Rename { from, to, .. } => from.folder == folder || to.folder == folder,
        }
    }

    /// Makes the change where the names are; one that an earlier change was lost for is made as far as it makes sense.
    fn apply(&self, folders: &mut [Names]) {
        match self {
            Self::Add { to, node } => {
                folders[to.folder].insert(to.name.clone(), *node);
            }
            Self::Remove { from, node } => from.remove(folders, *node),
            Self::Rename { from, to, node } => {
                from.remove(folders, *node);
                folders[to.folder].insert(to.name.clone(), *node);
            }
        }
    }
}

impl Place {
    /// Unless it is another node's name by now.
    fn remove(&self, folders: &mut [Names], node: NodeId) {
        let names = &mut folders[self.folder];
        if names.get(&self.name) == Some(&node) {
            names.remove(&self.name);
        }
    }
}
