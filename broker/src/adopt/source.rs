//! Kafka's log directories: that nobody writes to them, and which partition folders they have.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use super::error::AdoptError;
use super::kafka_files;
use super::metadata_log::{self, Cluster};

/// Kafka's own topics, which mean nothing without Kafka.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// A stopped Kafka's log directories.
#[derive(Debug)]
pub(super) struct KafkaDirs {
    /// Partition folders, in the order of their names.
    pub(super) folders: Vec<PartitionFolder>,
    /// What the cluster's metadata says; none without a metadata log.
    pub(super) cluster: Option<Cluster>,
    /// One sentence for each thing that is passed over.
    pub(super) skipped: Vec<String>,
    /// The directories that Kafka did not stop cleanly on.
    pub(super) unclean: Vec<PathBuf>,
    /// Directories with a lock file, which Kafka cannot open for as long as this is held.
    locked: Vec<File>,
    /// Those without: Kafka removes the file when it stops, and a copy may lack it.
    unlocked: Vec<PathBuf>,
}

/// A partition in a log directory.
#[derive(Debug, Clone)]
pub(super) struct PartitionFolder {
    pub(super) topic: String,
    pub(super) index: i32,
    pub(super) path: PathBuf,
    /// First offset that may be read, if it is not the first segment's.
    pub(super) log_start: Option<i64>,
    /// Whether Kafka stopped cleanly.
    pub(super) is_clean: bool,
}

impl KafkaDirs {
    /// Locks and lists them. Nothing is written.
    pub(super) fn open(dirs: &[PathBuf]) -> Result<Self, AdoptError> {
        let mut found = Self {
            folders: Vec::new(),
            cluster: None,
            skipped: Vec::new(),
            unclean: Vec::new(),
            locked: Vec::new(),
            unlocked: Vec::new(),
        };
        let mut seen: Vec<PathBuf> = Vec::new();
        for dir in dirs {
            let canonical = fs::canonicalize(dir).map_err(AdoptError::io(dir, "open"))?;
            if seen.contains(&canonical) {
                return Err(AdoptError::FromTwice { path: dir.clone() });
            }
            seen.push(canonical);
            found.add(dir)?;
        }
        found.folders.sort_by(|one, other| (&one.topic, one.index).cmp(&(&other.topic, other.index)));
        Ok(found)
    }

    /// That Kafka has not been started meanwhile.
    pub(super) fn check_stopped(&self) -> Result<(), AdoptError> {
        self.unlocked.iter().try_for_each(|dir| lock(dir).map(drop))
    }

    fn add(&mut self, dir: &Path) -> Result<(), AdoptError> {
        let not_kafka = |reason| AdoptError::NotKafka { path: dir.to_path_buf(), reason };
        if !dir.is_dir() {
            return Err(not_kafka("is not a directory"));
        }
        if dir.join("sendlog.meta").exists() {
            return Err(not_kafka("is a data directory of sendlog"));
        }
        match lock(dir)? {
            Some(lock) => self.locked.push(lock),
            None => self.unlocked.push(dir.to_path_buf()),
        }
        let is_clean = dir.join(".kafka_cleanshutdown").exists();
        if !is_clean {
            self.unclean.push(dir.to_path_buf());
        }
        let mut starts = kafka_files::log_start_offsets(dir)?;
        let before = self.folders.len();
        for name in folders(dir)? {
            match classify(&name) {
                Folder::Partition { topic, index } => {
                    let log_start = starts.remove(&(topic.clone(), index));
                    let path = dir.join(&name);
                    self.folders.push(PartitionFolder { topic, index, path, log_start, is_clean });
                }
                Folder::Skipped(reason) => {
                    self.skipped.push(format!("{}: {reason}", dir.join(&name).display()));
                }
                Folder::Metadata | Folder::Foreign => {}
            }
        }
        if before == self.folders.len() && !dir.join("meta.properties").exists() {
            return Err(not_kafka("has no partitions and no meta.properties"));
        }
        if self.cluster.is_none() {
            self.cluster = metadata_log::read(dir, !is_clean)?;
        }
        Ok(())
    }
}

/// What a folder in a log directory is, by its name.
#[derive(Debug, PartialEq, Eq)]
enum Folder {
    Partition { topic: String, index: i32 },
    Metadata,
    Skipped(&'static str),
    Foreign,
}

fn classify(name: &str) -> Folder {
    if name == metadata_log::FOLDER {
        return Folder::Metadata;
    }
    for (suffix, reason) in [
        ("-delete", "a deleted partition, skipped"),
        ("-future", "a copy that Kafka had not finished when it moved the partition, skipped"),
        ("-stray", "a partition that Kafka found to be no longer its own, skipped"),
    ] {
        if name.ends_with(suffix) {
            return Folder::Skipped(reason);
        }
    }
    let Some((topic, index)) = name.rsplit_once('-') else { return Folder::Foreign };
    let Some(index) =
        index.parse().ok().filter(|index: &i32| 0 <= *index && index.to_string() == name[topic.len() + 1..])
    else {
        return Folder::Foreign;
    };
    if INTERNAL.contains(&topic) {
        return Folder::Skipped("a topic of Kafka's own, not adopted");
    }
    Folder::Partition { topic: topic.to_owned(), index }
}

fn folders(dir: &Path) -> Result<Vec<String>, AdoptError> {
    let list = AdoptError::io(dir, "list");
    let entries: Vec<_> =
        fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(list)?;
    let folders = entries.iter().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Kafka holds a POSIX lock on `.lock` for as long as it runs. A shared one of ours fails then, and no byte is written for
/// it. None if there is no such file.
fn lock(dir: &Path) -> Result<Option<File>, AdoptError> {
    let path = dir.join(".lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(AdoptError::io(&path, "open")(error)),
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(AdoptError::Running { path: dir.to_path_buf() }),
        Err(error) => Err(AdoptError::LockUnknown { path, source: error.into() }),
    }
}

/// Names and sizes of a partition's segment files, in order of their offsets.
pub(super) fn segments(folder: &Path) -> Result<Vec<SegmentFile>, AdoptError> {
    let list = AdoptError::io(folder, "list");
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(list)?;
    let mut found = Vec::new();
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let digits =
            name.strip_suffix(".log").filter(|digits| digits.len() == 20 && !digits.starts_with('+'));
        let base_offset = digits.and_then(|digits| digits.parse::<u64>().ok()?.try_into().ok());
        if let Some(base_offset) = base_offset {
            let size = entry.metadata().map_err(AdoptError::io(&entry.path(), "stat"))?.len();
            found.push(SegmentFile { name, base_offset, size });
        }
    }
    found.sort_by_key(|segment| segment.base_offset);
    Ok(found)
}

/// A segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentFile {
    pub(super) name: String,
    pub(super) base_offset: i64,
    pub(super) size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_told_by_their_names() {
        let partition = |topic: &str, index| Folder::Partition { topic: topic.to_owned(), index };
        assert_eq!(classify("a-0"), partition("a", 0));
        assert_eq!(classify("a-b.c-12"), partition("a-b.c", 12));
        assert_eq!(classify("a--1"), partition("a-", 1));
        assert_eq!(classify("__cluster_metadata-0"), Folder::Metadata);
        for foreign in ["a", "a-x", "a-01", "a-+1", "a-99999999999", "-0x"] {
            assert_eq!(classify(foreign), Folder::Foreign, "{foreign}");
        }
        for skipped in ["a-0.9f-delete", "a-0.9f-future", "a-0.9f-stray", "__consumer_offsets-7"] {
            assert!(matches!(classify(skipped), Folder::Skipped(_)), "{skipped}");
        }
    }
}
