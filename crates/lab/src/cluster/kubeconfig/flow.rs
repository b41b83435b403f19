//! Collections in flow style, as in JSON: finding their parts without changing a byte of them.

use std::ops::Range;

/// Adds a part at the end of the collection whose bracket opens at `open`.
pub(super) fn push(text: &str, open: usize, part: &str) -> Option<String> {
    let parts = parts(text, open)?;
    let (at, comma) = parts.last().map_or((open + 1, ""), |last| (last.end, ", "));
    Some([&text[..at], comma, part, &text[at..]].concat())
}

/// Removes the part number `index`, with one comma.
pub(super) fn take(text: &str, open: usize, index: usize) -> Option<String> {
    let parts = parts(text, open)?;
    let this = parts.get(index)?;
    let range = match (index.checked_sub(1).map(|before| &parts[before]), parts.get(index + 1)) {
        (Some(before), _) => before.end..this.end,
        (None, Some(next)) => this.start..next.start,
        (None, None) => this.clone(),
    };
    Some([&text[..range.start], &text[range.end..]].concat())
}

/// The offset of the bracket that opens a text in flow style; `None` if the text is not in flow style.
pub(super) fn root(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_start();
        if content.starts_with('{') {
            return Some(at + line.len() - content.len());
        }
        if !content.is_empty() && !content.starts_with('#') && line.trim_end() != "---" {
            return None;
        }
        at += line.len();
    }
    None
}

/// A member of a map: its number and the bytes of its value.
pub(super) fn member(text: &str, open: usize, key: &str) -> Option<(usize, Range<usize>)> {
    let parts = parts(text, open)?;
    let mut found = parts.into_iter().enumerate().filter_map(|(index, part)| {
        let member = &text[part.clone()];
        let length = match member.chars().next()? {
            '"' => double_quoted(member)?,
            '\'' => single_quoted(member)?,
            _ => member.find(':')?,
        };
        let name: String = serde_yaml::from_str(&member[..length]).ok()?;
        let value = member[length..].trim_start().strip_prefix(':')?.trim_start();
        (name == key).then_some((index, part.end - value.len()..part.end))
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The length of the double-quoted text at the start of `text`.
pub(super) fn double_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map(|(at, _)| at + 1)
}

/// The length of the single-quoted text at the start of `text`, in which two quotes stand for one.
pub(super) fn single_quoted(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text.get(at..)?.find('\'')? + 1;
        if !text[at..].starts_with('\'') {
            return Some(at);
        }
        at += 1;
    }
}

/// The bytes of each part of a collection, without white space around it.
fn parts(text: &str, open: usize) -> Option<Vec<Range<usize>>> {
    let mut parts = Vec::new();
    let (mut depth, mut begin) = (0_usize, open + 1);
    // A quote begins a quoted text only where a value can begin, and `#` a comment only behind white space.
    let (mut value_begins, mut behind_space) = (true, true);
    let mut at = open + 1;
    loop {
        let rest = &text[at..];
        let c = rest.chars().next()?;
        let mut length = c.len_utf8();
        match c {
            '"' if value_begins => length = double_quoted(rest)?,
            '\'' if value_begins => length = single_quoted(rest)?,
            // Comments between the parts would have to be distinguished from the parts.
            '#' if behind_space => return None,
            '[' | '{' => depth += 1,
            ',' if depth == 0 => {
                parts.extend(trimmed(text, begin..at));
                begin = at + 1;
            }
            ']' | '}' if depth == 0 => {
                parts.extend(trimmed(text, begin..at));
                return Some(parts);
            }
            ']' | '}' => depth -= 1,
            _ => {}
        }
        behind_space = c.is_whitespace();
        value_begins = matches!(c, '[' | '{' | ',' | ':') || (behind_space && value_begins);
        at += length;
    }
}

/// A part without the white space around it; nothing stands behind the last comma, or in an empty collection.
fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let part = &text[range.clone()];
    let content = part.trim();
    let begin = range.start + part.len() - part.trim_start().len();
    (!content.is_empty()).then(|| begin..begin + content.len())
}
