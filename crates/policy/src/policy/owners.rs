//! `metadata.managedFields`: which field managers own the part of an object that a policy change concerns.
//!
//! Reference: Kubernetes, "Server-Side Apply", and the key formats of `FieldsV1` (`f:NAME`, `k:…`, `v:…`, `i:…`, `.`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use meshy_kube::MESHY;
use meshy_kube::apply::Conflict;

/// The prefix of the annotations that switch retries on.
pub const RETRY_PREFIX: &str = "retry.linkerd.io/";

/// The groups of the annotations of a Service that change what the proxies of its clients do.
pub const POLICY_GROUPS: [&str; 5] = [
    "retry.linkerd.io",
    "timeout.linkerd.io",
    "balancer.linkerd.io",
    "balancer.alpha.linkerd.io",
    "balancer.beta.linkerd.io",
];

/// The part of an object that a change concerns, and that is restored afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    /// Spec, labels and annotations.
    Whole,
    /// The annotations `retry.linkerd.io/*`.
    Retries,
    /// The annotations of all [`POLICY_GROUPS`].
    Policies,
}

type Fields = Map<String, Value>;

impl Part {
    /// Whether everything at and below a path of field keys belongs to this part.
    fn covers(self, path: &[&str]) -> bool {
        match (self, path) {
            (Self::Whole, ["f:spec"] | ["f:metadata", "f:labels" | "f:annotations"]) => true,
            // The `.` is the map itself: it goes to the manager that adds the first annotation.
            (_, ["f:metadata", "f:annotations", key]) => {
                *key == "." || key.strip_prefix("f:").is_some_and(|key| self.has(key))
            }
            _ => false,
        }
    }

    /// Whether the part consists of annotations, and this is one of them.
    pub(super) fn has(self, annotation: &str) -> bool {
        match self {
            Self::Whole => false,
            Self::Retries => annotation.starts_with(RETRY_PREFIX),
            Self::Policies => POLICY_GROUPS.contains(&group(annotation)),
        }
    }

    /// Splits a set of fields into those of this part and the rest.
    fn split<'a>(self, fields: &'a Fields, path: &mut Vec<&'a str>) -> (Fields, Fields) {
        let (mut inside, mut outside) = (Fields::new(), Fields::new());
        for (key, below) in fields {
            path.push(key);
            match below {
                _ if self.covers(path) => drop(inside.insert(key.clone(), below.clone())),
                Value::Object(map) if !map.is_empty() => {
                    let (a, b) = self.split(map, path);
                    for (half, part) in [(a, &mut inside), (b, &mut outside)] {
                        if !half.is_empty() {
                            part.insert(key.clone(), half.into());
                        }
                    }
                }
                _ => drop(outside.insert(key.clone(), below.clone())),
            }
            path.pop();
        }
        (inside, outside)
    }
}

/// The group of an annotation: what is before the slash.
pub(super) fn group(annotation: &str) -> &str {
    annotation.split('/').next().unwrap_or_default()
}

/// The annotations that a field manager applied.
pub(super) fn annotations_of(managers: &[ManagedFieldsEntry], manager: &str) -> Vec<String> {
    let own = managers.iter().filter(|entry| {
        entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some("Apply")
    });
    let keys = own.filter_map(|entry| {
        let fields = fields(entry);
        let annotations = fields.get("f:metadata")?.get("f:annotations")?.as_object()?.clone();
        Some(annotations.into_iter().filter_map(|(key, _)| key.strip_prefix("f:").map(str::to_owned)))
    });
    keys.flatten().collect()
}

fn fields(entry: &ManagedFieldsEntry) -> Fields {
    entry.fields_v1.as_ref().and_then(|fields| fields.0.as_object()).cloned().unwrap_or_default()
}

fn add(to: &mut Fields, more: Fields) {
    for (key, value) in more {
        match (to.get_mut(&key), value) {
            (Some(Value::Object(map)), Value::Object(below)) => add(map, below),
            (_, value) => drop(to.insert(key, value)),
        }
    }
}

/// The owners for an object whose `part` is as it was before: each manager owns there what it owned `before`, and
/// elsewhere what it owns `now`.
pub(super) fn restored(
    part: Part,
    before: &[ManagedFieldsEntry],
    now: &[ManagedFieldsEntry],
) -> Vec<ManagedFieldsEntry> {
    let same = |a: &ManagedFieldsEntry, b: &ManagedFieldsEntry| {
        (&a.manager, &a.operation, &a.subresource, &a.api_version)
            == (&b.manager, &b.operation, &b.subresource, &b.api_version)
    };
    let mut all: Vec<(ManagedFieldsEntry, Fields)> = Vec::new();
    for entry in before {
        all.push((entry.clone(), part.split(&fields(entry), &mut Vec::new()).0));
    }
    for entry in now {
        let outside = part.split(&fields(entry), &mut Vec::new()).1;
        match all.iter_mut().find(|(known, _)| same(known, entry)) {
            Some((_, inside)) => add(inside, outside),
            None => all.push((entry.clone(), outside)),
        }
    }
    let kept = all.into_iter().filter(|(_, fields)| !fields.is_empty());
    kept.map(|(entry, fields)| ManagedFieldsEntry { fields_v1: Some(FieldsV1(fields.into())), ..entry })
        .collect()
}

