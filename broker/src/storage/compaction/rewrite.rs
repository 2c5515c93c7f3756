//! The second pass of a compaction: writes the segments of a group anew, into one file beside them.
//!
//! Nothing that exists is changed here. What is written is synced in steps, so that appends do not wait behind it all at once. A
//! segment in which nothing goes is not written at all.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendlog_protocol::records::BatchHeader;

use super::CompactionError;
use super::batch_rule::{Fate, Judge, Standing};
use super::grouping::Group;
use super::key_pass::{corrupt, stopped_or};
use crate::storage::batch_scan::{BatchScan, Scanned};
use crate::storage::error::{ReadError, StorageError};
use crate::storage::file_names::CLEANED;
use crate::storage::files::{IoMode, StoredFile, read_full_at, write_all_at};
use crate::storage::scrub::{Pace, Paced};
use crate::storage::segment::Segment;
use crate::storage::summary::{NewEntries, SegmentSummary};

/// Bytes written at a time.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes after which what was written is synced.
const SYNC_BYTES: u64 = 8 << 20;

/// Creates a file.
pub type Create<'a> = dyn Fn(&Path) -> Result<Arc<dyn StoredFile>, CompactionError> + 'a;

/// How a group is written anew.
pub struct Rewriting<'a> {
    /// The group.
    pub group: &'a Group,
    /// How fast.
    pub pace: &'a dyn Pace,
    /// Creates the file, if the log still exists.
    pub create: &'a Create<'a>,
}

/// A segment that is written, durable, and in nobody's place yet.
#[derive(Debug)]
pub struct Cleaned {
    /// Its file.
    pub(super) path: PathBuf,
    pub(super) summary: SegmentSummary,
    pub(super) entries: NewEntries,
}

impl Cleaned {
    /// Bytes of it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.summary.size
    }
}

/// Where the new segment of a group is written, until it has its place.
#[must_use]
pub fn cleaned_path(group: &Group) -> Option<PathBuf> {
    group.segments.first().map(|first| first.path().with_added_extension(CLEANED))
}

impl Rewriting<'_> {
    /// Writes the new segment; none if there is nothing to change. What a failure leaves is the caller's to remove.
    ///
    /// # Errors
    /// [`CompactionError`].
    pub fn run(&self, judge: &mut Judge<'_>) -> Result<Option<Cleaned>, CompactionError> {
        let (Some(first), Some(path)) = (self.group.segments.first(), cleaned_path(self.group)) else {
            return Ok(None);
        };
        let last = self.group.segments.iter().rposition(|segment| 0 < segment.size());
        let created_ms = first.summary()?.created_ms;
        let mut output = Output {
            rewriting: self,
            first,
            path,
            file: None,
            unchanged: 0,
            buffer: Vec::new(),
            written: 0,
            unsynced: 0,
            summary: SegmentSummary::new(first.base_offset(), created_ms),
            entries: NewEntries::default(),
        };
        for (at, segment) in self.group.segments.iter().enumerate() {
            if 0 < at {
                output.begin()?;
            }
            self.rewrite_segment(segment, last == Some(at), judge, &mut output)?;
        }
        output.finish()
    }

    fn rewrite_segment(
        &self,
        segment: &Arc<Segment>,
        is_last_segment: bool,
        judge: &mut Judge<'_>,
        output: &mut Output<'_>,
    ) -> Result<(), CompactionError> {
        let failed = |source| ReadError::io(segment.path(), source);
        let file = segment.file(IoMode::Blocking).map_err(failed)?;
        let paced = Paced::new(&*file, self.pace);
        let mut scan = BatchScan::new(&paced, 0, segment.size());
        let mut next_offset = segment.base_offset();
        loop {
            let position = scan.position();
            let header = match scan.next().map_err(|error| stopped_or(error, segment))? {
                Scanned::End => return Ok(()),
                Scanned::Bad(reason) => return Err(corrupt(segment, position, reason).into()),
                Scanned::Batch(header) => header,
            };
            if header.base_offset < next_offset || self.group.end_offset < header.next_offset() {
                let reason = format!("offset {} where {next_offset} was to come", header.base_offset);
                return Err(corrupt(segment, position, reason).into());
            }
            next_offset = header.next_offset();
            let standing = Standing {
                is_last: is_last_segment && scan.position() == segment.size(),
                is_behind_damage: self.group.is_behind_damage,
            };
            let batch = scan.batch(&header);
            match judge.judge(&header, batch, standing) {
                Fate::Stays => output.keep(&header, batch)?,
                Fate::Becomes(batch) => output.change(&batch)?,
                Fate::Goes => output.begin()?,
            }
        }
    }
}

