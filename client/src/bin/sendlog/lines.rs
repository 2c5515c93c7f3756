//! Lines as records, byte for byte.
//!
//! A record is a line without its newline. Only `\n` ends a line, so carriage returns stay. What follows the last newline, if
//! anything, is a record with the header [`NO_NEWLINE`].

use std::io::{self, BufRead, Write};

use sendlog_client::Record;

/// The header of a record that no newline followed; its value is empty.
pub(crate) const NO_NEWLINE: &str = "sendlog.no-newline";

/// A line of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Without the newline.
    pub(crate) text: &'a [u8],
    /// Whether there was one.
    pub(crate) has_newline: bool,
}

/// Reads lines into a buffer of its own.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new() }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        if self.input.read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        Ok(Some(match self.buffer.split_last() {
            Some((b'\n', text)) => Line { text, has_newline: true },
            _ => Line { text: &self.buffer, has_newline: false },
        }))
    }
}

/// Whether a record stands for a line that ended in a newline.
pub(crate) fn has_newline(record: &Record) -> bool {
    record.headers.iter().all(|header| header.key != NO_NEWLINE.as_bytes())
}

/// Writes a record as the line it was.
pub(crate) fn write_record(out: &mut impl Write, record: &Record) -> io::Result<()> {
    out.write_all(record.value.as_deref().unwrap_or_default())?;
    if has_newline(record) {
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sendlog_client::RecordHeader;

    use super::*;

    /// There and back.
    fn round_trip(input: &[u8]) -> (usize, Vec<u8>) {
        let mut lines = Lines::new(io::BufReader::with_capacity(3, input));
        let (mut out, mut records) = (Vec::new(), 0);
        while let Some(line) = lines.next_line().unwrap() {
            let header = RecordHeader { key: NO_NEWLINE.into(), value: Some(bytes::Bytes::new()) };
            let record = Record {
                offset: 0,
                timestamp: 0,
                key: None,
                value: Some(bytes::Bytes::copy_from_slice(line.text)),
                headers: if line.has_newline { Vec::new() } else { vec![header] },
            };
            write_record(&mut out, &record).unwrap();
            records += 1;
        }
        (records, out)
    }

    #[test]
    fn every_byte_comes_back() {
        let cases: [(&[u8], usize); 9] = [
            (b"", 0),
            (b"\n", 1),
            (b"a", 1),
            (b"a\n", 1),
            (b"a\n\n", 2),
            (b"a\r\nb\rc\r\n\r\n", 3),
            (b"\n\n\nx", 4),
            (b"\x00\xff\xfe\n\x80", 2),
            (b"long line that does not fit the buffer\nand another", 2),
        ];
        for (input, records) in cases {
            assert_eq!(round_trip(input), (records, input.to_vec()), "{input:?}");
        }
    }
}
