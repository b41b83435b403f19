//! From a text to a checked scenario: parameters first, then the whole file, strictly.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::parameter::{Kind, Parameter, scalar};
use super::{Fast, Scenario, check, select};
use crate::error::{Invalid, Problem, instead_of};

/// What the command line changes in a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--set NAME=VALUE`, in order; the last one of a name counts.
    pub set: Vec<(String, String)>,
    /// `--fast`.
    pub fast: bool,
}

/// The part of a file that is needed before the rest can be read.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    fast: Option<Fast>,
}

impl Scenario {
    /// Reads a scenario file. `file` names the text in errors. With `fast` the result is what `--fast` runs.
    ///
    /// # Errors
    /// Everything that is wrong in the file or the settings.
    pub fn parse(file: &str, text: &str, settings: &Settings) -> Result<Self, Invalid> {
        let text = Self::resolve(file, text, settings)?;
        let mut scenario: Self = yaml(file, &text)?;
        scenario.steps.iter_mut().for_each(super::Step::extend);
        check::check(file, &scenario)?;
        Ok(if settings.fast { select::fast(scenario) } else { scenario })
    }

    /// Returns the text of a scenario file with its parameters replaced, line by line: what [`Scenario::parse`] reads. A reader of an
    /// inline topology finds its lines here.
    ///
    /// # Errors
    /// What is wrong with the parameters or the settings.
    pub fn resolve(file: &str, text: &str, settings: &Settings) -> Result<String, Invalid> {
        let head: Head = yaml(file, text)?;
        let values = values(file, &head, settings)?;
        let (text, used) = replace(file, text, &values)?;
        if let Some(unused) = values.keys().find(|name| !used.contains(*name)) {
            let text = format!("parameter `{unused}` is not used");
            let hint = Some(format!("write \"${{{unused}}}\" where its value belongs, or remove it"));
            return Err(Problem { file: file.to_owned(), text, hint, ..Problem::default() }.into());
        }
        Ok(text)
    }
}

/// Deserializes a YAML text.
pub(super) fn yaml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Problem> {
    let options = serde_yaml::options! { with_snippet: false };
    serde_yaml::from_str_with_options(text, options).map_err(|error| problem(file, &error))
}

fn problem(file: &str, error: &serde_yaml::Error) -> Problem {
    use serde_yaml::Error;
    let place = error.location().filter(|place| place.line() > 0);
    let (text, hint) = match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), instead_of(field, expected.iter().copied()))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), instead_of(variant, expected.iter().copied()))
        }
        Error::SerdeMissingField { field, .. } => (format!("key `{field}` is missing"), None),
        Error::SerdeInvalidValue { unexpected, expected, .. } => {
            let value = unexpected.trim_start_matches("string ").trim_matches('"');
            (format!("invalid value `{value}`, expected {expected}"), None)
        }
        Error::DuplicateMappingKey { key, .. } => {
            (format!("key `{}` is given twice", key.as_deref().unwrap_or_default()), None)
        }
        other => {
            // The place is already in front.
            let text = other.to_string();
            let text = text.lines().next().unwrap_or_default();
            let end = text.find(" at line ").unwrap_or(text.len());
            (text[..end].to_owned(), None)
        }
    };
    let (line, column) = (place.map(|place| place.line()), place.map(|place| place.column()));
    Problem { file: file.to_owned(), line, column, text, hint }
}

/// Returns the value of each parameter as the text that replaces it.
fn values(file: &str, head: &Head, settings: &Settings) -> Result<BTreeMap<String, String>, Problem> {
    let mut values = BTreeMap::new();
    for (name, parameter) in &head.parameters {
        let wrong = |text: String| Problem { file: file.to_owned(), text, ..Problem::default() };
        let default = scalar(&parameter.default).filter(|text| Kind::of(text).is_some());
        let default = default.ok_or_else(|| {
            wrong(format!("the default of parameter `{name}` is not a number, a value with a unit or a word"))
        })?;
        values.insert(name.clone(), default);
    }
    let fast = head.fast.iter().filter(|_| settings.fast).flat_map(|fast| &fast.set);
    let fast = fast.map(|(name, value)| (file, name.clone(), scalar(value).unwrap_or_default()));
    let flags = settings.set.iter().map(|(name, value)| ("--set", name.clone(), value.clone()));
    for (place, name, value) in fast.chain(flags) {
        let wrong = |text: String, hint: Option<String>| Problem {
            file: place.to_owned(),
            text,
            hint,
            ..Problem::default()
        };
        let Some(parameter) = head.parameters.get(&name) else {
            let known = head.parameters.keys().map(String::as_str);
            return Err(wrong(format!("unknown parameter `{name}`"), instead_of(&name, known)));
        };
        let kind = scalar(&parameter.default).and_then(|text| Kind::of(&text)).unwrap_or(Kind::Word);
        if !kind.accepts(&value) {
            let expected = kind.words();
            return Err(wrong(
                format!("invalid value `{value}` of parameter `{name}`, expected {expected}"),
                None,
            ));
        }
        let choices: Vec<String> = parameter.choices.iter().filter_map(scalar).collect();
        if !choices.is_empty() && !choices.contains(&value) {
            let hint = Some(format!("expected one of: {}", choices.join(", ")));
            return Err(wrong(format!("invalid value `{value}` of parameter `{name}`"), hint));
        }
        values.insert(name, value);
    }
    Ok(values)
}

/// Replaces each `${NAME}` outside comments; returns the text and the names that it contained.
pub(super) fn replace(
    file: &str,
    text: &str,
    values: &BTreeMap<String, String>,
) -> Result<(String, BTreeSet<String>), Problem> {
    let mut used = BTreeSet::new();
    let mut result = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let mut rest = line;
        while !line.trim_start().starts_with('#') {
            let Some(start) = rest.find("${") else { break };
            let Some(length) = rest[start..].find('}') else { break };
            let name = &rest[start + 2..start + length];
            let Some(value) = values.get(name) else {
                return Err(Problem {
                    file: file.to_owned(),
                    line: u64::try_from(number + 1).ok(),
                    column: u64::try_from(line.len() - rest.len() + start + 1).ok(),
                    text: format!("unknown parameter `{name}`"),
                    hint: instead_of(name, values.keys().map(String::as_str)),
                });
            };
            used.insert(name.to_owned());
            result.push_str(&rest[..start]);
            result.push_str(value);
            rest = &rest[start + length + 1..];
        }
        result.push_str(rest);
    }
    Ok((result, used))
}
