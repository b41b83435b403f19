//! Decoding of objects into their type, with the results of Go's decoder and encoder.
//!
//! Unknown fields are dropped and reported, a value of a wrong type is an error, and empty fields that are not pointers
//! are dropped, so that equal objects have one representation.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map as JsonMap, Value};

use super::mismatch::Mismatch;
use super::{Field, Struct, Ty};

/// Maximum number of reported unknown fields, as in the decoder of Kubernetes.
const MAX_UNKNOWN: usize = 100;

/// Decodes one object and collects its unknown fields.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Paths of unknown fields, at most [`MAX_UNKNOWN`].
    pub(crate) unknown: Vec<String>,
    path: Vec<PathElement>,
}

#[derive(Debug)]
enum PathElement {
    Field(String),
    Index(usize),
}

impl Decoder {
    /// Returns the decoded object.
    pub(crate) fn object(&mut self, ty: &Ty, value: Value) -> Result<Value, Mismatch> {
        Ok(self.value(ty, value, "")?.unwrap_or_else(|| Value::Object(JsonMap::new())))
    }

    /// Returns the decoded value, `None` for null.
    fn value(&mut self, ty: &Ty, value: Value, owner: &str) -> Result<Option<Value>, Mismatch> {
        if value.is_null() {
            return Ok(None);
        }
        match (ty, value) {
            (Ty::Any { .. }, value) => Ok(Some(value)),
            (Ty::Struct(found), Value::Object(map)) => self.fields(found, map).map(Some),
            (Ty::Map(map), Value::Object(entries)) => {
                let mut out = JsonMap::new();
                for (key, value) in entries {
                    self.path.push(PathElement::Field(key.clone()));
                    // A null in a map of scalars is the empty value of the type.
                    let value = if value.is_null() {
                        zero(&map.value)
                    } else {
                        self.value(&map.value, value, owner)?
                    };
                    self.path.pop();
                    out.insert(key, value.unwrap_or_else(|| Value::Object(JsonMap::new())));
                }
                Ok(Some(Value::Object(out)))
            }
            (Ty::List(list), Value::Array(items)) => {
                let mut out = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    self.path.push(PathElement::Index(index));
                    let item =
                        if item.is_null() { zero(&list.item) } else { self.value(&list.item, item, owner)? };
                    self.path.pop();
                    out.push(item.unwrap_or_else(|| Value::Object(JsonMap::new())));
                }
                Ok(Some(Value::Array(out)))
            }
            (Ty::Quantity, Value::Number(number)) => Ok(Some(Value::String(number.to_string()))),
            (Ty::Quantity, Value::String(text)) => match crate::quantity::canonical(&text) {
                Some(text) => Ok(Some(Value::String(text))),
                None => Err(Mismatch::Quantity(text)),
            },
            (Ty::Bytes, Value::String(text)) => match BASE64_STANDARD.decode(&text) {
                Ok(_) => Ok(Some(Value::String(text))),
                Err(source) => Err(Mismatch::of_base64(&text, source)),
            },
            (Ty::String | Ty::IntOrString, value @ Value::String(_)) => Ok(Some(value)),
            (Ty::Time, Value::String(text)) => time(text, "%Y-%m-%dT%H:%M:%SZ"),
            (Ty::MicroTime, Value::String(text)) => time(text, "%Y-%m-%dT%H:%M:%S.%6fZ"),
            (Ty::Int32, Value::Number(number))
                if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
            {
                Ok(Some(Value::Number(number)))
            }
            (Ty::Int64 | Ty::IntOrString, Value::Number(number)) if number.is_i64() => {
                Ok(Some(Value::Number(number)))
            }
            (Ty::Double, value @ Value::Number(_)) | (Ty::Bool, value @ Value::Bool(_)) => Ok(Some(value)),
            (ty, value) => Err(self.mismatch(ty, &value, owner)),
        }
    }

    fn fields(&mut self, ty: &Struct, mut map: JsonMap<String, Value>) -> Result<Value, Mismatch> {
        let mut out = JsonMap::new();
        let owner = ty.name.rsplit('.').next().unwrap_or_default();
        if map.keys().any(|key| !ty.fields.contains_key(key)) {
            let (known, unknown) = map.into_iter().partition(|(key, _)| ty.fields.contains_key(key));
            map = known;
            let unknown: JsonMap<String, Value> = unknown;
            for (key, value) in unknown {
                if ty.open {
                    out.insert(key, value);
                } else if self.unknown.len() < MAX_UNKNOWN {
                    self.unknown.push(self.path_to(Some(&key)));
                }
            }
        }
        for (name, value) in map {
            let field = &ty.fields[&name];
            if ty.custom {
                self.path.push(PathElement::Field(name.clone()));
                let value = self.custom(field, value)?;
                self.path.pop();
                out.extend(value.map(|value| (name, value)));
                continue;
            }
            self.path.push(PathElement::Field(name.clone()));
            let value = self.value(&field.ty, value, owner)?;
            self.path.pop();
            if let Some(value) = value
                && (field.always || field.pointer || !is_empty(&field.ty, &value))
            {
                out.insert(name, value);
            }
        }
        for (name, field) in ty.fields.iter().filter(|(_, field)| field.always && !ty.custom) {
            if !out.contains_key(name)
                && let Some(empty) = zero(&field.ty)
            {
                out.insert(name.clone(), empty);
            }
        }
        Ok(Value::Object(out))
    }

    /// Decodes a value of a custom resource. Types are not checked here but by validation.
    fn custom(&mut self, field: &Field, value: Value) -> Result<Option<Value>, Mismatch> {
        match (&field.ty, value) {
            (Ty::Struct(found), Value::Object(map)) => self.fields(found, map).map(Some),
            (Ty::Map(inner), Value::Object(map)) => {
                let plain = Field { ty: inner.value.clone(), ..field.clone() };
                let mut out = JsonMap::new();
                for (key, value) in map {
                    self.path.push(PathElement::Field(key.clone()));
                    let value = self.custom(&plain, value)?;
                    self.path.pop();
                    out.extend(value.map(|value| (key, value)));
                }
                Ok(Some(Value::Object(out)))
            }
            (Ty::List(list), Value::Array(items)) => {
                let plain = Field { ty: list.item.clone(), ..field.clone() };
                let mut out = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    self.path.push(PathElement::Index(index));
                    out.extend(self.custom(&plain, item)?);
                    self.path.pop();
                }
                Ok(Some(Value::Array(out)))
            }
            (_, value) => Ok(Some(value)),
        }
    }

    fn path_to(&self, last: Option<&str>) -> String {
        let mut text = String::new();
        for element in &self.path {
            match element {
                PathElement::Field(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                PathElement::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        if let Some(last) = last {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(last);
        }
        text
    }

    /// Returns the error of a value of another JSON type than `ty` at the current path in a struct.
    fn mismatch(&self, ty: &Ty, value: &Value, owner: &str) -> Mismatch {
        // Go's message contains field names only, without list indices.
        let names = self.path.iter().filter_map(|element| match element {
            PathElement::Field(name) => Some(name.as_str()),
            PathElement::Index(_) => None,
        });
        let field = format!("{owner}.{}", names.collect::<Vec<_>>().join("."));
        Mismatch::of_type(ty, value, field)
    }
}

/// Parses a time and formats it as Kubernetes does.
fn time(text: String, format: &str) -> Result<Option<Value>, Mismatch> {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Some(time.strftime(format).to_string().into())),
        Err(source) => Err(Mismatch::Time { text, source }),
    }
}

/// Returns the empty value of a type for fields that are always written.
fn zero(ty: &Ty) -> Option<Value> {
    match ty {
        Ty::String | Ty::Bytes => Some("".into()),
        Ty::Int32 | Ty::Int64 | Ty::Double | Ty::IntOrString => Some(0.into()),
        Ty::Quantity => Some("0".into()),
        Ty::Bool => Some(false.into()),
        Ty::Struct(found) => Decoder::default().fields(found, JsonMap::new()).ok(),
        Ty::List(_) | Ty::Map(_) | Ty::Time | Ty::MicroTime | Ty::Any { .. } => Some(Value::Null),
    }
}

fn is_empty(ty: &Ty, value: &Value) -> bool {
    match (ty, value) {
        (Ty::Struct(_) | Ty::Any { .. } | Ty::Quantity | Ty::IntOrString, _) => false,
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Number(number)) => number.as_f64() == Some(0.0),
        (_, Value::Bool(value)) => !value,
        (_, Value::Array(items)) => items.is_empty(),
        (_, Value::Object(map)) => map.is_empty(),
        (_, Value::Null) => true,
    }
}
