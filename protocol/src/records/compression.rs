//! The codecs of record batches, with a cap on what they may put out.

use std::io::{Read, Write};

use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::decoder::{Decoder, stream_error};
use super::error::BatchError;
use super::snappy;

/// How the records of a batch are compressed (as a whole, the header stays readable).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks in the framing of xerial's snappy-java; a bare block is read too (librdkafka writes those).
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

/// Codec bits that name no codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("compression codec {code} is unknown")]
pub struct UnknownCompression {
    /// Bits 0 to 2 of the attributes.
    pub code: i16,
}

impl Compression {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this code.
    ///
    /// # Errors
    /// [`UnknownCompression`] for anything but 0 to 4.
    pub fn from_code(code: i16) -> Result<Self, UnknownCompression> {
        let known = usize::try_from(code).ok().and_then(|index| Self::ALL.get(index));
        known.copied().ok_or(UnknownCompression { code })
    }

    /// Bits 0 to 2 of a batch's attributes.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Kafka's name for it (`compression.type`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.name() == name)
    }

    /// Compresses at the codec's default level (gzip 6, zstd 3) to at most `output_max` bytes.
    ///
    /// # Errors
    /// [`BatchError::OutputTooLarge`], [`BatchError::NotCompressed`].
    pub fn compress(self, input: &[u8], output_max: usize) -> Result<Vec<u8>, BatchError> {
        self.compress_at(None, input, output_max)
    }

    /// Compresses at a level, of gzip 1 to 9 and of zstd -131072 to 22; lz4 and snappy have none.
    ///
    /// # Errors
    /// As [`Self::compress`].
    pub fn compress_at(
        self,
        level: Option<i32>,
        input: &[u8],
        output_max: usize,
    ) -> Result<Vec<u8>, BatchError> {
        let mut out = Capped { bytes: Vec::new(), limit: output_max, exceeded: false };
        let written = match self {
            Self::None => out.write_all(input),
            Self::Gzip => gzip(level, input, &mut out),
            Self::Snappy => snappy::compress(input, &mut out),
            Self::Lz4 => lz4(input, &mut out),
            Self::Zstd => zstd(level, input, &mut out),
        };
        match written {
            Ok(()) => Ok(out.bytes),
            Err(_) if out.exceeded => Err(BatchError::OutputTooLarge { limit: output_max }),
            Err(error) => {
                Err(BatchError::NotCompressed { compression: self.name(), reason: error.to_string() })
            }
        }
    }

    /// Decompresses to at most `output_max` bytes.
    ///
    /// Memory stays within `output_max` plus the decompressor's own window (at most 128 MiB of address space for
    /// zstd, of which only what the data fills is touched); time is bounded by the cap, too.
    ///
    /// # Errors
    /// [`BatchError::OutputTooLarge`], [`BatchError::Undecodable`].
    pub fn decompress(self, input: &[u8], output_max: usize) -> Result<Vec<u8>, BatchError> {
        let decoder = Decoder::new(self, input, output_max)?;
        let mut out = Vec::new();
        let cap = u64::try_from(output_max).unwrap_or(u64::MAX).saturating_add(1);
        decoder.take(cap).read_to_end(&mut out).map_err(|error| stream_error(self, &error, output_max))?;
        if output_max < out.len() {
            return Err(BatchError::OutputTooLarge { limit: output_max });
        }
        Ok(out)
    }
}

fn gzip(level: Option<i32>, input: &[u8], out: &mut Capped) -> std::io::Result<()> {
    let level = level.and_then(|level| u32::try_from(level).ok()).filter(|level| (1..=9).contains(level));
    let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
    let mut encoder = GzEncoder::new(out, level);
    encoder.write_all(input)?;
    encoder.finish().map(|_| ())
}

/// Independent blocks of 64 KiB are what Kafka's Java client writes; lz4_flex's own choice (4 MiB for large writes)
/// makes every reader allocate and clear 4 MiB.
fn lz4(input: &[u8], out: &mut Capped) -> std::io::Result<()> {
    let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, out);
    encoder.write_all(input)?;
    encoder.finish().map(|_| ()).map_err(std::io::Error::other)
}

/// In one call, so that the frame tells its content size and takes a window no larger than that.
fn zstd(level: Option<i32>, input: &[u8], out: &mut Capped) -> std::io::Result<()> {
    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
    out.write_all(&zstd::bulk::compress(input, level)?)
}

/// A vector that refuses to grow beyond a limit.
struct Capped {
    bytes: Vec<u8>,
    limit: usize,
    exceeded: bool,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.limit - self.bytes.len() < bytes.len() {
            self.exceeded = true;
            return Err(std::io::Error::other("output limit reached"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
