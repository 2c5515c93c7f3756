//! Verifies a segment of a log, byte for byte, without getting into anybody's way: small steps at the caller's pace, and the
//! page cache left as it was found.
//!
//! What cannot be read is known to all readers from then on (see [`holes`](crate::storage::holes)); no file is changed. When
//! to verify what, and whom to tell, is decided above. Pages that are in the page cache are verified there: what the disk
//! has of them is seen by a later pass, when they have left it.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::storage::batch_scan::ReadAt;
use crate::storage::error::ReadError;
use crate::storage::examine::{Examined, Extent, examine};
use crate::storage::files::{StoredFile, read_full_at};
use crate::storage::holes::Quarantined;
use crate::storage::recovery::Gap;
use crate::storage::segment::Segment;
use crate::storage::view::{Bound, LogView};

/// Most bytes that are read at once.
pub const STEP_BYTES: usize = 256 << 10;
/// Unit of the page cache, and of what a disk may fail to read.
const PAGE_BYTES: usize = 4096;
const _: () = assert!(STEP_BYTES.is_multiple_of(PAGE_BYTES) && STEP_BYTES / PAGE_BYTES <= 64);

/// How fast to read.
pub trait Pace {
    /// Called before so many bytes are read, at most [`STEP_BYTES`]; may wait. False ends the verification.
    fn step(&self, bytes: usize) -> bool;
    /// Whether pages that only this reads are to leave the page cache again.
    fn leaves_cache_as_it_was(&self) -> bool;
}

/// For a reader who waits for the result.
#[derive(Debug, Clone, Copy)]
pub struct AtOnce;

impl Pace for AtOnce {
    fn step(&self, _bytes: usize) -> bool {
        true
    }

    fn leaves_cache_as_it_was(&self) -> bool {
        false
    }
}

/// What the verification of a segment came to.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Readable batches.
    pub batches: u64,
    /// Bytes of the segment.
    pub bytes: u64,
    /// Ranges that were not known to be damaged.
    pub new: Vec<Quarantined>,
    /// What is wrong with the first range of the segment.
    pub reason: Option<String>,
    /// Ranges that were thought damaged and are not, or not to this extent.
    pub readable_again: Vec<Quarantined>,
    /// Offsets between the segment's last batch and the next segment that no file has.
    pub gap: Option<Gap>,
    /// Bytes of the file that belong to no batch of the segment.
    pub surplus_bytes: u64,
}

/// Why a segment was not verified.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// [`Pace::step`] has said so.
    #[error("stopped")]
    Stopped,
    /// The file is gone, or the system refused to read it in a way that has nothing to do with single pages.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl LogView {
    /// Verifies one of the view's segments up to `bound`. Readers know of what was found when this returns.
    ///
    /// # Errors
    /// [`ScrubError`]; then nothing has changed.
    pub fn verify(
        &self,
        segment: &Arc<Segment>,
        bound: &Bound,
        pace: &dyn Pace,
    ) -> Result<Findings, ScrubError> {
        let end_offset = self.end_offset_of(segment, bound);
        let extent = Extent { base_offset: segment.base_offset(), size: bound.end_in(segment), end_offset };
        let failed = |source| ReadError::io(segment.path(), source);
        let file = segment.reopen().map_err(failed)?;
        let file_bytes = file.size().map_err(failed)?;
        let paced = Paced { file: &*file, pace };
        // Read ahead pages would pass for ones that were there before.
        file.without_read_ahead().map_err(failed)?;
        let examined = match examine(&paced, file_bytes, extent) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(ScrubError::Stopped),
            examined => examined.map_err(failed)?,
        };
        Ok(publish(segment, extent, file_bytes, examined))
    }
}

fn publish(segment: &Arc<Segment>, extent: Extent, file_bytes: u64, examined: Examined) -> Findings {
    let Examined { holes, batches, reason, next_offset } = examined;
    let changed = segment.replace_holes(holes);
    let is_sealed = segment.is_sealed();
    let gap = (is_sealed && next_offset < extent.end_offset)
        .then_some(Gap { start: next_offset, end: extent.end_offset });
    let surplus_bytes = if is_sealed { file_bytes.saturating_sub(extent.size) } else { 0 };
    let (new, readable_again) = (changed.new, changed.gone);
    Findings { batches, bytes: extent.size, new, reason, readable_again, gap, surplus_bytes }
}

/// Reads at a pace, and past pages that the disk fails to read.
pub(super) struct Paced<'a> {
    file: &'a dyn StoredFile,
    pace: &'a dyn Pace,
}

impl<'a> Paced<'a> {
    pub(super) fn new(file: &'a dyn StoredFile, pace: &'a dyn Pace) -> Self {
        Self { file, pace }
    }

    /// Without waiting.
    pub(super) fn at_once(file: &'a dyn StoredFile) -> Self {
        Self { file, pace: &AtOnce }
    }
}

impl ReadAt for Paced<'_> {
    fn read_full(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = position + filled as u64;
            // Up to a boundary of steps, so that pages are read once.
            let into_step = usize::try_from(at % STEP_BYTES as u64).unwrap_or(0);
            let len = (STEP_BYTES - into_step).min(buffer.len() - filled);
            if !self.pace.step(len) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let read = self.read_step(&mut buffer[filled..filled + len], at)?;
            filled += read;
            if read < len {
                break;
            }
        }
        Ok(filled)
    }
}

impl Paced<'_> {
    fn read_step(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let cold =
            if self.pace.leaves_cache_as_it_was() { self.cold_pages(buffer.len(), position) } else { 0 };
        let read = match read_full_at(self.file, buffer, position) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => {
                self.read_pages(buffer, position)?
            }
            read => read?,
        };
        for page in pages(buffer.len(), position).filter(|page| cold & (1 << page.number) != 0) {
            // A hint: what stays in memory does no harm.
            let _ = self.file.forget(page.position - page.position % PAGE_BYTES as u64, PAGE_BYTES as u64);
        }
        Ok(read)
    }

    /// A bit for every page of the range that is not in the page cache.
    fn cold_pages(&self, len: usize, position: u64) -> u64 {
        let is_cold = |page: &Page| {
            let probed = self.file.read_at_nowait(&mut [0], page.position);
            probed.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        pages(len, position).filter(is_cold).fold(0, |cold, page| cold | 1 << page.number)
    }

    /// Page by page; those that the disk fails to read become zeros, which no checksum will match.
    fn read_pages(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        for page in pages(buffer.len(), position) {
            let part = &mut buffer[filled..filled + page.len];
            match read_full_at(self.file, part, page.position) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => part.fill(0),
                read => {
                    let read = read?;
                    if read < page.len {
                        return Ok(filled + read);
                    }
                }
            }
            filled += page.len;
        }
        Ok(filled)
    }
}

/// The part of a range that lies in one page.
struct Page {
    number: u32,
    position: u64,
    len: usize,
}

fn pages(len: usize, position: u64) -> impl Iterator<Item = Page> {
    let mut done = 0;
    let mut number = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = position + done as u64;
        let into_page = usize::try_from(at % PAGE_BYTES as u64).unwrap_or(0);
        let page = Page { number, position: at, len: (PAGE_BYTES - into_page).min(len - done) };
        done += page.len;
        number += 1;
        Some(page)
    })
}
