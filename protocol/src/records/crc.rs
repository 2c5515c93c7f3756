//! The checksum of record batches.

/// CRC-32C (Castagnoli) as Kafka uses it for record batches: over everything from the attributes (byte 21) on.
///
/// The state files beside the log use another polynomial (CRC-32, IEEE).
#[must_use]
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C of bytes that come in pieces.
#[derive(Debug)]
pub struct Crc32c(crc_fast::Digest);

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

impl Crc32c {
    /// Of no bytes yet.
    #[must_use]
    pub fn new() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all that was added.
    #[must_use]
    pub fn value(&self) -> u32 {
        u32::try_from(self.0.finalize()).expect("a CRC-32 has 32 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_catalogue() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn pieces_give_the_checksum_of_the_whole() {
        let mut pieces = Crc32c::new();
        for piece in ["1", "", "2345", "6789"] {
            pieces.update(piece.as_bytes());
        }
        assert_eq!(pieces.value(), 0xe306_9283);
    }

    #[test]
    fn agrees_with_an_independent_implementation() {
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for length in (0..300).chain([1023, 1024, 4097, 65_536, 100_000]) {
            for start in [0, 1, 7, 21] {
                let slice = &bytes[start.min(length)..length];
                assert_eq!(crc32c(slice), ::crc32c::crc32c(slice), "{start}..{length}");
            }
        }
    }
}
