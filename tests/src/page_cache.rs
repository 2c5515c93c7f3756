//! Files out of the page cache, so that reading them means waiting for the disk.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use rustix::fs::{Advice, fadvise, fdatasync};

use crate::conformance::say;

/// Makes the kernel forget the pages of a file. False, after a line on standard error, where it does not (a file
/// system in memory) or where there is no way to tell (`fincore` of util-linux).
///
/// # Panics
/// When the file cannot be opened or synced.
pub fn evict(path: &Path) -> bool {
    let file = File::open(path).expect("the file is there");
    // Dirty pages stay.
    fdatasync(&file).expect("the file can be synced");
    fadvise(&file, 0, None, Advice::DontNeed).expect("the kernel takes advice");
    match resident_bytes(path) {
        Some(0) => true,
        Some(bytes) => {
            say(&format!("skipped: {bytes} bytes of {} stay in memory", path.display()));
            false
        }
        None => {
            say(&format!("skipped: no fincore here to tell whether {} is in memory", path.display()));
            false
        }
    }
}

/// Bytes of the file that are in memory, in whole pages; none where there is no way to tell. Asking does not bring them in, as
/// reading would.
pub fn resident_bytes(path: &Path) -> Option<u64> {
    let output =
        Command::new("fincore").args(["--bytes", "--noheadings", "--output", "RES"]).arg(path).output();
    String::from_utf8(output.ok()?.stdout).ok()?.trim().parse().ok()
}
