//! The hash at the end of a generated object's name.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The hash of an object's content: ten characters that spell no word.
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
    let mut json = String::new();
    json.push('{');
    for (index, (key, value)) in content.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        write_json(&mut json, &Value::from(*key));
        json.push(':');
        write_json(&mut json, value);
    }
    json.push('}');
    let digest = Sha256::digest(json);
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    Ok(hex.chars().map(harmless).collect())
}

/// Without vowels and digits that look like them, chance spells nothing.
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

/// JSON as Go writes it: keys sorted, and what means something in HTML escaped.
fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            out.push('{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(out, &Value::from(key.as_str()));
                out.push(':');
                write_json(out, value);
            }
            out.push('}');
        }
        leaf => {
            for c in leaf.to_string().chars() {
                match c {
                    '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                        out.push_str(&format!("\\u{:04x}", u32::from(c)))
                    }
                    c => out.push(c),
                }
            }
        }
    }
}
