//! Conflicts of server-side apply: who holds which field, and taking such fields out of what is applied.

use std::fmt;

use kube::core::Status;
use serde_json::Value;

/// A field that another manager holds with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The field as the API server names it, for example `.metadata.annotations.linkerd.io/inject`.
    pub field: String,
    /// The field manager that holds it.
    pub manager: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field `{}` is owned by `{}`", self.field, self.manager)
    }
}

/// The conflicts that a refused apply names; none for another refusal.
pub(super) fn conflicts(status: &Status) -> Vec<Conflict> {
    let causes = status.details.iter().flat_map(|d| &d.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| {
            // `conflict with "NAME" using apps/v1 at TIME`: the name is what stands in the quotes.
            let manager = cause.message.split('"').nth(1).unwrap_or(&cause.message);
            Conflict { field: cause.field.clone(), manager: manager.to_owned() }
        })
        .collect()
}

/// Takes a field out of an object. Returns whether it was there.
pub(super) fn take_out(value: &mut Value, path: &str) -> bool {
    match value {
        // Keys may hold dots and slashes and the path does not quote them: the longest key that fits is meant.
        Value::Object(map) => {
            let Some(rest) = path.strip_prefix('.') else { return false };
            let fits =
                |key: &str| rest.strip_prefix(key).is_some_and(|r| r.is_empty() || r.starts_with(['.', '[']));
            let Some(key) = map.keys().filter(|k| fits(k)).max_by_key(|k| k.len()).cloned() else {
                return false;
            };
            let rest = &rest[key.len()..];
            if rest.is_empty() { map.remove(&key).is_some() } else { take_out(&mut map[&key], rest) }
        }
        Value::Array(items) => {
            let Some((selector, rest)) = path.strip_prefix('[').and_then(|p| p.split_once(']')) else {
                return false;
            };
            let Some(index) = items.iter().position(|item| selects(selector, item)) else { return false };
            if rest.is_empty() {
                items.remove(index);
                true
            } else {
                take_out(&mut items[index], rest)
            }
        }
        _ => false,
    }
}

/// Whether `name="a",protocol="TCP"` means this item. A key that the item leaves to its default does not speak against it.
fn selects(selector: &str, item: &Value) -> bool {
    if let Some(value) = selector.strip_prefix('=') {
        return serde_json::from_str::<Value>(value).is_ok_and(|v| v == *item);
    }
    selector.split(',').all(|pair| {
        let Some((key, value)) = pair.split_once('=') else { return false };
        item.get(key).is_none_or(|v| serde_json::from_str::<Value>(value).is_ok_and(|w| w == *v))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_with_dots_in_its_name_is_found() {
        let mut object =
            json!({"metadata": {"annotations": {"linkerd.io/inject": "enabled", "linkerd": "x"}}});
        assert!(take_out(&mut object, ".metadata.annotations.linkerd.io/inject"));
        assert_eq!(object, json!({"metadata": {"annotations": {"linkerd": "x"}}}));
    }

    #[test]
    fn a_field_in_a_list_is_found_by_its_keys() {
        let mut object =
            json!({"c": [{"name": "a", "image": "1"}, {"name": "b", "ports": [{"containerPort": 80}]}]});
        assert!(take_out(&mut object, r#".c[name="a"].image"#));
        assert!(take_out(&mut object, r#".c[name="b"].ports[containerPort=80,protocol="TCP"]"#));
        assert_eq!(object, json!({"c": [{"name": "a"}, {"name": "b", "ports": []}]}));
        assert!(!take_out(&mut object, ".c[name=\"z\"].image"));
    }
}
