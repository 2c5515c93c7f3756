//! A memory-mapped array of fixed entries: what the offset and time index are made of, and the only unsafe code.
//!
//! Entries are big-endian 32-bit words, so the bytes are Kafka's. One writer at a time appends (the segment's lock sees
//! to that); readers take no lock: an entry is written once, before the count that publishes it (Release/Acquire), and
//! never changes afterwards. A reader loads the count first and the map second, so its map covers the count. A rebuilt
//! index is another file and another generation: a count goes with a map of its generation and no other.
//!
//! SIGBUS is the hazard of mapped files. Blocks are allocated before they are mapped, so a full disk is an error of
//! `fallocate` and not a signal; the file is cut only when it grows no more, after the last map of it is gone, to a length
//! that no later map exceeds. What another process does to the file cannot be guarded against.
#![expect(unsafe_code, reason = "a mapped file is reached through a raw pointer")]

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::storage::files::{FileSystem, IoMode, OpenMode, StoredFile, write_all_at};
use crate::sync::{ArcSwapOption, AtomicU32, AtomicUsize, MmapOptions, MmapRaw, Ordering, PAGE_BYTES};

const WORD_BYTES: usize = 4;

/// How many entries an index has, and the CRC-32 of their bytes. An index file is believed only if it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IndexSum {
    /// Entries.
    pub entries: u32,
    /// CRC-32 (IEEE) of the bytes of all of them.
    pub crc: u32,
}

impl IndexSum {
    /// The sum after one more entry.
    pub(super) fn add<const WORDS: usize>(&mut self, entry: [u32; WORDS]) {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.crc);
        for word in entry {
            hasher.update(&word.to_be_bytes());
        }
        self.crc = hasher.finalize();
        self.entries += 1;
    }
}

/// An index file of entries of `WORDS` words.
#[derive(Debug)]
pub(super) struct IndexFile<const WORDS: usize> {
    path: PathBuf,
    /// What the last allocated slot holds, if it is not zeros.
    terminator: Option<[u32; WORDS]>,
    map: ArcSwapOption<IndexMap>,
    published: AtomicUsize,
    /// How often the file was replaced.
    generation: AtomicUsize,
    /// Cloned into every map, so that its count tells whether one lives.
    lease: Arc<()>,
}

/// A mapping of the first `words` words of the file.
#[derive(Debug)]
struct IndexMap {
    map: MmapRaw,
    words: usize,
    is_writable: bool,
    generation: usize,
    _lease: Arc<()>,
}

/// The entries that were published when it was taken. Holds the map.
pub(super) struct IndexView<const WORDS: usize> {
    map: Option<Arc<IndexMap>>,
    len: usize,
}

/// The right to append the entries that were reserved.
pub(super) struct Reserved(Option<Arc<IndexMap>>);

impl<const WORDS: usize> IndexFile<WORDS> {
    const ENTRY_BYTES: usize = WORDS * WORD_BYTES;

