//! Snappy as Kafka uses it: blocks in the framing of xerial's snappy-java, or one bare block.
//!
//! Framing: a 16-byte header (`82 'SNAPPY' 00`, version i32, compatible version i32), then blocks, each an i32 length
//! (all big-endian) and a raw snappy block. librdkafka and some others write a single bare block instead.

use std::io::{Error, ErrorKind, Read, Write};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\x00";
const FRAME_HEADER_SIZE: usize = 16;
/// The version that snappy-java writes, and the oldest that can read it.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// What snappy-java puts into a block.
const BLOCK_BYTES: usize = 32 * 1024;
/// No snappy block expands further: its densest element makes 64 bytes of 3.
const EXPANSION_MAX: usize = 22;

/// Writes the xerial framing.
pub(super) fn compress(input: &[u8], out: &mut impl Write) -> std::io::Result<()> {
    out.write_all(&MAGIC)?;
    out.write_all(&VERSIONS)?;
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(BLOCK_BYTES.min(input.len()))];
    for chunk in input.chunks(BLOCK_BYTES) {
        let length = encoder.compress(chunk, &mut block)?;
        let size = u32::try_from(length).map_err(Error::other)?;
        out.write_all(&size.to_be_bytes())?;
        out.write_all(block.get(..length).unwrap_or_default())?;
    }
    Ok(())
}

/// Decompresses block by block. A block is held as a whole: snappy has no windows.
pub(super) struct SnappyReader<'a> {
    framing: Framing<'a>,
    output_max: usize,
    decoder: snap::raw::Decoder,
    block: Vec<u8>,
    position: usize,
}

enum Framing<'a> {
    /// Blocks that are still to come.
    Xerial(&'a [u8]),
    /// One block, until it was taken.
    Bare(Option<&'a [u8]>),
}

impl<'a> SnappyReader<'a> {
    /// A block larger than `output_max` is an error of kind [`ErrorKind::FileTooLarge`].
    pub(super) fn new(input: &'a [u8], output_max: usize) -> Self {
        let framing = match input.split_at_checked(FRAME_HEADER_SIZE) {
            Some((header, blocks)) if header.starts_with(&MAGIC) => Framing::Xerial(blocks),
            _ => Framing::Bare(Some(input)),
        };
        Self { framing, output_max, decoder: snap::raw::Decoder::new(), block: Vec::new(), position: 0 }
    }

    /// The next compressed block; `None` at the end.
    fn next_block(&mut self) -> std::io::Result<Option<&'a [u8]>> {
        let blocks = match &mut self.framing {
            Framing::Bare(block) => return Ok(block.take()),
            Framing::Xerial(blocks) => blocks,
        };
        if blocks.is_empty() {
            return Ok(None);
        }
        let (length, rest) = blocks.split_first_chunk().ok_or(ErrorKind::UnexpectedEof)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(Error::other)?;
        let (block, rest) = rest.split_at_checked(length).ok_or(ErrorKind::UnexpectedEof)?;
        *blocks = rest;
        Ok(Some(block))
    }

    /// Decompresses a block into the buffer, whose size the block only claims: check before allocating.
    fn fill(&mut self, block: &[u8]) -> std::io::Result<()> {
        let length = snap::raw::decompress_len(block)?;
        if block.len().saturating_mul(EXPANSION_MAX) < length {
            return Err(Error::new(ErrorKind::InvalidData, "a block claims more than its bytes can hold"));
        }
        if self.output_max < length {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.position = 0;
        self.block.clear();
        self.block.resize(length, 0);
        self.decoder.decompress(block, &mut self.block)?;
        Ok(())
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.position == self.block.len() {
            let Some(block) = self.next_block()? else {
                return Ok(0);
            };
            self.fill(block)?;
        }
        let mut rest = self.block.get(self.position..).unwrap_or_default();
        let bytes = rest.read(out)?;
        self.position += bytes;
        Ok(bytes)
    }
}
