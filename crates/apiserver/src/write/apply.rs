//! Apply requests.

use serde_json::Value;

use super::decode::decode;
use super::update::Candidate;
use super::{ATTEMPTS, WriteResult, Writer, prepare};
use crate::error::{ApiError, Cause, Result};
use crate::kinds::Kind;
use crate::options::WriteOptions;
use crate::patch::apply::{ApplyRequest, apply};
use crate::store::Key;

impl Writer<'_> {
    /// Applies a configuration. Creates the object if it does not exist.
    pub(super) async fn apply(
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
        let config = prepare_config(kind, config)?;
        let request = ApplyRequest { kind, manager, force: options.force, subresource, config: &config };
        for _ in 0..ATTEMPTS {
            let exists = self.store.collection(&kind.collection()).get(key).is_some();
            let written = match exists {
                true => self.apply_to_existing(&request, key, options).await,
                false if subresource.is_empty() => self.apply_new(&request, key, options).await,
                false => Err(ApiError::not_found(&kind.resource(), &key.name)),
            };
            // A concurrent write may have deleted or created the object.
            let retry = if exists { "NotFound" } else { "AlreadyExists" };
            match written {
                Err(error) if error.reason == retry => {}
                written => return written,
            }
        }
        Err(ApiError::modified(&kind.resource(), &key.name))
    }

    async fn apply_to_existing(
        &self,
        request: &ApplyRequest<'_>,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        let kind = request.kind;
        self.change(kind, key, request.subresource, options, |live| {
            if let Some(version) = request.config["metadata"]["resourceVersion"].as_str()
                && version != live.revision().to_string()
            {
                return Err(ApiError::modified(&kind.resource(), &key.name));
            }
            let (value, warnings) = applied(&kind.in_version(live), request, key, options)?;
            Ok(Candidate { value, owned: true, warnings })
        })
        .await
    }

    async fn apply_new(
        &self,
        request: &ApplyRequest<'_>,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        let (value, warnings) = applied(&Value::Null, request, key, options)?;
        let version = request.config["metadata"]["resourceVersion"].as_str();
        if version.is_some_and(|version| !version.is_empty()) {
            return Err(ApiError::modified(&request.kind.resource(), &key.name));
        }
        self.store_new(request.kind, &key.namespace, value, options, warnings).await
    }
}

/// Returns the live object (null if it does not exist) with the applied configuration, decoded, and warnings.
fn applied(
    live: &Value,
    request: &ApplyRequest<'_>,
    key: &Key,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>)> {
    let mut warnings = Vec::new();
    let kind = request.kind;
    let mut value = decode(kind, apply(live, request)?, options, &mut warnings)
        .map_err(|error| error.bad_request(kind))?;
    prepare::place(kind, &key.namespace, Some(&key.name), &mut value)?;
    Ok((value, warnings))
}

/// Checks kind and version of a configuration and removes metadata that cannot be applied.
fn prepare_config(kind: &Kind, config: &Value) -> Result<Value> {
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
    Ok(config)
}
