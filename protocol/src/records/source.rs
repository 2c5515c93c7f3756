//! Where a walk reads records from: a slice, or a decompressor's output.

use std::io::Read;

use super::compression::Compression;
use super::decoder::stream_error;
use super::error::{BatchError, RecordDefect};
use super::varint::{unzigzag32, unzigzag64};

/// Why a walk cannot go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// The record at hand is bad.
    Defect(RecordDefect),
    /// The stream under it is; boxed to keep results small.
    Stream(Box<BatchError>),
}

impl From<RecordDefect> for Halt {
    fn from(defect: RecordDefect) -> Self {
        Self::Defect(defect)
    }
}

impl Halt {
    /// As the error of the record with this index.
    pub(super) fn at(self, index: i32) -> BatchError {
        match self {
            Self::Defect(defect) => BatchError::Record { index, defect },
            Self::Stream(error) => *error,
        }
    }
}

/// A cursor over the records of one batch.
pub(super) trait Source {
    /// Why this source cannot go on: in memory there are only defects, one byte that travels in a register.
    type Halt: From<RecordDefect> + Into<Halt>;

    /// The next byte.
    fn byte(&mut self) -> Result<u8, Self::Halt>;
    /// Passes over bytes.
    fn skip(&mut self, bytes: u64) -> Result<(), Self::Halt>;
    /// Bytes consumed so far.
    fn position(&self) -> u64;
    /// Whether nothing is left.
    fn is_at_end(&mut self) -> Result<bool, Self::Halt>;

    /// The next zigzag varint of at most 5 bytes.
    #[inline]
    fn varint(&mut self) -> Result<i32, Self::Halt> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(unzigzag32(u32::from(first)));
        }
        let raw = rest_of_varint(self, first, 5)?;
        let raw = u32::try_from(raw).map_err(|_| RecordDefect::Varint)?;
        Ok(unzigzag32(raw))
    }

    /// The next zigzag varint of at most 10 bytes.
    #[inline]
    fn varlong(&mut self) -> Result<i64, Self::Halt> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(unzigzag64(u64::from(first)));
        }
        Ok(unzigzag64(rest_of_varint(self, first, 10)?))
    }
}

#[inline]
fn rest_of_varint<S: Source + ?Sized>(source: &mut S, first: u8, bytes_max: u32) -> Result<u64, S::Halt> {
    let mut raw = u64::from(first & 0x7f);
    for index in 1..bytes_max {
        let byte = source.byte()?;
        let shift = 7 * index;
        // The tenth byte has room for one bit.
        if shift == 63 && 1 < byte {
            break;
        }
        raw |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(raw);
        }
    }
    Err(RecordDefect::Varint.into())
}

/// Records that lie in memory.
pub(super) struct SliceSource<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> SliceSource<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    /// Bytes consumed so far, as an index into the slice.
    pub(super) fn index(&self) -> usize {
        self.length - self.rest.len()
    }
}

impl Source for SliceSource<'_> {
    type Halt = RecordDefect;

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordDefect> {
        let Some((byte, rest)) = self.rest.split_first() else {
            return Err(RecordDefect::Truncated);
        };
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    fn skip(&mut self, bytes: u64) -> Result<(), RecordDefect> {
        let rest = usize::try_from(bytes).ok().and_then(|bytes| self.rest.get(bytes..));
        self.rest = rest.ok_or(RecordDefect::Truncated)?;
        Ok(())
    }

    #[inline]
    fn position(&self) -> u64 {
        (self.length - self.rest.len()) as u64
    }

    fn is_at_end(&mut self) -> Result<bool, RecordDefect> {
        Ok(self.rest.is_empty())
    }
}

/// Records that come out of a decompressor piece by piece, up to a limit.
pub(super) struct StreamSource<R> {
    stream: R,
    compression: Compression,
    limit: usize,
    buffer: Vec<u8>,
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    /// Bytes taken from the stream in all.
    taken: usize,
}

/// Large enough to make calls of the decompressor rare, small enough for the first-level caches.
const STREAM_BUFFER_BYTES: usize = 16 * 1024;

impl<R: Read> StreamSource<R> {
    pub(super) fn new(stream: R, compression: Compression, limit: usize) -> Self {
        Self { stream, compression, limit, buffer: vec![0; STREAM_BUFFER_BYTES], start: 0, end: 0, taken: 0 }
    }

    /// Refills the empty buffer; `false` at the end of the stream.
    #[cold]
    fn refill(&mut self) -> Result<bool, Halt> {
        // One byte past the limit, to tell "at the limit" from "beyond".
        let room = (self.limit - self.taken).saturating_add(1).min(self.buffer.len());
        let read = loop {
            match self.stream.read(&mut self.buffer[..room]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let bytes =
            read.map_err(|error| Halt::Stream(Box::new(stream_error(self.compression, &error, self.limit))))?;
        if self.limit - self.taken < bytes {
            return Err(Halt::Stream(Box::new(BatchError::OutputTooLarge { limit: self.limit })));
        }
        self.taken += bytes;
        self.start = 0;
        self.end = bytes;
        Ok(bytes != 0)
    }
}

impl<R: Read> Source for StreamSource<R> {
    type Halt = Halt;

    #[inline]
    fn byte(&mut self) -> Result<u8, Halt> {
        if self.start == self.end && !self.refill()? {
            return Err(RecordDefect::Truncated.into());
        }
        let byte = self.buffer[self.start];
        self.start += 1;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, bytes: u64) -> Result<(), Halt> {
        let mut left = bytes;
        loop {
            let buffered = self.end - self.start;
            if left <= buffered as u64 {
                self.start += usize::try_from(left).expect("at most what is buffered");
                return Ok(());
            }
            left -= buffered as u64;
            self.start = self.end;
            if !self.refill()? {
                return Err(RecordDefect::Truncated.into());
            }
        }
    }

    #[inline]
    fn position(&self) -> u64 {
        (self.taken - (self.end - self.start)) as u64
    }

    fn is_at_end(&mut self) -> Result<bool, Halt> {
        Ok(self.start == self.end && !self.refill()?)
    }
}
