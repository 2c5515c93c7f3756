//! Checks stored batches one after another, checksums included: what recovery does with what it must not believe.

use std::io;

use sendlog_protocol::records::{BATCH_HEADER_SIZE, BatchHeader, check_stored};

use crate::storage::files::{StoredFile, read_full_at};

/// Where a scan gets its bytes from: a file, or a file at a limited rate.
pub(crate) trait ReadAt {
    /// Reads until `buffer` is full or the file ends; returns how many bytes.
    fn read_full(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
}

impl ReadAt for dyn StoredFile {
    fn read_full(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        read_full_at(self, buffer, position)
    }
}

/// Bytes read at a time; more for a larger batch.
const WINDOW_BYTES: usize = 1 << 20;

/// What was found next.
#[derive(Debug)]
pub(super) enum Scanned {
    /// A whole batch with a right checksum.
    Batch(BatchHeader),
    /// Nothing is left.
    End,
    /// Something else, from here on.
    Bad(String),
}

/// A valid batch behind damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundBatch {
    /// Where it starts in the file.
    pub(crate) position: u64,
    /// Offset of its first record.
    pub(crate) base_offset: i64,
}

/// Goes through a file from a batch boundary on.
pub(crate) struct BatchScan<'a, R: ReadAt + ?Sized = dyn StoredFile + 'a> {
    file: &'a R,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_position: u64,
}

impl<'a, R: ReadAt + ?Sized> BatchScan<'a, R> {
    pub(crate) fn new(file: &'a R, position: u64, end: u64) -> Self {
        Self { file, position, end, window: Vec::new(), window_position: position }
    }

    /// The next batch. After [`Scanned::Bad`] the answer stays the same.
    pub(super) fn next(&mut self) -> io::Result<Scanned> {
        if self.end <= self.position {
            return Ok(Scanned::End);
        }
        self.load(BATCH_HEADER_SIZE)?;
        let header = match BatchHeader::read(self.bytes()) {
            Ok(header) => header,
            Err(error) => return Ok(Scanned::Bad(error.to_string())),
        };
        if self.end - self.position < header.size() as u64 {
            return Ok(Scanned::Bad(format!("the batch of {} bytes is not all there", header.size())));
        }
        self.load(header.size())?;
        match check_stored(self.bytes()) {
            Ok(header) => {
                self.position += header.size() as u64;
                Ok(Scanned::Batch(header))
            }
            Err(error) => Ok(Scanned::Bad(error.to_string())),
        }
    }

    /// The bytes of the batch that [`BatchScan::next`] has just returned.
    pub(super) fn batch(&self, header: &BatchHeader) -> &[u8] {
        let start = self.position.saturating_sub(header.size() as u64);
        let at = usize::try_from(start.saturating_sub(self.window_position)).unwrap_or(usize::MAX);
        self.window.get(at..at.saturating_add(header.size())).unwrap_or_default()
    }

