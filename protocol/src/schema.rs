//! The field tables as data: what every message holds in every version.
//!
//! Encoding and decoding do not use it. It lets tests and tools walk all messages without knowing them one by
//! one.

/// One struct of a message.
#[derive(Debug)]
pub struct Schema {
    /// Kafka's name of the struct, or ours where Kafka's collides.
    pub name: &'static str,
    /// Fields in wire order; tagged ones stand where the table has them, and are written last.
    pub fields: &'static [Field],
}

/// One field of a struct.
#[derive(Debug)]
pub struct Field {
    /// Kafka's name, in snake case.
    pub name: &'static str,
    /// Whether a version has the field.
    pub is_in: fn(i16) -> bool,
    /// Whether the field may be null in a version that has it.
    pub is_nullable_in: fn(i16) -> bool,
    /// The tag of an optional field (KIP-482); such a field is left out when it has its default.
    pub tag: Option<u32>,
    /// What the field holds.
    pub kind: Kind,
}

/// Type of a field.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    I8,
    /// Two bytes, signed or not.
    I16,
    /// Four bytes.
    I32,
    /// Eight bytes.
    I64,
    /// Eight bytes, an IEEE 754 double.
    F64,
    /// Sixteen bytes.
    Uuid,
    /// A length and UTF-8.
    String,
    /// A length and bytes.
    Bytes,
    /// A count and elements.
    Array(&'static Kind),
    /// The fields of another struct.
    Struct(&'static Schema),
    /// One byte, 1 or what stands for null, and then the fields of another struct.
    NullableStruct(&'static Schema),
}
