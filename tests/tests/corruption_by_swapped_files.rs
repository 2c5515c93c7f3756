//! Files that are missing, or in each other's place: folders of partitions, the state of another directory, seals and indexes
//! of other segments. Nothing is lost by it, and nothing is taken for what it is not without a word.

use std::fs;
use std::path::{Path, PathBuf};

use sendlog_tests::damaged_directory::{Directory, End, Outcome};
use sendlog_tests::data_files;

const ENDS: [End; 2] = [End::Killed, End::Stopped];

fn swap(one: &Path, other: &Path) {
    let aside = one.with_added_extension("aside");
    fs::rename(one, &aside).expect("it is there");
    fs::rename(other, one).expect("it is there");
    fs::rename(aside, other).expect("it is there");
}

fn with_extension(root: &Path, extension: &str) -> Vec<PathBuf> {
    let folder = data_files::all(&root.join("t-1"));
    folder.into_iter().filter(|path| data_files::has_extension(path, extension)).collect()
}

/// The folder says whose it is. After a clean end no folder is looked at; then reads say that something is wrong.
#[test]
fn folders_of_two_topics() {
    for end in ENDS {
        let directory = Directory::after(end);
        let outcome = directory.start_damaged(|root| swap(&root.join("t-0"), &root.join("other-0")));
        match end {
            End::Killed => assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}"),
            End::Stopped => assert_ne!(outcome, Outcome::AllThere),
        }
        outcome.check_way_out();
    }
}

/// Caches of other segments are no use, and do no harm.
#[test]
fn indexes_and_seals_of_other_segments() {
    for directory in ENDS.map(Directory::after) {
        for extension in ["index", "timeindex", "seal"] {
            let outcome = directory.start_damaged(|root| {
                let files = with_extension(root, extension);
                assert!(2 <= files.len(), "{extension}: {files:?}");
                swap(&files[0], &files[1]);
            });
            assert_eq!(outcome, Outcome::AllThere, "{extension}");
            let outcome = directory.start_damaged(|root| {
                with_extension(root, extension)
                    .iter()
                    .for_each(|path| fs::remove_file(path).expect("it is there"));
            });
            assert_eq!(outcome, Outcome::AllThere, "{extension}");
        }
    }
}

/// A checkpoint that knows other topics says nothing about these.
#[test]
fn the_checkpoint_of_another_directory() {
    let stranger = Directory::after(End::Stopped);
    for directory in ENDS.map(Directory::after) {
        let from = stranger.original().join("checkpoint.state");
        let outcome = directory.start_damaged(|root| {
            fs::copy(&from, root.join("checkpoint.state")).expect("it can be copied");
        });
        assert_eq!(outcome, Outcome::AllThere);
    }
}

/// Topics that have no folders here are empty, and the folders here belong to nobody: they stay.
#[test]
fn the_catalog_of_another_directory() {
    let stranger = Directory::after(End::Stopped);
    for directory in ENDS.map(Directory::after) {
        let from = stranger.original().join("catalog.state");
        let outcome = directory.start_damaged(|root| {
            fs::copy(&from, root.join("catalog.state")).expect("it can be copied");
        });
        assert_ne!(outcome, Outcome::AllThere, "the ids are others");
        outcome.check_way_out();
    }
}

#[test]
fn any_file_but_a_segment_may_be_missing() {
    for directory in ENDS.map(Directory::after) {
        let root = directory.original();
        for file in data_files::all(&root).into_iter().filter(|path| !data_files::has_extension(path, "log"))
        {
            let file = file.strip_prefix(&root).expect("below it").to_path_buf();
            let outcome =
                directory.start_damaged(|copy| fs::remove_file(copy.join(&file)).expect("it is there"));
            outcome.check(&directory.copy().join(&file), "missing");
        }
    }
}
