//! Findings as workflow commands of GitHub Actions, which show them next to the changed lines.

use super::{Finding, Level, Place};

/// Returns one line `::error file=…,line=…,title=…::…` or `::warning …` for each finding. `line` returns the line of a
/// finding in its file, counted from 1; findings without a line are shown at the file, those without a file at the run.
pub fn github(findings: &[Finding], line: impl Fn(&Place) -> Option<usize>) -> String {
    let mut text = String::new();
    for finding in findings {
        let Place { file, kind, namespace, name, field } = &finding.place;
        let command = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let mut properties = Vec::new();
        if let Some(file) = file {
            properties.push(format!("file={}", property(file)));
            properties.extend(line(&finding.place).map(|line| format!("line={line}")));
        }
        properties.push(format!("title={}", property(finding.id)));
        let namespace = namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let message = format!(
            "{kind} {namespace}{name}: {field}: {}\n{}\nhint: {}",
            finding.what, finding.why, finding.todo
        );
        text.push_str(&format!("::{command} {}::{}\n", properties.join(","), escape(&message)));
    }
    text
}

/// Escapes a message: one command is one line.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, which ends at a comma or at `::`.
fn property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}

/// Returns the line of a place in the text of its file, counted from 1: the line of the field, or of the nearest field above
/// it that begins a line. `None` if the object is not in the text. Reads block style; a field in `{…}` has the line on
/// which its parent begins.
pub fn line(text: &str, place: &Place) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let (start, end) = document(&lines, place)?;
    let mut at = start;
    let mut range = start..end;
    let mut minimum = 0;
    for step in steps(&place.field) {
        let found = match &step {
            Step::Field(name) => find_field(&lines, range.clone(), minimum, name),
            Step::Index(index) => find_item(&lines, range.clone(), *index),
        };
        let Some((line, inner)) = found else { break };
        (at, range, minimum) = (line, inner, minimum + 1);
    }
    Some(at + 1)
}

enum Step {
    Field(String),
    Index(usize),
}

/// `spec.routes[0].name` and `metadata.annotations[KEY]` in steps.
fn steps(field: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (key, after) = inner.split_once(']').unwrap_or((inner, ""));
            steps.push(key.parse().map_or_else(|_| Step::Field(key.to_owned()), Step::Index));
            rest = after;
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Field(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    steps
}

/// Returns the lines of the document with this kind and name.
fn document(lines: &[&str], place: &Place) -> Option<(usize, usize)> {
    let mut start = 0;
    let ends = (0..=lines.len()).filter(|i| lines.get(*i).is_none_or(|line| line.starts_with("---")));
    for end in ends.collect::<Vec<_>>() {
        let has = |key: &str, value: &str| {
            lines[start..end].iter().any(|line| {
                let words = line.split(['{', '}', ',', ' ', '"', '\'']).filter(|word| !word.is_empty());
                let words: Vec<&str> = words.collect();
                words.windows(2).any(|pair| pair[0] == format!("{key}:") && pair[1] == value)
            })
        };
        if has("kind", &place.kind) && (place.name.is_empty() || has("name", &place.name)) {
            let first = (start..end).find(|i| !lines[*i].trim().is_empty() && !lines[*i].starts_with("---"));
            return Some((first.unwrap_or(start), end));
        }
        start = end;
    }
    None
}

/// Returns the indentation of a line's content, behind dashes of lists.
fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(['-', ' ']).len()
}

