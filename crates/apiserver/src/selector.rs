//! Label and field selectors.

use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::value::items;

mod fields;
mod labels;

use fields::FieldRequirement;
use labels::LabelRequirement;

/// A label selector and a field selector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<LabelRequirement>,
    fields: Vec<FieldRequirement>,
}

impl Selector {
    /// Parses the selectors of a request.
    ///
    /// # Errors
    /// 400 for an invalid selector or an unsupported field.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self> {
        let labels = labels::parse(labels)
            .map_err(|error| ApiError::bad_request(format!("unable to parse requirement: {error}")))?;
        Ok(Self { labels, fields: fields::parse(kind, fields)? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.matches(labels))
            && self.fields.iter().all(|requirement| requirement.matches(object))
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
