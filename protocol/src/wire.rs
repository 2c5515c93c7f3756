//! Kafka's primitive types on the wire: big-endian integers, varints, strings, byte strings, tagged fields.
//!
//! Knows which bytes a value takes, and nothing of messages. "Compact" is the form of flexible versions
//! (KIP-482): lengths are unsigned varints and one higher than meant, so that zero can stand for null.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

/// Longest string, in bytes, in either form; Kafka refuses longer ones too.
const STRING_BYTES_MAX: usize = 0x7fff;

/// Memory that the arrays of any input may take.
const ARRAY_MEMORY_MIN: usize = 4 << 20;

/// Memory that the arrays of an input may take besides, for each byte of it. Elements as clients send them
/// take 1 to 5 bytes for each byte on the wire; an empty string in a compact array takes 24.
const ARRAY_MEMORY_PER_BYTE: usize = 4;

/// Why bytes are not the message that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends inside a value.
    #[error("input ends early: {needed} bytes needed, {remaining} left")]
    UnexpectedEnd {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that were left.
        remaining: usize,
    },
    /// More array elements are announced than the remaining bytes could hold.
    #[error("array of {count} elements cannot fit into {remaining} bytes")]
    CountTooLarge {
        /// Announced elements.
        count: usize,
        /// Bytes that were left.
        remaining: usize,
    },
    /// The arrays of a large input would take far more memory than the input, as honest ones do not.
    #[error("arrays take more than {limit} bytes of memory")]
    ArraysTooLarge {
        /// Most that they may take.
        limit: usize,
    },
    /// A length or count is negative and not the -1 of a null, or over the type's limit.
    #[error("invalid length {length}")]
    InvalidLength {
        /// The length as it was read.
        length: i64,
    },
    /// A varint does not end where its type ends.
    #[error("varint is too long")]
    VarintTooLong,
    /// A string is not UTF-8.
    #[error("string is not UTF-8")]
    InvalidUtf8,
    /// A null where the version at hand has none.
    #[error("{field} must not be null in this version")]
    UnexpectedNull {
        /// Name of the field, or the type where a field name is not known.
        field: &'static str,
    },
    /// Bytes are left after the last field of a body or of a tagged field.
    #[error("{bytes} bytes left after the last field")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The codec does not know this version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
}

/// Why a value has no form on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string, byte string, array, record set or frame is longer than its length prefix can say.
    #[error("{what} of length {length} is too long to encode")]
    TooLong {
        /// The kind of value.
        what: &'static str,
        /// Bytes, or elements of an array.
        length: usize,
    },
    /// A null where the version at hand has none.
    #[error("{field} must not be null in version {version}")]
    UnexpectedNull {
        /// Name of the field.
        field: &'static str,
        /// The version that has no null there.
        version: i16,
    },
    /// The codec does not know this version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
}

/// Reads values from the front of a shared buffer; byte strings are slices of it, not copies.
#[derive(Debug, Clone)]
pub struct Reader {
    bytes: Bytes,
    array_memory: usize,
    array_memory_limit: usize,
}

macro_rules! integers {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $try_get:ident, $put:ident;)*) => {
        impl Reader {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// The input ends early.
                pub fn $name(&mut self) -> Result<$type, DecodeError> {
                    self.bytes.$try_get().map_err(|e| DecodeError::UnexpectedEnd {
                        needed: e.requested,
                        remaining: e.available,
                    })
                }
            )*
        }

        impl Writer {
            $(
                $(#[$doc])*
                pub fn $name(&mut self, value: $type) {
                    self.bytes.$put(value);
                }
            )*
        }
    };
}

integers! {
    /// One signed byte.
    i8: i8, try_get_i8, put_i8;
    /// One byte.
    u8: u8, try_get_u8, put_u8;
    /// Two bytes, signed.
    i16: i16, try_get_i16, put_i16;
    /// Two bytes, unsigned.
    u16: u16, try_get_u16, put_u16;
    /// Four bytes, signed.
    i32: i32, try_get_i32, put_i32;
    /// Four bytes, unsigned.
    u32: u32, try_get_u32, put_u32;
    /// Eight bytes, signed.
    i64: i64, try_get_i64, put_i64;
    /// An IEEE 754 double.
    f64: f64, try_get_f64, put_f64;
    /// Sixteen bytes.
    u128: u128, try_get_u128, put_u128;
}

