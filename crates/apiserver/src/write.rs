//! Write requests, from the received object to the stored object.
//!
//! ```text
//!   decode ─ defaults ─ field managers ─ admission (mutate) ─ prepare ─ validate ─ admission (validate) ─ store
//! ```

use std::sync::Arc;

use serde_json::Value;

use crate::address::ServiceAllocator;
use crate::admission::{Admission, AdmissionRequest, Operation};
use crate::defaults;
use crate::error::{ApiError, Result};
use crate::kinds::{Kind, KindRegistry};
use crate::options::{FieldValidation, WriteOptions};
use crate::schema::decode::Decoder;
use crate::store::{Object, Store};

mod apply;
mod create;
mod delete;
mod effects;
mod patch;
mod prepare;
mod scale;
mod update;

pub use delete::DeleteResult;
pub use patch::Patch;
pub(crate) use prepare::uid;
pub(crate) use scale::to_scale;

/// Writes objects to a store.
pub(crate) struct Writer<'a> {
    pub(crate) store: &'a Store,
    /// Receives the kinds of stored definitions.
    pub(crate) kinds: &'a KindRegistry,
    pub(crate) addresses: &'a ServiceAllocator,
    pub(crate) admission: &'a [Arc<dyn Admission>],
}

/// The result of a write.
#[derive(Clone, Debug)]
pub struct WriteResult {
    /// The stored object; for a dry run the object that would be stored.
    pub object: Arc<Object>,
    /// Whether the write created the object.
    pub created: bool,
    /// Warnings for the client, sent as `Warning` headers.
    pub warnings: Vec<String>,
}

/// Maximum attempts of a write that conflicts with concurrent writes. Each conflict means that another write succeeded.
const ATTEMPTS: usize = 16;

/// Decodes a received object into the type of its kind and sets defaults.
///
/// # Errors
/// 400 for a value of a wrong type, and for unknown or duplicate fields with strict validation.
fn decode(kind: &Kind, value: Value, options: &WriteOptions, warnings: &mut Vec<String>) -> Result<Value> {
    let mut decoder = Decoder::default();
    let version = kind.api_version();
    let error = |message: String| {
        ApiError::bad_request(format!(
            "{0} in version \"{1}\" cannot be handled as a {0}: {message}",
            kind.kind, kind.version
        ))
    };
    let mut value = decoder.object(&kind.ty, value).map_err(|mismatch| error(mismatch.to_string()))?;
    if !decoder.unknown.is_empty() || !options.duplicate_fields.is_empty() {
        decoder.unknown.sort();
        let unknown = decoder.unknown.iter().map(|path| format!("unknown field \"{path}\""));
        let duplicate = options.duplicate_fields.iter().map(|path| format!("duplicate field \"{path}\""));
        let messages: Vec<String> = unknown.chain(duplicate).collect();
        match options.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => warnings.extend(messages),
            FieldValidation::Strict if kind.is_custom() => {
                let mut error =
                    ApiError::bad_request(format!("strict decoding error: {}", messages.join(", ")));
                error.details = Value::Null;
                return Err(error);
            }
            FieldValidation::Strict => {
                return Err(error(format!("strict decoding error: {}", messages.join(", "))));
            }
        }
    }
    value["apiVersion"] = version.into();
    value["kind"] = kind.kind.clone().into();
    defaults::set_defaults(kind, &mut value);
    Ok(value)
}

impl Writer<'_> {
    /// Runs the mutating admission hooks and decodes the object again if they changed it.
    async fn mutate(&self, kind: &Kind, request: &AdmissionRequest, object: &mut Value) -> Result<()> {
        if self.admission.is_empty() {
            return Ok(());
        }
        let before = object.clone();
        for hook in self.admission {
            hook.mutate(request, object).await?;
        }
        if *object != before {
            let options = WriteOptions { validation: FieldValidation::Ignore, ..WriteOptions::default() };
            *object = decode(kind, object.take(), &options, &mut Vec::new())?;
        }
        Ok(())
    }

    /// Runs the validating admission hooks.
    async fn admit(&self, request: &AdmissionRequest, object: &Value) -> Result<()> {
        for hook in self.admission {
            hook.validate(request, object).await?;
        }
        Ok(())
    }
}

fn admission_request(
    kind: &Kind,
    operation: Operation,
    object: &Value,
    options: &WriteOptions,
) -> AdmissionRequest {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    AdmissionRequest {
        operation,
        resource: kind.resource(),
        namespace: text("namespace"),
        name: text("name"),
        subresource: String::new(),
        old: None,
        dry_run: options.dry_run,
    }
}

/// Checks that kind and version of a received object match the path of the request.
fn check_kind(kind: &Kind, value: &Value) -> Result<()> {
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
