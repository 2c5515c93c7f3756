//! Zigzag variable-length integers, as records use them.

/// Appends a zigzag varint of 1 to 5 bytes.
pub(super) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_unsigned(out, u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()));
}

/// Appends a zigzag varint of 1 to 10 bytes.
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn put_unsigned(out: &mut Vec<u8>, mut rest: u64) {
    while 0x7f < rest {
        out.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_bits(rest));
}

fn low_bits(value: u64) -> u8 {
    (value & 0x7f).to_le_bytes()[0]
}

/// Bytes that [`put_varint`] takes for `value`.
pub(super) fn varint_size(value: i32) -> usize {
    varlong_size(i64::from(value))
}

/// Bytes that [`put_varlong`] takes for `value`.
pub(super) fn varlong_size(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let bits = 64 - (zigzag | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).expect("at most 10")
}

/// Undoes the zigzag of a 32-bit value.
#[inline]
pub(super) fn unzigzag32(raw: u32) -> i32 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

/// Undoes the zigzag of a 64-bit value.
#[inline]
pub(super) fn unzigzag64(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}
