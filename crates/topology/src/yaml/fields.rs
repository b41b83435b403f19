//! Readers of values that must have a certain form.

use std::time::Duration;

use crate::error::{Problem, nearest};
use crate::values;

use super::node::{Key, Node, Value};

/// The most characters of an invalid value that an error repeats.
const SHOWN: usize = 60;

/// A mapping whose keys are all known.
#[derive(Debug)]
pub struct Fields<'a> {
    place: &'a str,
    /// What the mapping describes, for errors: `service cart`.
    what: String,
    line: u64,
    entries: &'a [(Key, Node)],
}

impl<'a> Fields<'a> {
    /// Returns the fields of `node`, which describes `what` and has no other keys than `known`.
    ///
    /// # Errors
    ///
    /// Returns an error for a value that is not a mapping, and for an unknown key with the nearest known one.
    pub fn new(place: &'a str, node: &'a Node, what: &str, known: &[&str]) -> Result<Self, Problem> {
        let Value::Map(entries) = &node.value else {
            return Err(expected(place, node, what, "a mapping"));
        };
        for (key, _) in entries {
            if !known.contains(&key.text.as_str()) {
                let text = shown(&key.text);
                let near = nearest(&key.text, known.iter().copied());
                let mut message = format!("unknown key `{text}` in {what}");
                if near.is_none() {
                    message = format!("{message}, expected one of: {}", known.join(", "));
                }
                return Err(Problem::new(place, key.line, message).nearest(near));
            }
        }
        Ok(Self { place, what: what.to_owned(), line: node.line, entries })
    }

    /// Returns the value of a key; `None` if the key is absent or has no value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        let found = self.entries.iter().find(|(found, _)| found.text == key).map(|(_, node)| node);
        found.filter(|node| node.value != Value::Null)
    }

    /// Returns the value of a key that must be there.
    ///
    /// # Errors
    ///
    /// Returns an error if the key is absent or has no value.
    pub fn require(&self, key: &str) -> Result<&'a Node, Problem> {
        self.get(key).ok_or_else(|| {
            Problem::new(self.place, self.line, format!("key `{key}` is missing in {}", self.what))
        })
    }

    /// Reads the value of a key with `read`, or returns `default` if there is none.
    ///
    /// # Errors
    ///
    /// Returns the error of `read`.
    pub fn or<T>(&self, key: &str, default: T, read: Reader<T>) -> Result<T, Problem> {
        self.get(key).map_or(Ok(default), |node| self.read(key, node, read))
    }

    /// Reads the value of a key that must be there.
    ///
    /// # Errors
    ///
    /// Returns an error if the key is absent, or the error of `read`.
    pub fn required<T>(&self, key: &str, read: Reader<T>) -> Result<T, Problem> {
        self.read(key, self.require(key)?, read)
    }

    fn read<T>(&self, key: &str, node: &Node, read: Reader<T>) -> Result<T, Problem> {
        read(&node.value)
            .map_err(|form| expected(self.place, node, &format!("`{key}` of {}", self.what), form))
    }
}

/// Reads a value, or returns the form that it must have.
pub type Reader<T> = fn(&Value) -> Result<T, &'static str>;

/// Reads a text.
///
/// # Errors
///
/// Returns the expected form.
pub fn text(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err("a text"),
    }
}

/// Reads `true` or `false`.
///
/// # Errors
///
/// Returns the expected form.
pub fn boolean(value: &Value) -> Result<bool, &'static str> {
    match value {
        Value::Bool(value) => Ok(*value),
        _ => Err("true or false"),
    }
}

/// Reads a whole number from 0.
///
/// # Errors
///
/// Returns the expected form.
pub fn count(value: &Value) -> Result<u32, &'static str> {
    match value {
        Value::Int(value) => u32::try_from(*value).ok(),
        _ => None,
    }
    .ok_or("a whole number from 0")
}

/// Reads a whole number from 1.
///
/// # Errors
///
/// Returns the expected form.
pub fn positive(value: &Value) -> Result<u32, &'static str> {
    count(value).ok().filter(|value| *value > 0).ok_or("a whole number from 1")
}

/// Reads a duration; see [`crate::parse_duration`].
///
/// # Errors
///
/// Returns the expected form.
pub fn duration(value: &Value) -> Result<Duration, &'static str> {
    match value {
        Value::Text(text) => values::parse_duration(text),
        Value::Int(0) => Some(Duration::ZERO),
        _ => None,
    }
    .ok_or("a duration such as 10ms, 1.5s or 1m30s")
}

/// Reads a percentage as a share from 0 to 1; see [`crate::parse_percent`].
///
/// # Errors
///
/// Returns the expected form.
pub fn percent(value: &Value) -> Result<f64, &'static str> {
    match value {
        Value::Text(text) => values::parse_percent(text),
        Value::Int(0) => Some(0.0),
        _ => None,
    }
    .ok_or("a percentage from 0% to 100%, such as 2%")
}

/// Reads a number of bytes; see `values::parse_size`.
///
/// # Errors
///
/// Returns the expected form.
pub fn size(value: &Value) -> Result<u64, &'static str> {
    match value {
        Value::Text(text) => values::parse_size(text),
        Value::Int(bytes) => u64::try_from(*bytes).ok().filter(|bytes| *bytes <= values::MOST_BYTES),
        _ => None,
    }
    .ok_or("a size of at most 64MiB such as 512, 16KiB or 1MB")
}

/// Returns the items of a list, which is `what`.
///
/// # Errors
///
/// Returns an error for a value that is not a list.
pub fn list<'a>(place: &str, node: &'a Node, what: &str) -> Result<&'a [Node], Problem> {
    match &node.value {
        Value::List(items) => Ok(items),
        _ => Err(expected(place, node, what, "a list")),
    }
}

/// Returns the error for a value of another form than expected.
#[must_use]
pub fn expected(place: &str, node: &Node, what: &str, form: &str) -> Problem {
    let found = match &node.value {
        Value::Bool(value) => format!("`{value}`"),
        Value::Int(value) => format!("`{value}`"),
        Value::Float(value) => format!("`{value}`"),
        Value::Text(text) => format!("`{}`", shown(text)),
        other => other.kind().to_owned(),
    };
    Problem::new(place, node.line, format!("invalid value of {what}: expected {form}, found {found}"))
}

/// Returns a text as an error repeats it: control characters escaped, at most 60 characters.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN {
        short.push('…');
    }
    short
}
