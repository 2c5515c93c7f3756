//! A block of the commit journal: the batches of one round, as bytes. No I/O. See docs/storage-format.md, Commit journal.
//!
//! A block says everything about itself, and an extent is true whenever it was written: what a log has at an offset never
//! changes. So nothing has to say which blocks are still needed; old ones that were not yet overwritten do no harm.

use bytes::Bytes;
use sendlog_protocol::records::BATCH_HEADER_SIZE;
use uuid::Uuid;

use crate::storage::journal::buffer::AlignedBuffer;

/// Blocks start at multiples of this, and are padded to it: what a direct write asks for.
pub const ALIGNMENT: usize = 4096;

/// Largest block. Rounds of more sync their segments.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;

/// A block's own header.
pub const BLOCK_HEADER_BYTES: usize = 40;

/// The description before an extent's batches.
pub const EXTENT_HEADER_BYTES: usize = 64;

/// Ends with the version of the format.
const MAGIC: [u8; 4] = *b"SLJ1";
const CRC_AT: usize = 28;
const CRC_END: usize = 32;

/// A batch that an extent holds: as it is in the segment file.
#[derive(Debug, Clone)]
pub struct ExtentBatch {
    /// The first 61 bytes, patched.
    pub header: [u8; BATCH_HEADER_SIZE],
    /// All bytes behind them.
    pub records: Bytes,
}

/// Where the bytes of an extent belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtentPlace {
    /// The topic.
    pub topic_id: Uuid,
    /// Number of the partition.
    pub partition: i32,
    /// Epoch that the batches were written in.
    pub leader_epoch: i32,
    /// Base offset of the segment.
    pub segment_base: i64,
    /// Position of the first batch in the segment file.
    pub position: u64,
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset after the last one.
    pub end_offset: i64,
}

/// Batches that follow each other in a segment file.
#[derive(Debug, Clone)]
pub struct Extent {
    /// Where they are.
    pub place: ExtentPlace,
    /// At least one.
    pub batches: Vec<ExtentBatch>,
    /// Bytes of them all.
    pub len: u32,
}

/// An extent in a block that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundExtent {
    /// Where it belongs.
    pub place: ExtentPlace,
    /// Where its bytes start in the block.
    pub at: usize,
    /// How many they are.
    pub len: usize,
}

/// Bytes of a block whose content has `content` bytes, padding included.
fn padded(content: usize) -> usize {
    (BLOCK_HEADER_BYTES + content).next_multiple_of(ALIGNMENT)
}

/// A block in the making: extents are added as they are appended, its header comes last.
#[derive(Debug)]
pub struct BlockBuilder {
    buffer: AlignedBuffer,
    /// Bytes of the extents so far.
    content: usize,
    count: u32,
    crc: crc32fast::Hasher,
}

impl BlockBuilder {
    /// For blocks of at most `capacity` bytes, a multiple of the alignment.
    pub fn new(capacity: usize) -> Self {
        Self { buffer: AlignedBuffer::new(capacity), content: 0, count: 0, crc: crc32fast::Hasher::new() }
    }

    /// Forgets all extents.
    pub fn clear(&mut self) {
        (self.content, self.count) = (0, 0);
        self.crc = crc32fast::Hasher::new();
    }

    /// How many extents there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of the block as it will be written.
    pub fn block_bytes(&self) -> usize {
        padded(self.content)
    }

    /// Adds an extent. False, and nothing is changed, if it does not fit.
    pub fn push(&mut self, extent: &Extent) -> bool {
        let start = BLOCK_HEADER_BYTES + self.content;
        let content = self.content + EXTENT_HEADER_BYTES + extent.len as usize;
        let Some(block) = self.buffer.take(padded(content)) else { return false };
        let mut at = put(block, start, &extent_header(extent));
        for batch in &extent.batches {
            at = put(block, at, &batch.header);
            at = put(block, at, &batch.records);
        }
        self.crc.update(&block[start..at]);
        self.content = content;
        self.count += 1;
        true
    }

