//! A small file system of its own for a data directory, to fill it up, make it read-only, or cut its power.
//!
//! Mounting needs root; elsewhere the scenario says aloud that it is skipped.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Stops a file system as a power cut does: nothing more reaches the disk, the journal neither
/// (`EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`).
const SHUTDOWN: &str = "import fcntl, os, struct, sys\n\
                        disk = os.open(sys.argv[1], os.O_RDONLY)\n\
                        os.write(1, b'.')\n\
                        os.read(0, 1)\n\
                        fcntl.ioctl(disk, 0x8004587D, struct.pack('I', 2))";

/// A mounted file system; dropping it unmounts it.
#[derive(Debug)]
pub struct ScratchDisk {
    mount_point: PathBuf,
    mount_options: Vec<String>,
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

    /// An ext4 file system of this size in a file: it runs full in its own ways, and its power can be cut.
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
        let mount_options = options(&image);
        if !prepare(&image) || !runs(Command::new("mount").args(&mount_options).arg(&mount_point)) {
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(Self { mount_point, mount_options, _folder: folder })
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

    /// Makes it read-only at once, whoever writes, as ext4 does by itself when it meets an error. False where that cannot be
    /// done.
    pub fn break_off(&self) -> bool {
        runs(Command::new("mount").args(["-o", "remount,abort"]).arg(&self.mount_point))
    }

    /// Takes it away: its mount point is an empty folder then.
    ///
    /// # Panics
    /// When a file is open.
    pub fn take_away(&self) {
        let unmounted = runs(Command::new("umount").arg(&self.mount_point));
        assert!(unmounted, "{} is in use", self.mount_point.display());
    }

    /// Brings it back.
    ///
    /// # Panics
    /// When the file system is broken.
    pub fn bring_back(&self) {
        let mounted = runs(Command::new("mount").args(&self.mount_options).arg(&self.mount_point));
        assert!(mounted, "{} is there again", self.mount_point.display());
    }

    /// A switch that is ready to cut its power; `None`, with a word on standard error, where that cannot be done.
    pub fn power_switch(&self) -> Option<PowerSwitch> {
        let mut command = Command::new("python3");
        command.args(["-c", SHUTDOWN]).arg(&self.mount_point);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let is_ready = |child: &mut Child| {
            let mut ready = [0];
            child.stdout.as_mut().is_some_and(|stdout| stdout.read_exact(&mut ready).is_ok())
        };
        let ready = child.ok().and_then(|mut child| is_ready(&mut child).then_some(child));
        if ready.is_none() {
            eprintln!("skipped: the power of a file system cannot be cut here");
        }
        ready.map(|child| PowerSwitch { child })
    }

    /// Gives it power again, with what was on the disk.
    ///
    /// # Panics
    /// When a file is open, or the file system is broken.
    pub fn restore_power(&self) {
        self.take_away();
        self.bring_back();
    }
}

/// Cuts the power of a [`ScratchDisk`].
#[derive(Debug)]
pub struct PowerSwitch {
    child: Child,
}

impl PowerSwitch {
    /// From now on nothing reaches the disk, as after a power cut; what was not synced is gone.
    ///
    /// # Panics
    /// When the file system goes on.
    pub fn cut(mut self) {
        // Its end is the signal.
        drop(self.child.stdin.take());
        let ended = self.child.wait().expect("a child process can be waited for");
        assert!(ended.success(), "ext4 can be shut down");
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
