//! What a few bytes claim to hold costs neither memory nor time. Alone in its process, because it measures that.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_protocol::records::{
    BatchBuilder, BatchError, Compression, NewRecord, ProduceLimits, ProducerStamp, crc32c,
    first_record_at_or_after, read_records, validate_produced,
};

const LIMIT: usize = 1024 * 1024;

fn limits() -> ProduceLimits {
    ProduceLimits { batch_bytes_max: usize::MAX, decompressed_bytes_max: LIMIT, ..ProduceLimits::default() }
}

/// A batch of `count` records with `stream` as what follows the header.
fn with_stream(compression: Compression, stream: &[u8], count: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.add(&NewRecord::default()).expect("small");
    let mut batch = builder.build(Compression::None, ProducerStamp::NONE).expect("valid").to_vec();
    batch.truncate(61);
    batch[21..23].copy_from_slice(&compression.code().to_be_bytes());
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    batch.extend_from_slice(stream);
    let length = i32::try_from(batch.len() - 12).expect("small");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// Peak resident memory of this process since [`forget_peak`], bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
}

/// One record whose value is `bytes` zeros, as the record bytes.
fn large_record(bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.add(&NewRecord { value: Some(&vec![0; bytes]), ..NewRecord::default() }).expect("below 2 GiB");
    let batch = builder.build(Compression::None, ProducerStamp::NONE).expect("valid");
    batch[61..].to_vec()
}

/// Many records of the smallest kind, with offset deltas that fit.
fn many_records(count: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        builder.add(&NewRecord::default()).expect("small");
    }
    let batch = builder.build(Compression::None, ProducerStamp::NONE).expect("valid");
    batch[61..].to_vec()
}

/// A zstd frame header that asks for a window of 2^`window_log` bytes, then one RLE block of `bytes` zeros.
fn zstd_frame(window_log: u8, bytes: u32) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3];
    let block = 1 | 1 << 1 | bytes << 3;
    frame.extend_from_slice(&block.to_le_bytes()[..3]);
    frame.push(0);
    frame
}

fn refused_cheaply(what: &str, batch: &[u8]) -> BatchError {
    forget_peak();
    let before = peak_memory();
    let start = Instant::now();
    let error = validate_produced(batch, &limits()).expect_err(what);
    let look_up = first_record_at_or_after(batch, i64::MAX, 0, LIMIT);
    let read = read_records(&Bytes::copy_from_slice(batch), LIMIT).map(|records| records.count());
    let (took, grown) = (start.elapsed(), peak_memory() - before);
    println!("{what}: {} bytes, {took:?}, peak +{} KiB: {error}", batch.len(), grown / 1024);
    assert!(look_up.is_err() && (read.is_err() || read == Ok(1)), "{what}");
    // Generous: the machine may be busy. Unbounded, these would take seconds and gigabytes.
    assert!(took < Duration::from_secs(2), "{what}: {took:?}");
    assert!(grown < 4 * LIMIT + 24 * 1024 * 1024, "{what}: peak +{grown}");
    error
}

#[test]
fn bombs_are_capped() {
    let too_large = BatchError::OutputTooLarge { limit: LIMIT };
    let mut plain = large_record(64 << 20);
    for compression in &Compression::ALL[1..] {
        let bomb = compression.compress(&plain, usize::MAX).expect("compressible");
        let batch = with_stream(*compression, &bomb, 1);
        assert_eq!(refused_cheaply(compression.name(), &batch), too_large);
    }
    plain = many_records(1_000_000);
    for compression in &Compression::ALL[1..] {
        let bomb = compression.compress(&plain, usize::MAX).expect("compressible");
        let batch = with_stream(*compression, &bomb, 1_000_000);
        assert_eq!(refused_cheaply(compression.name(), &batch), too_large);
    }
    drop(plain);

    // The record count is a claim, too.
    let claim = with_stream(Compression::None, &many_records(1), i32::MAX);
    assert!(validate_produced(&claim, &limits()).is_err());

    let huge_claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let error = refused_cheaply("snappy length", &with_stream(Compression::Snappy, &huge_claim, 1));
    assert!(matches!(error, BatchError::Undecodable { .. }), "{error}");
    let framed = [b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x07".as_slice(), &huge_claim].concat();
    let error = refused_cheaply("framed snappy length", &with_stream(Compression::Snappy, &framed, 1));
    assert!(matches!(error, BatchError::Undecodable { .. }), "{error}");
    let framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff".as_slice();
    refused_cheaply("snappy block length", &with_stream(Compression::Snappy, framed, 1));

    let frame = zstd_frame(31, 1000);
    let error = refused_cheaply("zstd window of 2 GiB", &with_stream(Compression::Zstd, &frame, 1));
    assert!(matches!(error, BatchError::Undecodable { .. }), "{error}");
    refused_cheaply("zstd window of 128 MiB", &with_stream(Compression::Zstd, &zstd_frame(27, 1000), 1));
    let frames = [zstd_frame(27, 0), zstd_frame(10, 0)].concat().repeat(50_000);
    refused_cheaply("empty zstd frames", &with_stream(Compression::Zstd, &frames, 1));

    // An lz4 frame with 4 MiB blocks and nothing in it, many times.
    let frame = lz4_frame_header_of_4_mib_blocks();
    refused_cheaply("empty lz4 frames", &with_stream(Compression::Lz4, &frame.repeat(50_000), 1));
    a_large_window_is_read_like_everywhere_else();
}

fn lz4_frame_header_of_4_mib_blocks() -> Vec<u8> {
    use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new().block_size(BlockSize::Max4MB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    std::io::Write::write_all(&mut encoder, b"x").expect("to memory");
    let mut frame = encoder.finish().expect("to memory");
    // Header of 7 bytes, then the end mark.
    frame.truncate(7);
    frame.extend_from_slice(&[0; 4]);
    frame
}

/// The other side of the cap.
fn a_large_window_is_read_like_everywhere_else() {
    // zstd --ultra -22 writes a window of 128 MiB, which other readers take.
    let stream = [zstd_frame(27, 1000), zstd_frame(27, 10)].concat();
    assert_eq!(Compression::Zstd.decompress(&stream, 1010), Ok(vec![0; 1010]));
    let error = Compression::Zstd.decompress(&stream, 1009);
    assert_eq!(error, Err(BatchError::OutputTooLarge { limit: 1009 }));
}
