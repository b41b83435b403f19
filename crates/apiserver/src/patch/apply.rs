//! Server-side apply.
//!
//! ```text
//!   live object ───────────┐
//!                          ├─ merge ─ remove fields no longer applied ─ compare with live ─ conflicts? ─ managedFields
//!   applied configuration ─┘
//! ```
//!
//! Each field manager owns a set of field paths ([`field_set::FieldSet`]), stored as FieldsV1 in `metadata.managedFields`.

use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::kinds::Kind;

pub(crate) mod compare;
pub(crate) mod config;
pub(crate) mod field_set;
mod last_applied;
pub(crate) mod managed;
pub(crate) mod merge;
pub(crate) mod path_element;
pub(crate) mod prune;
pub(crate) mod typecheck;

use compare::compare;
use field_set::FieldSet;
use managed::{Entry, Managers};

/// An apply request.
pub(crate) struct ApplyRequest<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) manager: &'a str,
    pub(crate) force: bool,
    /// `status`, `scale`, or empty.
    pub(crate) subresource: &'a str,
    /// The applied configuration.
    pub(crate) config: &'a Value,
}

/// Returns the live object (null if it does not exist) merged with the applied configuration, with new `managedFields`.
///
/// # Errors
/// 409 with managers and fields if other managers own changed fields, 500 for a configuration with invalid types.
pub(crate) fn apply(live: &Value, request: &ApplyRequest<'_>) -> Result<Value> {
    let kind = request.kind;
    if crate::value::items(&request.config["metadata"]["managedFields"]).next().is_some() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    typecheck::check(&kind.ty, request.config).map_err(|error| {
        let metadata = &request.config["metadata"];
        ApiError::new(
            500,
            "",
            format!(
                "failed to create typed patch object ({}/{}; {}, Kind={}): {error}",
                metadata["namespace"].as_str().unwrap_or_default(),
                metadata["name"].as_str().unwrap_or_default(),
                if kind.group.is_empty() { format!("/{}", kind.version) } else { kind.api_version() },
                kind.kind,
            ),
        )
    })?;
    let mut managers = Managers::read(&live["metadata"]["managedFields"]);
    if managers.is_empty() && !live.is_null() {
        managers = Managers::before_first_apply(kind, live);
    }
    let mut applied = config::fields(&kind.ty, request.config);
    managed::remove_reset_fields(kind, request.subresource, &mut applied);
    // The name has no owner, but it keeps the metadata field that contains it.
    let mut retained = applied.clone();
    managed::remove_unowned(&mut applied);
    let entry = Entry::applier(request.manager, &kind.api_version(), request.subresource);
    let previous = managers.take_fields(&entry).unwrap_or_default();

    let mut base = live.clone();
    if let Some(Value::Object(metadata)) = base.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    if base.is_null() {
        base = serde_json::json!({"apiVersion": kind.api_version(), "kind": kind.kind});
    }
    let before = if live.is_null() { Value::Null } else { base.clone() };
    let mut config = request.config.clone();
    managed::restrict_to_subresource(kind, request.subresource, &mut config);
    let mut merged = base;
    merge::merge(&kind.ty, &mut merged, &config);

    managers.iter().for_each(|(_, fields)| retained.union(fields));
    let removed = previous.with_named_parents(&kind.ty).difference(&retained.with_named_parents(&kind.ty));
    prune::remove(&kind.ty, &mut merged, &removed);

    let difference = compare(&kind.ty, &before, &merged);
    let conflicts: Vec<(Entry, FieldSet)> = managers
        .iter()
        .map(|(entry, fields)| (entry.clone(), fields.intersection(&difference.changed)))
        .filter(|(_, fields)| !fields.is_empty())
        .collect();
    if !conflicts.is_empty() && !request.force {
        let transferable = last_applied::transferable(kind, request.manager, live);
        let remaining =
            conflicts.iter().map(|(entry, fields)| (entry.clone(), fields.difference(&transferable)));
        let remaining: Vec<_> = remaining.filter(|(_, fields)| !fields.is_empty()).collect();
        if !remaining.is_empty() {
            return Err(managed::conflict(&remaining));
        }
    }
    for (entry, fields) in &conflicts {
        managers.remove_fields(entry, fields);
    }
    managers.remove_fields_from_all(&difference.removed);
    // As in Kubernetes, the time is that of the last change; a manager that only shares fields gets none.
    managers.set_fields(entry, applied, merged != before);
    managers.write(&mut merged);
    last_applied::update(request.manager, request.config, &mut merged);
    Ok(merged)
}
