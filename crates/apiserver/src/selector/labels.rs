//! Label selectors.

use std::num::ParseIntError;

use serde_json::Value;

/// The error of an invalid label selector, with the messages of Kubernetes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A part of the selector has another syntax than expected.
    #[error("found '{found}', expected: {expected}")]
    Unexpected { found: String, expected: &'static str },
    /// A value that a label cannot have.
    #[error("invalid label value: {0:?}")]
    Value(String),
    /// A comparison with something other than an integer.
    #[error("values: Invalid value: \"{text}\": for 'Gt', 'Lt' operators, the value must be an integer")]
    Bound { text: String, source: ParseIntError },
}

impl Error {
    fn unexpected(found: &str, expected: &'static str) -> Self {
        Self::Unexpected { found: found.to_owned(), expected }
    }
}

/// A condition on one label.
#[derive(Clone, Debug)]
pub(super) struct LabelRequirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug)]
enum Operator {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl LabelRequirement {
    /// Returns whether the labels of an object match.
    pub(super) fn matches(&self, labels: &Value) -> bool {
        match (&self.operator, labels[&self.key].as_str()) {
            (Operator::Exists, found) => found.is_some(),
            (Operator::Absent, found) => found.is_none(),
            (Operator::In(values), Some(found)) => values.iter().any(|value| value == found),
            (Operator::NotIn(values), Some(found)) => !values.iter().any(|value| value == found),
            (Operator::NotIn(_), None) => true,
            (Operator::Greater(than), Some(found)) => found.parse().is_ok_and(|found: i64| found > *than),
            (Operator::Less(than), Some(found)) => found.parse().is_ok_and(|found: i64| found < *than),
            (Operator::In(_) | Operator::Greater(_) | Operator::Less(_), None) => false,
        }
    }
}

/// Parses a label selector.
pub(super) fn parse(text: &str) -> Result<Vec<LabelRequirement>, Error> {
    split(text).into_iter().map(str::trim).filter(|part| !part.is_empty()).map(requirement).collect()
}

/// Splits a selector at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_u32, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn requirement(part: &str) -> Result<LabelRequirement, Error> {
    let make = |key: &str, operator: Operator| {
        let key = key.trim();
        if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "()=!<>,".contains(c)) {
            return Err(Error::unexpected(part, "a label key"));
        }
        Ok(LabelRequirement { key: key.to_owned(), operator })
    };
    let value = |text: &str| {
        let text = text.trim();
        let is_valid =
            text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if is_valid { Ok(text.to_owned()) } else { Err(Error::Value(text.to_owned())) }
    };
    if let Some(key) = part.strip_prefix('!') {
        return make(key, Operator::Absent);
    }
    if let Some((key, found)) = part.split_once("!=") {
        return make(key, Operator::NotIn(vec![value(found)?]));
    }
    if let Some((key, found)) = part.split_once('=') {
        return make(key, Operator::In(vec![value(found.strip_prefix('=').unwrap_or(found))?]));
    }
    for (sign, operator) in [('>', Operator::Greater as fn(i64) -> Operator), ('<', Operator::Less)] {
        if let Some((key, bound)) = part.split_once(sign) {
            let bound =
                bound.trim().parse().map_err(|source| Error::Bound { text: bound.to_owned(), source })?;
            return make(key, operator(bound));
        }
    }
    if let Some((head, tail)) = part.split_once('(') {
        let list = tail.trim().strip_suffix(')').ok_or_else(|| Error::unexpected(part, "')'"))?;
        let values = list.split(',').map(value).collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<&str> = head.split_whitespace().collect();
        return match parts.as_slice() {
            [key, "in"] => make(key, Operator::In(values)),
            [key, "notin"] => make(key, Operator::NotIn(values)),
            _ => Err(Error::unexpected(head, "in, notin, =, ==, !=, gt, lt")),
        };
    }
    make(part, Operator::Exists)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(labels: &str) -> bool {
        let object_labels = json!({"app": "web", "n": "5"});
        parse(labels).expect("a selector").iter().all(|requirement| requirement.matches(&object_labels))
    }

    #[test]
    fn label_selectors_match_as_in_kubernetes() {
        for yes in [
            "",
            "app=web",
            "app==web,n",
            "app in (a, web)",
            "app notin (a)",
            "!other",
            "app!=x",
            "n>4",
            "x!=y",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in ["app=x", "app in (a,b)", "!app", "other", "n<5", "x=y"] {
            assert!(!matches(no), "{no}");
        }
        assert!(parse("a in b").is_err());
    }
}
