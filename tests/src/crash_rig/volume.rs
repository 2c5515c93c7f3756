//! File systems on a recording disk: made once, mounted and unmounted for every trial.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use tempfile::TempDir;

use super::image::Image;
use super::recorder::{Disk, Recorder};

/// A file system, and how it is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileSystemKind {
    /// ext4 with its defaults (`data=ordered`).
    Ext4,
    /// ext4 with `data=writeback`: a file may have its new size before its bytes.
    Ext4Writeback,
    /// XFS with its defaults.
    Xfs,
}

impl FileSystemKind {
    /// As in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Ext4Writeback => "ext4-writeback",
            Self::Xfs => "xfs",
        }
    }

    fn maker(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Ext4 | Self::Ext4Writeback => {
                ("mkfs.ext4", &["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"])
            }
            // Smaller than the tools like it; the kernel does not mind.
            Self::Xfs => ("mkfs.xfs", &["-q", "-f", "--unsupported"]),
        }
    }

    fn mount_options(self) -> &'static str {
        match self {
            Self::Ext4 => "loop,noatime",
            Self::Ext4Writeback => "loop,noatime,data=writeback",
            // Several states of one file system are mounted at a time.
            Self::Xfs => "loop,noatime,nouuid",
        }
    }

    /// An empty one of this size; `None` where its maker is not installed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn format(self, bytes: u64) -> io::Result<Option<Image>> {
        let folder = TempDir::with_prefix("sendlog-crash-")?;
        let path = folder.path().join("image");
        std::fs::File::create(&path)?.set_len(bytes)?;
        let (program, arguments) = self.maker();
        match Command::new(program).args(arguments).arg(&path).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(output) if output.status.success() => Image::from_file(&path).map(Some),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(io::Error::other(format!("{program}: {}", said.trim())))
            }
        }
    }
}

/// A place where states of one kind of file system are mounted, one after another.
#[derive(Debug)]
pub struct Volume {
    kind: FileSystemKind,
    recorder: Recorder,
    mount_point: PathBuf,
    is_mounted: bool,
    _folder: TempDir,
}

impl Volume {
    /// A place for images of the size of this one.
    ///
    /// # Errors
    /// When FUSE is not to be had.
    pub fn new(kind: FileSystemKind, image: Image) -> io::Result<Self> {
        let folder = TempDir::with_prefix("sendlog-crash-")?;
        let [recorder, mount_point] = ["recorder", "mounted"].map(|name| folder.path().join(name));
        std::fs::create_dir(&recorder)?;
        std::fs::create_dir(&mount_point)?;
        let recorder = Recorder::mount(&recorder, image)?;
        Ok(Self { kind, recorder, mount_point, is_mounted: false, _folder: folder })
    }

    /// The disk.
    pub fn disk(&self) -> &Disk {
        self.recorder.disk()
    }

    /// Mounts what is on the disk.
    ///
    /// # Errors
    /// What `mount` says.
    pub fn mount(&mut self) -> io::Result<()> {
        let mut command = Command::new("mount");
        command.args(["-t", self.kind.name().split('-').next().unwrap_or_default()]);
        command.args(["-o", self.kind.mount_options()]).arg(self.recorder.path()).arg(&self.mount_point);
        run(&mut command)?;
        self.is_mounted = true;
        Ok(())
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Unmounts it; no program must have a file open there.
    ///
    /// # Errors
    /// What `umount` says.
    pub fn unmount(&mut self) -> io::Result<()> {
        if self.is_mounted {
            run(Command::new("umount").arg(&self.mount_point))?;
            self.is_mounted = false;
        }
        Ok(())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazily: a program of a failed trial may still be there.
            let _ = run(Command::new("umount").arg("--lazy").arg(&self.mount_point));
        }
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{}: {}", command.get_program().to_string_lossy(), said.trim())))
}
