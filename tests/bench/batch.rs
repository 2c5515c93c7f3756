//! Prebuilt record batches (format v2, uncompressed). The CRC is computed once: base offset and leader epoch, which the
//! broker patches, stand before the bytes it covers.

use std::time::UNIX_EPOCH;

/// Bytes before the first record.
const HEADER_BYTES: usize = 61;
/// The CRC covers everything from the attributes on.
const CRC_FROM: usize = 21;

/// One whole batch, ready to be sent any number of times.
pub struct Batch {
    /// The batch, header included.
    pub bytes: Vec<u8>,
    /// How many offsets it takes.
    pub records: i64,
}

impl Batch {
    /// A batch of exactly `total` bytes made of records with values of about `value_bytes`.
    pub fn exact(total: usize, value_bytes: usize) -> Self {
        let mut sizes: Vec<usize> = Vec::new();
        let mut used = HEADER_BYTES;
        while used + 2 * record_bytes(sizes.len(), value_bytes) < total {
            used += record_bytes(sizes.len(), value_bytes);
            sizes.push(value_bytes);
        }
        // Varints make some sizes unreachable for one last record; then the one before it gives up a byte at a time.
        loop {
            let rest = total - used;
            let last = (0..=rest).rev().find(|value| record_bytes(sizes.len(), *value) <= rest);
            match last {
                Some(value) if record_bytes(sizes.len(), value) == rest => {
                    sizes.push(value);
                    return Self::of(&sizes);
                }
                _ => {
                    let before = sizes.pop().expect("a total above two records leaves one to shorten");
                    used -= record_bytes(sizes.len(), before);
                    sizes.push(before - 1);
                    used += record_bytes(sizes.len() - 1, before - 1);
                }
            }
        }
    }

    /// A batch of one record with a value of `value_bytes`.
    pub fn single(value_bytes: usize) -> Self {
        Self::of(&[value_bytes])
    }

    fn of(value_sizes: &[usize]) -> Self {
        let mut records = Vec::new();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for (index, size) in value_sizes.iter().enumerate() {
            put_record(&mut records, index, *size, &mut random);
        }
        let count = i32::try_from(value_sizes.len()).expect("fewer records than i32::MAX");
        let now_ms = now_ms();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len());
        bytes.extend_from_slice(&0i64.to_be_bytes());
        let batch_length = i32::try_from(HEADER_BYTES - 12 + records.len()).expect("batches are small");
        bytes.extend_from_slice(&batch_length.to_be_bytes());
        bytes.extend_from_slice(&(-1i32).to_be_bytes());
        bytes.push(2);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&0i16.to_be_bytes());
        bytes.extend_from_slice(&(count - 1).to_be_bytes());
        bytes.extend_from_slice(&now_ms.to_be_bytes());
        bytes.extend_from_slice(&now_ms.to_be_bytes());
        bytes.extend_from_slice(&(-1i64).to_be_bytes());
        bytes.extend_from_slice(&(-1i16).to_be_bytes());
        bytes.extend_from_slice(&(-1i32).to_be_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&records);
        let crc = crc32c(&bytes[CRC_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        Self { bytes, records: i64::from(count) }
    }
}

/// Milliseconds since 1970. Brokers delete what is older than their retention, so the timestamps have to be today's.
#[expect(clippy::disallowed_methods, reason = "the bench is outside the broker, it has no Clock")]
pub fn now_ms() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(0)
}

fn put_record(out: &mut Vec<u8>, index: usize, value_bytes: usize, random: &mut u64) {
    put_varint(out, body_bytes(index, value_bytes));
    out.push(0);
    put_varint(out, 0);
    put_varint(out, index);
    out.push(1); // key length -1: null
    put_varint(out, value_bytes);
    for _ in 0..value_bytes {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        out.push(b' ' + (random.to_le_bytes()[0] % 94));
    }
    put_varint(out, 0);
}

/// Attributes, timestamp delta, null key and the header count take a byte each.
fn body_bytes(index: usize, value_bytes: usize) -> usize {
    4 + varint_bytes(index) + varint_bytes(value_bytes) + value_bytes
}

fn record_bytes(index: usize, value_bytes: usize) -> usize {
    let body = body_bytes(index, value_bytes);
    varint_bytes(body) + body
}

fn varint_bytes(value: usize) -> usize {
    let mut out = Vec::with_capacity(5);
    put_varint(&mut out, value);
    out.len()
}

/// Zigzag varint of a value that is never negative.
fn put_varint(out: &mut Vec<u8>, value: usize) {
    let mut rest = value << 1;
    while rest >= 0x80 {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// CRC-32C by a table: it runs once per batch, before anything is measured.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut table = [0u32; 256];
    for (byte, slot) in (0u32..).zip(table.iter_mut()) {
        *slot = (0..8).fold(byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 });
    }
    !bytes.iter().fold(!0u32, |crc, byte| table[((crc ^ u32::from(*byte)) & 0xFF) as usize] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::{Batch, crc32c};

    #[test]
    fn crc_has_the_check_value_of_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn batches_have_exactly_the_size_asked_for() {
        for total in (1024..1400).chain([16 << 10, 64 << 10, 1 << 20]) {
            for value in [100, 1024] {
                if total < 2 * value + 200 {
                    continue;
                }
                assert_eq!(Batch::exact(total, value).bytes.len(), total, "total {total} value {value}");
            }
        }
        assert_eq!(Batch::exact(1024, 1024).bytes.len(), 1024);
        assert_eq!(Batch::exact(1024, 1024).records, 1);
    }
}
