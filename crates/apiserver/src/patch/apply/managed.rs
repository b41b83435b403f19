//! `metadata.managedFields`: the field managers of an object.

use serde_json::{Value, json};

use super::compare::compare;
use super::field_set::FieldSet;
use crate::clock::now;
use crate::error::ApiError;
use crate::kinds::Kind;

/// Maximum entries of updates; older ones are merged, as in Kubernetes.
const MAX_UPDATE_ENTRIES: usize = 10;

/// Maximum reported conflicts with a manager: a configuration has up to 3 MiB. The number of all is part of the message.
const MAX_CONFLICTS: usize = 100;

/// An entry of `managedFields` without its fields and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) manager: String,
    pub(crate) operation: &'static str,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl Entry {
    /// Returns the entry of a manager that applies.
    pub(crate) fn applier(manager: &str, api_version: &str, subresource: &str) -> Self {
        Self {
            manager: manager.to_owned(),
            operation: "Apply",
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    fn updater(manager: &str, api_version: &str, subresource: &str) -> Self {
        Self { operation: "Update", ..Self::applier(manager, api_version, subresource) }
    }

    /// Returns whether two entries have the same owner. Appliers are the same across API versions.
    fn has_same_owner(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == "Apply" || self.api_version == other.api_version)
    }
}

/// The field managers of an object.
#[derive(Debug, Default)]
pub(crate) struct Managers {
    entries: Vec<(Entry, FieldSet, Value)>,
}

impl Managers {
    /// Reads `metadata.managedFields`; entries with another `fieldsType` than FieldsV1 are dropped.
    pub(crate) fn read(list: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries =
            crate::value::items(list).filter(|entry| entry["fieldsType"] == "FieldsV1").map(|entry| {
                let operation = if entry["operation"] == "Apply" { "Apply" } else { "Update" };
                let owner = Entry {
                    manager: text(&entry["manager"]),
                    operation,
                    api_version: text(&entry["apiVersion"]),
                    subresource: text(&entry["subresource"]),
                };
                (owner, FieldSet::from_json(&entry["fieldsV1"]), entry["time"].clone())
            });
        Self { entries: entries.collect() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Entry, &FieldSet)> {
        self.entries.iter().map(|(entry, fields, _)| (entry, fields))
    }

    /// Takes the fields of an entry. The entry keeps its position and time until [`Managers::set_fields`].
    pub(crate) fn take_fields(&mut self, owner: &Entry) -> Option<FieldSet> {
        let (_, fields, _) = self.entries.iter_mut().find(|(entry, ..)| entry.has_same_owner(owner))?;
        Some(std::mem::take(fields))
    }

    /// Sets the fields of an entry; with `changed` also its time to now.
    pub(crate) fn set_fields(&mut self, owner: Entry, fields: FieldSet, changed: bool) {
        match self.entries.iter_mut().find(|(entry, ..)| entry.has_same_owner(&owner)) {
            Some(found) => {
                found.1 = fields;
                if changed {
                    found.2 = now().into();
                }
                found.0 = owner;
            }
            None => self.entries.push((owner, fields, if changed { now().into() } else { Value::Null })),
        }
    }

    /// Removes fields from an entry.
    pub(crate) fn remove_fields(&mut self, owner: &Entry, fields: &FieldSet) {
        if let Some(found) = self.entries.iter_mut().find(|(entry, ..)| entry.has_same_owner(owner)) {
            found.1 = found.1.difference(fields);
        }
    }

    /// Removes fields from all entries.
    pub(crate) fn remove_fields_from_all(&mut self, fields: &FieldSet) {
        if !fields.is_empty() {
            self.entries.iter_mut().for_each(|(_, owned, _)| *owned = owned.difference(fields));
        }
    }

    /// Writes the entries that have fields to an object, in the order of Kubernetes.
    pub(crate) fn write(mut self, object: &mut Value) {
        self.entries.retain(|(_, fields, _)| !fields.is_empty());
        let order = |(entry, _, time): &(Entry, FieldSet, Value)| {
            let time = time.as_str().unwrap_or_default().to_owned();
            (
                entry.operation,
                time,
                entry.manager.clone(),
                entry.api_version.clone(),
                entry.subresource.clone(),
            )
        };
        self.entries.sort_by_key(order);
        self.merge_oldest_updates();
        let list: Vec<Value> = self
            .entries
            .iter()
            .map(|(entry, fields, time)| {
                let mut written = json!({
                    "manager": entry.manager, "operation": entry.operation, "apiVersion": entry.api_version,
                    "fieldsType": "FieldsV1", "fieldsV1": fields.to_json(),
                });
                if time.is_string() {
                    written["time"] = time.clone();
                }
                if !entry.subresource.is_empty() {
                    written["subresource"] = entry.subresource.clone().into();
                }
                written
            })
            .collect();
        if list.is_empty() {
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.remove("managedFields");
            }
        } else {
            object["metadata"]["managedFields"] = list.into();
        }
    }

