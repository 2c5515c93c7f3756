//! A writer, readers and the housekeeping of one index file. The threads do what `storage/segment.rs` lets them do: one
//! writer at a time, which also replaces and trims; any number of readers; anybody may let the map go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::index_file::{IndexFile, IndexView};
use crate::disk::{Disk, FileSystem as _, IoMode, OpenMode};
use crate::planted::{Planted, is_planted};

const WORDS: usize = 2;
const ENTRY_BYTES: usize = 8;
const TERMINATOR: [u32; WORDS] = [99, 99];

struct Model {
    disk: Disk,
    index: IndexFile<WORDS>,
}

fn path() -> PathBuf {
    PathBuf::from("index")
}

/// Entries tell which build they are of, and both words have to fit.
fn entry(build: u32, number: usize) -> [u32; WORDS] {
    let number = u32::try_from(number).expect("few entries");
    [1000 * build + 2 * number + 1, 1000 * build + 2 * number + 2]
}

impl Model {
    /// An index with some entries of build 1.
    fn new(terminator: Option<[u32; WORDS]>, entries: usize) -> Arc<Self> {
        let disk = Disk::new();
        let index = IndexFile::new(path(), terminator);
        index.create_in(&disk);
        let model = Self { disk, index };
        (0..entries).for_each(|number| model.append(1, number));
        Arc::new(model)
    }

    fn append(&self, build: u32, number: usize) {
        let reserved = self.index.reserve(&self.disk, 1).expect("the disk has room");
        self.index.push(&reserved, entry(build, number));
    }

    fn view(&self) -> IndexView<WORDS> {
        self.index.view(&self.disk, IoMode::Blocking).expect("the file is there")
    }

    /// Looks at everything that a look-up could see; returns how many entries.
    fn check(view: &IndexView<WORDS>) -> usize {
        let Some([first, _]) = view.get(0) else { return 0 };
        let build = first / 1000;
        let mut len = 0;
        while let Some(found) = view.get(len) {
            assert_eq!(found, entry(build, len), "an entry that was never written");
            len += 1;
        }
        len
    }
}

trait CreateIn {
    fn create_in(&self, disk: &Disk);
}

impl CreateIn for IndexFile<WORDS> {
    fn create_in(&self, disk: &Disk) {
        disk.open(self.path(), OpenMode::Replace).expect("a new file");
    }
}

fn spawn(model: &Arc<Model>, run: impl FnOnce(&Model) + 'static) -> JoinHandle<()> {
    let model = Arc::clone(model);
    thread::spawn(move || run(&model))
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("a thread of the model panicked"));
}

/// Two looks: the second sees no less.
fn reads_twice(model: &Model) {
    let before = Model::check(&model.view());
    assert!(before <= Model::check(&model.view()), "entries went away");
}

pub(crate) fn entries_are_whole() {
    let model = Model::new(None, 0);
    let reserved = model.index.reserve(&model.disk, 2).expect("the disk has room");
    let reader = spawn(&model, reads_twice);
    model.index.push(&reserved, entry(1, 0));
    model.index.push(&reserved, entry(1, 1));
    join([reader]);
    assert_eq!(Model::check(&model.view()), 2);
}

pub(crate) fn growth_hides_nothing() {
    let model = Model::new(Some(TERMINATOR), 1);
    let reader = spawn(&model, reads_twice);
    model.append(1, 1);
    model.append(1, 2);
    join([reader]);
    assert_eq!(Model::check(&model.view()), 3);
    assert_eq!(model.disk.len(Path::new("index")), 4 * ENTRY_BYTES);
}

pub(crate) fn the_map_may_go_at_any_time() {
    let model = Model::new(Some(TERMINATOR), 1);
    let reader = spawn(&model, |model| {
        reads_twice(model);
        // Without waiting it may see nothing, and nothing wrong.
        if let Ok(view) = model.index.view(&model.disk, IoMode::NoWait) {
            Model::check(&view);
        }
    });
    let closer = spawn(&model, |model| model.index.unmap());
    model.append(1, 1);
    model.append(1, 2);
    join([reader, closer]);
    assert_eq!(Model::check(&model.view()), 3);
}

pub(crate) fn a_trimmed_file_faults_nobody() {
    let model = Model::new(None, 3);
    assert_eq!(model.disk.len(Path::new("index")), 4 * ENTRY_BYTES);
    let readers =
        [spawn(&model, reads_twice), spawn(&model, |model| assert_eq!(Model::check(&model.view()), 3))];
    let is_trimmed = match is_planted(Planted::TrimBlindly) {
        true => {
            let file = model.disk.open(Path::new("index"), OpenMode::Create).expect("the file is there");
            file.truncate(0).is_ok()
        }
        false => model.index.trim(&model.disk).expect("the file is there"),
    };
    join(readers);
    model.index.unmap();
    assert_eq!(model.disk.len(Path::new("index")), if is_trimmed { 3 } else { 4 } * ENTRY_BYTES);
    assert_eq!(Model::check(&model.view()), 3);
}

/// The index is found to be wrong, and is rebuilt with fewer entries, while others read it.
pub(crate) fn a_shorter_index_replaces_the_old_one() {
    replaces(1, 0);
}

/// It is appended to at once, so that the new file becomes as long as the old one.
pub(crate) fn a_shorter_index_replaces_the_old_one_and_grows() {
    replaces(1, 1);
}

/// It has more entries.
pub(crate) fn a_longer_index_replaces_the_old_one() {
    replaces(3, 1);
}

fn replaces(rebuilt: usize, appended: usize) {
    let entries: Vec<_> = (0..rebuilt).map(|number| entry(2, number)).collect();
    let model = Model::new(None, 2);
    model.index.unmap();
    let reader = spawn(&model, |model| {
        Model::check(&model.view());
    });
    model.index.replace(&model.disk, &entries).expect("the disk has room");
    (rebuilt..rebuilt + appended).for_each(|number| model.append(2, number));
    join([reader]);
    let view = model.view();
    assert_eq!(view.get(0), Some(entry(2, 0)), "the old index is still in use");
    assert_eq!(Model::check(&view), rebuilt + appended);
}
