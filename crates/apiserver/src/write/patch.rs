//! Patch requests.

use serde_json::{Value, json};

use super::decode::{check_kind, decode};
use super::update::Candidate;
use super::{WriteResult, Writer, prepare};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::WriteOptions;
use crate::patch::{json, strategic};
use crate::schema::{Ty, builtin};
use crate::store::Key;

/// A patch document.
#[derive(Clone, Debug)]
pub enum Patch {
    /// JSON patch, RFC 6902.
    Json(Value),
    /// JSON merge patch, RFC 7396.
    Merge(Value),
    /// Strategic merge patch: lists are merged by key. Built-in kinds only.
    Strategic(Value),
    /// Server-side apply; requires a field manager in the options.
    Apply(Value),
}

impl Writer<'_> {
    /// Patches an object; an apply patch creates it if it does not exist.
    pub(crate) async fn patch(
        &self,
        kind: &Kind,
        key: &Key,
        subresource: &str,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        if let Patch::Apply(config) = patch {
            return self.apply(kind, key, subresource, config, options).await;
        }
        if subresource == "scale" {
            return self
                .rescale(kind, key, options, |scale| {
                    let mut scale = scale;
                    let ty = builtin("autoscaling.v1.Scale");
                    apply_patch(&ty, false, &mut scale, patch)?;
                    Ok(scale)
                })
                .await;
        }
        self.change(kind, key, subresource, options, |live| {
            let mut value = kind.in_version(live);
            apply_patch(&kind.ty, kind.is_custom(), &mut value, patch)?;
            same_object(kind, &value, key)?;
            let mut warnings = Vec::new();
            let mut value = decode(kind, value, options, &mut warnings)
                .map_err(|error| error.invalid_patch(kind, &key.name))?;
            prepare::place(kind, &key.namespace, Some(&key.name), &mut value)?;
            Ok(Candidate { value, owned: false, warnings })
        })
        .await
    }
}

/// Applies a patch document to an object of a type.
fn apply_patch(ty: &Ty, is_custom: bool, value: &mut Value, patch: &Patch) -> Result<()> {
    match patch {
        Patch::Merge(patch) if !patch.is_object() => Err(ApiError::bad_request(
            "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}",
        )),
        Patch::Merge(patch) => {
            json::merge(value, patch);
            Ok(())
        }
        Patch::Strategic(_) if is_custom => Err(ApiError::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        Patch::Strategic(patch) => {
            strategic::apply(ty, value, patch).map_err(|error| ApiError::new(500, "", error.to_string()))
        }
        Patch::Json(patch) => json::apply(value, patch).map_err(json_patch_error),
        Patch::Apply(_) => Err(ApiError::internal("unexpected apply patch")),
    }
}

fn json_patch_error(error: json::Error) -> ApiError {
    match error {
        json::Error::Malformed { .. } => ApiError::bad_request(format!("error decoding patch: {error}")),
        json::Error::TooManyOperations(_) => ApiError::new(413, "RequestEntityTooLarge", error.to_string()),
        // Like kube-apiserver, without the reason.
        _ => {
            tracing::debug!(%error, "a JSON patch does not apply");
            let message = "the server rejected our request due to an error in our request";
            ApiError { details: json!({}), ..ApiError::new(422, "Invalid", message) }
        }
    }
}

/// Checks that a patch has not changed kind, version or name.
fn same_object(kind: &Kind, value: &Value, key: &Key) -> Result<()> {
    if value["kind"] != kind.kind.as_str() || value["apiVersion"] != kind.api_version().as_str() {
        check_kind(kind, value)?;
    }
    if value["metadata"]["name"].as_str().is_some_and(|name| name != key.name) {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            value["metadata"]["name"].as_str().unwrap_or_default(),
            key.name
        )));
    }
    Ok(())
}
