//! Update requests.

use std::sync::Arc;

use serde_json::Value;

use super::{ATTEMPTS, WriteResult, Writer, admission_request, check_kind, decode, prepare};
use crate::admission::Operation;
use crate::error::{ApiError, Cause, Result};
use crate::kinds::Kind;
use crate::options::WriteOptions;
use crate::patch::apply::managed;
use crate::store::{Expect, Key, Object};
use crate::validate;

/// An object that is to replace the stored one.
pub(crate) struct Candidate {
    pub(crate) value: Value,
    /// Whether `managedFields` are complete (after apply). Otherwise the field manager becomes owner of the changed fields.
    pub(crate) owned: bool,
    pub(crate) warnings: Vec<String>,
}

impl Writer<'_> {
    /// Replaces an object, or one of its subresources.
    pub(crate) async fn update(
        &self,
        kind: &Kind,
        key: &Key,
        subresource: &str,
        value: Value,
        options: &WriteOptions,
    ) -> Result<WriteResult> {
        check_kind(kind, &value)?;
        let mut warnings = Vec::new();
        let mut value = decode(kind, value, options, &mut warnings)?;
        prepare::place(kind, &key.namespace, Some(&key.name), &mut value)?;
        self.change(kind, key, subresource, options, |_| {
            Ok(Candidate { value: value.clone(), owned: false, warnings: warnings.clone() })
        })
        .await
    }

    /// Reads, changes and writes an object; starts over if a concurrent write changed it.
    pub(crate) async fn change(
        &self,
        kind: &Kind,
        key: &Key,
        subresource: &str,
        options: &WriteOptions,
        mut change: impl FnMut(&Arc<Object>) -> Result<Candidate>,
    ) -> Result<WriteResult> {
        let resource = kind.resource();
        let collection = self.store.collection(&resource);
        for _ in 0..ATTEMPTS {
            let live = collection.get(key).ok_or_else(|| ApiError::not_found(&resource, &key.name))?;
            let candidate = change(&live)?;
            if let Some(written) = self.replace(kind, key, subresource, &live, candidate, options).await? {
                return Ok(written);
            }
        }
        Err(ApiError::modified(&resource, &key.name))
    }

    /// Replaces the live object with a candidate. Returns `None` if a concurrent write changed the live object.
    async fn replace(
        &self,
        kind: &Kind,
        key: &Key,
        subresource: &str,
        live: &Arc<Object>,
        candidate: Candidate,
        options: &WriteOptions,
    ) -> Result<Option<WriteResult>> {
        let resource = kind.resource();
        let Candidate { mut value, owned, mut warnings } = candidate;
        let old = kind.in_version(live);
        match value["metadata"]["resourceVersion"].as_str().unwrap_or_default() {
            "" | "0" if kind.is_custom() && !owned && subresource.is_empty() => {
                let message = "Invalid value: 0: must be specified for an update".to_owned();
                let field = "metadata.resourceVersion".to_owned();
                let cause = Cause { reason: "FieldValueInvalid", message, field };
                return Err(ApiError::invalid(&kind.kind, &kind.group, &key.name, &[cause]));
            }
            "" | "0" => {}
            version if version == live.revision().to_string() => {}
            _ => return Err(ApiError::modified(&resource, &key.name)),
        }
        if let Some(uid) = value["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty())
            && old["metadata"]["uid"] != uid
        {
            let found = old["metadata"]["uid"].as_str().unwrap_or_default();
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {found}");
            return Err(ApiError::conflict(&resource, &key.name, &why));
        }
        keep_system_fields(&old, &mut value);
        keep_unchangeable_fields(kind, subresource, &old, &mut value);
        let manager = options.manager.as_deref().filter(|_| !owned);
        if let Some(manager) = manager {
            managed::track_update(kind, &old, &mut value, manager, subresource);
        } else if !owned {
            value["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
            crate::value::drop_nulls(&mut value["metadata"]);
        }
        let mut request = admission_request(kind, Operation::Update, &value, options);
        request.subresource = subresource.to_owned();
        request.old = Some(old.clone());
        self.mutate(kind, &request, &mut value).await?;
        self.allocate(kind, Some(&old), &mut value, options.dry_run)?;
        if prepare::has_generation(kind) && spec_changed(kind, &old, &value) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
            value["metadata"]["generation"] = generation.into();
        }
        let causes = validate::update(kind, &old, &value, subresource);
        if !causes.is_empty() {
            return Err(ApiError::invalid(&kind.kind, &kind.group, &key.name, &causes));
        }
        if subresource.is_empty() && old["spec"] != value["spec"] {
            warnings.extend(validate::warnings(kind, &value));
        }
        self.admit(&request, &value).await?;
        value["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        if old == value {
            return Ok(Some(WriteResult { object: live.clone(), created: false, warnings }));
        }
        if options.dry_run {
            let object = Arc::new(Object::new(value, live.revision()));
            return Ok(Some(WriteResult { object, created: false, warnings }));
        }
        let collection = self.store.collection(&resource);
        let is_removed = value["metadata"]["deletionTimestamp"].is_string()
            && prepare::has_no_finalizers(&value)
            && old["metadata"]["deletionTimestamp"].is_string()
            && value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default() == 0;
        let stored = if is_removed {
            collection.remove(key, live.revision(), Some(value))
        } else {
            collection.put(key.clone(), Expect::Revision(live.revision()), value)
        };
        let Ok(object) = stored else { return Ok(None) };
        if is_removed {
            self.after_remove(kind, &object);
        } else {
            self.after_store(kind, &object);
        }
        Ok(Some(WriteResult { object, created: false, warnings }))
    }
}

