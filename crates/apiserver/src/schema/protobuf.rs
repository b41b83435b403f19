//! Decoding of objects in protobuf, which kubectl sends for objects that it builds itself (`create`, `run`).
//!
//! Responses are always JSON, which every Kubernetes client accepts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::Ty;

mod wire;

use wire::{Wire, each};

/// Prefix of a protobuf body.
const MAGIC: &[u8] = b"k8s\0";
/// Maximum nesting of messages; the types of Kubernetes are less deep.
const MAX_DEPTH: usize = 64;

/// The error of bytes that are not an object in protobuf.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The prefix of Kubernetes is missing. The message is that of Kubernetes.
    #[error("provided data does not appear to be a protobuf message")]
    NoPrefix,
    /// The message is truncated. The message is that of Kubernetes.
    #[error("unexpected EOF")]
    UnexpectedEnd,
    /// A wire type that protobuf does not define.
    #[error("unknown wire type {0}")]
    UnknownWireType(u64),
    /// A wire type that does not match the type of the field.
    #[error("a field has an unexpected wire type")]
    WireType,
    /// More than [`MAX_DEPTH`] nested messages.
    #[error("messages are nested too deeply")]
    TooDeep,
    /// A field number above 32 bits.
    #[error("a field number is too large")]
    FieldNumber,
    /// A length above the address space.
    #[error("a length is too large")]
    Length,
    /// A varint above 64 bits.
    #[error("a number is too long")]
    Varint,
    /// A string is not UTF-8.
    #[error("invalid string: {0}")]
    Utf8(#[from] std::string::FromUtf8Error),
    /// A time is out of range.
    #[error("invalid time: {0}")]
    Time(#[from] jiff::Error),
}

/// The fields of a message: remaining field numbers, name in JSON and type.
type Fields<'a> = Vec<(&'a [u32], &'a str, &'a Ty)>;

/// Decodes an object of type `ty` from the envelope of Kubernetes (apiVersion, kind, message bytes).
///
/// # Errors
/// If the bytes are not a valid message of this type.
pub(crate) fn decode(ty: &Ty, bytes: &[u8]) -> Result<Value, Error> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or(Error::NoPrefix)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    each(envelope, |number, value| {
        match (number, value) {
            (1, Wire::Bytes(meta)) => each(meta, |number, value| {
                if let Wire::Bytes(text) = value {
                    *if number == 1 { &mut api_version } else { &mut kind } = string(text)?;
                }
                Ok(())
            })?,
            (2, Wire::Bytes(found)) => raw = found,
            _ => {}
        }
        Ok(())
    })?;
    let mut value = message(ty, raw, 0)?;
    value["apiVersion"] = api_version.into();
    value["kind"] = kind.into();
    Ok(value)
}

fn message(ty: &Ty, bytes: &[u8], depth: usize) -> Result<Value, Error> {
    let Ty::Struct(found) = ty else { return Err(Error::WireType) };
    let fields =
        found.fields.iter().map(|(name, field)| (field.numbers.as_slice(), name.as_str(), &field.ty));
    let mut out = Map::new();
    fill(&fields.collect(), bytes, &mut out, depth)?;
    Ok(Value::Object(out))
}

fn fill(fields: &Fields<'_>, bytes: &[u8], out: &mut Map<String, Value>, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    each(bytes, |number, value| {
        let matching: Fields<'_> = fields
            .iter()
            .filter(|(numbers, ..)| numbers.first() == Some(&number))
            .map(|(numbers, name, ty)| (&numbers[1..], *name, *ty))
            .collect();
        match (matching.as_slice(), &value) {
            ([([], name, ty)], _) => put(ty, name, &value, out, depth),
            // A message that JSON inlines.
            ([_, ..], Wire::Bytes(inner)) => fill(&matching, inner, out, depth + 1),
            _ => Ok(()),
        }
    })
}

fn put(
    ty: &Ty,
    name: &str,
    value: &Wire<'_>,
    out: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    match (ty, value) {
        (Ty::List(list), value) => {
            let item = single(&list.item, value, depth)?;
            if let Value::Array(items) = out.entry(name.to_owned()).or_insert_with(|| json!([])) {
                items.push(item);
            }
        }
        (Ty::Map(map), Wire::Bytes(entry)) => {
            let (mut key, mut found) = (String::new(), Value::Null);
            each(entry, |number, value| {
                match (number, &value) {
                    (1, Wire::Bytes(text)) => key = string(text)?,
                    (2, value) => found = single(&map.value, value, depth)?,
                    _ => {}
                }
                Ok(())
            })?;
            out.entry(name.to_owned()).or_insert_with(|| json!({}))[key] = found;
        }
        (ty, value) => {
            out.insert(name.to_owned(), single(ty, value, depth)?);
        }
    }
    Ok(())
}

fn single(ty: &Ty, value: &Wire<'_>, depth: usize) -> Result<Value, Error> {
    Ok(match (ty, value) {
        (Ty::Struct(_), Wire::Bytes(bytes)) => message(ty, bytes, depth + 1)?,
        (Ty::String, Wire::Bytes(bytes)) => string(bytes)?.into(),
        (Ty::Bytes, Wire::Bytes(bytes)) => BASE64_STANDARD.encode(bytes).into(),
        (Ty::Bool, Wire::Number(number)) => (*number != 0).into(),
        // Negative numbers are encoded in two's complement.
        (Ty::Int32 | Ty::Int64, Wire::Number(number)) => number.cast_signed().into(),
        (Ty::Double, Wire::Number(number)) => json!(f64::from_bits(*number)),
        (Ty::Quantity, Wire::Bytes(bytes)) => parts(bytes)?.1.into(),
        (Ty::Time | Ty::MicroTime, Wire::Bytes(bytes)) => time(bytes)?,
        (Ty::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Ty::Any { .. }, Wire::Bytes(bytes)) => serde_json::from_str(&parts(bytes)?.1).unwrap_or(Value::Null),
        _ => return Err(Error::WireType),
    })
}

/// Returns the numeric fields 1 to 3 of a message, and its text field.
fn parts(bytes: &[u8]) -> Result<([u64; 3], String), Error> {
    let (mut numbers, mut text) = ([0; 3], String::new());
    each(bytes, |number, value| {
        match value {
            Wire::Number(found) if (1..=3).contains(&number) => numbers[number as usize - 1] = found,
            Wire::Bytes(found) if number == 1 || number == 3 => text = string(found)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((numbers, text))
}

fn time(bytes: &[u8]) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let ([seconds, nanos, _], _) = parts(bytes)?;
    let nanos = i32::try_from(nanos).unwrap_or_default();
    let time = jiff::Timestamp::new(seconds.cast_signed(), nanos)?;
    Ok(time.to_string().into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Error> {
    let ([is_text, number, _], text) = parts(bytes)?;
    Ok(if is_text == 0 { number.cast_signed().into() } else { text.into() })
}

fn string(bytes: &[u8]) -> Result<String, Error> {
    Ok(String::from_utf8(bytes.to_vec())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin;

    #[test]
    fn namespace_sent_by_kubectl_is_decoded() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(b"\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x08\x0a\x06\x0a\x04demo");
        let value = decode(&builtin("core.v1.Namespace"), &bytes).expect("valid message");
        assert_eq!(value, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}));
    }

    #[test]
    fn truncated_message_is_rejected() {
        let message = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x08\x0a\x06\x0a\x04demo";
        for end in 5..message.len() {
            if end != 21 {
                assert!(decode(&builtin("core.v1.Namespace"), &message[..end]).is_err(), "{end}");
            }
        }
    }
}
