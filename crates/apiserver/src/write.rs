//! The path of a write, from the object as sent to the object as stored.
//!
//! ```text
//!   decode ─ defaults ─ owners of fields ─ admission (mutate) ─ prepare ─ validate ─ admission (validate) ─ store
//! ```

use std::sync::Arc;

use serde_json::Value;

use crate::core::Core;
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::{FieldValidation, WriteOptions};
use crate::schema::decode::Decoder;
use crate::store::Object;
use crate::{Operation, Review, defaults};

mod create;
mod delete;
pub(crate) mod patch;
mod prepare;
mod scale;
mod update;

pub use delete::Deleted;
pub use patch::Patch;
pub(crate) use prepare::{now, uid};
pub(crate) use scale::{of as scale_of, text as selector_text};

/// What a write did.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object as stored (dry run: as it would be).
    pub object: Arc<Object>,
    /// It was not there before.
    pub created: bool,
    /// What the client should be told.
    pub warnings: Vec<String>,
}

/// How often a patch is tried again when another write came between. Each try means that some write succeeded.
const TRIES: usize = 16;

/// Brings an object as sent into its kind's shape, defaults filled in.
pub(crate) fn decode(
    kind: &Kind,
    value: Value,
    options: &WriteOptions,
    warnings: &mut Vec<String>,
) -> Result<Value> {
    let mut decoder = Decoder::default();
    let version = kind.api_version();
    let refuse = |what: String| {
        ApiError::bad_request(format!(
            "{0} in version \"{1}\" cannot be handled as a {0}: {what}",
            kind.kind, kind.version
        ))
    };
    let mut value = decoder.object(&kind.ty, value).map_err(|mismatch| refuse(mismatch.0))?;
    if !decoder.unknown.is_empty() || !options.repeated.is_empty() {
        decoder.unknown.sort();
        let unknown = decoder.unknown.iter().map(|path| format!("unknown field \"{path}\""));
        let repeated = options.repeated.iter().map(|path| format!("duplicate field \"{path}\""));
        let named: Vec<String> = unknown.chain(repeated).collect();
        match options.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => warnings.extend(named),
            FieldValidation::Strict if kind.is_custom() => {
                let mut error = ApiError::bad_request(format!("strict decoding error: {}", named.join(", ")));
                error.details = Value::Null;
                return Err(error);
            }
            FieldValidation::Strict => {
                return Err(refuse(format!("strict decoding error: {}", named.join(", "))));
            }
        }
    }
    value["apiVersion"] = version.into();
    value["kind"] = kind.kind.clone().into();
    defaults::fill(kind, &mut value);
    Ok(value)
}

impl Core {
    /// Lets the hooks change an object, and brings what they made of it into shape again.
    pub(crate) async fn mutate(&self, kind: &Kind, review: &Review, object: &mut Value) -> Result<()> {
        let hooks = self.hooks();
        if hooks.is_empty() {
            return Ok(());
        }
        let before = object.clone();
        for hook in hooks {
            hook.mutate(review, object).await?;
        }
        if *object != before {
            let quiet = WriteOptions { validation: FieldValidation::Ignore, ..WriteOptions::default() };
            *object = decode(kind, object.take(), &quiet, &mut Vec::new())?;
        }
        Ok(())
    }

    pub(crate) async fn admit(&self, review: &Review, object: &Value) -> Result<()> {
        for hook in self.hooks() {
            hook.validate(review, object).await?;
        }
        Ok(())
    }
}

pub(crate) fn review(kind: &Kind, operation: Operation, object: &Value, options: &WriteOptions) -> Review {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    Review {
        operation,
        resource: kind.resource(),
        namespace: text("namespace"),
        name: text("name"),
        subresource: String::new(),
        old: None,
        dry_run: options.dry_run,
    }
}

/// Kind and version of an object as sent must be those of the path it was sent to.
pub(crate) fn check_kind(kind: &Kind, value: &Value) -> Result<()> {
    let (version, word) =
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
    if (word.is_empty() || word == kind.kind) && (version.is_empty() || version == kind.api_version()) {
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
        "{word} in version \"{short}\" cannot be handled as a {0}: converting ({short}.{word}) to ({1}.{0}): unknown conversion",
        kind.kind,
        package(&kind.group),
    )))
}
