//! Frames: a four-byte length, then as many bytes. Without I/O.
//!
//! The length is what a stranger claims. It is checked against a limit and never allocated by; the caller's
//! buffer grows with what arrives.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of the length in front of a frame.
pub const PREFIX_SIZE: usize = 4;

/// Why a length is refused. The connection has no next frame to find and can only be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is negative.
    #[error("frame length {length} is negative")]
    Negative {
        /// The length as read.
        length: i32,
    },
    /// The length is over the limit.
    #[error("frame of {length} bytes is over the limit of {limit}")]
    TooLarge {
        /// The length as read.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

/// Length of the frame that `buffer` begins with, without its prefix; none while the prefix is incomplete.
///
/// # Errors
/// The length is negative or over `size_max`.
pub fn peek_size(buffer: &[u8], size_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(prefix) = buffer.first_chunk::<PREFIX_SIZE>() else { return Ok(None) };
    let signed = i32::from_be_bytes(*prefix);
    let length = usize::try_from(signed).map_err(|_| FrameError::Negative { length: signed })?;
    if size_max < length {
        return Err(FrameError::TooLarge { length, limit: size_max });
    }
    Ok(Some(length))
}

/// Takes the frame that `buffer` begins with, without its prefix; none while it is incomplete.
///
/// The frame shares the buffer's memory.
///
/// # Errors
/// The length is negative or over `size_max`.
pub fn take(buffer: &mut BytesMut, size_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = peek_size(buffer, size_max)? else { return Ok(None) };
    if buffer.len() - PREFIX_SIZE < length {
        return Ok(None);
    }
    buffer.advance(PREFIX_SIZE);
    Ok(Some(buffer.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_arrive() {
        let mut buffer = BytesMut::new();
        let mut frames = Vec::new();
        for byte in *b"\0\0\0\x02hi\0\0\0\0\0\0\0\x01!\0\0" {
            buffer.extend([byte]);
            frames.extend(take(&mut buffer, 2).unwrap());
        }
        assert_eq!(frames, [&b"hi"[..], b"", b"!"]);
        assert_eq!(buffer, &b"\0\0"[..]);
    }

    #[test]
    fn the_limit_is_the_largest_frame() {
        let mut fits = BytesMut::from(&b"\0\0\0\x03abc"[..]);
        assert_eq!(take(&mut fits, 3), Ok(Some(Bytes::from_static(b"abc"))));
        let mut too_large = BytesMut::from(&b"\0\0\0\x04"[..]);
        assert_eq!(take(&mut too_large, 3), Err(FrameError::TooLarge { length: 4, limit: 3 }));
    }

    #[test]
    fn negative_lengths_are_errors() {
        assert_eq!(peek_size(&[0xff; 4], usize::MAX), Err(FrameError::Negative { length: -1 }));
        assert_eq!(peek_size(&[0x80, 0, 0, 0], usize::MAX), Err(FrameError::Negative { length: i32::MIN }));
    }

    /// What other protocols say first on a connection is no frame that a broker would wait for.
    #[test]
    fn other_protocols_are_refused() {
        for greeting in [&b"GET / HTTP/1.1"[..], b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-OpenSSH"] {
            let mut buffer = BytesMut::from(greeting);
            assert!(matches!(take(&mut buffer, 100 << 20), Err(FrameError::TooLarge { .. })), "{greeting:?}");
        }
    }
}
