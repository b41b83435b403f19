//! Update requests.

use std::sync::Arc;

use serde_json::Value;

use super::decode::{check_kind, decode};
use super::{ATTEMPTS, WriteResult, Writer, admission_request, prepare};
use crate::admission::{AdmissionRequest, Operation};
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
        let mut value =
            decode(kind, value, options, &mut warnings).map_err(|error| error.bad_request(kind))?;
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
        let collection = self.store.collection(&kind.collection());
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
        let Candidate { mut value, owned, mut warnings } = candidate;
        let old = kind.in_version(live);
        check_resource_version(kind, key, live, &value, owned || !subresource.is_empty())?;
        check_uid(kind, key, &old, &value)?;
        keep_system_fields(&old, &mut value);
        keep_unchangeable_fields(kind, subresource, &old, &mut value);
        if !owned {
            track_managers(kind, &old, &mut value, subresource, options);
        }
        let mut request = admission_request(kind, Operation::Update, &value, options);
        request.subresource = subresource.to_owned();
        request.old = Some(old.clone());
        self.mutate(kind, &request, &mut value).await?;
        self.allocate(kind, Some(&old), &mut value, options.dry_run)?;
        let allocated = if kind.kind == "Service" { value.clone() } else { Value::Null };
        let object = self.check_and_store(kind, key, live, &request, &old, value).await;
        if !matches!(object, Ok(Some(_))) {
            self.undo_allocate(kind, Some(&old), &allocated, options.dry_run);
        }
        Ok(object?.map(|object| {
            if subresource.is_empty() && old["spec"] != object["spec"] {
                warnings.extend(validate::warnings(kind, &object));
            }
            WriteResult { object, created: false, warnings }
        }))
    }

    /// Validates a changed object and stores it, except for a dry run. Returns `None` if a concurrent write changed the live
    /// object.
    async fn check_and_store(
        &self,
        kind: &Kind,
        key: &Key,
        live: &Arc<Object>,
        request: &AdmissionRequest,
        old: &Value,
        mut value: Value,
    ) -> Result<Option<Arc<Object>>> {
        let subresource = &request.subresource;
        if prepare::has_generation(kind) && increments_generation(kind, subresource, old, &value) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
            value["metadata"]["generation"] = generation.into();
        }
        let causes = validate::update(kind, old, &value, subresource);
        if !causes.is_empty() {
            return Err(causes.into_error(&kind.kind, &kind.group, &key.name));
        }
        self.admit(request, &value).await?;
        value["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        if *old == value {
            return Ok(Some(live.clone()));
        }
        if request.dry_run {
            return Ok(Some(Arc::new(Object::new(kind.to_stored(value), live.revision()))));
        }
        Ok(self.store_changed(kind, key, live, kind.to_stored(value)))
    }

    /// Stores a changed object, or removes it if it was only waiting for its finalizers. Returns `None` if a concurrent
    /// write changed the live object.
    fn store_changed(&self, kind: &Kind, key: &Key, live: &Object, value: Value) -> Option<Arc<Object>> {
        let collection = self.store.collection(&kind.collection());
        let is_removed = value["metadata"]["deletionTimestamp"].is_string()
            && live["metadata"]["deletionTimestamp"].is_string()
            && prepare::has_no_finalizers(&value)
            && value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default() == 0;
        if is_removed {
            let object = collection.remove(key, live.revision(), Some(value)).ok()?;
            self.after_remove(kind, &object);
            return Some(object);
        }
        let object = collection.put(key.clone(), Expect::Revision(live.revision()), value).ok()?;
        self.after_store(kind, &object);
        Some(object)
    }
}

/// Checks that the resource version of a candidate is the current one. `optional` permits a custom resource without it.
fn check_resource_version(
    kind: &Kind,
    key: &Key,
    live: &Object,
    candidate: &Value,
    optional: bool,
) -> Result<()> {
    match candidate["metadata"]["resourceVersion"].as_str().unwrap_or_default() {
        "" | "0" if kind.is_custom() && !optional => {
            let message = "Invalid value: 0: must be specified for an update".to_owned();
            let field = "metadata.resourceVersion".to_owned();
            let cause = Cause { reason: "FieldValueInvalid", message, field };
            Err(ApiError::invalid(&kind.kind, &kind.group, &key.name, &[cause]))
        }
        "" | "0" => Ok(()),
        version if version == live.revision().to_string() => Ok(()),
        _ => Err(ApiError::modified(&kind.resource(), &key.name)),
    }
}

/// Checks that a candidate with a uid has the uid of the live object.
fn check_uid(kind: &Kind, key: &Key, old: &Value, candidate: &Value) -> Result<()> {
    let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let (requested, found) = (uid(candidate), uid(old));
    if requested.is_empty() || requested == found {
        return Ok(());
    }
    let why = format!("Precondition failed: UID in precondition: {requested}, UID in object meta: {found}");
    Err(ApiError::conflict(&kind.resource(), &key.name, &why))
}

/// Makes the field manager of the options the owner of the changed fields; without one, `managedFields` are unchanged.
fn track_managers(kind: &Kind, old: &Value, value: &mut Value, subresource: &str, options: &WriteOptions) {
    match options.manager.as_deref() {
        Some(manager) => managed::track_update(kind, old, value, manager, subresource),
        None => {
            value["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
            crate::value::drop_nulls(&mut value["metadata"]);
        }
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

/// Returns whether a change increments `metadata.generation`.
fn increments_generation(kind: &Kind, subresource: &str, old: &Value, value: &Value) -> bool {
    if kind.is_custom() || kind.kind == "EndpointSlice" {
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
    // In Kubernetes, changed annotations of a Deployment count like a changed spec.
    let annotations_changed = kind.kind == "Deployment"
        && subresource.is_empty()
        && old["metadata"]["annotations"] != value["metadata"]["annotations"];
    annotations_changed || old["spec"] != value["spec"]
}
