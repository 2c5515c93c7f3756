//! A small file system of its own for a data directory, to fill it up or make it read-only.
//!
//! Mounting needs root; elsewhere the scenario says aloud that it is skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system; dropping it unmounts it.
#[derive(Debug)]
pub struct ScratchDisk {
    mount_point: PathBuf,
    _folder: TempDir,
}

impl ScratchDisk {
    /// A file system of this size in memory; `None`, with a word on standard error, where mounting is not allowed.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn in_memory(bytes: u64) -> Option<Self> {
        let size = format!("size={bytes}");
        Self::mount(|_| true, |_| ["-t", "tmpfs", "-o", &size, "sendlog-test"].map(str::to_owned).to_vec())
    }

    /// An ext4 file system of this size in a file, which runs full in its own ways.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn ext4(bytes: u64) -> Option<Self> {
        let format = |image: &Path| {
            let size = format!("--size={bytes}");
            runs(Command::new("truncate").arg(size).arg(image))
                && runs(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(image))
        };
        Self::mount(format, |image| vec!["-o".to_owned(), "loop".to_owned(), image.display().to_string()])
    }

    fn mount(
        prepare: impl FnOnce(&Path) -> bool,
        options: impl FnOnce(&Path) -> Vec<String>,
    ) -> Option<Self> {
        let folder = TempDir::with_prefix("sendlog-disk-").expect("a temporary directory can be made");
        let (image, mount_point) = (folder.path().join("image"), folder.path().join("mounted"));
        std::fs::create_dir(&mount_point).expect("a folder can be made in it");
        let mounted = prepare(&image) && runs(Command::new("mount").args(options(&image)).arg(&mount_point));
        if !mounted {
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(Self { mount_point, _folder: folder })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Lets nobody write from now on.
    ///
    /// # Panics
    /// When a file is open for writing.
    pub fn make_read_only(&self) {
        let remounted = runs(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.mount_point));
        assert!(remounted, "{} can be made read-only", self.mount_point.display());
    }
}

impl Drop for ScratchDisk {
    fn drop(&mut self) {
        // Lazily: a broker of a failed test may still be there.
        runs(Command::new("umount").arg("--lazy").arg(&self.mount_point));
    }
}

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
