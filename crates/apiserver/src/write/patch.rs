//! Patches of all four forms.

use serde_json::{Value, json};

use super::update::Candidate;
use super::{TRIES, Written, decode, prepare};
use crate::core::Core;
use crate::error::{ApiError, Cause, Result};
use crate::kinds::Kind;
use crate::options::WriteOptions;
use crate::patch::apply::{Applied, apply};
use crate::patch::{json as json_patch, merge, strategic};
use crate::store::Key;

/// A change to an object.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7396.
    Merge(Value),
    /// Lists merged by their keys; built-in kinds only.
    Strategic(Value),
    /// Server-side apply; needs a manager in the options.
    Apply(Value),
}

/// An object as this version of its kind shows it.
pub(crate) fn in_version(kind: &Kind, object: &Value) -> Value {
    let mut value = object.clone();
    let version = kind.api_version();
    if value["apiVersion"] != version.as_str() {
        value["apiVersion"] = version.into();
    }
    value
}

impl Core {
    /// Changes an object, or makes one by apply.
    pub(crate) async fn patch(
        &self,
        kind: &Kind,
        key: &Key,
        subresource: &str,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Written> {
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
    ) -> Result<Written> {
        let Some(manager) = options.manager.as_deref().filter(|manager| !manager.is_empty()) else {
            let message = "Required value: is required for apply patch".to_owned();
            let cause = Cause { reason: "FieldValueRequired", message, field: "fieldManager".to_owned() };
            return Err(ApiError::invalid("PatchOptions", "meta.k8s.io", "", &[cause]));
        };
        let mut config = config.clone();
        let is = |field: &str, wanted: &str| config[field].as_str().is_none_or(|found| found == wanted);
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
            // To say nothing of it is not to say that it shall go.
            Some(Value::Null) => {
                config.as_object_mut().map(|map| map.remove("metadata"));
            }
            _ => {}
        }
        for _ in 0..TRIES {
            let live = self.store.collection(&kind.resource()).get(key);
            let applied = Applied { kind, manager, force: options.force, subresource, config: &config };
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
                            let value = apply(&old, &applied)?;
                            let mut warnings = Vec::new();
                            let mut value = decode(kind, value, options, &mut warnings)?;
                            prepare::place(kind, &key.namespace, Some(&key.name), &mut value)?;
                            Ok(Candidate { value, owned: true, warnings })
                        })
                        .await;
                    // It went away meanwhile: then this apply makes it anew.
                    match written {
                        Err(error) if error.reason == "NotFound" => continue,
                        other => return other,
                    }
                }
                None if !subresource.is_empty() => {
                    return Err(ApiError::not_found(&kind.resource(), &key.name));
                }
                None => {
                    let value = apply(&Value::Null, &applied)?;
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
            strategic::apply(ty, value, patch).map_err(|why| ApiError::new(500, "", why))
        }
        Patch::Json(patch) => json_patch::apply(value, patch).map_err(|failure| match failure {
            json_patch::Failure::Malformed(why) => {
                ApiError::bad_request(format!("error decoding patch: {why}"))
            }
            json_patch::Failure::TooLong(found) => ApiError::new(
                413,
                "RequestEntityTooLarge",
                format!("The allowed maximum operations in a JSON patch is 10000, got {found}"),
            ),
            // As the real server: what does not fit is not told.
            json_patch::Failure::Unfit(_) => {
                let message = "the server rejected our request due to an error in our request";
                ApiError { details: json!({}), ..ApiError::new(422, "Invalid", message) }
            }
        }),
        Patch::Apply(_) => Err(ApiError::internal("apply is no plain patch")),
    }
}

/// A patch may not make another object of it.
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

/// A patch that leads to an object which cannot be decoded is an invalid object, not a bad request.
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
