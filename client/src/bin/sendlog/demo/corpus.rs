//! Which files are shipped.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// Where text files usually are, logs first.
const USUAL_PLACES: [&str; 4] =
    ["/var/log", "/usr/share/dict", "/usr/share/common-licenses", "/usr/share/doc"];
/// With this much text, further places are not needed.
const BYTES_ENOUGH: u64 = 4 * 1024 * 1024;
/// Enough for variety.
const FILES_MAX: usize = 2000;
/// What is looked at to tell text from other things.
const PROBE_BYTES: u64 = 8 * 1024;

/// Text files to ship, in order.
#[derive(Debug)]
pub(super) struct Corpus {
    files: Vec<PathBuf>,
    bytes: u64,
}

impl Corpus {
    /// The files named, and the text files in the directories named; text files of the machine if none are named.
    ///
    /// # Errors
    /// A file that is named cannot be read, or there are no text files.
    pub(super) fn find(paths: &[PathBuf]) -> Result<Self, CliError> {
        let mut corpus = Self { files: Vec::new(), bytes: 0 };
        for path in paths {
            let metadata =
                fs::metadata(path).map_err(|source| CliError::File { path: path.clone(), source })?;
            if metadata.is_dir() {
                corpus.add_directory(path);
            } else {
                File::open(path).map_err(|source| CliError::File { path: path.clone(), source })?;
                corpus.add(path.clone(), metadata.len());
            }
        }
        if paths.is_empty() {
            for place in USUAL_PLACES {
                if corpus.bytes < BYTES_ENOUGH {
                    corpus.add_directory(Path::new(place));
                }
            }
        }
        if corpus.bytes == 0 {
            let places = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
            let places = if places.is_empty() { USUAL_PLACES.join(", ") } else { places.join(", ") };
            return Err(CliError::NoFiles(places));
        }
        Ok(corpus)
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn add(&mut self, path: PathBuf, bytes: u64) {
        self.files.push(path);
        self.bytes += bytes;
    }

    /// Adds the text files below a directory, by name; what cannot be read is left out, links are not followed.
    fn add_directory(&mut self, directory: &Path) {
        let mut pending = vec![directory.to_owned()];
        while let Some(directory) = pending.pop() {
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    pending.push(entry.path());
                } else if kind.is_file() && self.files.len() < FILES_MAX && is_text(&entry.path()) {
                    let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
                    self.add(entry.path(), bytes);
                }
            }
        }
    }
}

/// Whether a file can be read, is not empty, and begins without a zero byte.
fn is_text(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PROBE_BYTES).read_to_end(&mut start));
    read.is_ok() && !start.is_empty() && !start.contains(&0)
}
