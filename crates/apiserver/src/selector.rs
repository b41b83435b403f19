//! Label and field selectors.

use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::value::items;

/// A label selector and a field selector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug)]
enum Operator {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl Selector {
    /// Parses the selectors of a request.
    ///
    /// # Errors
    /// 400 for an invalid selector or an unsupported field.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self> {
        let labels = parse_labels(labels)
            .map_err(|why| ApiError::bad_request(format!("unable to parse requirement: {why}")))?;
        Ok(Self { labels, fields: parse_fields(kind, fields)? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.matches(labels[&requirement.key].as_str()))
            && self.fields.iter().all(|(path, equal, value)| (field(object, path) == *value) == *equal)
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        match (&self.operator, value) {
            (Operator::Exists, found) => found.is_some(),
            (Operator::Absent, found) => found.is_none(),
            (Operator::In(values), Some(found)) => values.iter().any(|value| value == found),
            (Operator::NotIn(values), Some(found)) => !values.iter().any(|value| value == found),
            (Operator::NotIn(_), None) => true,
            (Operator::Greater(than), Some(found)) => found.parse().is_ok_and(|found: i64| found > *than),
            (Operator::Less(than), Some(found)) => found.parse().is_ok_and(|found: i64| found < *than),
            (Operator::In(_) | Operator::Greater(_) | Operator::Less(_), None) => false,
        }
    }
}

fn parse_labels(text: &str) -> std::result::Result<Vec<Requirement>, String> {
    split(text).into_iter().map(str::trim).filter(|part| !part.is_empty()).map(requirement).collect()
}

/// Splits a selector at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_u32, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn requirement(part: &str) -> std::result::Result<Requirement, String> {
    let make = |key: &str, operator: Operator| {
        let key = key.trim();
        if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "()=!<>,".contains(c)) {
            return Err(format!("found '{part}', expected: a label key"));
        }
        Ok(Requirement { key: key.to_owned(), operator })
    };
    let value = |text: &str| {
        let text = text.trim();
        let is_valid =
            text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if is_valid { Ok(text.to_owned()) } else { Err(format!("invalid label value: {text:?}")) }
    };
    if let Some(key) = part.strip_prefix('!') {
        return make(key, Operator::Absent);
    }
    if let Some((key, found)) = part.split_once("!=") {
        return make(key, Operator::NotIn(vec![value(found)?]));
    }
    if let Some((key, found)) = part.split_once('=') {
        return make(key, Operator::In(vec![value(found.strip_prefix('=').unwrap_or(found))?]));
    }
    for (sign, operator) in [('>', Operator::Greater as fn(i64) -> Operator), ('<', Operator::Less)] {
        if let Some((key, bound)) = part.split_once(sign) {
            let bound = bound.trim().parse().map_err(|_| format!("values: Invalid value: \"{bound}\": for 'Gt', 'Lt' operators, the value must be an integer"))?;
            return make(key, operator(bound));
        }
    }
    if let Some((head, tail)) = part.split_once('(') {
        let list = tail.trim().strip_suffix(')').ok_or_else(|| format!("found '{part}', expected: ')'"))?;
        let values = list.split(',').map(value).collect::<std::result::Result<Vec<_>, _>>()?;
        let parts: Vec<&str> = head.split_whitespace().collect();
        return match parts.as_slice() {
            [key, "in"] => make(key, Operator::In(values)),
            [key, "notin"] => make(key, Operator::NotIn(values)),
            _ => Err(format!("found '{head}', expected: in, notin, =, ==, !=, gt, lt")),
        };
    }
    make(part, Operator::Exists)
}

fn parse_fields(kind: &Kind, text: &str) -> Result<Vec<(String, bool, String)>> {
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
            (path, false, value)
        } else if let Some((path, value)) = part.split_once('=') {
            (path, true, value.strip_prefix('=').unwrap_or(value))
        } else {
            return Err(ApiError::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{part}'"
            )));
        };
        if !is_selectable(kind, path) {
            let message = format!("field label not supported: {path}");
            return Err(ApiError::bad_request(match kind.is_custom() {
                true => message,
                false => format!("\"{path}\" is not a known field selector: {message}"),
            }));
        }
        found.push((path.to_owned(), equal, value.to_owned()));
    }
    Ok(found)
}

fn is_selectable(kind: &Kind, path: &str) -> bool {
    let more: &[&str] = match kind.kind.as_str() {
        _ if kind.is_custom() => &[],
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "Namespace" => &["status.phase"],
        "Node" => &["spec.unschedulable"],
        "Secret" => &["type"],
        "Service" => &["spec.clusterIP", "spec.type"],
        "ReplicaSet" => &["status.replicas"],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    };
    path == "metadata.name" || (path == "metadata.namespace" && kind.namespaced) || more.contains(&path)
}

fn field(object: &Value, path: &str) -> String {
    let found = if path == "source" {
        &object["source"]["component"]
    } else {
        path.split('.').fold(object, |value, name| &value[name])
    };
    match found {
        Value::String(text) => text.clone(),
        Value::Null if matches!(path, "spec.unschedulable" | "spec.hostNetwork") => "false".to_owned(),
        Value::Null if path == "status.replicas" => "0".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Formats a label selector as in a query parameter.
pub(crate) fn format_selector(selector: &Value) -> String {
    let mut parts: Vec<String> = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in items(&selector["matchExpressions"]) {
        let key = expression["key"].as_str().unwrap_or_default();
        let mut values: Vec<&str> = items(&expression["values"]).filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        parts.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(labels: &str) -> bool {
        let selector = Selector { labels: parse_labels(labels).expect("a selector"), fields: Vec::new() };
        selector.matches(&json!({"metadata": {"labels": {"app": "web", "n": "5"}}}))
    }

    #[test]
    fn label_selectors_match_as_in_kubernetes() {
        for yes in [
            "",
            "app=web",
            "app==web,n",
            "app in (a, web)",
            "app notin (a)",
            "!other",
            "app!=x",
            "n>4",
            "x!=y",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in ["app=x", "app in (a,b)", "!app", "other", "n<5", "x=y"] {
            assert!(!matches(no), "{no}");
        }
        assert!(parse_labels("a in b").is_err());
    }
}
