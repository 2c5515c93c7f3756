//! How each Rust type of a message field is read and written.
//!
//! Tables in [`crate::messages`] name the types; this module ties a type to its form in [`crate::wire`].

use bytes::Bytes;
use uuid::Uuid;

use crate::schema::Kind;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Elements that an array has room for at least when its first one arrives, unless its count is lower.
const ROOM_MIN: usize = 4;

/// The version at hand, and whether it is a flexible one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) version: i16,
    pub(crate) flexible: bool,
}

/// A type that a message field can have.
pub(crate) trait Field: Sized {
    /// The type as a schema names it.
    const KIND: Kind;

    /// Fewest bytes that a value takes; never zero for array elements.
    fn size_min(layout: Layout) -> usize;

    fn write(&self, out: &mut Writer, layout: Layout) -> Result<(), EncodeError>;

    fn read(input: &mut Reader, layout: Layout) -> Result<Self, DecodeError>;

    /// As [`Field::write`], for a tagged field.
    fn write_tagged(&self, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        self.write(out, layout)
    }

    /// As [`Field::read`], for a tagged field.
    fn read_tagged(input: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        Self::read(input, layout)
    }
}

/// A type with a null, which is said in its length prefix, or in a byte before a struct.
pub(crate) trait Nullable: Field {
    /// [`Field::KIND`] where the value may be null.
    const KIND_NULLABLE: Kind = Self::KIND;

    /// [`Field::size_min`] where the value may be null.
    fn size_min_nullable(layout: Layout) -> usize {
        Self::size_min(layout)
    }

    fn write_nullable(value: Option<&Self>, out: &mut Writer, layout: Layout) -> Result<(), EncodeError>;

    fn read_nullable(input: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError>;

    /// As [`Nullable::write_nullable`], for a tagged field.
    fn write_nullable_tagged(
        value: Option<&Self>,
        out: &mut Writer,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        Self::write_nullable(value, out, layout)
    }

    /// As [`Nullable::read_nullable`], for a tagged field.
    fn read_nullable_tagged(input: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        Self::read_nullable(input, layout)
    }
}

macro_rules! fixed_size {
    ($($type:ty, $kind:ident, $method:ident;)*) => {
        $(
            impl Field for $type {
                const KIND: Kind = Kind::$kind;

                fn size_min(_: Layout) -> usize {
                    size_of::<Self>()
                }

                fn write(&self, out: &mut Writer, _: Layout) -> Result<(), EncodeError> {
                    out.$method(*self);
                    Ok(())
                }

                fn read(input: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
                    input.$method()
                }
            }
        )*
    };
}

fixed_size! {
    bool, Bool, bool;
    i8, I8, i8;
    i16, I16, i16;
    u16, I16, u16;
    i32, I32, i32;
    i64, I64, i64;
    Uuid, Uuid, uuid;
}

/// A double, compared by its bits.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Double(u64);

impl Double {
    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for Double {
    fn from(number: f64) -> Self {
        Self(number.to_bits())
    }
}

impl std::fmt::Debug for Double {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

impl Field for Double {
    const KIND: Kind = Kind::F64;

    fn size_min(_: Layout) -> usize {
        size_of::<Self>()
    }

    fn write(&self, out: &mut Writer, _: Layout) -> Result<(), EncodeError> {
        out.f64(self.get());
        Ok(())
    }

    fn read(input: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
        input.f64().map(Self::from)
    }
}

macro_rules! never_null {
    ($name:literal) => {
        fn write(&self, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
            Self::write_nullable(Some(self), out, layout)
        }

        fn read(input: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
            Self::read_nullable(input, layout)?.ok_or(DecodeError::UnexpectedNull { field: $name })
        }
    };
}

impl Field for String {
    const KIND: Kind = Kind::String;

    fn size_min(layout: Layout) -> usize {
        if layout.flexible { 1 } else { 2 }
    }

    never_null!("string");
}

impl Nullable for String {
    fn write_nullable(value: Option<&Self>, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        out.nullable_string(value.map(String::as_str), layout.flexible)
    }

    fn read_nullable(input: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        input.nullable_string(layout.flexible)
    }
}

impl Field for Bytes {
    const KIND: Kind = Kind::Bytes;

    fn size_min(layout: Layout) -> usize {
        if layout.flexible { 1 } else { 4 }
    }

    never_null!("byte string");
}

impl Nullable for Bytes {
    fn write_nullable(value: Option<&Self>, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        out.nullable_bytes(value.map(|bytes| &bytes[..]), layout.flexible)
    }