    /// Completes the block for this filling of the file with this key; padding included.
    pub fn finish(&mut self, key: Uuid, filling: u64) -> &[u8] {
        let length = BLOCK_HEADER_BYTES + self.content;
        let mut header = [0; BLOCK_HEADER_BYTES];
        put(&mut header, 0, &MAGIC);
        // A block is smaller than its buffer, and that than 4 GiB.
        put(&mut header, 4, &u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        put(&mut header, 8, key.as_bytes());
        put(&mut header, 24, &self.count.to_le_bytes());
        put(&mut header, CRC_END, &filling.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header[..CRC_AT]);
        crc.update(&header[CRC_END..]);
        crc.combine(&self.crc);
        put(&mut header, CRC_AT, &crc.finalize().to_le_bytes());
        if let Some(block) = self.buffer.take(padded(self.content)) {
            put(block, 0, &header);
            block[length..].fill(0);
        }
        self.buffer.bytes()
    }
}

/// The length that the bytes claim to have as a block, if they begin like one of a file with this key.
pub fn claimed_length(header: &[u8], key: Uuid) -> Option<usize> {
    if field::<4>(header, 0)? != MAGIC || field::<16>(header, 8)? != *key.as_bytes() {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(field(header, 4)?)).ok()?;
    (BLOCK_HEADER_BYTES <= length).then_some(length)
}

/// A block that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundBlock {
    /// The filling of its file that it was written in.
    pub filling: u64,
    /// What is in it.
    pub extents: Vec<FoundExtent>,
}

/// A block, from exactly its claimed length. None if anything in it is not as it was written.
pub fn decode(block: &[u8]) -> Option<FoundBlock> {
    let stored = u32::from_le_bytes(field(block, CRC_AT)?);
    if checksum(block) != stored {
        return None;
    }
    let count = u32::from_le_bytes(field(block, 24)?);
    let mut extents = Vec::new();
    let mut at = BLOCK_HEADER_BYTES;
    for _ in 0..count {
        let place = ExtentPlace {
            topic_id: Uuid::from_bytes(field(block, at)?),
            partition: i32::from_le_bytes(field(block, at + 16)?),
            leader_epoch: i32::from_le_bytes(field(block, at + 20)?),
            segment_base: i64::from_le_bytes(field(block, at + 24)?),
            position: u64::from_le_bytes(field(block, at + 32)?),
            base_offset: i64::from_le_bytes(field(block, at + 40)?),
            end_offset: i64::from_le_bytes(field(block, at + 48)?),
        };
        let len = usize::try_from(u32::from_le_bytes(field(block, at + 56)?)).ok()?;
        let start = at + EXTENT_HEADER_BYTES;
        at = start.checked_add(len).filter(|end| *end <= block.len())?;
        extents.push(FoundExtent { place, at: start, len });
    }
    let filling = u64::from_le_bytes(field(block, CRC_END)?);
    (at == block.len()).then_some(FoundBlock { filling, extents })
}

/// Makes the bytes a whole block of the file with this key, whatever they are. For tests.
#[doc(hidden)]
pub fn seal(block: &mut [u8], key: Uuid) {
    if block.len() < BLOCK_HEADER_BYTES {
        return;
    }
    put(block, 0, &MAGIC);
    put(block, 4, &u32::try_from(block.len()).unwrap_or(u32::MAX).to_le_bytes());
    put(block, 8, key.as_bytes());
    let crc = checksum(block);
    put(block, CRC_AT, &crc.to_le_bytes());
}

fn extent_header(extent: &Extent) -> [u8; EXTENT_HEADER_BYTES] {
    let mut header = [0; EXTENT_HEADER_BYTES];
    let place = &extent.place;
    put(&mut header, 0, place.topic_id.as_bytes());
    put(&mut header, 16, &place.partition.to_le_bytes());
    put(&mut header, 20, &place.leader_epoch.to_le_bytes());
    put(&mut header, 24, &place.segment_base.to_le_bytes());
    put(&mut header, 32, &place.position.to_le_bytes());
    put(&mut header, 40, &place.base_offset.to_le_bytes());
    put(&mut header, 48, &place.end_offset.to_le_bytes());
    put(&mut header, 56, &extent.len.to_le_bytes());
    header
}

