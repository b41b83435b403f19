//! Changing single entries of a kubeconfig's text. What is not changed keeps its bytes: comments, order, quoting.
//!
//! The text is edited by lines, as far as it is written in the usual block style. Each edit is checked against the same edit
//! on the parsed value; where they differ (flow style, JSON, anchors) the value is written anew instead.

use anyhow::Context as _;
use serde_json::{Value, json};

/// The lists that a context's entries stand in.
pub(super) const SECTIONS: [&str; 3] = ["clusters", "contexts", "users"];

/// A kubeconfig being edited.
#[derive(Debug)]
pub(super) struct Edit {
    text: String,
    value: Value,
}

impl Edit {
    /// Reads a text; an empty one is an empty kubeconfig.
    pub(super) fn of(text: &str) -> anyhow::Result<Self> {
        let blank = text.trim().is_empty();
        let value = if blank { Value::Null } else { serde_yaml::from_str(text).context("it is no YAML")? };
        if !blank && !value.is_object() {
            anyhow::bail!("it is no kubeconfig");
        }
        if blank {
            let text = "apiVersion: v1\nkind: Config\n".to_owned();
            return Ok(Self { text, value: json!({"apiVersion": "v1", "kind": "Config"}) });
        }
        // Nothing that could be added to, and nothing to be thrown away for it.
        for section in SECTIONS {
            let fits = value.get(section).is_none_or(|found| found.is_null() || found.is_array());
            anyhow::ensure!(fits, "it is no kubeconfig: `{section}` is no list");
        }
        Ok(Self { text: text.to_owned(), value })
    }

    /// The text as it is now.
    pub(super) fn text(self) -> String {
        self.text
    }

    pub(super) fn current_context(&self) -> Option<String> {
        self.value["current-context"].as_str().map(str::to_owned)
    }

    pub(super) fn has_context(&self, name: &str) -> bool {
        self.value["contexts"].as_array().into_iter().flatten().any(|c| c["name"] == name)
    }

    /// Puts an entry into a section in place of one of its name.
    pub(super) fn put(&mut self, section: &str, entry: &Value) -> anyhow::Result<()> {
        let there = self.value[section].as_array().into_iter().flatten().find(|e| e["name"] == entry["name"]);
        if there == Some(entry) {
            return Ok(());
        }
        self.take(section, entry["name"].as_str().unwrap_or_default())?;
        let mut wanted = self.value.clone();
        match &mut wanted[section] {
            Value::Array(items) => items.push(entry.clone()),
            other => *other = json!([entry]),
        }
        let text = insert(&self.text, section, entry);
        self.settle(text, wanted)
    }

    /// Takes an entry out of a section, if it is there.
    pub(super) fn take(&mut self, section: &str, name: &str) -> anyhow::Result<()> {
        let mut wanted = self.value.clone();
        let Some(items) = wanted[section].as_array_mut() else { return Ok(()) };
        let before = items.len();
        items.retain(|e| e["name"] != name);
        if items.len() == before {
            return Ok(());
        }
        let text = cut(&self.text, section, name);
        self.settle(text, wanted)
    }

    /// Sets the current context, or empties it.
    pub(super) fn set_current_context(&mut self, name: Option<&str>) -> anyhow::Result<()> {
        let name = name.unwrap_or_default();
        if self.value["current-context"].as_str().unwrap_or_default() == name {
            return Ok(());
        }
        let mut wanted = self.value.clone();
        wanted["current-context"] = json!(name);
        let plain = serde_yaml::to_string(&json!(name)).context("cannot write YAML")?;
        let line = format!("current-context: {}\n", plain.trim());
        let mut found = false;
        let mut text = String::new();
        for old in self.text.split_inclusive('\n') {
            let value = old.strip_prefix("current-context:");
            if value.is_some_and(|value| value.is_empty() || value.starts_with(char::is_whitespace)) {
                found = true;
                text.push_str(&line);
            } else {
                text.push_str(old);
            }
        }
        if !found {
            end_line(&mut text);
            text.push_str(&line);
        }
        self.settle(Some(text), wanted)
    }

