//! The header of a journal file: whose it is, and the key that its blocks carry. No I/O.
//!
//! The key is random and never leaves the file. Record bytes come from clients and lie in the journal as they are: without the
//! key, bytes that look like a block, left over inside an old one, cannot pass for one.
//!
//! It is there twice, in a page each, for without it nothing in the file can be believed.

use uuid::Uuid;

use crate::storage::journal::block::ALIGNMENT;

/// Bytes of both copies; blocks come behind them.
pub const HEADER_BYTES: usize = 2 * ALIGNMENT;

const MAGIC: [u8; 4] = *b"SLJH";
const VERSION: u32 = 1;
const CRC_AT: usize = 40;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// Id of the data directory.
    pub directory: Uuid,
    /// What every block of the file begins with.
    pub key: Uuid,
}

impl FileHeader {
    /// Writes both copies into the beginning of a page-aligned buffer.
    pub fn encode(&self, pages: &mut [u8]) {
        pages.fill(0);
        for page in pages.chunks_exact_mut(ALIGNMENT) {
            page[..4].copy_from_slice(&MAGIC);
            page[4..8].copy_from_slice(&VERSION.to_le_bytes());
            page[8..24].copy_from_slice(self.directory.as_bytes());
            page[24..40].copy_from_slice(self.key.as_bytes());
            let crc = crc32fast::hash(&page[..CRC_AT]);
            page[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        }
    }

    /// The first copy that is whole.
    pub fn decode(pages: &[u8]) -> Option<Self> {
        pages.chunks_exact(ALIGNMENT).find_map(Self::decode_page)
    }

    fn decode_page(page: &[u8]) -> Option<Self> {
        let field = |at: usize| page.get(at..at + 16)?.try_into().ok().map(Uuid::from_bytes);
        let crc = page.get(CRC_AT..CRC_AT + 4)?.try_into().ok().map(u32::from_le_bytes)?;
        let is_whole = page.get(..4)? == MAGIC
            && page.get(4..8)? == VERSION.to_le_bytes()
            && crc32fast::hash(page.get(..CRC_AT)?) == crc;
        is_whole.then_some(Self { directory: field(8)?, key: field(24)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_is_enough_and_none_is_not() {
        let header = FileHeader { directory: Uuid::from_u128(1), key: Uuid::from_u128(2) };
        let mut pages = vec![9; HEADER_BYTES];
        header.encode(&mut pages);
        assert_eq!(FileHeader::decode(&pages), Some(header));
        for at in 0..CRC_AT + 4 {
            let mut damaged = pages.clone();
            damaged[at] ^= 1;
            assert_eq!(FileHeader::decode(&damaged), Some(header));
            damaged[ALIGNMENT + at] ^= 1;
            assert_eq!(FileHeader::decode(&damaged), None, "byte {at}");
        }
        assert_eq!(FileHeader::decode(&[]), None);
    }
}