/// Of all bytes but the checksum's own.
fn checksum(block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(block.get(..CRC_AT).unwrap_or_default());
    hasher.update(block.get(CRC_END..).unwrap_or_default());
    hasher.finalize()
}

/// Returns where the bytes end.
fn put(block: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let end = at + bytes.len();
    block[at..end].copy_from_slice(bytes);
    end
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn extent(partition: i32, sizes: &[usize]) -> Extent {
        let batch = |size: &usize| ExtentBatch {
            header: [7; BATCH_HEADER_SIZE],
            records: Bytes::from(vec![u8::try_from(*size % 251).unwrap(); *size]),
        };
        let batches: Vec<ExtentBatch> = sizes.iter().map(batch).collect();
        let len = batches.iter().map(|batch| BATCH_HEADER_SIZE + batch.records.len()).sum::<usize>();
        let place = ExtentPlace {
            topic_id: Uuid::from_u128(5),
            partition,
            leader_epoch: 3,
            segment_base: 1 << 40,
            position: 9000,
            base_offset: (1 << 40) + 17,
            end_offset: (1 << 40) + 19,
        };
        Extent { place, batches, len: u32::try_from(len).unwrap() }
    }

    const KEY: Uuid = Uuid::from_u128(77);

    fn encoded(extents: &[Extent]) -> Vec<u8> {
        let mut builder = BlockBuilder::new(1 << 20);
        assert!(builder.push(&extent(5, &[100_000])), "what was there before leaves no trace");
        builder.finish(KEY, 6);
        builder.clear();
        assert!(extents.iter().all(|extent| builder.push(extent)));
        let bytes = builder.block_bytes();
        let block = builder.finish(KEY, 6).to_vec();
        assert_eq!(block.len(), bytes);
        block
    }

    #[test]
    fn a_block_comes_back() {
        for extents in
            [vec![extent(0, &[1])], vec![extent(0, &[1, 5000]), extent(-1, &[0]), extent(9, &[77])]]
        {
            let bytes = encoded(&extents);
            assert_eq!(bytes.len() % ALIGNMENT, 0);
            let length = claimed_length(&bytes, KEY).unwrap();
            let found = decode(&bytes[..length]).unwrap();
            assert_eq!((found.filling, found.extents.len()), (6, extents.len()));
            for (found, extent) in found.extents.iter().zip(&extents) {
                assert_eq!(found.place, extent.place);
                let whole: Vec<u8> = extent
                    .batches
                    .iter()
                    .flat_map(|batch| batch.header.iter().chain(batch.records.iter()).copied())
                    .collect();
                assert_eq!(bytes[found.at..found.at + found.len], whole);
            }
        }
    }

    #[test]
    fn no_changed_bit_and_no_missing_byte_goes_unnoticed() {
        let bytes = encoded(&[extent(0, &[3, 9]), extent(1, &[20])]);
        let length = claimed_length(&bytes, KEY).unwrap();
        for bit in 0..length * 8 {
            let mut damaged = bytes[..length].to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let is_taken = claimed_length(&damaged, KEY)
                .is_some_and(|claimed| damaged.get(..claimed).is_some_and(|block| decode(block).is_some()));
            assert!(!is_taken, "bit {bit}");
        }
        for len in 0..length {
            assert!(decode(&bytes[..len]).is_none());
        }
    }

    #[test]
    fn another_key_and_other_bytes_are_no_blocks() {
        let bytes = encoded(&[extent(0, &[3])]);
        assert_eq!(claimed_length(&bytes, Uuid::from_u128(78)), None);
        assert_eq!(claimed_length(&[0; 4096], KEY), None);
        assert_eq!(claimed_length(&[], KEY), None);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut builder = BlockBuilder::new(8192);
        assert!(!builder.push(&extent(0, &[9000])));
        assert!(builder.push(&extent(0, &[4000])));
        assert!(!builder.push(&extent(0, &[4000])));
        assert_eq!((builder.count(), builder.block_bytes()), (1, 8192));
        let block = builder.finish(KEY, 6);
        let length = claimed_length(block, KEY).unwrap();
        assert_eq!(decode(&block[..length]).unwrap().extents.len(), 1);
    }
}
