//! One index of a segment, read entry by entry in step with the walk through the log.
//!
//! An index is believed if the number and the checksum of its entries are known, so these are compared; and every entry must say
//! what the log says: an offset entry the last offset of the batch at its position, a time entry the largest timestamp up to
//! the batch with its offset. Where the log itself is damaged, nothing is known.

use std::io;
use std::sync::Arc;

use sendlog_protocol::records::BatchHeader;

use crate::storage::files::{StoredFile, read_full_at};
use crate::storage::{offset_index, time_index};

use super::batch_reader::Located;

/// Bytes read at a time; a multiple of both entry sizes.
const CHUNK_BYTES: u64 = 48 * 1024;
const _: () = assert!(CHUNK_BYTES.is_multiple_of(offset_index::ENTRY_BYTES));
const _: () = assert!(CHUNK_BYTES.is_multiple_of(time_index::ENTRY_BYTES));

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexType {
    Offset,
    Time,
}

impl IndexType {
    fn entry_bytes(self) -> u64 {
        match self {
            Self::Offset => offset_index::ENTRY_BYTES,
            Self::Time => time_index::ENTRY_BYTES,
        }
    }
}

/// Number and checksum of the entries, as the seal or the checkpoint has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownSum {
    pub(super) entries: u32,
    pub(super) crc: u32,
}

/// What is wrong with an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexFault {
    /// Where in the index file.
    pub(super) position: u64,
    /// The offset that the entry is for.
    pub(super) offset: Option<i64>,
    pub(super) reason: String,
}

/// An entry as it is stored, its offset made absolute.
#[derive(Debug, Clone, Copy)]
struct IndexEntry {
    offset: i64,
    /// Position or timestamp.
    value: i64,
}

/// See the module.
pub(super) struct IndexCursor {
    index: IndexType,
    base_offset: i64,
    file: Option<Arc<dyn StoredFile>>,
    known: KnownSum,
    /// Entries that there are, of those that should be there.
    count: u64,
    /// The next one to be read.
    next: u64,
    chunk: Vec<u8>,
    current: Option<IndexEntry>,
    last: Option<IndexEntry>,
    crc: crc32fast::Hasher,
    fault: Option<IndexFault>,
    /// The log has damage before this place, so what timestamps went before is not known.
    is_vague: bool,
}