    /// Touches no file. `terminator` stands in the last allocated slot of a growing index.
    pub(super) fn new(path: PathBuf, terminator: Option<[u32; WORDS]>) -> Self {
        Self {
            path,
            terminator,
            map: ArcSwapOption::empty(),
            published: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            lease: Arc::new(()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file exist, without entries.
    pub(super) fn create(&self, fs: &dyn FileSystem) -> io::Result<()> {
        fs.open(&self.path, OpenMode::Replace).map(drop)
    }

    /// The published entries.
    ///
    /// # Errors
    /// `WouldBlock` if the file is not mapped and `io` forbids to do it; else the system's.
    pub(super) fn view(&self, fs: &dyn FileSystem, io: IoMode) -> io::Result<IndexView<WORDS>> {
        loop {
            let generation = self.generation.load(Ordering::Acquire);
            let len = self.published.load(Ordering::Acquire);
            if len == 0 {
                return Ok(IndexView { map: None, len });
            }
            let map = self.map_for_reading(generation, len * WORDS, fs, io);
            // Else the count may be the old file's, and the map the new one's.
            if self.generation.load(Ordering::Acquire) == generation {
                return Ok(IndexView { map: Some(map?), len });
            }
        }
    }

    fn map_for_reading(
        &self,
        generation: usize,
        words: usize,
        fs: &dyn FileSystem,
        io: IoMode,
    ) -> io::Result<Arc<IndexMap>> {
        let found = self.map.load_full();
        if let Some(map) = &found
            && map.generation == generation
            && words <= map.words
        {
            return Ok(Arc::clone(map));
        }
        if io == IoMode::NoWait {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let file = fs.open(&self.path, OpenMode::Read)?;
        let map = Arc::new(self.map_file(&*file, generation, words, false)?);
        // A map that the writer has put there meanwhile is larger and stays.
        self.map.compare_and_swap(&found, Some(Arc::clone(&map)));
        Ok(map)
    }

    /// Makes room for `count` entries after the published ones, so that [`IndexFile::push`] cannot fail.
    pub(super) fn reserve(&self, fs: &dyn FileSystem, count: usize) -> io::Result<Reserved> {
        if count == 0 {
            return Ok(Reserved(None));
        }
        let spare = usize::from(self.terminator.is_some());
        let entries = self.published.load(Ordering::Relaxed) + count + spare;
        if let Some(map) = self.map.load_full()
            && map.is_writable
            && map.generation == self.generation.load(Ordering::Relaxed)
            && entries * WORDS <= map.words
        {
            return Ok(Reserved(Some(map)));
        }
        let map = Arc::new(self.grow(fs, entries)?);
        self.map.store(Some(Arc::clone(&map)));
        Ok(Reserved(Some(map)))
    }

    fn grow(&self, fs: &dyn FileSystem, entries: usize) -> io::Result<IndexMap> {
        let mut bytes = PAGE_BYTES;
        while bytes / Self::ENTRY_BYTES < entries {
            bytes *= 2;
        }
        let entries = bytes / Self::ENTRY_BYTES;
        let file = fs.open(&self.path, OpenMode::Create)?;
        file.allocate((entries * Self::ENTRY_BYTES) as u64)?;
        let map = self.map_file(&*file, self.generation.load(Ordering::Relaxed), entries * WORDS, true)?;
        if let Some(terminator) = self.terminator {
            map.set(entries - 1, terminator);
        }
        Ok(map)
    }

    /// Appends and publishes an entry. There must be one writer at a time.
    ///
    /// # Panics
    /// If it was not reserved.
    pub(super) fn push(&self, reserved: &Reserved, entry: [u32; WORDS]) {
        let at = self.published.load(Ordering::Relaxed);
        let map = reserved.0.as_ref().expect("entries are reserved before they are pushed");
        map.set(at, entry);
        self.published.store(at + 1, Ordering::Release);
    }

    /// Publishes what the file holds, if that is exactly what `sum` says; returns whether it is.
    pub(super) fn load(&self, fs: &dyn FileSystem, sum: IndexSum) -> io::Result<bool> {
        let entries = sum.entries as usize;
        if entries == 0 {
            self.published.store(0, Ordering::Release);
            return Ok(true);
        }
        let file = fs.open(&self.path, OpenMode::Read)?;
        if file.size()? < (entries * Self::ENTRY_BYTES) as u64 {
            return Ok(false);
        }
        let map = self.map_file(&*file, self.generation.load(Ordering::Relaxed), entries * WORDS, false)?;
        if map.crc() != sum.crc {
            return Ok(false);
        }
        self.map.store(Some(Arc::new(map)));
        self.published.store(entries, Ordering::Release);
        Ok(true)
    }

    /// Replaces the file by one with these entries. Views of the old one stay good. Nothing is synced.
    pub(super) fn replace(&self, fs: &dyn FileSystem, entries: &[[u32; WORDS]]) -> io::Result<()> {
        let bytes: Vec<u8> = entries.iter().flatten().flat_map(|word| word.to_be_bytes()).collect();
        let temporary = self.path.with_added_extension("tmp");
        let file = fs.open(&temporary, OpenMode::Replace)?;
        write_all_at(&*file, &mut [io::IoSlice::new(&bytes)], 0)?;
        // In this order: whoever knows of the new generation has no count but that of its file.
        self.published.store(0, Ordering::Release);
        self.generation.store(self.generation.load(Ordering::Relaxed) + 1, Ordering::Release);
        fs.rename(&temporary, &self.path)?;
        self.map.store(None);
        self.published.store(entries.len(), Ordering::Release);
        Ok(())
    }

    /// Cuts whatever the file has behind the published entries and appends others: for recovery, which is alone.
    pub(super) fn extend(&self, fs: &dyn FileSystem, entries: &[[u32; WORDS]]) -> io::Result<()> {
        self.unmap();
        let published = self.published.load(Ordering::Relaxed) * Self::ENTRY_BYTES;
        fs.open(&self.path, OpenMode::Create)?.truncate(published as u64)?;
        let reserved = self.reserve(fs, entries.len())?;
        entries.iter().for_each(|entry| self.push(&reserved, *entry));
        Ok(())
    }

    /// Maps the first `words` words, which the file must have.
    fn map_file(
        &self,
        file: &dyn StoredFile,
        generation: usize,
        words: usize,
        is_writable: bool,
    ) -> io::Result<IndexMap> {
        let bytes = words * WORD_BYTES;
        if file.size()? < bytes as u64 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "index file is shorter than its entries",
            ));
        }
        let mut options = MmapOptions::new();
        options.len(bytes);
        let fd = file.as_fd().as_raw_fd();
        let map = if is_writable { options.map_raw(fd) } else { options.map_raw_read_only(fd) }?;
        Ok(IndexMap { map, words, is_writable, generation, _lease: Arc::clone(&self.lease) })
    }

    /// Lets the map go; it comes back when it is needed.
    pub(super) fn unmap(&self) {
        self.map.store(None);
    }

    /// Cuts the unused end of an index that grows no more and makes it durable; returns false, and does nothing, while
    /// a map of it lives.
    ///
    /// A reader may map the file between the check and the cut: it maps no more than the published entries, which stay.
    pub(super) fn trim(&self, fs: &dyn FileSystem) -> io::Result<bool> {
        self.unmap();
        if Arc::strong_count(&self.lease) != 1 {
            return Ok(false);
        }
        let file = fs.open(&self.path, OpenMode::Create)?;
        file.truncate((self.published.load(Ordering::Relaxed) * Self::ENTRY_BYTES) as u64)?;
        file.sync_data()?;
        Ok(true)
    }
}

impl IndexMap {
    fn words(&self) -> &[AtomicU32] {
        // SAFETY: the mapping has `words * 4` bytes (`map_file`), is aligned to a page, and lives as long as `self`; the file
        // behind it is not cut while it does (`trim`). All access in this process is through these atomics, which makes
        // concurrent writes defined; `set` is called on writable maps only.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<AtomicU32>(), self.words) }
    }