    /// Updates the entries after a write to the subresource `scale`, as Kubernetes does: the replicas belong to the
    /// manager of the scale only, and its entry has no time.
    fn track_scale(&mut self, api_version: &str) {
        let replicas = FieldSet::from_json(&json!({"f:spec": {"f:replicas": {}}}));
        for (entry, fields, time) in &mut self.entries {
            if entry.subresource == "scale" && entry.api_version == api_version {
                *time = Value::Null;
            } else {
                *fields = fields.difference(&replicas);
            }
        }
    }

    /// Returns the managers of an object without `managedFields` that is applied for the first time: one entry for all of its
    /// fields.
    pub(crate) fn before_first_apply(kind: &Kind, object: &Value) -> Self {
        let mut fields = compare(&kind.ty, &Value::Null, object).changed;
        remove_unowned(&mut fields);
        remove_reset_fields(kind, "", &mut fields);
        let entry = Entry::updater("before-first-apply", &kind.api_version(), "");
        Self { entries: vec![(entry, fields, now().into())] }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn merge_oldest_updates(&mut self) {
        let updates = self.entries.iter().filter(|(entry, ..)| entry.operation == "Update").count();
        let Some(excess) = updates.checked_sub(MAX_UPDATE_ENTRIES).filter(|excess| *excess > 0) else {
            return;
        };
        let first =
            self.entries.iter().position(|(entry, ..)| entry.operation == "Update").unwrap_or_default();
        let mut merged: Vec<_> = self.entries.drain(first..=first + excess).collect();
        let Some((mut entry, mut fields, time)) = merged.pop() else { return };
        merged.iter().for_each(|(_, other, _)| fields.union(other));
        entry = Entry::updater("ancient-changes", &entry.api_version, "");
        self.entries.insert(first, (entry, fields, time));
    }
}

/// Makes the manager of an update the owner of the changed fields. The new object may contain other `managedFields` (a
/// client that moves fields between managers); `[{}]` removes all entries.
pub(crate) fn track_update(kind: &Kind, old: &Value, new: &mut Value, manager: &str, subresource: &str) {
    let sent = new["metadata"]["managedFields"].take();
    if let Some(metadata) = new["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let reset = sent
        .as_array()
        .is_some_and(|list| list.len() == 1 && list[0].as_object().is_some_and(|e| e.is_empty()));
    let mut managers = Managers::read(&sent);
    if managers.entries.is_empty() && !reset {
        managers = Managers::read(&old["metadata"]["managedFields"]);
        if managers.entries.is_empty() && old["metadata"]["uid"].is_string() {
            // Ownership of this object is not tracked before its first apply.
            return;
        }
    }
    let mut before = old.clone();
    if let Some(metadata) = before.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let mut difference = compare(&kind.ty, &before, new);
    remove_unowned(&mut difference.changed);
    remove_reset_fields(kind, subresource, &mut difference.changed);
    let updater = Entry::updater(manager, &kind.api_version(), subresource);
    let mut fields = managers.take_fields(&updater).unwrap_or_default();
    for entry in managers.entries.iter().map(|(entry, ..)| entry.clone()).collect::<Vec<_>>() {
        managers.remove_fields(&entry, &difference.changed);
    }
    managers.remove_fields_from_all(&difference.removed);
    fields = fields.difference(&difference.removed);
    // A Scale does not contain replicas of 0, so they have no owner.
    let zero = subresource == "scale" && new["spec"]["replicas"] == 0;
    if zero {
        fields = FieldSet::default();
    } else {
        fields.union(&difference.changed);
    }
    managers.set_fields(updater, fields, !difference.changed.is_empty());
    if subresource == "scale" && !(zero && difference.changed.is_empty()) {
        managers.track_scale(&kind.api_version());
    }
    managers.write(new);
}

/// Removes fields without owner: they identify the object, or are set by the server only.
pub(crate) fn remove_unowned(fields: &mut FieldSet) {
    const UNOWNED: [&str; 8] = [
        "f:name",
        "f:namespace",
        "f:creationTimestamp",
        "f:selfLink",
        "f:uid",
        "f:generation",
        "f:managedFields",
        "f:resourceVersion",
    ];
    fields.remove_tree(&["f:apiVersion"]);
    fields.remove_tree(&["f:kind"]);
    UNOWNED.iter().for_each(|field| fields.remove_tree(&["f:metadata", field]));
    fields.remove("f:metadata");
}

/// Removes the fields that a write of this (sub)resource does not change (`resetFields` in Kubernetes).
pub(crate) fn remove_reset_fields(kind: &Kind, subresource: &str, fields: &mut FieldSet) {
    match subresource {
        "status" if kind.is_custom() => {
            fields.remove_tree(&["f:metadata"]);
            fields.remove_tree(&["f:spec"]);
        }
        "status" => {
            fields.remove_tree(&["f:spec"]);
            if kind.group == "apps" {
                fields.remove_tree(&["f:metadata", "f:labels"]);
            }
        }
        "" if kind.status => fields.remove_tree(&["f:status"]),
        _ => {}
    }
}

/// Removes the fields of a configuration that a write of this (sub)resource does not change.
pub(crate) fn restrict_to_subresource(kind: &Kind, subresource: &str, config: &mut Value) {
    if subresource.is_empty()
        && kind.status
        && let Some(map) = config.as_object_mut()
    {
        map.remove("status");
    }
}

/// Returns the error for conflicts with other managers.
pub(crate) fn conflict(conflicts: &[(Entry, FieldSet)]) -> ApiError {
    let describe = |entry: &Entry| {
        let manager = format!("\"{}\"", entry.manager);
        let sub = if entry.subresource.is_empty() {
            String::new()
        } else {
            format!(" with subresource \"{}\"", entry.subresource)
        };
        if entry.operation == "Update" {
            format!("{manager}{sub} using {}", entry.api_version)
        } else {
            format!("{manager}{sub}")
        }
    };
    let mut by_manager: Vec<(String, Vec<String>)> =
        conflicts.iter().map(|(entry, fields)| (describe(entry), fields.to_paths())).collect();
    by_manager.sort();
    let count: usize = by_manager.iter().map(|(_, fields)| fields.len()).sum();
    for (_, fields) in &mut by_manager {
        fields.truncate(MAX_CONFLICTS);
    }
    let message = match by_manager.as_slice() {
        [(manager, fields)] if count == 1 => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", fields.concat())
        }
        _ => {
            let text = |(manager, fields): &(String, Vec<String>)| {
                let each: Vec<String> = fields.iter().map(|field| format!("\n- {field}")).collect();
                format!("conflicts with {manager}:{}", each.concat())
            };
            let all: Vec<String> = by_manager.iter().map(text).collect();
            format!("Apply failed with {count} conflicts: {}", all.join("\n"))
        }
    };
    let mut error = ApiError::new(409, "Conflict", message);
    let causes: Vec<Value> = by_manager
        .iter()
        .flat_map(|(manager, fields)| {
            fields.iter().map(move |field| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": field})
            })
        })
        .collect();
    error.details = json!({"causes": causes});
    error
}
