//! The few pieces of Kafka's encoding that prebuilt frames need. It deliberately does not use sendlog's own codec: a bench
//! that shares code with what it measures shares its mistakes, and here only the non-flexible versions are spoken.

use std::io;

/// A request frame being built: 4-byte length, request header, body.
pub struct FrameWriter {
    bytes: Vec<u8>,
}

/// Where the correlation id stands in every request frame: length (4), API key (2), version (2).
pub const CORRELATION_AT: usize = 8;

impl FrameWriter {
    /// Starts a frame with a version 1 request header.
    pub fn request(api_key: i16, api_version: i16) -> Self {
        let mut frame = Self { bytes: Vec::new() };
        frame.i32(0);
        frame.i16(api_key);
        frame.i16(api_version);
        frame.i32(0);
        frame.string("sendlog-bench");
        frame
    }

    pub fn i8(&mut self, value: i8) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// An array's length or a byte string's length.
    pub fn count(&mut self, value: usize) {
        self.i32(i32::try_from(value).expect("the bench builds no array beyond i32"));
    }

    pub fn string(&mut self, value: &str) {
        self.i16(i16::try_from(value.len()).expect("the bench builds short strings"));
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// The frame with its length in front.
    pub fn finish(mut self) -> Vec<u8> {
        let length = i32::try_from(self.bytes.len() - 4).expect("the bench builds no frame beyond i32");
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }
}

/// Puts the correlation id into a finished frame.
pub fn patch_correlation(frame: &mut [u8], correlation_id: i32) {
    frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation_id.to_be_bytes());
}

/// Reads an answer front to back. Answers come from the measured broker, so a short one is an error, not a panic.
pub struct FrameReader<'a> {
    rest: &'a [u8],
}

impl<'a> FrameReader<'a> {
    /// `frame` starts after the 4-byte length.
    pub fn new(frame: &'a [u8]) -> Self {
        Self { rest: frame }
    }

    fn take(&mut self, len: usize) -> io::Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(len) else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "answer shorter than its fields"));
        };
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take returned N bytes"))
    }

    pub fn i16(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> io::Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// An array's count; null counts as empty.
    pub fn count(&mut self) -> io::Result<usize> {
        Ok(usize::try_from(self.i32()?).unwrap_or(0))
    }

    /// A byte string; null reads as empty.
    pub fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let len = self.count()?;
        self.take(len)
    }

    /// A string; null reads as empty.
    pub fn string(&mut self) -> io::Result<&'a str> {
        let len = usize::try_from(self.i16()?).unwrap_or(0);
        std::str::from_utf8(self.take(len)?).map_err(io::Error::other)
    }
}

/// An answer that carries an error code where the bench needs success.
pub fn check(error_code: i16, what: &str) -> io::Result<()> {
    if error_code == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("{what} was answered with Kafka error code {error_code}")))
}
