//! A YAML text as a tree in which each value has its line, and strict readers of its mappings. Its errors are [`Problem`]s.

pub mod fields;
mod node;

use serde_yaml::{DuplicateKeyPolicy, Options};

use crate::error::Problem;

pub use fields::Fields;
pub use node::{Key, Node, Value};

/// Returns the one document in `text`. `place` names the text in errors.
///
/// # Errors
///
/// Returns an error for text that is not YAML, a duplicate key, or more than one document.
pub fn parse(place: &str, text: &str) -> Result<Node, Problem> {
    // Windows' line ends would become part of block scalars.
    let text = text.replace("\r\n", "\n");
    let read: Result<Vec<Node>, _> = serde_yaml::from_multiple_with_options(&text, options());
    let documents = read.map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        let message = error.without_snippet().to_string();
        let message = message.replace(", set DuplicateKeyPolicy in Options if acceptable", "");
        let message = message.split(&format!(" at line {line}, ")).next().unwrap_or_default();
        Problem::new(place, line, format!("cannot parse YAML: {message}"))
    })?;
    let mut documents = documents.into_iter().filter(|document| document.value != Value::Null);
    let first = documents.next().ok_or_else(|| Problem::new(place, 0, "the file is empty"))?;
    match documents.next() {
        Some(second) => Err(Problem::new(place, second.line, "expected one document, found another one")),
        None => Ok(first),
    }
}

fn options() -> Options {
    serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    }
}
