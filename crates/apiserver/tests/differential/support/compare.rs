//! Comparison of responses, without values that differ in each run.

use std::fmt;

use serde_json::Value;

use super::target::Response;

/// The differences of two responses.
#[derive(Debug)]
pub(crate) struct Difference(String);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the indices of different responses with their differences.
pub(crate) fn compare(actual: &[Response], expected: &[Response]) -> Vec<(usize, Difference)> {
    let pairs = actual.iter().zip(expected).enumerate();
    pairs
        .filter_map(|(index, (actual, expected))| {
            compare_response(actual, expected).map(|found| (index, Difference(found)))
        })
        .collect()
}

fn compare_response(actual: &Response, expected: &Response) -> Option<String> {
    if actual.status != expected.status {
        return Some(format!(
            "  status: {}, expected {}\n    actual {}\n    expected {}",
            actual.status, expected.status, actual.body, expected.body
        ));
    }
    if actual.status >= 400 {
        // kube-apiserver responds in plain text for an unknown group.
        if !expected.body.is_object() {
            return None;
        }
        // Messages may differ (docs/apiserver-differences.md), reason and fields may not.
        let fields = |response: &Response| {
            let causes = response.body["details"]["causes"].as_array().cloned().unwrap_or_default();
            let mut fields: Vec<String> =
                causes.iter().map(|cause| format!("{} {}", cause["field"], cause["reason"])).collect();
            // kube-apiserver returns some causes twice, and conflicting managers in random order.
            fields.sort();
            fields.dedup();
            fields
        };
        let same = actual.body["reason"] == expected.body["reason"] && fields(actual) == fields(expected);
        return (!same).then(|| format!("  actual   {}\n  expected {}", actual.body, expected.body));
    }
    if actual.warnings != expected.warnings {
        return Some(format!("  warnings: {:?}, expected {:?}", actual.warnings, expected.warnings));
    }
    let (mut actual, expected) = (normalize(&actual.body), normalize(&expected.body));
    // List items of built-in kinds contain apiVersion and kind here, but not in kube-apiserver.
    for (index, item) in
        actual.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten().enumerate()
    {
        if let Some(map) = item.as_object_mut().filter(|_| expected["items"][index]["kind"].is_null()) {
            map.remove("apiVersion");
            map.remove("kind");
        }
    }
    let mut found = Vec::new();
    differences("", &actual, &expected, &mut found);
    (!found.is_empty()).then(|| found.join("\n"))
}

fn differences(at: &str, actual: &Value, expected: &Value, found: &mut Vec<String>) {
    match (actual, expected) {
        (Value::Object(left), Value::Object(right)) => {
            for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
                let (left, right) =
                    (left.get(key).unwrap_or(&Value::Null), right.get(key).unwrap_or(&Value::Null));
                differences(&format!("{at}.{key}"), left, right, found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                differences(&format!("{at}[{index}]"), left, right, found);
            }
        }
        _ if actual == expected => {}
        _ => found.push(format!("  {at}: {actual}, expected {expected}")),
    }
}

/// Replaces values that differ in each run: uids, times, versions, addresses and suffixes of generated names.
pub(crate) fn normalize(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let generated = map.get("generateName").and_then(Value::as_str).map(str::to_owned);
            let fields = map.iter().map(|(key, value)| {
                let value = match key.as_str() {
                    "uid" | "resourceVersion" | "creationTimestamp" | "deletionTimestamp" | "time"
                    | "clusterIP" | "continue" | "nodePort" | "lastTransitionTime" => Value::from("*"),
                    "clusterIPs" => Value::from("*"),
                    // Managers are sorted by time in seconds, so the order of simultaneous changes is random.
                    "managedFields" => {
                        let mut managers: Vec<Value> =
                            value.as_array().into_iter().flatten().map(normalize).collect();
                        managers.sort_by_key(|entry| {
                            format!("{} {} {}", entry["manager"], entry["operation"], entry["subresource"])
                        });
                        managers.into()
                    }
                    "name" if generated.is_some() => {
                        format!("{}*", generated.clone().unwrap_or_default()).into()
                    }
                    _ => normalize(value),
                };
                (key.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(normalize).collect(),
        other => other.clone(),
    }
}
