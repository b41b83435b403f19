//! A kubeconfig in block style, edited by lines. What is not edited keeps its bytes.

use std::ops::Range;

use serde_json::{Value, json};

use super::flow;

/// Where a top-level key stands.
struct Key {
    /// Its line.
    line: usize,
    /// The bytes of its value in that line: from behind the colon to the end of the value, without a comment.
    value: Range<usize>,
}

/// Returns the text of a key's value as far as it is in the line of the key, or `None` if the key is absent.
pub(super) fn value(text: &str, key: &str) -> Option<String> {
    let lines = split(text);
    let key = find(&lines, key)?;
    Some(lines[key.line][key.value].to_owned())
}

/// Replaces the value of a key, or adds the key at the end. The new value has a leading space unless it is empty.
pub(super) fn set(text: &str, key: &str, value: &str) -> String {
    let space = if value.is_empty() || value.starts_with([' ', '\t']) { "" } else { " " };
    let lines = split(text);
    match find(&lines, key) {
        Some(found) => {
            let mut line = lines[found.line].to_owned();
            line.replace_range(found.value, &format!("{space}{value}"));
            lines[..found.line].concat() + &line + &lines[found.line + 1..].concat()
        }
        None => insert(text, &lines, lines.len(), &[format!("{key}:{space}{value}")]),
    }
}

/// Removes the line of a key.
pub(super) fn remove(text: &str, key: &str) -> Option<String> {
    let lines = split(text);
    let key = find(&lines, key)?;
    Some(cut(text, &lines, key.line..key.line + 1))
}

/// Adds an entry at the end of a list. A list without entries has lost its value (with [`set`]) before.
pub(super) fn push(text: &str, key: &str, entry: &Value) -> Option<String> {
    let lines = split(text);
    let found = find(&lines, key)?;
    if !lines[found.line][found.value.clone()].is_empty() {
        let open = open_bracket(&lines, &found)?;
        return flow::push(text, open, &serde_json::to_string(entry).ok()?);
    }
    let end = section_end(&lines, found.line);
    let indent = lines[found.line + 1..end].iter().find_map(|line| item_indent(line)).unwrap_or(0);
    let yaml = serde_yaml::to_string(&json!([entry])).ok()?;
    let new: Vec<String> = yaml.lines().map(|line| format!("{}{line}", " ".repeat(indent))).collect();
    Some(insert(text, &lines, end, &new))
}

/// Removes the entry number `index` of a list.
pub(super) fn take(text: &str, key: &str, index: usize) -> Option<String> {
    let lines = split(text);
    let found = find(&lines, key)?;
    if !lines[found.line][found.value.clone()].is_empty() {
        return flow::take(text, open_bracket(&lines, &found)?, index);
    }
    let end = section_end(&lines, found.line);
    let mut items = found.line + 1..end;
    let indent = lines[items.clone()].iter().find_map(|line| item_indent(line))?;
    let heads: Vec<usize> = items.by_ref().filter(|i| item_indent(lines[*i]) == Some(indent)).collect();
    let begin = *heads.get(index)?;
    let mut stop = heads.get(index + 1).copied().unwrap_or(end);
    // A comment behind the entry was not written by meshy.
    while stop > begin + 1 && is_comment_or_blank(lines[stop - 1]) {
        stop -= 1;
    }
    Some(cut(text, &lines, begin..stop))
}

fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Finds the only line of a key, which may be quoted.
fn find(lines: &[&str], key: &str) -> Option<Key> {
    let mut found = lines.iter().enumerate().filter_map(|(line, text)| {
        let rest = [key, &format!("\"{key}\""), &format!("'{key}'")]
            .iter()
            .find_map(|spelling| text.strip_prefix(*spelling))?
            .trim_start_matches([' ', '\t'])
            .strip_prefix(':')?;
        let behind = text.len() - rest.len();
        let end = behind + value_length(rest)?;
        Some(Key { line, value: behind..end })
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The length of the value at the start of what is behind a colon, without white space and comment behind it; `None` if
/// the colon does not end a key.
fn value_length(rest: &str) -> Option<usize> {
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let start = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    let value = rest[start..].trim_end();
    let length = match value.chars().next() {
        None | Some('#') => return Some(0),
        Some('"') => flow::double_quoted(value).unwrap_or(value.len()),
        Some('\'') => flow::single_quoted(value).unwrap_or(value.len()),
        Some(_) => {
            let comment = value.find(" #").into_iter().chain(value.find("\t#")).min();
            value[..comment.unwrap_or(value.len())].trim_end().len()
        }
    };
    Some(start + length)
}

/// The offset in the text of the bracket that opens a list in flow style.
fn open_bracket(lines: &[&str], key: &Key) -> Option<usize> {
    let value = &lines[key.line][key.value.clone()];
    let before: usize = lines[..key.line].iter().map(|line| line.len()).sum();
    let spaces = value.len() - value.trim_start().len();
    value.trim_start().starts_with('[').then_some(before + key.value.start + spaces)
}

/// The line behind the last entry of a list. Comments and blank lines at the end belong to what follows.
fn section_end(lines: &[&str], key: usize) -> usize {
    let inside = |line: &&&str| {
        line.starts_with([' ', '\t']) || is_comment_or_blank(line) || item_indent(line) == Some(0)
    };
    let mut end = key + 1 + lines[key + 1..].iter().take_while(inside).count();
    while end > key + 1 && (lines[end - 1].trim().is_empty() || lines[end - 1].starts_with('#')) {
        end -= 1;
    }
    end
}

fn is_comment_or_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// The indentation of the list item that begins in this line.
fn item_indent(line: &str) -> Option<usize> {
    let item = line.trim_start_matches(' ');
    // Without white space behind it the dash is part of a word.
    let begins = item.strip_prefix('-').is_some_and(|rest| rest.starts_with(char::is_whitespace));
    begins.then(|| line.len() - item.len())
}

/// Inserts lines before line `at`, with the line endings of the text. A text whose last line has no line ending keeps that
/// property.
fn insert(text: &str, lines: &[&str], at: usize, new: &[String]) -> String {
    let ending = if lines.first().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
    let mut result = lines[..at].concat();
    let open = at == lines.len() && !text.is_empty() && !text.ends_with('\n');
    for line in new {
        let parts = if open { [ending, line] } else { [line, ending] };
        result.extend(parts);
    }
    result + &lines[at..].concat()
}

/// Removes lines; the inverse of [`insert`].
fn cut(text: &str, lines: &[&str], range: Range<usize>) -> String {
    let mut before = lines[..range.start].concat();
    if range.end == lines.len() && !text.ends_with('\n') && before.pop().is_some() {
        let crlf = lines.first().is_some_and(|line| line.ends_with("\r\n"));
        if crlf && before.ends_with('\r') {
            before.pop();
        }
    }
    before + &lines[range.end..].concat()
}
