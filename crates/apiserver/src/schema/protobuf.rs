//! Reads objects that clients send as protobuf: kubectl does for what it makes itself (`create`, `run`).
//!
//! Answers are JSON always, which every client of Kubernetes accepts beside protobuf.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::Ty;

/// What a protobuf body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages within messages; Kubernetes' own types need fewer.
const DEEPEST: usize = 64;

/// The fields of a message: the way of numbers to each, its name in JSON and its type.
type Fields<'a> = Vec<(&'a [u32], &'a str, &'a Ty)>;

/// An object out of Kubernetes' envelope (apiVersion, kind, the message's bytes); `ty` is its type.
///
/// # Errors
/// A sentence when the bytes are no such message.
pub(crate) fn decode(ty: &Ty, bytes: &[u8]) -> Result<Value, String> {
    let envelope =
        bytes.strip_prefix(MAGIC).ok_or("provided data does not appear to be a protobuf message")?;
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

fn message(ty: &Ty, bytes: &[u8], depth: usize) -> Result<Value, String> {
    let Ty::Struct(found) = ty else { return Err("not a message".to_owned()) };
    let fields =
        found.fields.iter().map(|(name, field)| (field.numbers.as_slice(), name.as_str(), &field.ty));
    let mut out = Map::new();
    fill(&fields.collect(), bytes, &mut out, depth)?;
    Ok(Value::Object(out))
}

fn fill(fields: &Fields<'_>, bytes: &[u8], out: &mut Map<String, Value>, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err("messages are nested too deep".to_owned());
    }
    each(bytes, |number, value| {
        let here: Fields<'_> = fields
            .iter()
            .filter(|(numbers, ..)| numbers.first() == Some(&number))
            .map(|(numbers, name, ty)| (&numbers[1..], *name, *ty))
            .collect();
        match (here.as_slice(), &value) {
            ([([], name, ty)], _) => put(ty, name, &value, out, depth),
            // A message that JSON inlines.
            ([_, ..], Wire::Bytes(inner)) => fill(&here, inner, out, depth + 1),
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
) -> Result<(), String> {
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

fn single(ty: &Ty, value: &Wire<'_>, depth: usize) -> Result<Value, String> {
    Ok(match (ty, value) {
        (Ty::Struct(_), Wire::Bytes(bytes)) => message(ty, bytes, depth + 1)?,
        (Ty::String, Wire::Bytes(bytes)) => string(bytes)?.into(),
        (Ty::Bytes, Wire::Bytes(bytes)) => BASE64_STANDARD.encode(bytes).into(),
        (Ty::Bool, Wire::Number(number)) => (*number != 0).into(),
        // Negative numbers come as their two's complement.
        (Ty::Int32 | Ty::Int64, Wire::Number(number)) => number.cast_signed().into(),
        (Ty::Double, Wire::Number(number)) => json!(f64::from_bits(*number)),
        (Ty::Quantity, Wire::Bytes(bytes)) => parts(bytes)?.1.into(),
        (Ty::Time | Ty::MicroTime, Wire::Bytes(bytes)) => time(bytes)?,
        (Ty::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Ty::Any { .. }, Wire::Bytes(bytes)) => serde_json::from_str(&parts(bytes)?.1).unwrap_or(Value::Null),
        _ => return Err("a field has another type than its number says".to_owned()),
    })
}

/// The numbers of a message by field, and its text in field 1.
fn parts(bytes: &[u8]) -> Result<([u64; 3], String), String> {
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

fn time(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let ([seconds, nanos, _], _) = parts(bytes)?;
    let nanos = i32::try_from(nanos).unwrap_or_default();
    let time = jiff::Timestamp::new(seconds.cast_signed(), nanos).map_err(|error| error.to_string())?;
    Ok(time.to_string().into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let ([is_text, number, _], text) = parts(bytes)?;
    Ok(if is_text == 0 { number.cast_signed().into() } else { text.into() })
}

/// A field's value as it lies on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn string(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

fn each<'a>(
    mut bytes: &'a [u8],
    mut take: impl FnMut(u32, Wire<'a>) -> Result<(), String>,
) -> Result<(), String> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).map_err(|_| "a field number is too large")?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => Wire::Number(fixed::<8>(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| "a length is too large")?;
                let (found, rest) = bytes.split_at_checked(length).ok_or("unexpected EOF")?;
                bytes = rest;
                Wire::Bytes(found)
            }
            5 => Wire::Number(fixed::<4>(&mut bytes)?),
            other => return Err(format!("wire type {other} is not known")),
        };
        take(number, value)?;
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or("unexpected EOF")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number is too long".to_owned())
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Result<u64, String> {
    let (found, rest) = bytes.split_first_chunk::<N>().ok_or("unexpected EOF")?;
    *bytes = rest;
    Ok(found.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin;

    #[test]
    fn a_namespace_as_kubectl_sends_it_is_read() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(b"\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x08\x0a\x06\x0a\x04demo");
        let value = decode(&builtin("core.v1.Namespace"), &bytes).expect("reads");
        assert_eq!(value, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}));
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let whole = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x08\x0a\x06\x0a\x04demo";
        for end in 5..whole.len() {
            if end != 21 {
                assert!(decode(&builtin("core.v1.Namespace"), &whole[..end]).is_err(), "{end}");
            }
        }
    }
}
