//! Things in the data directory, and in the folders of partitions, that are not ours: starts work, nobody waits for a pipe, and
//! everything stays as it is.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};
use sendlog_tests::damaged_directory::{Directory, End, Outcome};

const CONTENT: &[u8] = b"somebody's";

fn file_names() -> Vec<OsString> {
    let mut names: Vec<OsString> = [
        ".swp",
        ".t-0.swp",
        "t-0~",
        "#catalog.state#",
        "catalog.state.bak",
        "catalog.state (copy)",
        "notes.deleted",
        "1.log.deleted",
        "00000000000000000000.log.deleted.bak",
        "00000000000000000000.log.orig",
        "99999999999999999999.log",
        "0000000000000000000x.index",
        "-",
        "- 0",
        "t-99999999999",
        "t--1",
        "meta.properties",
        "line\nfeed",
        "ünïcödé ☃",
    ]
    .map(OsString::from)
    .to_vec();
    names.push(OsString::from("n".repeat(255)));
    names.push(OsString::from_vec(b"not \xff\xfe utf-8".to_vec()));
    names
}

/// What was put into a folder.
struct Odd {
    files: Vec<PathBuf>,
    fifo: PathBuf,
    socket: PathBuf,
    symlink_loop: PathBuf,
    dangling: PathBuf,
    folders: Vec<PathBuf>,
    // Bound as long as it is tested.
    _listener: UnixListener,
}

impl Odd {
    fn put_into(folder: &Path) -> Self {
        let files: Vec<PathBuf> = file_names().into_iter().map(|name| folder.join(name)).collect();
        files.iter().for_each(|path| fs::write(path, CONTENT).expect("a file can be written"));
        let fifo = folder.join("pipe-0");
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a pipe can be made");
        let socket = folder.join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket can be bound");
        let symlink_loop = folder.join("loop-0");
        symlink("loop-0", &symlink_loop).expect("a link can be made");
        let dangling = folder.join("dangling-1");
        symlink("nowhere", &dangling).expect("a link can be made");
        let folders: Vec<PathBuf> =
            ["lost+found", "foreign-0", "00000000000000000007"].map(|name| folder.join(name)).to_vec();
        for folder in &folders {
            fs::create_dir(folder).expect("a folder can be made");
            fs::write(folder.join("00000000000000000000.log"), CONTENT).expect("a file can be written");
        }
        Self { files, fifo, socket, symlink_loop, dangling, folders, _listener: listener }
    }

    fn check(&self) {
        for path in self
            .files
            .iter()
            .cloned()
            .chain(self.folders.iter().map(|folder| folder.join("00000000000000000000.log")))
        {
            assert_eq!(fs::read(&path).ok().as_deref(), Some(CONTENT), "{}", path.display());
        }
        let kind = |path: &Path| fs::symlink_metadata(path).expect("it is there").file_type();
        assert!(kind(&self.fifo).is_fifo() && kind(&self.socket).is_socket());
        assert!(kind(&self.symlink_loop).is_symlink() && kind(&self.dangling).is_symlink());
    }
}

#[test]
fn they_are_left_alone_wherever_they_are() {
    for end in [End::Killed, End::Stopped] {
        let directory = Directory::after(end);
        for place in ["", "t-0"] {
            let mut odd = None;
            let outcome = directory.start_damaged(|root| odd = Some(Odd::put_into(&root.join(place))));
            assert_eq!(outcome, Outcome::AllThere, "{end:?} in {place:?}");
            odd.expect("they were put there").check();
        }
    }
}

/// Without a checkpoint and a clean end, everything is looked through.
#[test]
fn they_are_left_alone_by_a_full_scan() {
    let directory = Directory::after(End::Killed);
    for place in ["", "t-0"] {
        let mut odd = None;
        let outcome = directory.start_damaged(|root| {
            fs::remove_file(root.join("checkpoint.state")).expect("it is there");
            odd = Some(Odd::put_into(&root.join(place)));
        });
        assert_eq!(outcome, Outcome::AllThere, "in {place:?}");
        odd.expect("they were put there").check();
    }
}
