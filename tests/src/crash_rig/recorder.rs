//! A disk that writes down what reaches it: one file of a FUSE file system, made to lie under a loop device.
//!
//! The kernel's file system above it is a real one, so what is recorded is what a real disk would have got, metadata and
//! barriers included: a `FLUSH`, or a write with `FUA`, arrives here as `fsync`. Requests are served one after another by
//! one thread, so a client that got an answer before it adds its mark adds it behind all operations that led there.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Request, Session, TimeOrNow, WriteFlags,
};

use super::image::Image;
use super::mark::Mark;
use super::recording::{Event, Recording};

/// The one file.
const FILE_NAME: &str = "disk";
const FILE: INodeNo = INodeNo(2);
/// Names and sizes never change.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// A mounted disk. Dropping it unmounts it.
#[derive(Debug)]
pub struct Recorder {
    disk: Disk,
    path: PathBuf,
    _session: BackgroundSession,
}

/// The notebook of a recorder, for clients to add what they know.
#[derive(Clone, Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    image: Image,
    events: Vec<Event>,
}

impl Recorder {
    /// Mounts a disk with this content at an empty folder.
    ///
    /// # Errors
    /// When the system does not let us: it takes root and `/dev/fuse`.
    pub fn mount(at: &Path, image: Image) -> io::Result<Self> {
        let bytes = image.bytes();
        let disk = Disk { state: Arc::new(Mutex::new(State { image, events: Vec::new() })) };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("crash-rig".to_owned())];
        let served = Served { disk: disk.clone(), bytes };
        let session = Session::new(served, at, &config)?.spawn()?;
        Ok(Self { disk, path: at.join(FILE_NAME), _session: session })
    }

    /// The file, for `mount -o loop`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The notebook.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }
}

impl Disk {
    /// Adds what a client knows from now on.
    pub fn mark(&self, mark: Mark) {
        self.lock().events.push(Event::Mark(mark));
    }

    /// How many events there are so far.
    pub fn events(&self) -> usize {
        self.lock().events.len()
    }

    /// Puts another content of the same size in, and forgets the events. Nothing must be mounted from the disk.
    ///
    /// # Panics
    /// When it has another size.
    pub fn insert(&self, image: Image) {
        let mut state = self.lock();
        assert_eq!(state.image.bytes(), image.bytes(), "a mounted disk keeps its size");
        *state = State { image, events: Vec::new() };
    }

    /// What happened since the disk had the content `start`.
    pub fn recording(&self, start: Image) -> Recording {
        Recording { start, events: self.lock().events.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file system.
#[derive(Debug)]
struct Served {
    disk: Disk,
    bytes: u64,
}

impl Served {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_file = inode == FILE;
        let size = if is_file { self.bytes } else { 0 };
        FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o600 } else { 0o700 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == FILE_NAME {
            reply.entry(&FOR_EVER, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &self.attributes(inode));
    }

    /// Times and the like: nothing that this disk keeps.
    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.attr(&FOR_EVER, &self.attributes(inode));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Past the page cache: what the loop device says must be here when it is said.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        position: u64,
        bytes: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let content = self.disk.lock().image.read(position, bytes);
        reply.data(&content);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        position: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = u32::try_from(bytes.len());
        let mut state = self.disk.lock();
        match (state.image.write(position, bytes), written) {
            (Ok(()), Ok(written)) => {
                state.events.push(Event::Write { position, bytes: Bytes::copy_from_slice(bytes) });
                drop(state);
                reply.written(written);
            }
            _ => reply.error(Errno::EINVAL),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.disk.lock().events.push(Event::Flush);
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        // The kernel writes zeros instead.
        reply.error(Errno::EOPNOTSUPP);
    }
}