    fn set<const WORDS: usize>(&self, entry: usize, words: [u32; WORDS]) {
        assert!(self.is_writable, "entries go to writable maps");
        let slots = &self.words()[entry * WORDS..(entry + 1) * WORDS];
        for (slot, word) in slots.iter().zip(words) {
            slot.store(word.to_be(), Ordering::Relaxed);
        }
    }

    fn crc(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = [0; 64 * WORD_BYTES];
        for words in self.words().chunks(64) {
            for (bytes, word) in buffer.chunks_exact_mut(WORD_BYTES).zip(words) {
                bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
            }
            hasher.update(&buffer[..words.len() * WORD_BYTES]);
        }
        hasher.finalize()
    }
}

impl<const WORDS: usize> IndexView<WORDS> {
    pub(super) fn empty() -> Self {
        Self { map: None, len: 0 }
    }

    /// An entry; none behind the published ones.
    pub(super) fn get(&self, entry: usize) -> Option<[u32; WORDS]> {
        if self.len <= entry {
            return None;
        }
        let slots = self.map.as_ref()?.words().get(entry * WORDS..(entry + 1) * WORDS)?;
        let mut words = [0; WORDS];
        for (word, slot) in words.iter_mut().zip(slots) {
            *word = u32::from_be(slot.load(Ordering::Relaxed));
        }
        Some(words)
    }

    /// The last entry for which `is_before` holds, if it holds for a prefix of the entries and not for the rest.
    pub(super) fn last_before(&self, is_before: impl Fn([u32; WORDS]) -> bool) -> Option<[u32; WORDS]> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&is_before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.get(low.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::RealFs;

    const TERMINATOR: [u32; 3] = [7, 7, 0];

    struct Index {
        dir: tempfile::TempDir,
        file: IndexFile<3>,
        sum: IndexSum,
    }

    fn entry(number: u32) -> [u32; 3] {
        [number, number * 2, number * 3 + 1]
    }

    impl Index {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = IndexFile::new(dir.path().join("t"), Some(TERMINATOR));
            file.create(&RealFs).unwrap();
            Self { dir, file, sum: IndexSum::default() }
        }

        fn fill(&mut self, to: u32) {
            for number in self.sum.entries..to {
                let reserved = self.file.reserve(&RealFs, 1).unwrap();
                self.file.push(&reserved, entry(number));
                self.sum.add(entry(number));
            }
        }

        fn view(&self) -> IndexView<3> {
            self.file.view(&RealFs, IoMode::Blocking).unwrap()
        }

        fn bytes(&self) -> Vec<u8> {
            std::fs::read(self.dir.path().join("t")).unwrap()
        }

        fn check(&self) {
            let view = self.view();
            for number in 0..self.sum.entries {
                assert_eq!(view.get(number as usize), Some(entry(number)));
            }
            assert_eq!(view.get(self.sum.entries as usize), None);
        }
    }

