//! Decompressors as streams over a batch's compressed records.

use std::io::Read;

use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;

use super::compression::Compression;
use super::error::BatchError;
use super::snappy::SnappyReader;

/// The largest zstd window that is read, as a power of two: the default limit of libzstd and so of other readers.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What comes out of compressed bytes.
pub(super) enum Decoder<'a> {
    None(&'a [u8]),
    Gzip(Box<GzDecoder<&'a [u8]>>),
    Snappy(Box<SnappyReader<'a>>),
    Lz4(Box<FrameDecoder<&'a [u8]>>),
    Zstd(Box<zstd::Decoder<'static, &'a [u8]>>),
}

impl<'a> Decoder<'a> {
    /// `output_max` bounds what a single block of a block format may allocate; the caller bounds the sum.
    ///
    /// # Errors
    /// [`BatchError::Undecodable`] if the decompressor cannot start.
    pub(super) fn new(
        compression: Compression,
        input: &'a [u8],
        output_max: usize,
    ) -> Result<Self, BatchError> {
        Ok(match compression {
            Compression::None => Self::None(input),
            Compression::Gzip => Self::Gzip(Box::new(GzDecoder::new(input))),
            Compression::Snappy => Self::Snappy(Box::new(SnappyReader::new(input, output_max))),
            Compression::Lz4 => Self::Lz4(Box::new(FrameDecoder::new(input))),
            Compression::Zstd => {
                let decoder = zstd_decoder(input);
                let decoder = decoder.map_err(|error| stream_error(compression, &error, output_max))?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }
}

/// What a failed read of a [`Decoder`] with this `output_max` means.
pub(super) fn stream_error(
    compression: Compression,
    error: &std::io::Error,
    output_max: usize,
) -> BatchError {
    if error.kind() == std::io::ErrorKind::FileTooLarge {
        return BatchError::OutputTooLarge { limit: output_max };
    }
    BatchError::Undecodable { compression: compression.name(), reason: error.to_string() }
}

fn zstd_decoder(input: &[u8]) -> std::io::Result<zstd::Decoder<'static, &[u8]>> {
    let mut decoder = zstd::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::None(rest) => rest.read(out),
            Self::Gzip(decoder) => decoder.read(out),
            Self::Snappy(decoder) => decoder.read(out),
            Self::Lz4(decoder) => decoder.read(out),
            Self::Zstd(decoder) => decoder.read(out),
        }
    }
}
