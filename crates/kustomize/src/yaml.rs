//! Parses and prints YAML. The only module that uses the YAML library.

mod fold;
mod print;
mod scalar;
mod text;

use serde_json::{Number, Value};
use serde_yaml::{DuplicateKeyPolicy, Options};

use crate::error::Error;

pub use print::print;

/// Returns the documents in `text`, empty ones left out. `place` names the text in an error.
pub(crate) fn documents(text: &str, place: &str) -> Result<Vec<Value>, Error> {
    // Windows' line ends would become part of block scalars.
    let text = text.replace("\r\n", "\n");
    let parsed = serde_yaml::from_multiple_with_options(&text, options(DuplicateKeyPolicy::Error, true));
    let mut documents: Vec<Value> = parsed.map_err(|error| failure(place, &error))?;
    documents.retain(|document| !document.is_null());
    documents.iter_mut().for_each(whole_numbers);
    Ok(documents)
}

/// Returns the first document in `text`, null where there is none, read as kustomize reads its own files: of a key that is there
/// twice the last value counts, and `yes` and `no` are booleans.
pub(crate) fn first_document(text: &str, place: &str) -> Result<Value, Error> {
    let parsed = serde_yaml::from_multiple_with_options(text, options(DuplicateKeyPolicy::LastWins, false));
    let documents: Vec<Value> = parsed.map_err(|error| failure(place, &error))?;
    let mut document = documents.into_iter().next().unwrap_or_default();
    whole_numbers(&mut document);
    Ok(document)
}

/// Reads scalars as Go's YAML does: `0644` is octal.
fn options(duplicate_keys: DuplicateKeyPolicy, strict_booleans: bool) -> Options {
    serde_yaml::options! {
        duplicate_keys: duplicate_keys,
        legacy_octal_numbers: true,
        strict_booleans: strict_booleans,
        with_snippet: false,
    }
}

fn failure(place: &str, error: &serde_yaml::Error) -> Error {
    // The library's advice is for programs that call it.
    let reason = error.to_string().replace(", set DuplicateKeyPolicy in Options if acceptable", "");
    Error::Parse { place: place.to_owned(), reason }
}

/// Writes `1.0` as `1`: JSON, which kustomize uses for objects, does not distinguish them.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            // 2^63: what lies beyond does not fit an integer and stays a float there too.
            if float.fract() == 0.0 && float.abs() < 9_223_372_036_854_775_808.0 {
                #[expect(clippy::cast_possible_truncation, reason = "whole and in range, as just tested")]
                let whole = float as i64;
                *number = Number::from(whole);
            }
        }
        _ => {}
    }
}

/// Reads a scalar as YAML would without quotes: what a replacement leaves in a field that was not text.
pub(crate) fn plain(text: &str) -> Value {
    match documents(text, "a value").as_deref() {
        Ok([scalar]) if !scalar.is_array() && !scalar.is_object() => scalar.clone(),
        _ => Value::String(text.to_owned()),
    }
}
