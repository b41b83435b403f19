//! Whether two answers are the same but for what cannot be.

use std::fmt;

use serde_json::Value;

use super::target::Answer;

/// What differs between two answers.
#[derive(Debug)]
pub(crate) struct Difference(String);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The steps whose answers differ.
pub(crate) fn compare(ours: &[Answer], theirs: &[Answer]) -> Vec<(usize, Difference)> {
    let pairs = ours.iter().zip(theirs).enumerate();
    pairs
        .filter_map(|(index, (ours, theirs))| one(ours, theirs).map(|found| (index, Difference(found))))
        .collect()
}

fn one(ours: &Answer, theirs: &Answer) -> Option<String> {
    if ours.status != theirs.status {
        return Some(format!(
            "  status: {} here, {} there\n    here {}\n    there {}",
            ours.status, theirs.status, ours.body, theirs.body
        ));
    }
    if ours.status >= 400 {
        // A group that is not there is answered in plain text by the real server.
        if !theirs.body.is_object() {
            return None;
        }
        // Messages may word things otherwise (docs/apiserver-differences.md); reason and fields may not.
        let fields = |answer: &Answer| {
            let causes = answer.body["details"]["causes"].as_array().cloned().unwrap_or_default();
            let mut named: Vec<String> =
                causes.iter().map(|cause| format!("{} {}", cause["field"], cause["reason"])).collect();
            // The real server names some fields twice, and owners in any order.
            named.sort();
            named.dedup();
            named
        };
        let same = ours.body["reason"] == theirs.body["reason"] && fields(ours) == fields(theirs);
        return (!same).then(|| format!("  here  {}\n  there {}", ours.body, theirs.body));
    }
    if ours.warnings != theirs.warnings {
        return Some(format!("  warnings: {:?} here, {:?} there", ours.warnings, theirs.warnings));
    }
    let (mut ours, theirs) = (normal(&ours.body), normal(&theirs.body));
    // Items of our lists say what they are, as custom resources do there.
    for (index, item) in ours.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten().enumerate()
    {
        if let Some(map) = item.as_object_mut().filter(|_| theirs["items"][index]["kind"].is_null()) {
            map.remove("apiVersion");
            map.remove("kind");
        }
    }
    let mut found = Vec::new();
    differences("", &ours, &theirs, &mut found);
    (!found.is_empty()).then(|| found.join("\n"))
}

fn differences(at: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
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
        _ if ours == theirs => {}
        _ => found.push(format!("  {at}: {ours} here, {theirs} there")),
    }
}

/// An answer without what differs from run to run: uids, times, versions, addresses, the ends of generated names.
pub(crate) fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let generated = map.get("generateName").and_then(Value::as_str).map(str::to_owned);
            let fields = map.iter().map(|(key, value)| {
                let value = match key.as_str() {
                    "uid" | "resourceVersion" | "creationTimestamp" | "deletionTimestamp" | "time"
                    | "clusterIP" | "continue" | "nodePort" | "lastTransitionTime" => Value::from("*"),
                    "clusterIPs" => Value::from("*"),
                    // Owners are listed by time, to the second: which of two comes first is a matter of luck.
                    "managedFields" => {
                        let mut owners: Vec<Value> =
                            value.as_array().into_iter().flatten().map(normal).collect();
                        owners.sort_by_key(|owner| {
                            format!("{} {} {}", owner["manager"], owner["operation"], owner["subresource"])
                        });
                        owners.into()
                    }
                    "name" if generated.is_some() => {
                        format!("{}*", generated.clone().unwrap_or_default()).into()
                    }
                    _ => normal(value),
                };
                (key.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        other => other.clone(),
    }
}
