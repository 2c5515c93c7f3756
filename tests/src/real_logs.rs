//! Log files to ship, and the program of a real client that ships them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workshop;

/// A folder with log files, instead of `../shared/data/logs` beside the repository.
const FOLDER: &str = "SENDLOG_TEST_LOGS";
/// Text that a machine has, for where there are no log files.
const TEXTS_OF_THE_MACHINE: [&str; 4] =
    ["/usr/share/common-licenses", "/usr/share/doc", "/etc", "/usr/include"];
/// Bounds of the text that is taken from the machine.
const TEXTS_MAX: usize = 10;
const TEXT_BYTES: std::ops::RangeInclusive<u64> = 5_000..=1_000_000;

/// Files to ship line by line: real logs, else text files of the machine.
///
/// # Panics
/// When there is neither.
pub fn files() -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/logs");
    let folder = env::var_os(FOLDER).map_or(beside, PathBuf::from);
    let mut logs = readable_files(&folder);
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    if logs.is_empty() {
        logs = TEXTS_OF_THE_MACHINE.iter().flat_map(|folder| readable_files(Path::new(folder))).collect();
        logs.retain(|path| fs::metadata(path).is_ok_and(|found| TEXT_BYTES.contains(&found.len())));
        logs.truncate(TEXTS_MAX);
    }
    assert!(!logs.is_empty(), "no files to ship: name a folder with {FOLDER}");
    logs
}

/// The program `ship_logs.py` with these files; `mode` is explained there.
///
/// # Errors
/// When the client cannot be installed.
pub fn program(mode: &str) -> Result<Command, String> {
    let mut command = Command::new(workshop::python()?);
    command.arg("-B").arg(workshop::source("python").join("ship_logs.py")).arg(mode).args(files());
    Ok(command)
}

fn readable_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file() && fs::File::open(path).is_ok()).collect();
    files.sort();
    files
}
