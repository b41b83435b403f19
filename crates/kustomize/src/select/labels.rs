//! Selectors of labels: `app=web,tier!=test,zone in (a, b),!old`.

use crate::error::Error;

/// The requirements of a label selector; an empty list matches everything.
pub(crate) struct Requirements(Vec<Requirement>);

struct Requirement {
    key: String,
    holds: Holds,
}

enum Holds {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Requirements {
    /// Reads the API's selector syntax.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::invalid(format!("invalid label selector `{text}`"));
        let parts = split(text).ok_or_else(wrong)?;
        parts.into_iter().map(|part| requirement(part).ok_or_else(wrong)).collect::<Result<_, _>>().map(Self)
    }

    /// Returns whether all hold for labels that `get` looks up.
    pub(crate) fn hold<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|Requirement { key, holds }| {
            let value = get(key);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match holds {
                Holds::Exists => value.is_some(),
                Holds::Absent => value.is_none(),
                Holds::In(values) => value.is_some_and(|value| values.iter().any(|want| want == value)),
                Holds::NotIn(values) => value.is_none_or(|value| values.iter().all(|want| want != value)),
                Holds::Above(limit) => number().is_some_and(|number| number > *limit),
                Holds::Below(limit) => number().is_some_and(|number| number < *limit),
            }
        })
    }
}

/// Returns the requirements, which commas outside parentheses separate.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_u32);
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        parts.push(text[start..].trim());
    }
    (depth == 0).then_some(parts)
}

fn requirement(part: &str) -> Option<Requirement> {
    let (key, holds) = if let Some(key) = part.strip_prefix('!') {
        (key, Holds::Absent)
    } else if let Some((key, value)) = part.split_once("!=") {
        (key, Holds::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (key, Holds::In(vec![value.trim().to_owned()]))
    } else if let Some((key, limit)) = part.split_once('>') {
        (key, Holds::Above(limit.trim().parse().ok()?))
    } else if let Some((key, limit)) = part.split_once('<') {
        (key, Holds::Below(limit.trim().parse().ok()?))
    } else if let Some((head, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        match head.trim_end().rsplit_once(char::is_whitespace)? {
            (key, "in") => (key, Holds::In(values)),
            (key, "notin") => (key, Holds::NotIn(values)),
            _ => return None,
        }
    } else {
        (part, Holds::Exists)
    };
    let key = key.trim();
    let named = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    named.then(|| Requirement { key: key.to_owned(), holds })
}
