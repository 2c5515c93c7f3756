//! The content of a disk, in memory. Copies share what they have in common, so that thousands of states of one disk fit.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

/// A disk of whole pages.
#[derive(Clone)]
pub struct Image {
    /// Without a page: zeros.
    pages: Vec<Option<Arc<Page>>>,
}

impl Image {
    /// The content of a file, whose size must be a multiple of 4 KiB.
    ///
    /// # Errors
    /// When it cannot be read, or has another size.
    pub fn from_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if bytes % PAGE_BYTES != 0 {
            return Err(io::Error::other(format!("{} has {bytes} bytes: no whole pages", path.display())));
        }
        let mut pages = Vec::with_capacity(bytes / PAGE_BYTES);
        let mut page = [0; PAGE_BYTES];
        for _ in 0..bytes / PAGE_BYTES {
            file.read_exact(&mut page)?;
            pages.push(stored(page));
        }
        Ok(Self { pages })
    }

    /// Writes it into a new, sparse file.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let file = File::create(path)?;
        file.set_len(self.bytes())?;
        for (index, page) in self.pages() {
            file.write_all_at(page, (index * PAGE_BYTES) as u64)?;
        }
        Ok(())
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        (self.pages.len() * PAGE_BYTES) as u64
    }

    /// How many bytes are not known to be zero.
    pub fn used_bytes(&self) -> u64 {
        (self.pages().count() * PAGE_BYTES) as u64
    }

    /// Reads from `position` on; less than asked for at the end of the disk.
    pub fn read(&self, position: u64, bytes: usize) -> Vec<u8> {
        let end = (position + bytes as u64).min(self.bytes());
        let mut content = Vec::with_capacity(bytes);
        let mut at = position;
        while at < end {
            let (page, from, to) = piece(at, end);
            match &self.pages[page] {
                Some(page) => content.extend_from_slice(&page[from..to]),
                None => content.resize(content.len() + to - from, 0),
            }
            at += (to - from) as u64;
        }
        content
    }

    /// Writes from `position` on.
    ///
    /// # Errors
    /// When that is not within the disk.
    pub fn write(&mut self, position: u64, mut bytes: &[u8]) -> io::Result<()> {
        let end = position + bytes.len() as u64;
        if self.bytes() < end {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut at = position;
        while at < end {
            let (page, from, to) = piece(at, end);
            let (now, rest) = bytes.split_at(to - from);
            let page = self.pages[page].get_or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            Arc::make_mut(page)[from..to].copy_from_slice(now);
            bytes = rest;
            at += now.len() as u64;
        }
        Ok(())
    }

    fn pages(&self) -> impl Iterator<Item = (usize, &[u8; PAGE_BYTES])> {
        self.pages.iter().enumerate().filter_map(|(index, page)| Some((index, &**page.as_ref()?)))
    }
}

/// The page of `at`, and what of it lies in `at..end`.
fn piece(at: u64, end: u64) -> (usize, usize, usize) {
    let page_bytes = PAGE_BYTES as u64;
    let from = at % page_bytes;
    let to = (from + end - at).min(page_bytes);
    let small = |number| usize::try_from(number).expect("a test's disk fits into memory");
    (small(at / page_bytes), small(from), small(to))
}

fn stored(page: Page) -> Option<Arc<Page>> {
    page.iter().any(|byte| *byte != 0).then(|| Arc::new(page))
}

impl fmt::Debug for Image {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Image of {} bytes, {} used", self.bytes(), self.used_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{Image, PAGE_BYTES};

    #[test]
    fn what_is_written_is_read_and_copies_are_apart() {
        let mut one = Image { pages: vec![None; 3] };
        one.write(4000, &[7; 200]).unwrap();
        let two = one.clone();
        one.write(4095, &[8; 2]).unwrap();
        assert_eq!(one.read(4094, 4), [7, 8, 8, 7]);
        assert_eq!(two.read(4094, 4), [7, 7, 7, 7]);
        assert_eq!(one.read(4198, 4), [7, 7, 0, 0]);
        assert_eq!(one.read(3 * PAGE_BYTES as u64 - 2, 10), [0, 0], "it ends where the disk ends");
        assert!(one.write(3 * PAGE_BYTES as u64 - 1, &[1, 1]).is_err());
    }

    #[test]
    fn a_file_is_loaded_and_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let mut image = Image { pages: vec![None; 4] };
        image.write(5000, &[1, 2, 3]).unwrap();
        image.save(&path).unwrap();
        let again = Image::from_file(&path).unwrap();
        assert_eq!((again.bytes(), again.used_bytes()), (4 * 4096, 4096));
        assert_eq!(again.read(4999, 5), [0, 1, 2, 3, 0]);
        std::fs::write(&path, [0; 5]).unwrap();
        assert!(Image::from_file(&path).is_err());
    }
}
