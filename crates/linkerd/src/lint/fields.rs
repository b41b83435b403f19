//! Checks of HTTPRoute fields that Linkerd does not support. Linkerd ignores a route with such a field
//! (<https://linkerd.io/2/features/gateway-api/>).

use serde_json::Value;

use super::Sink;

/// The names of the fields of an object, and the fields of its members. From the HTTPRoute of Gateway API 1.2.1, standard
/// channel: the oldest version that Linkerd 2.20 supports, and the one whose fields it supports.
struct Fields(&'static [&'static str], &'static [(&'static str, &'static Fields)]);

const FILTER: Fields = Fields(
    &[
        "type",
        "requestHeaderModifier",
        "responseHeaderModifier",
        "requestMirror",
        "requestRedirect",
        "urlRewrite",
        "extensionRef",
    ],
    &[],
);
const BACKEND: Fields =
    Fields(&["group", "kind", "name", "namespace", "port", "weight", "filters"], &[("filters", &FILTER)]);
const MATCH: Fields = Fields(&["path", "headers", "queryParams", "method"], &[]);
const RULE: Fields = Fields(
    &["matches", "filters", "backendRefs", "timeouts"],
    &[
        ("matches", &MATCH),
        ("filters", &FILTER),
        ("backendRefs", &BACKEND),
        ("timeouts", &Fields(&["request", "backendRequest"], &[])),
    ],
);
const PARENT: Fields = Fields(&["group", "kind", "namespace", "name", "sectionName", "port"], &[]);
const SPEC: Fields =
    Fields(&["parentRefs", "hostnames", "rules"], &[("parentRefs", &PARENT), ("rules", &RULE)]);

pub(super) fn lint(sink: &mut Sink<'_>) {
    let mut unknown = Vec::new();
    find_unknown(&sink.object()["spec"], &SPEC, "spec", &mut unknown);
    for (place, field) in unknown {
        let todo = match field.as_str() {
            "retry" => "remove it; `meshy retry apply --as route` writes the annotations that Linkerd reads"
                .to_owned(),
            _ => "remove it".to_owned(),
        };
        sink.add("route-field-unknown", format!("{place}.{field}"), format!("unknown field `{field}`"), todo);
    }
}

fn find_unknown(value: &Value, known: &Fields, place: &str, unknown: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                find_unknown(item, known, &format!("{place}[{i}]"), unknown);
            }
        }
        Value::Object(map) => {
            for (key, below) in map {
                if !known.0.contains(&key.as_str()) {
                    unknown.push((place.to_owned(), key.clone()));
                } else if let Some((_, fields)) = known.1.iter().find(|(name, _)| name == key) {
                    find_unknown(below, fields, &format!("{place}.{key}"), unknown);
                }
            }
        }
        _ => {}
    }
}
