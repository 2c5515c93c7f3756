//! Messages as JSON, by their schemas: bodies of requests are written from it, answers are read into it.

use bytes::Bytes;
use sendlog_protocol::schema::{Field, Kind, Schema};
use sendlog_protocol::wire::{DecodeError, EncodeError, Reader, Writer};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// How a version lays its fields out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Of the message.
    pub version: i16,
    /// Whether it has compact lengths and tagged fields.
    pub is_flexible: bool,
}

/// Writes a body. Fields that the value lacks are null where they may be, else zero or empty; those that the version lacks
/// are left out. Bytes are an array of numbers or a string.
///
/// # Errors
/// When a string or an array is too long.
pub fn write(out: &mut Writer, schema: &Schema, value: &Value, layout: Layout) -> Result<(), EncodeError> {
    let mut tagged = Vec::new();
    for field in schema.fields.iter().filter(|field| (field.is_in)(layout.version)) {
        let inner = &value[field.name];
        match field.tag {
            None => write_kind(out, field.kind, inner, (field.is_nullable_in)(layout.version), layout)?,
            Some(tag) if !inner.is_null() => {
                let mut content = Writer::new();
                write_kind(&mut content, field.kind, inner, false, layout)?;
                tagged.push((tag, content.into_bytes()));
            }
            Some(_) => {}
        }
    }
    if layout.is_flexible {
        out.unsigned_varint(length(tagged.len()));
        for (tag, content) in tagged {
            out.unsigned_varint(tag);
            out.unsigned_varint(length(content.len()));
            out.raw(&content);
        }
    }
    Ok(())
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("a test's fields are few and small")
}

fn write_kind(
    out: &mut Writer,
    kind: Kind,
    value: &Value,
    is_nullable: bool,
    layout: Layout,
) -> Result<(), EncodeError> {
    let number = value.as_i64().unwrap_or_default();
    match kind {
        Kind::Bool => out.bool(value.as_bool().unwrap_or_default()),
        Kind::I8 => out.raw(&number.to_be_bytes()[7..]),
        Kind::I16 => out.raw(&number.to_be_bytes()[6..]),
        Kind::I32 => out.raw(&number.to_be_bytes()[4..]),
        Kind::I64 => out.i64(number),
        Kind::F64 => out.raw(&value.as_f64().unwrap_or_default().to_be_bytes()),
        Kind::Uuid => {
            out.uuid(value.as_str().and_then(|text| Uuid::parse_str(text).ok()).unwrap_or_default())
        }
        Kind::String => {
            let text = if is_nullable { value.as_str() } else { Some(value.as_str().unwrap_or_default()) };
            out.nullable_string(text, layout.is_flexible)?;
        }
        Kind::Bytes => {
            let bytes = bytes_of(value);
            let bytes = if is_nullable { bytes } else { Some(bytes.unwrap_or_default()) };
            out.nullable_bytes(bytes.as_deref(), layout.is_flexible)?;
        }
        Kind::Array(element) => {
            let elements = value.as_array();
            let count = if is_nullable { elements.map(Vec::len) } else { Some(elements.map_or(0, Vec::len)) };
            out.nullable_count(count, layout.is_flexible)?;
            for inner in elements.into_iter().flatten() {
                write_kind(out, *element, inner, false, layout)?;
            }
        }
        Kind::Struct(schema) => write(out, schema, value, layout)?,
        Kind::NullableStruct(_) if value.is_null() => out.raw(&[0xff]),
        Kind::NullableStruct(schema) => {
            out.raw(&[1]);
            write(out, schema, value, layout)?;
        }
    }
    Ok(())
}

fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(numbers) => {
            Some(numbers.iter().filter_map(|number| u8::try_from(number.as_u64()?).ok()).collect())
        }
        _ => None,
    }
}

/// Reads a body.
///
/// # Errors
/// When the bytes are not such a body.
pub fn read(input: &mut Reader, schema: &Schema, layout: Layout) -> Result<Value, DecodeError> {
    let here: Vec<&Field> = schema.fields.iter().filter(|field| (field.is_in)(layout.version)).collect();
    let mut found = Map::new();
    for field in here.iter().filter(|field| field.tag.is_none()) {
        found.insert(field.name.to_owned(), read_kind(input, field.kind, layout)?);
    }
    if layout.is_flexible {
        input.tagged_fields(|tag, content| {
            let field = here.iter().find(|field| field.tag == Some(tag));
            let value = match field {
                Some(field) => read_kind(content, field.kind, layout)?,
                None => json!(format!("{} bytes", content.remaining())),
            };
            found.insert(field.map_or_else(|| format!("tag {tag}"), |field| field.name.to_owned()), value);
            Ok(())
        })?;
    }
    Ok(Value::Object(found))
}

fn read_kind(input: &mut Reader, kind: Kind, layout: Layout) -> Result<Value, DecodeError> {
    Ok(match kind {
        Kind::Bool => json!(input.bool()?),
        Kind::I8 => json!(input.i8()?),
        Kind::I16 => json!(input.i16()?),
        Kind::I32 => json!(input.i32()?),
        Kind::I64 => json!(input.i64()?),
        Kind::F64 => {
            let bits = u64::from_be_bytes(input.i64()?.to_be_bytes());
            json!(f64::from_bits(bits))
        }
        Kind::Uuid => json!(input.uuid()?.to_string()),
        Kind::String => json!(input.nullable_string(layout.is_flexible)?),
        Kind::Bytes => json!(input.nullable_bytes(layout.is_flexible)?.map(|bytes| shown(&bytes))),
        Kind::Array(element) => match input.nullable_count(layout.is_flexible)? {
            None => Value::Null,
            Some(count) => Value::Array(
                (0..count).map(|_| read_kind(input, *element, layout)).collect::<Result<_, _>>()?,
            ),
        },
        Kind::Struct(schema) => read(input, schema, layout)?,
        Kind::NullableStruct(schema) => match input.i8()? {
            1.. => read(input, schema, layout)?,
            _ => Value::Null,
        },
    })
}

fn shown(bytes: &Bytes) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::Message;
    use sendlog_protocol::messages::ListOffsetsRequest;
    use sendlog_protocol::wire::{Reader, Writer};
    use serde_json::json;

    use super::{Layout, read, write};

    #[test]
    fn what_is_written_is_the_codecs_and_is_read_back() {
        let value = json!({"replica_id": -1, "isolation_level": 1, "timeout_ms": 5, "topics": [
            {"name": "one", "partitions": [{"partition_index": 2, "current_leader_epoch": -1, "timestamp": -2}]},
        ]});
        for version in ListOffsetsRequest::VERSIONS {
            let layout = Layout { version, is_flexible: ListOffsetsRequest::FLEXIBLE_FROM <= version };
            let mut out = Writer::new();
            write(&mut out, ListOffsetsRequest::SCHEMA, &value, layout).expect("it can be written");
            let bytes = out.into_bytes().freeze();
            let decoded =
                ListOffsetsRequest::decode(&mut Reader::new(bytes.clone()), version).expect("it is one");
            assert_eq!(decoded.topics[0].partitions[0].timestamp, -2);
            let found =
                read(&mut Reader::new(bytes), ListOffsetsRequest::SCHEMA, layout).expect("it can be read");
            assert_eq!(
                found["topics"],
                json!([{"name": "one", "partitions": [match version {
                    4.. => json!({"partition_index": 2, "current_leader_epoch": -1, "timestamp": -2}),
                    _ => json!({"partition_index": 2, "timestamp": -2}),
                }]}])
            );
        }
    }
}
