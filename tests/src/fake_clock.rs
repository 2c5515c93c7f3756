//! A wall clock of its own for a broker, set while it runs (libfaketime). Time that passes is the machine's.
//!
//! Where the library is not there and cannot be installed the scenario says aloud that it is skipped.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::conformance::say;
use crate::workshop;

/// Where Debian and Fedora put the library.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// A clock that can be set.
#[derive(Debug)]
pub struct FakeClock {
    library: &'static str,
    folder: TempDir,
}

impl FakeClock {
    /// A clock that shows the machine's time; `None`, with a word on standard error, where there is no library for it.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn new() -> Option<Self> {
        let library = || LIBRARIES.into_iter().find(|path| fs::exists(path).unwrap_or(false));
        let installed = || workshop::apt_install("faketime").ok().and_then(|()| library());
        let Some(library) = library().or_else(installed) else {
            say("skipped: libfaketime is not there and cannot be installed");
            return None;
        };
        let clock = Self { library, folder: TempDir::new().expect("a temporary directory can be made") };
        clock.show("+0");
        Some(clock)
    }

    /// Sets it: `+74y` and `-2d` are the machine's time moved, `@1970-01-01 00:00:01` another one that runs from there.
    ///
    /// # Panics
    /// When the file that tells cannot be written.
    pub fn show(&self, time: &str) {
        // Replaced in one step: the broker reads it at every look at the clock.
        let (file, new) = (self.file(), self.folder.path().join("new"));
        fs::write(&new, format!("{time}\n")).expect("a file can be written");
        fs::rename(new, file).expect("a file can be renamed");
    }

    /// What makes a broker go by it.
    pub fn env(&self) -> Vec<(String, String)> {
        let file = self.file().display().to_string();
        let env = [
            ("LD_PRELOAD", self.library),
            ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ];
        env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("time")
    }
}