impl Reader {
    /// Starts at the first byte of `bytes`.
    ///
    /// The arrays read may take 4 MiB of memory, and 4 bytes more for each of `bytes`, so that a frame of the
    /// largest size cannot become many times that.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        let array_memory_limit =
            bytes.len().saturating_mul(ARRAY_MEMORY_PER_BYTE).saturating_add(ARRAY_MEMORY_MIN);
        Self { bytes, array_memory: 0, array_memory_limit }
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// Ends reading and returns what is left.
    #[must_use]
    pub fn into_remaining(self) -> Bytes {
        self.bytes
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// Bytes are left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(DecodeError::TrailingBytes { bytes: self.bytes.len() })
    }

    /// The next `length` bytes, shared with the input.
    ///
    /// # Errors
    /// The input ends early.
    pub fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if self.bytes.len() < length {
            return Err(DecodeError::UnexpectedEnd { needed: length, remaining: self.bytes.len() });
        }
        Ok(self.bytes.split_to(length))
    }

    /// One byte; anything but zero is true, as in Kafka.
    ///
    /// # Errors
    /// The input ends early.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.u8()? != 0)
    }

    /// Sixteen bytes, most significant first.
    ///
    /// # Errors
    /// The input ends early.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.u128().map(Uuid::from_u128)
    }

    /// An unsigned varint of up to 32 bits.
    ///
    /// # Errors
    /// The input ends early, or the value has more than 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.base128(5)?).map_err(|_| DecodeError::VarintTooLong)
    }

    /// A zigzag varint of up to 32 bits, as records use it.
    ///
    /// # Errors
    /// The input ends early, or the value has more than 32 bits.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let zigzag = self.unsigned_varint()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// A zigzag varint of up to 64 bits, as records use it.
    ///
    /// # Errors
    /// The input ends early, or the value has more than 64 bits.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let zigzag = self.base128(10)?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// A string of at most 32,767 bytes, or null.
    ///
    /// # Errors
    /// The input ends early, the length is invalid, or the bytes are not UTF-8.
    pub fn nullable_string(&mut self, compact: bool) -> Result<Option<String>, DecodeError> {
        let length = if compact { self.compact_length()? } else { length_of(self.i16()?)? };
        let Some(length) = length else { return Ok(None) };
        if STRING_BYTES_MAX < length {
            return Err(DecodeError::InvalidLength { length: i64::try_from(length).unwrap_or(i64::MAX) });
        }
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| DecodeError::InvalidUtf8)?;
        Ok(Some(text.to_owned()))
    }

    /// A byte string shared with the input, or null.
    ///
    /// # Errors
    /// The input ends early or the length is invalid.
    pub fn nullable_bytes(&mut self, compact: bool) -> Result<Option<Bytes>, DecodeError> {
        let length = if compact { self.compact_length()? } else { length_of(self.i32()?)? };
        length.map(|length| self.take(length)).transpose()
    }

    /// The count that precedes an array's elements, or null. Not compared with the bytes that remain.
    ///
    /// # Errors
    /// The input ends early or the count is invalid.
    pub fn nullable_count(&mut self, compact: bool) -> Result<Option<usize>, DecodeError> {
        if compact { self.compact_length() } else { length_of(self.i32()?) }
    }

    /// Calls `known` with the tag and the bytes of each tagged field; what `known` does not read of a field,
    /// because its tag is unknown, is skipped.
    ///
    /// # Errors
    /// The input ends early, or `known` fails.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.unsigned_varint()?;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let length = self.unsigned_varint()?;
            let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
            let mut field = Reader { bytes, ..*self };
            known(tag, &mut field)?;
            self.array_memory = field.array_memory;
        }
        Ok(())
    }

    /// Counts memory that an array is about to take.
    pub(crate) fn charge_array(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.array_memory = self.array_memory.saturating_add(bytes);
        if self.array_memory_limit < self.array_memory {
            return Err(DecodeError::ArraysTooLarge { limit: self.array_memory_limit });
        }
        Ok(())
    }

    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        match self.unsigned_varint()?.checked_sub(1) {
            None => Ok(None),
            Some(length) => i32::try_from(length)
                .ok()
                .and_then(|length| usize::try_from(length).ok())
                .map(Some)
                .ok_or(DecodeError::InvalidLength { length: length.into() }),
        }
    }

    fn base128(&mut self, bytes_max: u32) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for index in 0..bytes_max {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if index == 9 && 1 < bits {
                break;
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }
}