    fn read_nullable(input: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        input.nullable_bytes(layout.flexible)
    }
}

impl<T: Field> Field for Vec<T> {
    const KIND: Kind = Kind::Array(&T::KIND);

    fn size_min(layout: Layout) -> usize {
        if layout.flexible { 1 } else { 4 }
    }

    never_null!("array");
}

impl<T: Field> Nullable for Vec<T> {
    fn write_nullable(value: Option<&Self>, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        out.nullable_count(value.map(Vec::len), layout.flexible)?;
        for element in value.into_iter().flatten() {
            element.write(out, layout)?;
        }
        Ok(())
    }

    fn read_nullable(input: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        let Some(count) = input.nullable_count(layout.flexible)? else { return Ok(None) };
        let remaining = input.remaining();
        if remaining / T::size_min(layout).max(1) < count {
            return Err(DecodeError::CountTooLarge { count, remaining });
        }
        // The count is possible, but an element takes more memory than its shortest form on the wire, so room
        // for all of them would let a false count cost many times its frame. Room doubles as elements arrive
        // instead.
        let mut elements = Vec::new();
        let mut room = count.min(remaining / size_of::<T>().max(1));
        for read in 0..count {
            if elements.capacity() <= read {
                room = room.max(read).max(ROOM_MIN).min(count - read);
                input.charge_array(room.saturating_mul(size_of::<T>()))?;
                elements.reserve_exact(room);
            }
            elements.push(T::read(input, layout)?);
        }
        Ok(Some(elements))
    }
}

impl<T: Nullable> Field for Option<T> {
    const KIND: Kind = T::KIND_NULLABLE;

    fn size_min(layout: Layout) -> usize {
        T::size_min_nullable(layout)
    }

    fn write(&self, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        T::write_nullable(self.as_ref(), out, layout)
    }

    fn read(input: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        T::read_nullable(input, layout)
    }

    fn write_tagged(&self, out: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        T::write_nullable_tagged(self.as_ref(), out, layout)
    }

    fn read_tagged(input: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        T::read_nullable_tagged(input, layout)
    }
}

/// What precedes a struct that may be null. Kafka has another null for tagged fields than for plain ones.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Presence {
    /// -1 for null, or 1; every negative byte is read as null.
    Plain,
    /// 0 for null, or 1.
    Tagged,
}

impl Presence {
    pub(crate) fn write_struct<T: Field>(
        self,
        value: Option<&T>,
        out: &mut Writer,
        layout: Layout,
    ) -> Result<(), EncodeError> {
        match (value, self) {
            (Some(_), _) => out.i8(1),
            (None, Self::Plain) => out.i8(-1),
            (None, Self::Tagged) => out.i8(0),
        }
        value.map_or(Ok(()), |value| value.write(out, layout))
    }

    pub(crate) fn read_struct<T: Field>(
        self,
        input: &mut Reader,
        layout: Layout,
    ) -> Result<Option<T>, DecodeError> {
        let is_null = match (input.i8()?, self) {
            (byte, Self::Plain) => byte < 0,
            (byte, Self::Tagged) => byte == 0,
        };
        if is_null { Ok(None) } else { T::read(input, layout).map(Some) }
    }
}

/// Collects the tagged fields that end a struct in flexible versions.
#[derive(Debug, Default)]
pub(crate) struct TaggedFields {
    count: u32,
    fields: Writer,
}

impl TaggedFields {
    /// Adds a field; tags must ascend.
    pub(crate) fn put<T: Field>(&mut self, tag: u32, value: &T, layout: Layout) -> Result<(), EncodeError> {
        let mut field = Writer::new();
        value.write_tagged(&mut field, layout)?;
        let length = u32::try_from(field.len())
            .map_err(|_| EncodeError::TooLong { what: "tagged field", length: field.len() })?;
        self.count += 1;
        self.fields.unsigned_varint(tag);
        self.fields.unsigned_varint(length);
        self.fields.raw(&field.into_bytes());
        Ok(())
    }

    /// Writes the count and the fields.
    pub(crate) fn finish(self, out: &mut Writer) {
        out.unsigned_varint(self.count);
        out.raw(&self.fields.into_bytes());
    }
}

/// Reads the whole of a tagged field whose tag is known.
pub(crate) fn read_tagged<T: Field>(input: &mut Reader, layout: Layout) -> Result<T, DecodeError> {
    let value = T::read_tagged(input, layout)?;
    input.finish()?;
    Ok(value)
}
