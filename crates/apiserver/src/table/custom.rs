//! Tables of custom resources, with the columns of their definition.

use serde_json::{Value, json};

use super::age;
use super::age::since;

/// Returns the column definitions: the name, then the columns of the definition, or the age if it has none.
pub(super) fn definitions(columns: &[Value]) -> Value {
    let mut found =
        vec![json!({"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0})];
    for column in columns {
        let text = |field: &str| column[field].as_str().unwrap_or_default();
        found.push(json!({
            "name": text("name"), "type": text("type"), "format": text("format"), "description": text("description"),
            "priority": column["priority"].as_i64().unwrap_or_default(),
        }));
    }
    if columns.is_empty() {
        found.push(json!({"name": "Age", "type": "date", "format": "", "description": "", "priority": 0}));
    }
    found.into()
}

/// Returns the cells of an object.
pub(super) fn cells(columns: &[Value], object: &Value) -> Vec<Value> {
    let mut cells = vec![object["metadata"]["name"].clone()];
    for column in columns {
        let found = at(object, column["jsonPath"].as_str().unwrap_or_default());
        cells.push(match (column["type"].as_str(), found) {
            (_, Value::Null) => Value::Null,
            (Some("date"), found) => since(found),
            (Some("string"), Value::String(text)) => text.clone().into(),
            (Some("string"), other) => other.to_string().into(),
            (_, other) => other.clone(),
        });
    }
    if columns.is_empty() {
        cells.push(age(object));
    }
    cells
}

/// Returns the first value at a JSON path of fields, indices and `[?(@.field=="value")]`, or null.
fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    const NULL: &Value = &Value::Null;
    let mut found = object;
    let mut rest = path.trim_start_matches('.');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((index, after)) = inner.split_once(']') else { return NULL };
            found = match index.strip_prefix("?(@.").and_then(|filter| filter.strip_suffix(')')) {
                Some(filter) => {
                    let Some((field, expected)) = filter.split_once("==") else { return NULL };
                    let expected = expected.trim().trim_matches(['"', '\'']);
                    let mut items = crate::value::items(found);
                    items.find(|item| item[field.trim()].as_str() == Some(expected)).unwrap_or(NULL)
                }
                None if index == "*" => &found[0],
                None => match index.parse::<usize>() {
                    Ok(number) => &found[number],
                    Err(_) => &found[index.trim_matches(['"', '\''])],
                },
            };
            rest = after.trim_start_matches('.');
        } else {
            // A dot in a field name is escaped with a backslash.
            let end = rest
                .char_indices()
                .find(|(at, letter)| matches!(letter, '.' | '[') && !rest[..*at].ends_with('\\'))
                .map_or(rest.len(), |(at, _)| at);
            found = &found[rest[..end].replace('\\', "").as_str()];
            rest = rest[end..].trim_start_matches('.');
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_path_selects_a_condition_by_type() {
        let object = json!({"status": {"conditions": [{"type": "A", "status": "x"}, {"type": "Ready", "status": "True"}]}});
        assert_eq!(at(&object, ".status.conditions[?(@.type==\"Ready\")].status"), "True");
    }
}
