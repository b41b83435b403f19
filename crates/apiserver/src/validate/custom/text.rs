//! Strings of their pattern and format.

use regex::RegexBuilder;
use serde_json::Value;

use crate::error::Cause;
use crate::validate::invalid;

/// A compiled pattern of a definition takes no more than this; a larger one is not checked.
const LARGEST_PATTERN: usize = 1 << 20;

pub(super) fn check(schema: &Value, text: &str, at: &str, found: &mut Vec<Cause>) {
    let value = Value::from(text);
    if let Some(pattern) = schema["pattern"].as_str()
        && let Ok(compiled) = RegexBuilder::new(pattern).size_limit(LARGEST_PATTERN).build()
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
