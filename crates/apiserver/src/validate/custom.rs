//! Validation of custom resources with the schema of their definition.
//!
//! CEL rules (`x-kubernetes-validations`) are not evaluated.

use serde_json::Value;

mod number;
mod text;

use super::{invalid, required, unsupported};
use crate::error::{Cause, Causes};
use crate::value::items;

pub(super) fn check(schema: &Value, value: &Value, at: &str, found: &mut Causes) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    let name = if at.is_empty() { "<nil>" } else { at };
    if !is_type(schema, value) {
        let expected = schema["type"].as_str().unwrap_or_default();
        let actual = json_type(value);
        let why = format!("{at} in body must be of type {expected}: \"{actual}\"");
        let shown = if value.is_string() || value.is_number() || value.is_boolean() {
            value.clone()
        } else {
            actual.into()
        };
        found.push(Cause {
            reason: "FieldValueTypeInvalid",
            message: format!("Invalid value: {shown}: {why}"),
            field: name.to_owned(),
        });
        return;
    }
    match value {
        Value::Object(map) => {
            check_size(schema, "Properties", map.len(), "properties", at, value, found);
            for name in
                items(&schema["required"]).filter_map(Value::as_str).filter(|name| !map.contains_key(*name))
            {
                found.push(required(&join(at, name), ""));
            }
            for (key, inner) in map {
                if at.is_empty() && matches!(key.as_str(), "metadata" | "apiVersion" | "kind") {
                    continue;
                }
                match schema["properties"].get(key) {
                    Some(schema) => check(schema, inner, &join(at, key), found),
                    None if schema["additionalProperties"].is_object() => {
                        check(&schema["additionalProperties"], inner, &join(at, key), found);
                    }
                    None => {}
                }
            }
        }
        Value::Array(list) => {
            check_size(schema, "Items", list.len(), "items", at, value, found);
            for (index, inner) in list.iter().enumerate() {
                check(&schema["items"], inner, &format!("{at}[{index}]"), found);
            }
        }
        Value::String(text) => {
            check_size(schema, "Length", text.chars().count(), "chars long", at, value, found);
            text::check(schema, text, at, found);
        }
        Value::Number(_) => number::check(schema, value, at, found),
        _ => {}
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let supported: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        found.push(unsupported(name, value, &supported));
    }
    if let Some(one_of) = schema["oneOf"].as_array() {
        let matching = one_of.iter().filter(|schema| matches(schema, value)).count();
        if matching != 1 {
            found.push(invalid(
                name,
                &json_type(value).into(),
                &format!("{at} in body must validate one and only one schema (oneOf)"),
            ));
        }
    }
    if let Some(any_of) = schema["anyOf"].as_array()
        && schema["x-kubernetes-int-or-string"] != true
        && !any_of.iter().any(|schema| matches(schema, value))
    {
        found.push(invalid(
            name,
            &json_type(value).into(),
            &format!("{at} in body must validate at least one schema (anyOf)"),
        ));
    }
    for all in items(&schema["allOf"]) {
        check(all, value, at, found);
    }
    if schema["not"].is_object() && matches(&schema["not"], value) {
        found.push(invalid(
            name,
            &json_type(value).into(),
            &format!("{at} in body must not validate the schema (not)"),
        ));
    }
}

fn matches(schema: &Value, value: &Value) -> bool {
    let mut found = Causes::default();
    check(schema, value, "x", &mut found);
    found.is_empty()
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn check_size(
    schema: &Value,
    what: &str,
    size: usize,
    unit: &str,
    at: &str,
    value: &Value,
    found: &mut Causes,
) {
    let size = size as u64;
    if schema[format!("min{what}")].as_u64().is_some_and(|min| size < min) {
        let why = format!("{at} in body should be at least {} {unit}", schema[format!("min{what}")]);
        found.push(invalid(at, value, &why));
    }
    if let Some(max) = schema[format!("max{what}")].as_u64().filter(|max| size > *max) {
        let (reason, message) = match what {
            "Items" | "Properties" => {
                let noun = if max == 1 { "item" } else { "items" };
                ("FieldValueTooMany", format!("Too many: {size}: must have at most {max} {noun}"))
            }
            _ => ("FieldValueTooLong", format!("Too long: may not be more than {max} bytes")),
        };
        found.push(Cause { reason, message, field: at.to_owned() });
    }
}

fn is_type(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_string() || value.is_i64();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
