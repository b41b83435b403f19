//! Server-side apply: who says which field.
//!
//! ```text
//!   live ─┐
//!         ├─ merge ─ prune what its manager no longer says ─ compare with live ─ conflicts? ─ new owners
//!   said ─┘
//! ```
//!
//! Owners are sets of field paths ([`fields::Fields`]), kept in `metadata.managedFields` in the form of FieldsV1.

use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::kinds::Kind;

pub(crate) mod compare;
pub(crate) mod fields;
pub(crate) mod item;
pub(crate) mod managed;
pub(crate) mod merge;
pub(crate) mod owned;
pub(crate) mod prune;

use compare::compare;
use fields::Fields;
use managed::{Entry, Managers};

/// What a manager applies, and how.
pub(crate) struct Applied<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) manager: &'a str,
    pub(crate) force: bool,
    /// `status`, `scale`, or empty.
    pub(crate) subresource: &'a str,
    /// The object in the namespace and under the name of the path.
    pub(crate) config: &'a Value,
}

/// The live object (null when there is none) with what is applied merged in and its owners brought up to date.
///
/// # Errors
/// 409 naming managers and fields when others own what would change; 500 for a configuration that does not fit.
pub(crate) fn apply(live: &Value, applied: &Applied<'_>) -> Result<Value> {
    let kind = applied.kind;
    if crate::value::items(&applied.config["metadata"]["managedFields"]).next().is_some() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    owned::check(&kind.ty, applied.config, "").map_err(|why| {
        let metadata = &applied.config["metadata"];
        ApiError::new(
            500,
            "",
            format!(
                "failed to create typed patch object ({}/{}; {}, Kind={}): {why}",
                metadata["namespace"].as_str().unwrap_or_default(),
                metadata["name"].as_str().unwrap_or_default(),
                if kind.group.is_empty() { format!("/{}", kind.version) } else { kind.api_version() },
                kind.kind,
            ),
        )
    })?;
    let mut managers = Managers::read(&live["metadata"]["managedFields"]);
    if managers.is_empty() && !live.is_null() {
        let mut all = compare(&kind.ty, &Value::Null, live).changed;
        managed::strip(&mut all);
        managed::reset(kind, "", &mut all);
        managers = Managers::before_first_apply(&kind.api_version(), all);
    }
    let mut said = owned::fields(&kind.ty, applied.config);
    managed::reset(kind, applied.subresource, &mut said);
    // The name, though nobody owns it, keeps the metadata that it is said in.
    let mut still = said.clone();
    managed::strip(&mut said);
    let me = Entry::applier(applied.manager, &kind.api_version(), applied.subresource);
    let last = managers.take(&me).unwrap_or_default();

    let mut base = live.clone();
    if let Some(Value::Object(metadata)) = base.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    if base.is_null() {
        base = serde_json::json!({"apiVersion": kind.api_version(), "kind": kind.kind});
    }
    let before = if live.is_null() { Value::Null } else { base.clone() };
    let mut config = applied.config.clone();
    managed::keep_to_subresource(kind, applied.subresource, &mut config);
    let mut merged = base;
    merge::merge(&kind.ty, &mut merged, &config);

    managers.iter().for_each(|(_, fields)| still.add(fields));
    let gone = last.named(&kind.ty).without(&still.named(&kind.ty));
    prune::remove(&kind.ty, &mut merged, &gone);

    let difference = compare(&kind.ty, &before, &merged);
    let conflicts: Vec<(Entry, Fields)> = managers
        .iter()
        .map(|(entry, fields)| (entry.clone(), fields.both(&difference.changed)))
        .filter(|(_, fields)| !fields.is_empty())
        .collect();
    if !conflicts.is_empty() && !applied.force {
        return Err(managed::conflict(&conflicts));
    }
    for (entry, fields) in &conflicts {
        managers.reduce(entry, fields);
    }
    managers.reduce_all(&difference.removed);
    // As in Kubernetes, a time is when the object changed; who only comes to share fields has none.
    managers.put(me, said, merged != before);
    managers.write(&mut merged);
    Ok(merged)
}