/// The new segment. There is no file while it is a beginning of the first old one.
struct Output<'a> {
    rewriting: &'a Rewriting<'a>,
    first: &'a Arc<Segment>,
    path: PathBuf,
    file: Option<Arc<dyn StoredFile>>,
    /// So many bytes of the first segment are the same.
    unchanged: u64,
    buffer: Vec<u8>,
    written: u64,
    unsynced: u64,
    summary: SegmentSummary,
    entries: NewEntries,
}

impl Output<'_> {
    fn keep(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), CompactionError> {
        self.count(header);
        match self.file {
            None => self.unchanged += batch.len() as u64,
            Some(_) => self.push(batch)?,
        }
        Ok(())
    }

    fn change(&mut self, batch: &[u8]) -> Result<(), CompactionError> {
        self.begin()?;
        let header = BatchHeader::read(batch).expect("what compaction writes is a batch");
        self.count(&header);
        self.push(batch)
    }

    fn count(&mut self, header: &BatchHeader) {
        self.summary.add(header, self.first.index_interval_bytes(), &mut self.entries);
    }

    /// From here on it differs from the first segment.
    fn begin(&mut self) -> Result<(), CompactionError> {
        if self.file.is_some() {
            return Ok(());
        }
        self.file = Some((self.rewriting.create)(&self.path)?);
        let failed = |source| ReadError::io(self.first.path(), source);
        let source = self.first.file(IoMode::Blocking).map_err(failed)?;
        let mut copied = 0;
        while copied < self.unchanged {
            let len = usize::try_from(self.unchanged - copied).unwrap_or(usize::MAX).min(WRITE_BYTES);
            let mut part = vec![0; len];
            if read_full_at(&*source, &mut part, copied).map_err(failed)? < len {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()).into());
            }
            self.push(&part)?;
            copied += len as u64;
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), CompactionError> {
        self.buffer.extend_from_slice(bytes);
        if WRITE_BYTES <= self.buffer.len() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), CompactionError> {
        let Some(file) = &self.file else { return Ok(()) };
        if !self.rewriting.pace.step(self.buffer.len()) {
            return Err(CompactionError::Stopped);
        }
        write_all_at(&**file, &mut [IoSlice::new(&self.buffer)], self.written)
            .map_err(|source| CompactionError::write(StorageError::io(&self.path, "write", source)))?;
        self.written += self.buffer.len() as u64;
        self.unsynced += self.buffer.len() as u64;
        self.buffer.clear();
        if SYNC_BYTES <= self.unsynced {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), CompactionError> {
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_data().map_err(|source| {
            // Whatever it says: it is unknown what the disk has.
            CompactionError::Failed(StorageError::Io { path: self.path.clone(), op: "sync", source })
        })?;
        self.unsynced = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Option<Cleaned>, CompactionError> {
        if self.file.is_none() {
            return Ok(None);
        }
        self.flush()?;
        self.sync()?;
        self.summary.close(&mut self.entries);
        assert!(self.summary.size == self.written, "what was counted was written");
        Ok(Some(Cleaned { path: self.path, summary: self.summary, entries: self.entries }))
    }
}
