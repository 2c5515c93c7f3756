//! Every byte of every state file changed, and every file cut at every byte: a start finds all records and ids as they were,
//! or is refused with the file's name and a way out. Segment files are never touched.

use std::fs;
use std::path::{Path, PathBuf};

use sendlog_tests::damaged_directory::{Directory, End};
use sendlog_tests::data_files;

/// One of every kind; there are as many seals as closed segments, and metadata files as partitions.
fn state_files(directory: &Directory) -> Vec<PathBuf> {
    let root = directory.original();
    let all = data_files::all(&root);
    let seal = all.iter().find(|path| data_files::has_extension(path, "seal")).expect("a segment is sealed");
    let mut files = vec![seal.strip_prefix(&root).expect("below it").to_path_buf()];
    for name in
        ["catalog.state", "checkpoint.state", "sendlog.meta", "producer-ids.state", "t-0/partition.metadata"]
    {
        assert!(root.join(name).exists(), "{name}");
        files.push(PathBuf::from(name));
    }
    files
}

fn check(directory: &Directory, file: &Path, how: &str, bytes: &[u8]) {
    let outcome =
        directory.start_damaged(|copy| fs::write(copy.join(file), bytes).expect("it can be written"));
    outcome.check(&directory.copy().join(file), how);
}

fn flip_and_cut(end: End, flip_every: usize, cut_every: usize) {
    let directory = Directory::after(end);
    let mut starts = 0;
    for file in state_files(&directory) {
        let good = fs::read(directory.original().join(&file)).expect("it is there");
        for at in 0..good.len() {
            if at % flip_every == 0 {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                check(&directory, &file, &format!("changed at {at}"), &bad);
                starts += 1;
            }
            if at % cut_every == 0 {
                check(&directory, &file, &format!("cut at {at}"), &good[..at]);
                starts += 1;
            }
        }
    }
    eprintln!("{end:?}: {starts} starts");
}

#[test]
fn every_byte_may_be_wrong_after_a_kill() {
    flip_and_cut(End::Killed, 1, 5);
}

#[test]
fn every_file_may_be_cut_after_a_stop() {
    flip_and_cut(End::Stopped, 5, 1);
}
