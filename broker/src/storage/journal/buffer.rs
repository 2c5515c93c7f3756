//! Memory that a direct write takes: its start is a multiple of 4096, and so is the length that is used of it.

use crate::storage::journal::block::ALIGNMENT;

/// A buffer of fixed size. Only what was used of it has ever been touched, so only that costs memory.
#[derive(Debug)]
pub struct AlignedBuffer {
    memory: Box<[u8]>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// A buffer for at most `capacity` bytes, a multiple of the alignment.
    pub fn new(capacity: usize) -> Self {
        let memory = vec![0; capacity + ALIGNMENT].into_boxed_slice();
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, start, len: 0 }
    }

    /// Bytes that fit.
    pub fn capacity(&self) -> usize {
        self.memory.len() - ALIGNMENT
    }

    /// Makes `len` bytes of it the content, as they were left. None if it is smaller than that.
    pub fn take(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.capacity() < len {
            return None;
        }
        self.len = len;
        self.memory.get_mut(self.start..self.start + len)
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        self.memory.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_aligned_and_bounded() {
        let mut buffer = AlignedBuffer::new(8192);
        assert!(buffer.take(8193).is_none());
        buffer.take(8192).unwrap().fill(1);
        assert_eq!(buffer.bytes(), [1; 8192]);
        assert_eq!(buffer.bytes().as_ptr().addr() % ALIGNMENT, 0);
    }
}