/// Returns the line of a field in a map, and the lines of its value.
fn find_field(
    lines: &[&str],
    range: std::ops::Range<usize>,
    depth: usize,
    name: &str,
) -> Option<(usize, std::ops::Range<usize>)> {
    let content = |i: usize| {
        let text = lines[i].trim_start_matches(['-', ' ']);
        Some(text).filter(|text| !text.is_empty() && !text.starts_with('#'))
    };
    // The fields of the map are those with the smallest indentation; the parent's own line is outside the range.
    let fields = range.clone().filter(|i| content(*i).is_some());
    let level = fields.map(|i| indentation(lines[i])).min().filter(|level| depth == 0 || *level > 0)?;
    let is_name = |text: &str| {
        let key = text.split_once(": ").map_or_else(|| text.trim_end().trim_end_matches(':'), |(key, _)| key);
        key.trim_matches(['"', '\'']) == name
    };
    let found =
        range.clone().find(|i| indentation(lines[*i]) == level && content(*i).is_some_and(is_name))?;
    let next = (found + 1..range.end).find(|i| {
        let dashes = lines[*i].trim_start().starts_with('-');
        content(*i).is_some() && indentation(lines[*i]) <= level && !dashes
    });
    Some((found, found + 1..next.unwrap_or(range.end)))
}

/// Returns the line of an element of a list, and its lines, the first one included.
fn find_item(
    lines: &[&str],
    range: std::ops::Range<usize>,
    index: usize,
) -> Option<(usize, std::ops::Range<usize>)> {
    let dash = |i: usize| {
        let line = lines[i];
        line.trim_start().starts_with("- ").then(|| line.len() - line.trim_start().len())
    };
    let level = range.clone().filter_map(dash).min()?;
    let mut items = range.clone().filter(|i| dash(*i) == Some(level)).skip(index);
    let found = items.next()?;
    let end = items.next().unwrap_or(range.end);
    Some((found, found..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::{World, lint};

    const TEXT: &str = r#"# a comment
apiVersion: v1
kind: Service
metadata: {name: other}
---
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata:
  name: cart
  namespace: shop
spec:
  routes:
    # the first
    - name: a
      condition:
        method: GET
        pathRegex: /a
    - name: b
      condition: {method: gte, pathRegex: "/(b"}
  retryBudget:
    retryRatio: 0.2
    minRetriesPerSecond: 10
    ttl: 2m
"#;

    fn findings() -> Vec<Finding> {
        let mut world = World::new();
        for object in serde_yaml::from_multiple::<serde_json::Value>(TEXT).expect("YAML") {
            world.add_target(object, Some("a,b/cart.yaml"));
        }
        lint(&world)
    }

    #[test]
    fn each_finding_is_a_command_with_file_line_and_title() {
        let findings = findings();
        let text = github(&findings, |place| line(TEXT, place));
        let starts: Vec<&str> =
            text.lines().map(|line| &line[..line.find("::S").unwrap_or(line.len())]).collect();
        assert_eq!(
            starts,
            [
                "::error file=a%2Cb/cart.yaml,line=9,title=profile-name",
                "::warning file=a%2Cb/cart.yaml,line=19,title=method-unknown",
                "::error file=a%2Cb/cart.yaml,line=19,title=regex-invalid",
                "::error file=a%2Cb/cart.yaml,line=23,title=budget-ttl",
                "::warning file=a%2Cb/cart.yaml,line=20,title=budget-unused",
            ]
        );
    }

    #[test]
    fn a_message_is_one_line_whatever_the_object_contains() {
        let mut finding = findings().remove(0);
        finding.place.name = "a\n::set-env name=PATH::x%0A\r".to_owned();
        finding.place.file = None;
        let text = github(&[finding], |_| Some(1));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with(
            "::error title=profile-name::ServiceProfile shop/a%0A::set-env name=PATH::x%250A%0D"
        ));
    }

    #[test]
    fn a_place_that_is_not_in_the_text_has_no_line() {
        let mut place = findings().remove(0).place;
        place.field = "spec.routes[7].name".to_owned();
        assert_eq!(line(TEXT, &place), Some(12), "the list has a line");
        place.field = "metadata.annotations[retry.linkerd.io/http]".to_owned();
        assert_eq!(line(TEXT, &place), Some(8));
        place.name = "another".to_owned();
        assert_eq!(line(TEXT, &place), None);
    }
}