    #[test]
    fn it_starts_empty_and_grows_from_a_page_by_doubling() {
        let mut index = Index::new();
        assert_eq!(index.bytes().len(), 0);
        assert_eq!(index.view().get(0), None);
        index.fill(340);
        assert_eq!(index.bytes().len(), 341 * 12, "the last slot is the terminator's");
        assert_eq!(index.bytes()[340 * 12..], [0, 0, 0, 7, 0, 0, 0, 7, 0, 0, 0, 0]);
        index.fill(341);
        assert_eq!(index.bytes().len(), 682 * 12);
        index.check();
        assert_eq!(index.bytes()[340 * 12..341 * 12], [0, 0, 1, 84, 0, 0, 2, 168, 0, 0, 3, 253]);
    }

    #[test]
    fn a_view_outlives_growth_replacement_and_trimming() {
        let mut index = Index::new();
        index.fill(10);
        let view = index.view();
        index.fill(1000);
        assert!(!index.file.trim(&RealFs).unwrap(), "not while a map lives");
        assert_eq!(index.bytes().len(), 1365 * 12);
        assert_eq!((view.get(9), view.get(10)), (Some(entry(9)), None));
        drop(view);
        assert!(index.file.trim(&RealFs).unwrap());
        assert_eq!(index.bytes().len(), 1000 * 12);
        index.check();
        let view = index.view();
        index.file.replace(&RealFs, &[entry(5)]).unwrap();
        assert_eq!(view.get(999), Some(entry(999)));
        assert_eq!((index.view().get(0), index.view().get(1)), (Some(entry(5)), None));
    }

    #[test]
    fn only_what_matches_its_sum_is_loaded() {
        let mut index = Index::new();
        index.fill(500);
        index.file.unmap();
        let again = IndexFile::<3>::new(index.dir.path().join("t"), Some(TERMINATOR));
        assert!(again.load(&RealFs, index.sum).unwrap());
        for wrong in [
            IndexSum { entries: 499, ..index.sum },
            IndexSum { entries: u32::MAX, ..index.sum },
            IndexSum { crc: index.sum.crc ^ 1, ..index.sum },
        ] {
            assert!(!again.load(&RealFs, wrong).unwrap());
        }
        index.file = again;
        index.check();
        index.fill(900);
        index.check();
    }

    #[test]
    fn recovery_extends_from_the_loaded_prefix() {
        let mut index = Index::new();
        index.fill(5);
        let prefix = index.sum;
        index.fill(9);
        let again = IndexFile::<3>::new(index.dir.path().join("t"), Some(TERMINATOR));
        index.file.unmap();
        assert!(again.load(&RealFs, prefix).unwrap());
        again.extend(&RealFs, &[entry(5), entry(6)]).unwrap();
        index.file = again;
        index.sum = prefix;
        index.sum.add(entry(5));
        index.sum.add(entry(6));
        index.check();
        assert_eq!(index.bytes()[7 * 12..8 * 12], [0; 12], "what was behind is gone");
    }

    #[test]
    fn without_waiting_a_closed_index_is_not_opened() {
        let mut index = Index::new();
        index.fill(5);
        assert!(index.file.view(&RealFs, IoMode::NoWait).is_ok());
        index.file.unmap();
        let kind = index.file.view(&RealFs, IoMode::NoWait).err().map(|error| error.kind());
        assert_eq!(kind, Some(io::ErrorKind::WouldBlock));
        index.check();
        index.fill(6);
        index.check();
    }

    #[test]
    fn a_file_that_has_shrunk_is_an_error_and_no_signal() {
        let mut index = Index::new();
        index.fill(500);
        index.file.unmap();
        std::fs::write(index.dir.path().join("t"), [0; 100]).unwrap();
        assert!(index.file.view(&RealFs, IoMode::Blocking).is_err());
        assert!(!index.file.load(&RealFs, index.sum).unwrap());
    }

    #[test]
    fn last_before_is_a_binary_search() {
        let mut index = Index::new();
        index.fill(300);
        for limit in [0, 1, 2, 150, 299, 300, 1000] {
            let found = index.view().last_before(|[first, ..]| first < limit);
            assert_eq!(found, limit.min(300).checked_sub(1).map(entry));
        }
    }
}
