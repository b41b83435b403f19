//! Decoding of received objects.

use serde_json::Value;

use crate::defaults;
use crate::error::{ApiError, Cause, Result};
use crate::kinds::Kind;
use crate::options::{FieldValidation, WriteOptions};
use crate::schema::decode::Decoder;
use crate::schema::mismatch::Mismatch;

/// The error of an object that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    /// A value of a wrong type.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// Unknown or duplicate fields with strict validation.
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
}

impl DecodeError {
    /// Returns error 400 for an object in a request.
    pub(super) fn bad_request(self, kind: &Kind) -> ApiError {
        if kind.is_custom() && matches!(self, Self::Strict(_)) {
            return ApiError::bad_request(self.to_string());
        }
        ApiError::bad_request(format!(
            "{0} in version \"{1}\" cannot be handled as a {0}: {self}",
            kind.kind, kind.version
        ))
    }

    /// Returns error 422 for a patched object.
    pub(super) fn invalid_patch(self, kind: &Kind, name: &str) -> ApiError {
        let message = format!("Invalid value: {self}");
        let cause = Cause { reason: "FieldValueInvalid", message, field: "patch".to_owned() };
        ApiError::invalid(&kind.kind, &kind.group, name, &[cause])
    }
}

/// Decodes a received object into the type of its kind and sets defaults. Adds warnings for unknown and duplicate fields.
///
/// # Errors
/// For a value of a wrong type, and for unknown or duplicate fields with strict validation.
pub(super) fn decode(
    kind: &Kind,
    value: Value,
    options: &WriteOptions,
    warnings: &mut Vec<String>,
) -> std::result::Result<Value, DecodeError> {
    let mut decoder = Decoder::default();
    let mut value = decoder.object(&kind.ty, value)?;
    decoder.unknown.sort();
    let unknown = decoder.unknown.iter().map(|path| format!("unknown field \"{path}\""));
    let messages: Vec<String> = unknown.chain(options.strict_errors.iter().cloned()).collect();
    match options.validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => warnings.extend(messages),
        FieldValidation::Strict if messages.is_empty() => {}
        FieldValidation::Strict => return Err(DecodeError::Strict(messages)),
    }
    value["apiVersion"] = kind.api_version().into();
    value["kind"] = kind.kind.clone().into();
    defaults::set_defaults(kind, &mut value);
    Ok(value)
}

/// Checks that kind and version of a received object match the path of the request.
pub(super) fn check_kind(kind: &Kind, value: &Value) -> Result<()> {
    let (version, name) =
        (value["apiVersion"].as_str().unwrap_or_default(), value["kind"].as_str().unwrap_or_default());
    if !value.is_object() {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: \
             json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; \
             Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            kind.kind,
            if value.is_array() { "array" } else { "string" },
        )));
    }
    if (name.is_empty() || name == kind.kind) && (version.is_empty() || version == kind.api_version()) {
        return Ok(());
    }
    if kind.is_custom() {
        return Err(ApiError::bad_request(format!(
            "the object provided does not match the expected type: {}, Kind={}",
            kind.api_version(),
            kind.kind
        )));
    }
    let short = version.rsplit('/').next().unwrap_or_default();
    let package = |group: &str| {
        if group.is_empty() {
            "core".to_owned()
        } else {
            group.split('.').next().unwrap_or_default().to_owned()
        }
    };
    Err(ApiError::bad_request(format!(
        "{name} in version \"{short}\" cannot be handled as a {0}: converting ({short}.{name}) to ({1}.{0}): unknown conversion",
        kind.kind,
        package(&kind.group),
    )))
}
