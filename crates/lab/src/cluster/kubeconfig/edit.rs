//! Changing single entries of a kubeconfig's text. What is not changed keeps its bytes: comments, order, quoting, line
//! endings.
//!
//! The changed text is checked against the same changes of the parsed value. Where they differ (anchors, a style that the
//! editor does not know), the change is refused: the file is never written from scratch.

use anyhow::anyhow;
use serde_json::{Map, Value, json};

use super::mark::SECTIONS;
use super::{block, flow, read};

/// A kubeconfig being edited. Until [`Edit::checked`] it is not certain that the text has the meaning of the value.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    text: String,
    /// An object.
    value: Value,
}

impl Edit {
    /// Parses a text; one without content is an empty kubeconfig.
    ///
    /// # Errors
    /// The text is not a kubeconfig.
    pub(super) fn of(text: &str) -> anyhow::Result<Self> {
        let value = match parse(text)? {
            Value::Null => Value::Object(Map::new()),
            value @ Value::Object(_) => value,
            _ => anyhow::bail!("expected a kubeconfig, found another value"),
        };
        for (section, _) in SECTIONS {
            let fits = value.get(section).is_none_or(|found| found.is_null() || found.is_array());
            anyhow::ensure!(fits, "invalid kubeconfig: `{section}` is not a list");
        }
        Ok(Self { text: text.to_owned(), value })
    }

    /// Returns the text as it is now.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the entries of a list.
    pub(super) fn entries(&self, section: &str) -> &[Value] {
        self.value[section].as_array().map_or(&[], Vec::as_slice)
    }

    pub(super) fn has_context(&self, name: &str) -> bool {
        self.entries("contexts").iter().any(|context| context["name"] == name)
    }

    /// Returns the current context, if the kubeconfig names one.
    pub(super) fn current_context(&self) -> Option<&str> {
        self.value["current-context"].as_str().filter(|name| !name.is_empty())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.value.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// Returns the text of a top-level value, or `None` if the key is absent.
    pub(super) fn value_text(&self, key: &str) -> Option<String> {
        match flow::root(&self.text) {
            Some(open) => flow::member(&self.text, open, key).map(|(_, range)| self.text[range].to_owned()),
            None => block::value(&self.text, key),
        }
    }

    /// Sets a top-level value by its text.
    ///
    /// # Errors
    /// The text cannot be changed like that.
    pub(super) fn set(&mut self, key: &str, text: &str) -> anyhow::Result<()> {
        let value = parse(text)?;
        let text = match flow::root(&self.text) {
            Some(open) => set_member(&self.text, open, key, text, &value),
            None => Some(block::set(&self.text, key, text)),
        };
        self.value[key] = value;
        self.settle(text)
    }

    /// Removes a top-level key, if it is there.
    ///
    /// # Errors
    /// The text cannot be changed like that.
    pub(super) fn remove(&mut self, key: &str) -> anyhow::Result<()> {
        if self.value.as_object_mut().and_then(|map| map.remove(key)).is_none() {
            return Ok(());
        }
        let text = match flow::root(&self.text) {
            Some(open) => {
                flow::member(&self.text, open, key).and_then(|(index, _)| flow::take(&self.text, open, index))
            }
            None => block::remove(&self.text, key),
        };
        self.settle(text)
    }

    /// Adds an entry at the end of a list.
    ///
    /// # Errors
    /// The text cannot be changed like that.
    pub(super) fn push(&mut self, section: &str, entry: &Value) -> anyhow::Result<()> {
        let empty = self.entries(section).is_empty();
        match &mut self.value[section] {
            Value::Array(entries) => entries.push(entry.clone()),
            other => *other = json!([entry]),
        }
        let text = match flow::root(&self.text) {
            Some(open) if empty => {
                let list = &self.value[section];
                set_member(&self.text, open, section, &list.to_string(), list)
            }
            Some(open) => flow::member(&self.text, open, section).and_then(|(_, range)| {
                flow::push(&self.text, range.start, &serde_json::to_string(entry).ok()?)
            }),
            None if empty => block::push(&block::set(&self.text, section, ""), section, entry),
            None => block::push(&self.text, section, entry),
        };
        self.settle(text)
    }

    /// Removes an entry of a list. A list that is empty then has the value `emptied`, or loses its key if that is `None`.
    ///
    /// # Errors
    /// The text cannot be changed like that.
    pub(super) fn take(&mut self, section: &str, index: usize, emptied: Option<&str>) -> anyhow::Result<()> {
        let entries = self.value[section].as_array_mut();
        let Some(entries) = entries.filter(|entries| index < entries.len()) else { return Ok(()) };
        entries.remove(index);
        let empty = entries.is_empty();
        let text = match flow::root(&self.text) {
            Some(open) => flow::member(&self.text, open, section)
                .and_then(|(_, range)| flow::take(&self.text, range.start, index)),
            None => block::take(&self.text, section, index),
        };
        self.settle(text)?;
        match emptied {
            _ if !empty => Ok(()),
            Some(emptied) => {
                anyhow::ensure!(is_empty(Some(&parse(emptied)?)), "`{emptied}` is not an empty list");
                self.set(section, emptied)
            }
            None => self.remove(section),
        }
    }

    /// Checks that the text means the value.
    ///
    /// # Errors
    /// It does not: the kubeconfig is written in a style that the editor does not know.
    pub(super) fn checked(self) -> anyhow::Result<Self> {
        let found = parse(&self.text).map_err(|_| unknown_style())?;
        anyhow::ensure!(same(&found, &self.value), unknown_style());
        Ok(self)
    }

    fn settle(&mut self, text: Option<String>) -> anyhow::Result<()> {
        self.text = text.ok_or_else(unknown_style)?;
        Ok(())
    }
}

fn parse(text: &str) -> anyhow::Result<Value> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    read::document(text)
}

fn unknown_style() -> anyhow::Error {
    anyhow!("its style does not allow to change a single entry and to keep every other byte")
}

/// Sets a member of a map in flow style. A text that only block style allows is written as JSON.
fn set_member(text: &str, open: usize, key: &str, value: &str, parsed: &Value) -> Option<String> {
    let json = value.trim_start().starts_with(['"', '[', '{']) || value.trim() == "null";
    let value = if json { value.to_owned() } else { parsed.to_string() };
    match flow::member(text, open, key) {
        Some((_, range)) => Some([&text[..range.start], &value, &text[range.end..]].concat()),
        None => flow::push(text, open, &format!("{}: {value}", json!(key))),
    }
}

/// Equal, except that a list without entries may be empty, null or absent.
fn same(found: &Value, wanted: &Value) -> bool {
    let map = |value: &Value| match value {
        Value::Null => Some(Map::new()),
        Value::Object(map) => Some(map.clone()),
        _ => None,
    };
    let (Some(found), Some(wanted)) = (map(found), map(wanted)) else { return false };
    found.keys().chain(wanted.keys()).all(|key| {
        let (found, wanted) = (found.get(key), wanted.get(key));
        let list = SECTIONS.iter().any(|(section, _)| section == key);
        found == wanted || (list && is_empty(found) && is_empty(wanted))
    })
}

fn is_empty(list: Option<&Value>) -> bool {
    list.is_none_or(|value| value.is_null() || value.as_array().is_some_and(Vec::is_empty))
}