/// Restores the metadata fields that only the server sets.
fn keep_system_fields(old: &Value, value: &mut Value) {
    let Some(metadata) = value["metadata"].as_object_mut() else { return };
    let fields = [
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
    ];
    for field in fields {
        match old["metadata"].get(field) {
            Some(kept) => metadata.insert(field.to_owned(), kept.clone()),
            None => metadata.remove(field),
        };
    }
}

/// Restores the fields that an update of this (sub)resource cannot change: the status, or everything but the status.
fn keep_unchangeable_fields(kind: &Kind, subresource: &str, old: &Value, value: &mut Value) {
    let keep = |value: &mut Value, field: &str| {
        let Some(map) = value.as_object_mut() else { return };
        match old.get(field) {
            Some(kept) => map.insert(field.to_owned(), kept.clone()),
            None => map.remove(field),
        };
    };
    match subresource {
        "status" => {
            let fields: Vec<String> = [old, &*value]
                .iter()
                .flat_map(|object| object.as_object().into_iter().flat_map(|map| map.keys().cloned()))
                .filter(|field| !matches!(field.as_str(), "status" | "metadata" | "apiVersion" | "kind"))
                .collect();
            fields.iter().for_each(|field| keep(value, field));
            let managers = value["metadata"]["managedFields"].take();
            let (labels, annotations) =
                (value["metadata"]["labels"].take(), value["metadata"]["annotations"].take());
            let mut metadata = old["metadata"].clone();
            metadata["managedFields"] = managers;
            metadata["resourceVersion"] = value["metadata"]["resourceVersion"].take();
            if !kind.is_custom() {
                metadata["annotations"] = annotations;
                if kind.group != "apps" {
                    metadata["labels"] = labels;
                }
            }
            crate::value::drop_nulls(&mut metadata);
            value["metadata"] = metadata;
        }
        "finalize" => {
            keep(value, "status");
        }
        _ if kind.status => {
            keep(value, "status");
            if kind.kind == "Namespace" {
                keep(value, "spec");
            }
        }
        _ => {}
    }
}

fn spec_changed(kind: &Kind, old: &Value, value: &Value) -> bool {
    if kind.is_custom() || matches!(kind.kind.as_str(), "EndpointSlice") {
        let others = |object: &Value| {
            let mut map = object.as_object().cloned().unwrap_or_default();
            map.remove("metadata");
            if kind.status {
                map.remove("status");
            }
            map
        };
        return others(old) != others(value);
    }
    old["spec"] != value["spec"]
}
