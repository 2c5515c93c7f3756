//! What the rigs share: logs under test, and where they put things.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A partition under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its number in the history.
    pub log: u32,
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
}

/// A folder for the history, outside the disk under test where the machine has memory for one.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
}

impl Scratch {
    /// Makes it.
    ///
    /// # Errors
    /// When that fails.
    pub fn create() -> io::Result<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = TempDir::with_prefix_in("sendlog-history-", parent)?;
        Ok(Self { dir })
    }

    /// Where a history goes.
    pub fn history(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Copies a history to where it stays.
    ///
    /// # Errors
    /// When that fails.
    pub fn keep(&self, name: &str, path: &Path) -> io::Result<()> {
        fs::copy(self.history(name), path).map(drop)
    }
}
