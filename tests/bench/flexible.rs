//! The flexible form of requests and answers (KIP-482), as far as the bench speaks it: the newer APIs have no other.

use std::io;

/// A request frame with header version 2.
pub struct FlexibleWriter {
    bytes: Vec<u8>,
}

impl FlexibleWriter {
    pub fn request(api_key: i16, api_version: i16) -> Self {
        const CLIENT: &[u8] = b"sendlog-bench";
        let mut frame = Self { bytes: vec![0; 4] };
        frame.raw(&api_key.to_be_bytes());
        frame.raw(&api_version.to_be_bytes());
        frame.i32(0);
        // The client's id alone keeps its old form.
        let length = i16::try_from(CLIENT.len()).expect("a short name");
        frame.raw(&length.to_be_bytes());
        frame.raw(CLIENT);
        frame.no_tags();
        frame
    }

    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// The length of an array that is not null.
    pub fn count(&mut self, value: usize) {
        self.varint(value + 1);
    }

    pub fn string(&mut self, value: &str) {
        self.count(value.len());
        self.raw(value.as_bytes());
    }

    /// Null instead of a string or an array.
    pub fn null(&mut self) {
        self.varint(0);
    }

    pub fn no_tags(&mut self) {
        self.varint(0);
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut value: usize) {
        while 0x80 <= value {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// The frame with its length in front.
    pub fn finish(mut self) -> Vec<u8> {
        let length = i32::try_from(self.bytes.len() - 4).expect("the bench builds no frame beyond i32");
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }
}

/// Reads an answer front to back.
pub struct FlexibleReader<'a> {
    rest: &'a [u8],
}

impl<'a> FlexibleReader<'a> {
    /// `frame` starts after the 4-byte length; the header, of version 1, is read over.
    pub fn new(frame: &'a [u8]) -> io::Result<Self> {
        let mut this = Self { rest: frame };
        this.i32()?;
        this.skip_tags()?;
        Ok(this)
    }

    fn take(&mut self, len: usize) -> io::Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(len) else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "answer shorter than its fields"));
        };
        self.rest = tail;
        Ok(head)
    }

    pub fn raw<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take returned N bytes"))
    }

    pub fn i8(&mut self) -> io::Result<i8> {
        Ok(i8::from_be_bytes(self.raw()?))
    }

    pub fn i16(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(self.raw()?))
    }

    pub fn i32(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.raw()?))
    }

    /// An array's count; null counts as empty.
    pub fn count(&mut self) -> io::Result<usize> {
        Ok(self.varint()?.saturating_sub(1))
    }

    /// A string; null reads as empty.
    pub fn string(&mut self) -> io::Result<&'a str> {
        let len = self.count()?;
        std::str::from_utf8(self.take(len)?).map_err(io::Error::other)
    }

    pub fn skip_tags(&mut self) -> io::Result<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let len = self.varint()?;
            self.take(len)?;
        }
        Ok(())
    }

    fn varint(&mut self) -> io::Result<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.raw()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(io::Error::other("a length of more than five bytes"))
    }
}