impl IndexCursor {
    /// `file` and its `bytes`; none if it is not there.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn new(
        index: IndexType,
        base_offset: i64,
        known: KnownSum,
        file: Option<(Arc<dyn StoredFile>, u64)>,
    ) -> io::Result<Self> {
        let bytes = file.as_ref().map_or(0, |(_, bytes)| *bytes);
        let mut cursor = Self {
            index,
            base_offset,
            file: file.map(|(file, _)| file),
            known,
            count: (bytes / index.entry_bytes()).min(known.entries.into()),
            next: 0,
            chunk: Vec::new(),
            current: None,
            last: None,
            crc: crc32fast::Hasher::new(),
            fault: None,
            is_vague: false,
        };
        cursor.advance()?;
        Ok(cursor)
    }

    /// Compares the entries that belong to a batch; `max_timestamp` is the largest up to and including it.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn visit(&mut self, batch: &Located, max_timestamp: i64) -> io::Result<()> {
        while let Some(entry) = self.current {
            let place = match self.index {
                IndexType::Offset => entry.value.cmp(&i64::try_from(batch.position).unwrap_or(i64::MAX)),
                IndexType::Time => entry.offset.cmp(&batch.header.last_offset()),
            };
            match place {
                std::cmp::Ordering::Greater => return Ok(()),
                std::cmp::Ordering::Less => self.blame(entry, self.points_nowhere(entry)),
                std::cmp::Ordering::Equal => self.compare(entry, &batch.header, max_timestamp),
            }
            self.advance()?;
        }
        Ok(())
    }

    fn compare(&mut self, entry: IndexEntry, header: &BatchHeader, max_timestamp: i64) {
        let last_offset = header.last_offset();
        match self.index {
            IndexType::Offset if entry.offset != last_offset => self.blame(
                entry,
                format!(
                    "it says offset {} at position {}, the batch there ends at offset {last_offset}",
                    entry.offset, entry.value
                ),
            ),
            IndexType::Time
                if entry.value != header.max_timestamp || entry.value != max_timestamp && !self.is_vague =>
            {
                self.blame(
                    entry,
                    format!(
                        "it says timestamp {} for offset {last_offset}, the batch has {}, the largest up to it is {max_timestamp}",
                        entry.value, header.max_timestamp
                    ),
                );
            }
            _ => {}
        }
    }

    /// Passes over entries into a part of the log that is damaged.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn pass_damage(&mut self, end: u64, next_offset: i64) -> io::Result<()> {
        self.is_vague = true;
        while let Some(entry) = self.current {
            let is_inside = match self.index {
                IndexType::Offset => entry.value < i64::try_from(end).unwrap_or(i64::MAX),
                IndexType::Time => entry.offset < next_offset,
            };
            if !is_inside {
                break;
            }
            self.advance()?;
        }
        Ok(())
    }

    /// What is wrong, when all batches were visited.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn finish(mut self) -> io::Result<Option<IndexFault>> {
        while let Some(entry) = self.current {
            if !self.is_vague {
                self.blame(entry, self.points_nowhere(entry));
            }
            self.advance()?;
        }
        let KnownSum { entries, crc } = self.known;
        if self.fault.is_none() && self.count < entries.into() {
            let reason = match self.file {
                Some(_) => format!("it has {} entries of {entries}", self.count),
                None => format!("it is not there, and should have {entries} entries"),
            };
            let position = self.count * self.index.entry_bytes();
            self.fault = Some(IndexFault { position, offset: None, reason });
        }
        if self.fault.is_none() && self.crc.finalize() != crc {
            let reason = "its entries fit the log, but not their checksum".to_owned();
            self.fault = Some(IndexFault { position: 0, offset: None, reason });
        }
        Ok(self.fault)
    }

    fn points_nowhere(&self, entry: IndexEntry) -> String {
        match self.index {
            IndexType::Offset => format!(
                "it says offset {} at position {}, and no batch starts there",
                entry.offset, entry.value
            ),
            IndexType::Time => format!(
                "it says timestamp {} for offset {}, and no batch ends with that",
                entry.value, entry.offset
            ),
        }
    }

    /// The first fault is the one that is told.
    fn blame(&mut self, entry: IndexEntry, reason: String) {
        if self.fault.is_none() {
            let position = (self.next - 1) * self.index.entry_bytes();
            self.fault = Some(IndexFault { position, offset: Some(entry.offset), reason });
        }
    }

    /// Reads the next entry; entries that do not rise are passed over.
    fn advance(&mut self) -> io::Result<()> {
        loop {
            let Some(entry) = self.read()? else {
                self.current = None;
                return Ok(());
            };
            self.next += 1;
            let rises = self.last.is_none_or(|last| last.offset < entry.offset && last.value < entry.value);
            if rises {
                self.last = Some(entry);
                self.current = Some(entry);
                return Ok(());
            }
            self.blame(entry, "its entries do not rise".to_owned());
        }
    }

    fn read(&mut self) -> io::Result<Option<IndexEntry>> {
        let Some(file) = self.file.as_ref().filter(|_| self.next < self.count) else { return Ok(None) };
        let size = self.index.entry_bytes();
        let at = self.next * size % CHUNK_BYTES;
        if at == 0 {
            let position = self.next * size;
            let len = usize::try_from((self.count * size - position).min(CHUNK_BYTES)).unwrap_or(0);
            self.chunk.resize(len, 0);
            if read_full_at(&**file, &mut self.chunk, position)? < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.crc.update(&self.chunk);
        }
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let word = |word: usize| {
            let bytes = self.chunk.get(at + 4 * word..).and_then(|rest| rest.first_chunk::<4>());
            bytes.map(|bytes| u32::from_be_bytes(*bytes))
        };
        let read = || {
            Some(match self.index {
                IndexType::Offset => IndexEntry {
                    offset: self.base_offset.saturating_add(word(0)?.into()),
                    value: word(1)?.into(),
                },
                IndexType::Time => IndexEntry {
                    offset: self.base_offset.saturating_add(word(2)?.into()),
                    value: i64::from(word(0)?.cast_signed()) << 32 | i64::from(word(1)?),
                },
            })
        };
        Ok(read())
    }
}