    /// Where the next batch starts.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Where the scan ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Goes on further behind.
    pub(super) fn skip_to(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// Where a valid batch of an offset from `offset` on starts, behind the position. First where the bad one says that it
    /// ends, for its records may hold whole batches of their own; then byte by byte.
    pub(crate) fn find_valid_behind(&mut self, offset: i64) -> io::Result<Option<FoundBatch>> {
        if let Some(found) = self.find_by_length(offset)? {
            return Ok(Some(found));
        }
        while self.position + (BATCH_HEADER_SIZE as u64) < self.end {
            self.position += 1;
            if let Some(found) = self.valid_here(offset)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The batch behind the bad one, if the header of that one is right about where it is and which offset it has: a damaged
    /// length that happens to end between two batches would hide good ones.
    fn find_by_length(&mut self, offset: i64) -> io::Result<Option<FoundBatch>> {
        let start = self.position;
        self.load(BATCH_HEADER_SIZE)?;
        let Ok(header) = BatchHeader::read(self.bytes()) else { return Ok(None) };
        let end = start.saturating_add(header.size() as u64);
        if header.last_offset_delta < 0 || self.end <= end {
            return Ok(None);
        }
        self.position = end;
        let next = self.valid_here(offset)?;
        self.position = start;
        let next = next.filter(|next| next.base_offset == header.next_offset());
        if let Some(next) = next {
            self.position = next.position;
        }
        Ok(next)
    }

    /// The batch at the position, if it is valid and of a plausible offset.
    fn valid_here(&mut self, offset: i64) -> io::Result<Option<FoundBatch>> {
        const OFFSETS_AHEAD: i64 = 1 << 32;
        self.load(BATCH_HEADER_SIZE)?;
        let Ok(header) = BatchHeader::read(self.bytes()) else { return Ok(None) };
        let is_plausible = (offset..offset.saturating_add(OFFSETS_AHEAD)).contains(&header.base_offset)
            && header.size() as u64 <= self.end - self.position;
        if !is_plausible {
            return Ok(None);
        }
        self.load(header.size())?;
        let is_valid = check_stored(self.bytes()).is_ok();
        Ok(is_valid.then_some(FoundBatch { position: self.position, base_offset: header.base_offset }))
    }

    /// Makes the window hold `len` bytes from the position on, or all that is left.
    fn load(&mut self, len: usize) -> io::Result<()> {
        let rest = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let is_behind = self.position < self.window_position;
        if !is_behind && len.min(rest) <= self.bytes().len() {
            return Ok(());
        }
        self.window.resize(len.max(WINDOW_BYTES).min(rest), 0);
        let read = self.file.read_full(&mut self.window, self.position)?;
        self.window.truncate(read);
        self.window_position = self.position;
        if read < len.min(rest) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        let at = usize::try_from(self.position.saturating_sub(self.window_position)).unwrap_or(usize::MAX);
        self.window.get(at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sendlog_protocol::records::Compression;

    use super::*;
    use crate::storage::files::{FileSystem, OpenMode, RealFs};
    use crate::storage::testing::batch;

    fn file(bytes: &[u8]) -> Arc<dyn StoredFile> {
        let named = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(named.path(), bytes).unwrap();
        RealFs.open(named.path(), OpenMode::Read).unwrap()
    }

    #[test]
    fn batches_larger_than_the_window_are_checked() {
        let large = batch(0, &[1], WINDOW_BYTES + 100, Compression::None).bytes;
        let small = batch(1, &[1], 10, Compression::None).bytes;
        let bytes = [&small[..], &large, &small, &large].concat();
        let file = file(&bytes);
        let mut scan = BatchScan::new(&*file, 0, bytes.len() as u64);
        for size in [small.len(), large.len(), small.len(), large.len()] {
            let Scanned::Batch(header) = scan.next().unwrap() else { panic!("no batch of {size}") };
            assert_eq!(header.size(), size);
        }
        assert!(matches!(scan.next().unwrap(), Scanned::End));
    }

    #[test]
    fn a_length_field_beyond_the_end_costs_no_memory() {
        let mut bytes = batch(0, &[1], 10, Compression::None).bytes.to_vec();
        bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        let file = file(&bytes);
        let mut scan = BatchScan::new(&*file, 0, bytes.len() as u64);
        assert!(matches!(scan.next().unwrap(), Scanned::Bad(_)));
        assert!(scan.window.capacity() < 1000);
    }

    #[test]
    fn a_valid_batch_behind_damage_is_found_at_any_distance() {
        let good = batch(7, &[1], 40, Compression::None).bytes;
        for distance in [1, 60, 61, 1000, WINDOW_BYTES - 30, WINDOW_BYTES + 5] {
            let bytes = [&vec![0; distance][..], &good].concat();
            let file = file(&bytes);
            let find = |offset| {
                let found = BatchScan::new(&*file, 0, bytes.len() as u64).find_valid_behind(offset).unwrap();
                found.map(|found| found.position)
            };
            assert_eq!(find(7), Some(distance as u64));
            assert_eq!(find(0), Some(distance as u64));
            assert_eq!(find(8), None, "an older one is no successor");
        }
    }
}
