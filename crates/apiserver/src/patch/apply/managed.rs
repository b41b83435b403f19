//! `metadata.managedFields`: the owners as the object carries them.

use serde_json::{Value, json};

use super::compare::compare;
use super::fields::Fields;
use crate::error::ApiError;
use crate::kinds::Kind;
use crate::write::now;

/// How many owners by update an object keeps; older ones are joined, as in Kubernetes.
const MOST_UPDATERS: usize = 10;

/// Who owns fields, without which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) manager: String,
    pub(crate) operation: &'static str,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl Entry {
    /// The entry of a manager that applies.
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

    /// Appliers are one and the same across versions.
    fn is(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == "Apply" || self.api_version == other.api_version)
    }
}

/// The owners of one object.
#[derive(Debug, Default)]
pub(crate) struct Managers {
    entries: Vec<(Entry, Fields, Value)>,
}

impl Managers {
    /// From `metadata.managedFields`; entries of other forms are dropped.
    pub(crate) fn read(list: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries =
            crate::value::items(list).filter(|entry| entry["fieldsType"] == "FieldsV1").map(|entry| {
                let operation = if entry["operation"] == "Apply" { "Apply" } else { "Update" };
                let who = Entry {
                    manager: text(&entry["manager"]),
                    operation,
                    api_version: text(&entry["apiVersion"]),
                    subresource: text(&entry["subresource"]),
                };
                (who, Fields::from_json(&entry["fieldsV1"]), entry["time"].clone())
            });
        Self { entries: entries.collect() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Entry, &Fields)> {
        self.entries.iter().map(|(entry, fields, _)| (entry, fields))
    }

    /// Takes an owner out, to be put back with other fields. Its time stays in its place.
    pub(crate) fn take(&mut self, who: &Entry) -> Option<Fields> {
        let (_, fields, _) = self.entries.iter_mut().find(|(entry, ..)| entry.is(who))?;
        Some(std::mem::take(fields))
    }

    /// Puts an owner's fields; `fresh` gives it the present time.
    pub(crate) fn put(&mut self, who: Entry, fields: Fields, fresh: bool) {
        match self.entries.iter_mut().find(|(entry, ..)| entry.is(&who)) {
            Some(found) => {
                found.1 = fields;
                if fresh {
                    found.2 = now().into();
                }
                found.0 = who;
            }
            None => self.entries.push((who, fields, if fresh { now().into() } else { Value::Null })),
        }
    }

    /// Takes fields from one owner.
    pub(crate) fn reduce(&mut self, who: &Entry, fields: &Fields) {
        if let Some(found) = self.entries.iter_mut().find(|(entry, ..)| entry.is(who)) {
            found.1 = found.1.without(fields);
        }
    }

    /// Takes fields from every owner.
    pub(crate) fn reduce_all(&mut self, fields: &Fields) {
        if !fields.is_empty() {
            self.entries.iter_mut().for_each(|(_, owned, _)| *owned = owned.without(fields));
        }
    }

    /// Writes the owners that have fields, in Kubernetes' order.
    pub(crate) fn write(mut self, object: &mut Value) {
        self.entries.retain(|(_, fields, _)| !fields.is_empty());
        let order = |(entry, _, time): &(Entry, Fields, Value)| {
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
        self.join_oldest();
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

    /// What Kubernetes makes of a scaling: the replicas are nobody else's, its entry has no time, and replicas of 0,
    /// which a Scale does not write, are nobody's.
    fn scaled(&mut self, api_version: &str) {
        let replicas = Fields::from_json(&json!({"f:spec": {"f:replicas": {}}}));
        for (entry, fields, time) in &mut self.entries {
            if entry.subresource == "scale" && entry.api_version == api_version {
                *time = Value::Null;
            } else {
                *fields = fields.without(&replicas);
            }
        }
    }

    /// An object that nobody kept books of belongs, before its first apply, to one manager of that name.
    pub(crate) fn before_first_apply(api_version: &str, fields: Fields) -> Self {
        let entry = Entry::updater("before-first-apply", api_version, "");
        Self { entries: vec![(entry, fields, now().into())] }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn join_oldest(&mut self) {
        let updaters = self.entries.iter().filter(|(entry, ..)| entry.operation == "Update").count();
        let Some(over) = updaters.checked_sub(MOST_UPDATERS).filter(|over| *over > 0) else { return };
        let first =
            self.entries.iter().position(|(entry, ..)| entry.operation == "Update").unwrap_or_default();
        let mut joined: Vec<_> = self.entries.drain(first..=first + over).collect();
        let Some((mut entry, mut fields, time)) = joined.pop() else { return };
        joined.iter().for_each(|(_, more, _)| fields.add(more));
        entry = Entry::updater("ancient-changes", &entry.api_version, "");
        self.entries.insert(first, (entry, fields, time));
    }
}

/// Makes the manager of an update the owner of what it changed. The new object may bring its own `managedFields`
/// (a client moving fields between owners); `[{}]` empties them.
pub(crate) fn written(kind: &Kind, old: &Value, new: &mut Value, manager: &str, subresource: &str) {
    let brought = new["metadata"]["managedFields"].take();
    if let Some(metadata) = new["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let reset = brought
        .as_array()
        .is_some_and(|list| list.len() == 1 && list[0].as_object().is_some_and(|e| e.is_empty()));
    let mut managers = Managers::read(&brought);
    if managers.entries.is_empty() && !reset {
        managers = Managers::read(&old["metadata"]["managedFields"]);
        if managers.entries.is_empty() && old["metadata"]["uid"].is_string() {
            // Nobody keeps books of this object until somebody applies it.
            return;
        }
    }
    let mut before = old.clone();
    if let Some(metadata) = before.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let mut difference = compare(&kind.ty, &before, new);
    strip(&mut difference.changed);
    reset_for(kind, subresource, &mut difference.changed);
    let me = Entry::updater(manager, &kind.api_version(), subresource);
    let mut mine = managers.take(&me).unwrap_or_default();
    for entry in managers.entries.iter().map(|(entry, ..)| entry.clone()).collect::<Vec<_>>() {
        managers.reduce(&entry, &difference.changed);
    }
    managers.reduce_all(&difference.removed);
    mine = mine.without(&difference.removed);
    let zero = subresource == "scale" && new["spec"]["replicas"] == 0;
    if zero {
        mine = Fields::default();
    } else {
        mine.add(&difference.changed);
    }
    managers.put(me, mine, !difference.changed.is_empty());
    if subresource == "scale" && !(zero && difference.changed.is_empty()) {
        managers.scaled(&kind.api_version());
    }
    managers.write(new);
}

/// Fields that nobody owns: they name the object, or are the server's.
pub(crate) fn strip(fields: &mut Fields) {
    const NOBODYS: [&str; 8] = [
        "f:name",
        "f:namespace",
        "f:creationTimestamp",
        "f:selfLink",
        "f:uid",
        "f:generation",
        "f:managedFields",
        "f:resourceVersion",
    ];
    fields.forget(&["f:apiVersion"]);
    fields.forget(&["f:kind"]);
    NOBODYS.iter().for_each(|field| fields.forget(&["f:metadata", field]));
    fields.forget_self("f:metadata");
}

/// Fields that a write of this (sub)resource does not reach.
pub(crate) fn reset(kind: &Kind, subresource: &str, fields: &mut Fields) {
    reset_for(kind, subresource, fields);
}

fn reset_for(kind: &Kind, subresource: &str, fields: &mut Fields) {
    match subresource {
        "status" if kind.is_custom() => {
            fields.forget(&["f:metadata"]);
            fields.forget(&["f:spec"]);
        }
        "status" => {
            fields.forget(&["f:spec"]);
            if kind.group == "apps" {
                fields.forget(&["f:metadata", "f:labels"]);
            }
        }
        "" if kind.status => fields.forget(&["f:status"]),
        _ => {}
    }
}

/// Takes out of a configuration what its subresource does not reach.
pub(crate) fn keep_to_subresource(kind: &Kind, subresource: &str, config: &mut Value) {
    if subresource.is_empty()
        && kind.status
        && let Some(map) = config.as_object_mut()
    {
        map.remove("status");
    }
}

/// Nothing changed but perhaps times of ownership.
pub(crate) fn same(old: &Value, new: &Value) -> bool {
    old == new
}

/// The refusal that names who owns what.
pub(crate) fn conflict(conflicts: &[(Entry, Fields)]) -> ApiError {
    let who = |entry: &Entry| {
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
    let mut named: Vec<(String, Vec<String>)> =
        conflicts.iter().map(|(entry, fields)| (who(entry), fields.words())).collect();
    named.sort();
    let count: usize = named.iter().map(|(_, fields)| fields.len()).sum();
    let message = match named.as_slice() {
        [(manager, fields)] if count == 1 => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", fields.concat())
        }
        _ => {
            let text = |(manager, fields): &(String, Vec<String>)| {
                let each: Vec<String> = fields.iter().map(|field| format!("\n- {field}")).collect();
                format!("conflicts with {manager}:{}", each.concat())
            };
            let all: Vec<String> = named.iter().map(text).collect();
            format!("Apply failed with {count} conflicts: {}", all.join("\n"))
        }
    };
    let mut error = ApiError::new(409, "Conflict", message);
    let causes: Vec<Value> = named
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
