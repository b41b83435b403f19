//! Reading and writing Kubernetes objects as JSON: the few ways the controllers need.

use jiff::Timestamp;
use serde_json::{Value, json};

/// The text at a JSON pointer; empty when absent.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a JSON pointer.
pub(crate) fn int(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The list at a JSON pointer; empty when absent.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null())
}

/// An annotation's value.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations").and_then(|all| all.get(key)).and_then(Value::as_str)
}

/// A label's value.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels").and_then(|all| all.get(key)).and_then(Value::as_str)
}

/// Sets an annotation; tells whether that changed anything.
pub(crate) fn set_annotation(object: &mut Value, key: &str, value: &str) -> bool {
    if annotation(object, key) == Some(value) {
        return false;
    }
    object["metadata"]["annotations"][key] = json!(value);
    true
}

/// The owner that manages an object.
pub(crate) fn controller_uid(object: &Value) -> Option<&str> {
    list(object, "/metadata/ownerReferences")
        .iter()
        .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
        .map(|owner| text(owner, "/uid"))
}

/// The reference by which `owner` manages what it makes.
pub(crate) fn owner_reference(owner: &Value, api_version: &str, kind: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Whether a Service's plain selector chooses an object; an empty one chooses nothing.
pub(crate) fn selects_plain(selector: Option<&Value>, object: &Value) -> bool {
    selector.and_then(Value::as_object).is_some_and(|wanted| {
        !wanted.is_empty() && wanted.iter().all(|(key, value)| label(object, key) == value.as_str())
    })
}

/// The present moment as the API writes it, in whole seconds.
pub(crate) fn now() -> String {
    written(Timestamp::now())
}

/// A moment as the API writes it.
pub(crate) fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The moment at a JSON pointer.
pub(crate) fn moment(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

/// A condition of an object's status.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|condition| condition["type"] == kind)
}

/// Whether a condition is "True".
pub(crate) fn holds(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// Sets a condition; its transition time moves only when its status does.
///
/// `extra` adds fields such as `lastUpdateTime`. Tells whether anything changed.
pub(crate) fn set_condition(
    object: &mut Value,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
) -> bool {
    let status = if status { "True" } else { "False" };
    let old = condition(object, kind);
    let same_status = old.is_some_and(|old| old["status"] == status);
    if same_status
        && old.is_some_and(|old| text(old, "/reason") == reason && text(old, "/message") == message)
    {
        return false;
    }
    let since = match old {
        Some(old) if same_status => old["lastTransitionTime"].clone(),
        _ => json!(now()),
    };
    let mut fresh = json!({ "type": kind, "status": status, "lastTransitionTime": since });
    if !reason.is_empty() {
        fresh["reason"] = json!(reason);
    }
    if !message.is_empty() {
        fresh["message"] = json!(message);
    }
    let conditions = &mut object["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(all) = conditions.as_array_mut() {
        match all.iter_mut().find(|condition| condition["type"] == kind) {
            Some(place) => *place = fresh,
            None => all.push(fresh),
        }
    }
    true
}

/// A short name-safe text that is equal for equal JSON: the template hash of a Deployment, the suffix of a slice.
///
/// Its letters leave out vowels, so that no word arises by chance.
pub(crate) fn short_hash(value: &Value) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a over the canonical text: stable between runs and versions of the standard library.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    canonical(value, &mut |byte| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut rest = hash;
    (0..10)
        .map(|_| {
            let letter = usize::try_from(rest % 27).unwrap_or_default();
            rest /= 27;
            char::from(LETTERS[letter])
        })
        .collect()
}

/// Feeds a value to a hash with the members of objects in the order of their keys.
fn canonical(value: &Value, sink: &mut dyn FnMut(u8)) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_str());
            for (key, member) in sorted {
                key.bytes().chain([b':']).for_each(&mut *sink);
                canonical(member, sink);
                sink(b',');
            }
            sink(b'}');
        }
        Value::Array(items) => {
            for item in items {
                canonical(item, sink);
                sink(b',');
            }
            sink(b']');
        }
        leaf => leaf.to_string().bytes().for_each(sink),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{set_condition, short_hash};

    #[test]
    fn a_condition_keeps_its_transition_time_while_its_status_stays() {
        let mut object = json!({ "status": { "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }
        ] } });
        assert!(set_condition(&mut object, "Ready", true, "Because", ""));
        assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert!(!set_condition(&mut object, "Ready", true, "Because", ""));
        assert!(set_condition(&mut object, "Ready", false, "Because", ""));
        assert_ne!(object["status"]["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
    }

    #[test]
    fn a_hash_does_not_depend_on_the_order_of_members() {
        assert_eq!(short_hash(&json!({ "a": 1, "b": [2] })), short_hash(&json!({ "b": [2], "a": 1 })));
        assert_ne!(short_hash(&json!({ "a": 1 })), short_hash(&json!({ "a": 2 })));
    }
}