/// Whether two lists give the same fields to the same managers, whatever their times and order.
pub(super) fn same(a: &[ManagedFieldsEntry], b: &[ManagedFieldsEntry]) -> bool {
    let timeless = |entry: &ManagedFieldsEntry| ManagedFieldsEntry { time: None, ..entry.clone() };
    let holds =
        |list: &[ManagedFieldsEntry], entry| list.iter().any(|other| timeless(other) == timeless(entry));
    a.len() == b.len() && a.iter().all(|entry| holds(b, entry))
}

/// The fields of `part` that managers other than meshy's own hold with another value than `wanted` has.
pub(super) fn conflicts(
    part: Part,
    managers: &[ManagedFieldsEntry],
    before: &Value,
    wanted: &Value,
) -> Vec<Conflict> {
    let mut found: Vec<Conflict> = Vec::new();
    for entry in managers {
        let manager = entry.manager.as_deref().unwrap_or("unknown");
        if manager == MESHY || manager.starts_with("meshy-") {
            continue;
        }
        let (inside, _) = part.split(&fields(entry), &mut Vec::new());
        if inside.is_empty() {
            continue;
        }
        compare(&inside, Some(before), Some(wanted), "", &mut |field| {
            let conflict = Conflict { field: field.to_owned(), manager: manager.to_owned() };
            if !found.contains(&conflict) {
                found.push(conflict);
            }
        });
    }
    found
}

/// Calls `differs` for each owned field whose value is not the same in both objects. Items of lists are not distinguished:
/// the list is the field.
fn compare(
    owned: &Fields,
    before: Option<&Value>,
    wanted: Option<&Value>,
    path: &str,
    differs: &mut dyn FnMut(&str),
) {
    let list = owned.keys().any(|key| key.starts_with(['k', 'v', 'i']));
    if owned.is_empty() || list {
        if before != wanted {
            differs(path);
        }
        return;
    }
    for (key, below) in owned {
        let Some(name) = key.strip_prefix("f:") else { continue };
        let below = below.as_object().cloned().unwrap_or_default();
        let of = |object: Option<&'_ Value>| object.and_then(|object| object.get(name)).cloned();
        compare(&below, of(before).as_ref(), of(wanted).as_ref(), &format!("{path}.{name}"), differs);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            api_version: Some("v1".to_owned()),
            fields_type: Some("FieldsV1".to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn restored_owners_have_their_retries_back_and_keep_what_came_since() {
        let limit = json!({"f:metadata": {"f:annotations": {".": {}, "f:retry.linkerd.io/limit": {}}}});
        let before = [entry("kubectl-annotate", "Update", limit.clone())];
        let now = [
            entry(
                "meshy-policy",
                "Apply",
                json!({"f:metadata": {"f:annotations": {"f:retry.linkerd.io/limit": {}}}}),
            ),
            entry(
                "helm",
                "Update",
                json!({"f:metadata": {"f:annotations": {"f:team": {}}}, "f:spec": {"f:ports": {}}}),
            ),
        ];
        let restored = restored(Part::Retries, &before, &now);
        assert!(same(&restored, &[before[0].clone(), now[1].clone()]), "{restored:#?}");
    }

    #[test]
    fn the_whole_part_leaves_the_status_to_its_controller() {
        let status = json!({"f:status": {"f:parents": {}}});
        let before = [
            entry("kubectl", "Apply", json!({"f:spec": {"f:rules": {}}})),
            entry("gateway", "Update", status),
        ];
        let status = json!({"f:status": {"f:parents": {}, "f:more": {}}});
        let now = [
            entry("meshy-policy", "Apply", json!({"f:spec": {"f:rules": {}}})),
            entry("gateway", "Update", status),
        ];
        assert!(same(&restored(Part::Whole, &before, &now), &[before[0].clone(), now[1].clone()]));
    }

    #[test]
    fn a_field_of_another_manager_conflicts_only_where_its_value_would_change() {
        let managers = [
            entry(
                "kubectl",
                "Update",
                json!({"f:spec": {".": {}, "f:routes": {}, "f:retryBudget": {"f:ttl": {}}}}),
            ),
            entry("meshy-policy", "Apply", json!({"f:spec": {"f:dstOverrides": {}}})),
        ];
        let before =
            json!({"spec": {"routes": [{"name": "a"}], "retryBudget": {"ttl": "10s"}, "dstOverrides": []}});
        let wanted = json!({"spec": {"routes": [], "retryBudget": {"ttl": "10s"}}});
        let found: Vec<String> =
            conflicts(Part::Whole, &managers, &before, &wanted).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["field `.spec.routes` is owned by `kubectl`"]);
        assert!(
            conflicts(Part::Retries, &managers, &before, &wanted).is_empty(),
            "no annotation is concerned"
        );
    }

    #[test]
    fn the_manager_of_the_first_annotation_does_not_hold_those_of_others() {
        let owned = json!({"f:metadata": {"f:annotations": {".": {}, "f:team": {}}}});
        let (before, wanted) = (json!({"metadata": {"annotations": {"team": "a"}}}), json!({}));
        assert!(conflicts(Part::Retries, &[entry("kubectl", "Update", owned)], &before, &wanted).is_empty());
    }

    #[test]
    fn items_of_a_list_conflict_as_the_list() {
        let managers =
            [entry("a", "Apply", json!({"f:spec": {"f:rules": {"k:{\"name\":\"x\"}": {"f:port": {}}}}}))];
        let (before, wanted) = (json!({"spec": {"rules": [1]}}), json!({"spec": {"rules": [2]}}));
        let found = conflicts(Part::Whole, &managers, &before, &wanted);
        assert_eq!(found[0].field, ".spec.rules");
    }
}