/// Appends values to a growing buffer.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Ends writing and returns the bytes.
    #[must_use]
    pub fn into_bytes(self) -> BytesMut {
        self.bytes
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.put_slice(bytes);
    }

    /// Replaces four bytes written earlier, such as a placeholder for a length.
    ///
    /// # Panics
    /// Fewer than four bytes have been written from `position` on.
    pub fn patch_i32(&mut self, position: usize, value: i32) {
        self.bytes[position..position + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// One byte, 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.u8(value.into());
    }

    /// Sixteen bytes, most significant first.
    pub fn uuid(&mut self, value: Uuid) {
        self.u128(value.as_u128());
    }

    /// An unsigned varint of up to 32 bits.
    pub fn unsigned_varint(&mut self, value: u32) {
        self.base128(value.into());
    }

    /// A zigzag varint of up to 32 bits, as records use it.
    pub fn varint(&mut self, value: i32) {
        self.base128(((value << 1) ^ (value >> 31)).cast_unsigned().into());
    }

    /// A zigzag varint of up to 64 bits, as records use it.
    pub fn varlong(&mut self, value: i64) {
        self.base128(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// A string of at most 32,767 bytes, or null.
    ///
    /// # Errors
    /// The string is too long.
    pub fn nullable_string(&mut self, value: Option<&str>, compact: bool) -> Result<(), EncodeError> {
        let length = value.map_or(0, str::len);
        match i16::try_from(length) {
            Err(_) => return Err(EncodeError::TooLong { what: "string", length }),
            Ok(_) if compact => self.nullable_count(value.map(str::len), true)?,
            Ok(length) => self.i16(if value.is_some() { length } else { -1 }),
        }
        self.raw(value.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// A byte string, or null.
    ///
    /// # Errors
    /// The byte string is too long.
    pub fn nullable_bytes(&mut self, value: Option<&[u8]>, compact: bool) -> Result<(), EncodeError> {
        self.nullable_count(value.map(<[u8]>::len), compact)?;
        self.raw(value.unwrap_or_default());
        Ok(())
    }

    /// The length of a byte string or the count of an array's elements, or null.
    ///
    /// # Errors
    /// The count is over 2,147,483,646.
    pub fn nullable_count(&mut self, count: Option<usize>, compact: bool) -> Result<(), EncodeError> {
        let signed = match count {
            None => -1,
            Some(count) => i32::try_from(count)
                .ok()
                .filter(|count| *count < i32::MAX)
                .ok_or(EncodeError::TooLong { what: "byte string or array", length: count })?,
        };
        if compact {
            self.unsigned_varint((signed + 1).cast_unsigned());
        } else {
            self.i32(signed);
        }
        Ok(())
    }

    fn base128(&mut self, mut value: u64) {
        while 0x80 <= value {
            // The low seven bits, which always fit.
            self.u8(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        self.u8(u8::try_from(value).unwrap_or_default());
    }
}

/// A length that is not negative, or null for -1.
fn length_of(length: impl Into<i64>) -> Result<Option<usize>, DecodeError> {
    match length.into() {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| DecodeError::InvalidLength { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(Bytes::from_static(bytes))
    }

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut out = Writer::new();
        write(&mut out);
        out.into_bytes().to_vec()
    }

    #[test]
    fn unsigned_varints_as_in_kip_482() {
        let cases: [(u32, &[u8]); 7] = [
            (0, &[0]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 0x01]),
            (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (value, bytes) in cases {
            assert_eq!(written(|out| out.unsigned_varint(value)), bytes);
            assert_eq!(Reader::new(Bytes::from_static(bytes)).unsigned_varint(), Ok(value));
        }
    }

    #[test]
    fn varints_that_do_not_fit_are_errors() {
        let mut wide = reader(&[0xff, 0xff, 0xff, 0xff, 0x1f]);
        assert_eq!(wide.unsigned_varint(), Err(DecodeError::VarintTooLong));
        let mut endless = reader(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]);
        assert_eq!(endless.unsigned_varint(), Err(DecodeError::VarintTooLong));
        let mut wide = reader(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]);
        assert_eq!(wide.varlong(), Err(DecodeError::VarintTooLong));
        let mut endless = reader(&[0xff; 12]);
        assert_eq!(endless.varlong(), Err(DecodeError::VarintTooLong));
        let end = DecodeError::UnexpectedEnd { needed: 1, remaining: 0 };
        assert_eq!(reader(&[0x80]).varint(), Err(end));
    }

    #[test]
    fn zigzag_varints_round_trip() {
        let mut value = 1i64;
        for _ in 0..64 {
            for value in [value, value.wrapping_neg(), value.wrapping_sub(1), i64::MIN, i64::MAX] {
                let mut input = Reader::new(written(|out| out.varlong(value)).into());
                assert_eq!(input.varlong(), Ok(value));
                assert_eq!(input.finish(), Ok(()));
                let Ok(value) = i32::try_from(value) else { continue };
                let mut input = Reader::new(written(|out| out.varint(value)).into());
                assert_eq!(input.varint(), Ok(value));
                assert_eq!(input.finish(), Ok(()));
            }
            value = value.wrapping_mul(2);
        }
        assert_eq!(written(|out| out.varint(-1)), [1]);
        assert_eq!(written(|out| out.varlong(i64::MIN)).len(), 10);
    }

    #[test]
    fn strings_have_a_limit_in_both_forms() {
        let longest = "x".repeat(0x7fff);
        for compact in [false, true] {
            let bytes = written(|out| out.nullable_string(Some(&longest), compact).unwrap());
            assert_eq!(Reader::new(bytes.into()).nullable_string(compact), Ok(Some(longest.clone())));
            let too_long = longest.clone() + "x";
            let error = EncodeError::TooLong { what: "string", length: 0x8000 };
            assert_eq!(Writer::new().nullable_string(Some(&too_long), compact), Err(error));
        }
        let mut too_long = vec![0x81, 0x80, 0x02];
        too_long.extend([b'x'; 0x8000]);
        let error = DecodeError::InvalidLength { length: 0x8000 };
        assert_eq!(Reader::new(too_long.into()).nullable_string(true), Err(error));
    }

    #[test]
    fn nulls_and_empties_differ() {
        let cases: [(Option<&str>, bool, &[u8]); 4] = [
            (None, false, &[0xff, 0xff]),
            (None, true, &[0]),
            (Some(""), false, &[0, 0]),
            (Some(""), true, &[1]),
        ];
        for (value, compact, bytes) in cases {
            assert_eq!(written(|out| out.nullable_string(value, compact).unwrap()), bytes);
            let read = Reader::new(Bytes::from_static(bytes)).nullable_string(compact);
            assert_eq!(read, Ok(value.map(str::to_owned)));
        }
        assert_eq!(written(|out| out.nullable_bytes(None, false).unwrap()), [0xff; 4]);
        assert_eq!(reader(&[0xff; 4]).nullable_bytes(false), Ok(None));
        assert_eq!(reader(&[0, 0, 0, 1, 7]).nullable_bytes(false), Ok(Some(Bytes::from_static(&[7]))));
    }

    #[test]
    fn negative_lengths_but_for_null_are_errors() {
        let error = DecodeError::InvalidLength { length: -2 };
        assert_eq!(reader(&[0xff, 0xfe]).nullable_string(false), Err(error.clone()));
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xfe]).nullable_bytes(false), Err(error.clone()));
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xfe]).nullable_count(false), Err(error));
    }

    #[test]
    fn strings_must_be_utf_8() {
        assert_eq!(reader(&[0, 2, 0xc3, 0x28]).nullable_string(false), Err(DecodeError::InvalidUtf8));
        assert_eq!(reader(&[3, 0xed, 0xa0]).nullable_string(true), Err(DecodeError::InvalidUtf8));
    }

    #[test]
    fn byte_strings_share_the_input() {
        let input = Bytes::from(vec![0, 0, 0, 2, 8, 9]);
        let read = Reader::new(input.clone()).nullable_bytes(false).unwrap().unwrap();
        assert_eq!(read.as_ptr(), input[4..].as_ptr());
    }

    #[test]
    fn any_byte_but_zero_is_true() {
        assert_eq!(reader(&[0]).bool(), Ok(false));
        assert_eq!(reader(&[1]).bool(), Ok(true));
        assert_eq!(reader(&[0x80]).bool(), Ok(true));
    }

    #[test]
    fn tagged_fields_end_where_their_size_says() {
        let mut input = reader(&[2, 0, 2, 0, 9, 5, 1, 7, 42]);
        let mut seen = Vec::new();
        let read = input.tagged_fields(|tag, field| {
            if tag == 0 {
                seen.push(field.i16()?);
            }
            Ok(())
        });
        assert_eq!((read, seen), (Ok(()), vec![9]));
        assert_eq!(input.u8(), Ok(42));
        let mut short = reader(&[1, 0, 1, 0, 9]);
        let end = DecodeError::UnexpectedEnd { needed: 2, remaining: 1 };
        assert_eq!(short.tagged_fields(|_, field| field.i16().map(drop)), Err(end));
    }
}
