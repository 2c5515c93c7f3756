//! The files of a data directory, from outside: listed, copied, damaged.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// All files below a folder, sorted.
///
/// # Panics
/// When it cannot be read.
pub fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(all(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The segment files (`.log`) of a partition, oldest first; none when it has no folder.
///
/// # Panics
/// When its folder cannot be read.
pub fn segments(data_dir: &Path, partition: &str) -> Vec<PathBuf> {
    let folder = data_dir.join(partition);
    if !folder.exists() {
        return Vec::new();
    }
    all(&folder).into_iter().filter(|path| has_extension(path, "log")).collect()
}

/// The bytes of a partition's segment files; one that is deleted meanwhile counts nothing.
///
/// # Panics
/// When its folder cannot be read.
pub fn segment_bytes(data_dir: &Path, partition: &str) -> u64 {
    let lengths = segments(data_dir, partition).into_iter().filter_map(|path| fs::metadata(path).ok());
    lengths.map(|metadata| metadata.len()).sum()
}

/// Whether a file's name ends like this.
pub fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// Copies a folder with all that is in it.
///
/// # Panics
/// When that fails.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for file in all(from) {
        let copy = to.join(file.strip_prefix(from).expect("below the folder"));
        fs::create_dir_all(copy.parent().expect("it is in a folder")).expect("a folder can be made");
        fs::copy(&file, &copy).expect("a file can be copied");
    }
}

/// Adds bytes at the end of a file.
///
/// # Panics
/// When that fails.
pub fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).expect("the file is there");
    file.write_all(bytes).expect("it can be written to");
}

/// Cuts a file to this length.
///
/// # Panics
/// When that fails.
pub fn truncate(path: &Path, length: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("the file is there");
    file.set_len(length).expect("it can be cut");
}

/// Inverts one bit of a file.
///
/// # Panics
/// When there is no such byte.
pub fn flip(path: &Path, position: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the file is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).expect("the byte is there");
    file.write_all_at(&[byte[0] ^ 0x10], position).expect("it can be written to");
}

/// The length of a file.
///
/// # Panics
/// When it is not there.
pub fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len()
}
