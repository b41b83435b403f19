//! Patch requests.

use serde_json::{Value, json};

use super::update::Candidate;
use super::{ATTEMPTS, WriteResult, decode, prepare};
use crate::core::Core;
use crate::error::{ApiError, Cause, Result};
use crate::kinds::Kind;
use crate::options::WriteOptions;
use crate::patch::apply::{ApplyRequest, apply};
use crate::patch::{json as json_patch, merge, strategic};
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

/// Returns an object in the version of a kind.
pub(crate) fn in_version(kind: &Kind, object: &Value) -> Value {
    let mut value = object.clone();
    let version = kind.api_version();
    if value["apiVersion"] != version.as_str() {
        value["apiVersion"] = version.into();
    }
    value
}

impl Core {
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
                    let ty = crate::schema::builtin("autoscaling.v1.Scale");
                    patched(&ty, false, &mut scale, patch)?;
                    Ok(scale)
                })
                .await;
        }
        self.change(kind, key, subresource, options, |live| {
            let mut value = in_version(kind, live);
            patched(&kind.ty, kind.is_custom(), &mut value, patch)?;
            same_object(kind, &value, key)?;
            let mut warnings = Vec::new();
            let mut value = decode(kind, value, options, &mut warnings)
                .map_err(|error| of_patch(kind, &key.name, error))?;
            prepare::place(kind, &key.namespace, Some(&key.name), &mut value)?;
            Ok(Candidate { value, owned: false, warnings })
        })
        .await
    }

    async fn apply(
        &self,
        kind: &Kind,
        key: &Key,
        subresource: &str,
        config: &Value,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        let Some(manager) = options.manager.as_deref().filter(|manager| !manager.is_empty()) else {
            let message = "Required value: is required for apply patch".to_owned();
            let cause = Cause { reason: "FieldValueRequired", message, field: "fieldManager".to_owned() };
            return Err(ApiError::invalid("PatchOptions", "meta.k8s.io", "", &[cause]));
        };
        let mut config = config.clone();
        let is = |field: &str, expected: &str| config[field].as_str().is_none_or(|found| found == expected);
        if !is("kind", &kind.kind) || !is("apiVersion", &kind.api_version()) || config["kind"].is_null() {
            return Err(ApiError::bad_request(format!(
                "invalid object type: /, Kind=: expected {}, Kind={}",
                kind.api_version(),
                kind.kind
            )));
        }
        match config.get_mut("metadata") {
            Some(Value::Object(metadata)) => {
                metadata.remove("creationTimestamp");
            }
            // A null metadata means that it is not part of the configuration, not that it is removed.
            Some(Value::Null) => {
                config.as_object_mut().map(|map| map.remove("metadata"));
            }
            _ => {}
        }
        for _ in 0..ATTEMPTS {
            let live = self.store.collection(&kind.resource()).get(key);
            let request = ApplyRequest { kind, manager, force: options.force, subresource, config: &config };
            match &live {
                Some(found) => {
                    let old = in_version(kind, found);
                    if let Some(version) = config["metadata"]["resourceVersion"].as_str()
                        && version != found.revision().to_string()
                    {
                        return Err(ApiError::modified(&kind.resource(), &key.name));
                    }
                    let written = self
                        .change(kind, key, subresource, options, |live| {
                            let old = if live.revision() == found.revision() {
                                old.clone()
                            } else {
                                in_version(kind, live)
                            };
                            let value = apply(&old, &request)?;
                            let mut warnings = Vec::new();
                            let mut value = decode(kind, value, options, &mut warnings)?;
                            prepare::place(kind, &key.namespace, Some(&key.name), &mut value)?;
                            Ok(Candidate { value, owned: true, warnings })
                        })
                        .await;
                    // It was deleted concurrently: the next attempt creates it.
                    match written {
                        Err(error) if error.reason == "NotFound" => continue,
                        other => return other,
                    }
                }
                None if !subresource.is_empty() => {
                    return Err(ApiError::not_found(&kind.resource(), &key.name));
                }
                None => {
                    let value = apply(&Value::Null, &request)?;
                    let mut warnings = Vec::new();
                    let mut value = decode(kind, value, options, &mut warnings)?;
                    if config["metadata"]["resourceVersion"]
                        .as_str()
                        .is_some_and(|version| !version.is_empty())
                    {
                        return Err(ApiError::modified(&kind.resource(), &key.name));
                    }
                    prepare::place(kind, &key.namespace, Some(&key.name), &mut value)?;
                    match self.store_new(kind, &key.namespace, value, options, warnings).await {
                        Err(error) if error.reason == "AlreadyExists" => continue,
                        other => return other,
                    }
                }
            }
        }
        Err(ApiError::modified(&kind.resource(), &key.name))
    }
}

fn patched(ty: &crate::schema::Ty, custom: bool, value: &mut Value, patch: &Patch) -> Result<()> {
    match patch {
        Patch::Merge(patch) if !patch.is_object() => Err(ApiError::bad_request(
            "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}",
        )),
        Patch::Merge(patch) => {
            merge::apply(value, patch);
            Ok(())
        }
        Patch::Strategic(_) if custom => Err(ApiError::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        Patch::Strategic(patch) => {
            strategic::apply(ty, value, patch).map_err(|error| ApiError::new(500, "", error))
        }
        Patch::Json(patch) => json_patch::apply(value, patch).map_err(|failure| match failure {
            json_patch::Failure::Malformed(why) => {
                ApiError::bad_request(format!("error decoding patch: {why}"))
            }
            json_patch::Failure::TooManyOperations(found) => ApiError::new(
                413,
                "RequestEntityTooLarge",
                format!("The allowed maximum operations in a JSON patch is 10000, got {found}"),
            ),
            // kube-apiserver does not return the reason either.
            json_patch::Failure::DoesNotApply(_) => {
                let message = "the server rejected our request due to an error in our request";
                ApiError { details: json!({}), ..ApiError::new(422, "Invalid", message) }
            }
        }),
        Patch::Apply(_) => Err(ApiError::internal("unexpected apply patch")),
    }
}

/// Checks that a patch has not changed kind, version or name.
fn same_object(kind: &Kind, value: &Value, key: &Key) -> Result<()> {
    if value["kind"] != kind.kind.as_str() || value["apiVersion"] != kind.api_version().as_str() {
        super::check_kind(kind, value)?;
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

/// Converts the decoding error of a patched object: it is an invalid object (422), not a bad request (400).
fn of_patch(kind: &Kind, name: &str, error: ApiError) -> ApiError {
    let marker = format!("cannot be handled as a {}: ", kind.kind);
    let Some((_, why)) = error.message.split_once(&marker) else { return error };
    let cause = Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {why}"),
        field: "patch".to_owned(),
    };
    ApiError::invalid(&kind.kind, &kind.group, name, &[cause])
}
