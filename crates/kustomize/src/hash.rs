//! The hash at the end of a generated object's name.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Returns the hash of an object's content: ten characters without vowels.
///
/// kustomize hashes the content's JSON as Go writes it; `name` is always empty in it, since the name is not content.
pub(crate) fn of(object: &Value) -> Result<String, Error> {
    let field =
        |name: &str| object.get(name).filter(|value| !value.is_null()).cloned().unwrap_or_else(|| "".into());
    let kind = field("kind");
    let mut content = BTreeMap::from([("name", Value::from("")), ("data", field("data"))]);
    let extra = match kind.as_str() {
        Some("ConfigMap") => "binaryData",
        Some("Secret") => {
            content.insert("type", field("type"));
            "stringData"
        }
        _ => return Err(Error::invalid("only ConfigMaps and Secrets can be named by their content")),
    };
    content.insert("kind", kind);
    if let Some(more @ Value::Object(_)) = object.get(extra) {
        content.insert(extra, more.clone());
    }
    let content = content.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let digest = Sha256::digest(json(&content, false));
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    Ok(hex.chars().map(harmless).collect())
}

/// Replaces vowels and digits that resemble them, like kustomize does, to avoid words.
fn harmless(digit: char) -> char {
    match digit {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    }
}

/// JSON as Go writes it: keys sorted, and what means something in HTML escaped; indented by two blanks or without any.
pub(crate) fn json(value: &Value, indented: bool) -> String {
    // Sorted through a separate map, since a crate elsewhere may have switched the library's map to another order.
    let text = if indented {
        serde_json::to_string_pretty(&sorted(value))
    } else {
        serde_json::to_string(&sorted(value))
    };
    let mut escaped = String::new();
    for c in text.unwrap_or_default().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// A value whose maps are in the order of their keys.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let ordered: BTreeMap<_, _> = fields.iter().collect();
            ordered.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        leaf => leaf.clone(),
    }
}