    fn settle(&mut self, text: Option<String>, wanted: Value) -> anyhow::Result<()> {
        let good = |text: &String| serde_yaml::from_str::<Value>(text).is_ok_and(|v| same(&v, &wanted));
        self.text = match text.filter(good) {
            Some(text) => text,
            None => serde_yaml::to_string(&wanted).context("cannot write YAML")?,
        };
        anyhow::ensure!(good(&self.text), "it has a value that would not be the same when written anew");
        self.value = wanted;
        Ok(())
    }
}

/// Equal, where a section that lost its last entry may be empty, null or absent.
fn same(a: &Value, b: &Value) -> bool {
    let empty = |v: Option<&Value>| v.is_none_or(|v| v.is_null() || v.as_array().is_some_and(Vec::is_empty));
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).all(|key| {
            let (a, b) = (a.get(key), b.get(key));
            a == b || (SECTIONS.contains(&key.as_str()) && empty(a) && empty(b))
        }),
        _ => a == b,
    }
}

/// The lines of a section: where its key stands and where it ends. None where it is absent or not in block style.
fn section_lines(lines: &[&str], section: &str) -> Option<(usize, usize)> {
    let key = format!("{section}:");
    let start = lines.iter().position(|l| l.trim_end() == key)?;
    let inside = |l: &&str| l.starts_with([' ', '#']) || l.trim().is_empty() || item_indent(l) == Some(0);
    let length = lines[start + 1..].iter().take_while(|l| inside(l)).count();
    // Comments and blank lines at the end belong to what follows.
    let mut end = start + 1 + length;
    while end > start + 1 && (lines[end - 1].trim().is_empty() || lines[end - 1].starts_with('#')) {
        end -= 1;
    }
    Some((start, end))
}

fn insert(text: &str, section: &str, entry: &Value) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let yaml = serde_yaml::to_string(&json!([entry])).ok()?;
    let Some((start, end)) = section_lines(&lines, section) else {
        // `clusters: []` and `clusters: null` are what tools leave behind.
        let key = format!("{section}:");
        let empty = |l: &&str| l.strip_prefix(&key).is_some_and(|r| matches!(r.trim(), "[]" | "null" | "~"));
        let mut new = String::new();
        match lines.iter().position(empty) {
            Some(at) => {
                new.extend(lines[..at].iter().copied());
                new.push_str(&format!("{key}\n{yaml}"));
                end_line(&mut new);
                new.extend(lines[at + 1..].iter().copied());
            }
            None => {
                new.push_str(text);
                end_line(&mut new);
                new.push_str(&format!("{key}\n{yaml}"));
                end_line(&mut new);
            }
        }
        return Some(new);
    };
    let indent = lines[start + 1..end].iter().find_map(|line| item_indent(line)).unwrap_or(0);
    let mut new: String = lines[..end].concat();
    end_line(&mut new);
    for line in yaml.lines() {
        new.push_str(&" ".repeat(indent));
        new.push_str(line);
        new.push('\n');
    }
    new.push_str(&lines[end..].concat());
    Some(new)
}

fn cut(text: &str, section: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (start, end) = section_lines(&lines, section)?;
    let indent = lines[start + 1..end].iter().find_map(|line| item_indent(line))?;
    let heads: Vec<usize> = (start + 1..end).filter(|i| item_indent(lines[*i]) == Some(indent)).collect();
    for (i, head) in heads.iter().enumerate() {
        let tail = heads.get(i + 1).copied().unwrap_or(end);
        let item: Value = serde_yaml::from_str(&lines[*head..tail].concat()).ok()?;
        if item[0]["name"] == name {
            let mut new = lines[..*head].to_vec();
            if heads.len() == 1 {
                let key = lines[start].trim_end();
                let emptied = format!("{key} []\n");
                let rest = lines[tail..].concat();
                return Some(lines[..start].concat() + &emptied + &rest);
            }
            new.extend(&lines[tail..]);
            return Some(new.concat());
        }
    }
    None
}

/// How far the item of a list that begins in this line is indented.
fn item_indent(line: &str) -> Option<usize> {
    let item = line.trim_start_matches(' ');
    // Without a space behind it the dash is part of a word.
    let begins = item.strip_prefix('-').is_some_and(|rest| rest.starts_with(char::is_whitespace));
    begins.then(|| line.len() - item.len())
}

fn end_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}
