//! Validation of strings.

use regex::RegexBuilder;
use serde_json::Value;

use crate::error::{Cause, Causes};
use crate::validate::invalid;

/// Maximum size of a compiled pattern in bytes; a larger pattern is not checked.
const MAX_PATTERN_SIZE: usize = 1 << 20;

pub(super) fn check(schema: &Value, text: &str, at: &str, found: &mut Causes) {
    let value = Value::from(text);
    if let Some(pattern) = schema["pattern"].as_str()
        && let Ok(compiled) = RegexBuilder::new(pattern).size_limit(MAX_PATTERN_SIZE).build()
        && !compiled.is_match(text)
    {
        found.push(invalid(at, &value, &format!("{at} in body should match '{pattern}'")));
    }
    if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
        let why = format!("{at} in body must be of type date-time: {value}");
        found.push(Cause {
            reason: "FieldValueTypeInvalid",
            message: format!("Invalid value: {value}: {why}"),
            field: at.to_owned(),
        });
    }
}
