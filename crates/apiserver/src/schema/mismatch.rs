//! The errors of values that do not match their type, with the messages of Go's decoder.

use serde_json::Value;

use super::Ty;

/// A value does not match its type.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mismatch {
    /// A value of another JSON type. `field` is `STRUCT.PATH`.
    #[error("json: cannot unmarshal {found} into Go struct field {field} of type {go_type}")]
    Type { found: String, field: String, go_type: String },
    /// An invalid quantity.
    #[error(
        "unable to parse quantity's suffix in \"{0}\": quantities must match the regular expression \
         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Quantity(String),
    /// Invalid base64. `offset` is the first invalid byte.
    #[error("illegal base64 data at input byte {offset}")]
    Base64 { offset: usize, source: base64::DecodeError },
    /// An invalid time.
    #[error("parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse it")]
    Time { text: String, source: jiff::Error },
}

impl Mismatch {
    /// Returns the error of a value of another JSON type than `ty`.
    pub(super) fn of_type(ty: &Ty, value: &Value, field: String) -> Self {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if matches!(ty, Ty::Int32 | Ty::Int64) => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        Self::Type { found, field, go_type: go_type(ty) }
    }

    /// Returns the error of a text that is not base64.
    pub(super) fn of_base64(text: &str, source: base64::DecodeError) -> Self {
        use base64::DecodeError;
        let offset = match &source {
            DecodeError::InvalidByte(offset, _) | DecodeError::InvalidLastSymbol(offset, _) => *offset,
            _ => text.len() / 4 * 4,
        };
        Self::Base64 { offset, source }
    }
}

/// Returns the name of a type in Go.
fn go_type(ty: &Ty) -> String {
    match ty {
        Ty::String => "string".to_owned(),
        Ty::Int32 => "int32".to_owned(),
        Ty::Int64 => "int64".to_owned(),
        Ty::Double => "float64".to_owned(),
        Ty::Bool => "bool".to_owned(),
        Ty::Bytes => "[]uint8".to_owned(),
        Ty::List(list) => format!("[]{}", go_type(&list.item)),
        Ty::Map(map) => format!("map[string]{}", go_type(&map.value)),
        Ty::Struct(found) => format!("v1.{}", found.name.rsplit('.').next().unwrap_or_default()),
        Ty::Quantity => "resource.Quantity".to_owned(),
        Ty::IntOrString => "intstr.IntOrString".to_owned(),
        Ty::Time => "v1.Time".to_owned(),
        Ty::MicroTime => "v1.MicroTime".to_owned(),
        Ty::Any { .. } => "runtime.RawExtension".to_owned(),
    }
}
