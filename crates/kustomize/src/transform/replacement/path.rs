//! The paths of replacements: `spec.template.spec.containers.[name=web].image`.

use regex::Regex;
use serde_json::{Map, Value};

use super::structured;
use crate::error::Error;
use crate::field;

/// Returns the parts of a path. A dot after a backslash or in brackets belongs to a name.
pub(super) fn split(path: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut open: Option<String> = None;
    for part in field::split(path, '.') {
        let joined = match open.take() {
            Some(begun) => format!("{begun}.{part}"),
            None if part.starts_with('[') => part,
            None => {
                parts.push(part);
                continue;
            }
        };
        if !joined.ends_with(']') {
            open = Some(joined);
        } else if joined.contains('=') {
            parts.push(joined);
        } else {
            parts.push(joined.trim_matches(['[', ']']).to_owned());
        }
    }
    parts.extend(open.map(|begun| begun.trim_matches(['[', ']']).to_owned()));
    parts
}

/// Returns the value at a path: names in maps, `[key=value]`, numbers and `-` (the last) in lists.
pub(super) fn get<'a>(value: &'a Value, parts: &[String]) -> Option<&'a Value> {
    parts.iter().try_fold(value, |value, part| match value {
        Value::Object(fields) => fields.get(part),
        Value::Array(items) if part == "-" => items.last(),
        Value::Array(items) => match condition(part) {
            Some((key, want)) => items.iter().find(|item| {
                let have = if key.is_empty() { Some(*item) } else { item.get(key) };
                have.is_some_and(|have| shown(have) == want)
            }),
            None => items.get(part.parse::<usize>().ok()?),
        },
        _ => None,
    })
}

/// A path to write to.
pub(super) struct Path<'a> {
    pub(super) parts: &'a [String],
    /// What is to be written there, if absent fields are to be made.
    pub(super) create: Option<&'a Value>,
}

impl Path<'_> {
    /// Calls `set` with each field that fits.
    pub(super) fn visit(
        &mut self,
        value: &mut Value,
        set: &mut dyn FnMut(&mut Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some((part, rest)) = self.parts.split_first() else { return set(value) };
        let mut inner = Path { parts: rest, create: self.create };
        if let Some((key, want)) = condition(part) {
            return inner.elements(value, key, want, set);
        }
        match value {
            Value::Array(items) if part == "*" => {
                items.iter_mut().try_for_each(|item| inner.visit(item, set))
            }
            Value::Array(items) => {
                let index = part
                    .parse::<usize>()
                    .map_err(|_| Error::invalid(format!("invalid list index `{part}`")))?;
                if index == items.len() && self.create.is_some() {
                    items.push(inner.empty());
                }
                let count = items.len();
                let item = items.get_mut(index);
                inner.visit(
                    item.ok_or_else(|| Error::invalid(format!("index {index} of {count} elements")))?,
                    set,
                )
            }
            Value::Object(fields) => {
                if self.create.is_some() && fields.get(part).is_none_or(Value::is_null) {
                    fields.insert(part.clone(), inner.empty());
                }
                fields
                    .get_mut(part)
                    .filter(|field| self.create.is_some() || !field.is_null())
                    .map_or(Ok(()), |field| inner.visit(field, set))
            }
            Value::String(text) => {
                let mut whole = Path { parts: self.parts, create: self.create };
                *text = structured::edit(text, |inside| whole.visit(inside, set))?;
                Ok(())
            }
            _ => Err(Error::invalid(format!("there is no map or list for `{part}`"))),
        }
    }

    /// Goes on with the elements whose `key` fits the expression `want`.
    fn elements(
        &mut self,
        value: &mut Value,
        key: &str,
        want: &str,
        set: &mut dyn FnMut(&mut Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Value::Array(items) = value else {
            return Err(Error::invalid(format!("`[{key}={want}]` is not in a list")));
        };
        let regex = Regex::new(want)
            .map_err(|error| Error::invalid(format!("invalid regular expression `{want}`: {error}")))?;
        let fits = |item: &Value| {
            let have = if key.is_empty() { Some(item) } else { item.get(key) };
            have.is_some_and(|have| regex.is_match(&shown(have)))
        };
        if self.create.is_some() && !items.iter().any(fits) {
            items.push(match key {
                "" => want.into(),
                key => Map::from_iter([(key.to_owned(), want.into())]).into(),
            });
        }
        let mut whole = Path { parts: if key.is_empty() { &[] } else { self.parts }, create: self.create };
        items.iter_mut().filter(|item| fits(item)).try_for_each(|item| whole.visit(item, set))
    }

    /// What to make where nothing is, so that the path can go on.
    fn empty(&self) -> Value {
        match (self.parts.first(), self.create) {
            (Some(next), _) if next.parse::<usize>().is_ok() || next == "*" || condition(next).is_some() => {
                Value::Array(Vec::new())
            }
            (Some(_), _) => Map::new().into(),
            // Nothing yet: the value decides what it becomes.
            (None, _) => Value::Null,
        }
    }
}

/// Returns the two sides of `[key=value]`.
fn condition(part: &str) -> Option<(&str, &str)> {
    part.strip_prefix('[')?.strip_suffix(']')?.split_once('=')
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
