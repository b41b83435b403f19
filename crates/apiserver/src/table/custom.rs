//! Custom resources: the columns of their definition.

use serde_json::{Value, json};

use super::age;
use super::age::since;

/// The columns, the name first; an age is added when the definition names no columns.
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

/// One object's cells.
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

/// The first value a simple JSON path finds: fields, indices, and `[?(@.field=="value")]`.
fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    const NOTHING: &Value = &Value::Null;
    let mut found = object;
    let mut rest = path.trim_start_matches('.');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((inside, after)) = inner.split_once(']') else { return NOTHING };
            found = match inside.strip_prefix("?(@.").and_then(|filter| filter.strip_suffix(')')) {
                Some(filter) => {
                    let Some((field, wanted)) = filter.split_once("==") else { return NOTHING };
                    let wanted = wanted.trim().trim_matches(['"', '\'']);
                    let mut items = crate::value::items(found);
                    items.find(|item| item[field.trim()].as_str() == Some(wanted)).unwrap_or(NOTHING)
                }
                None if inside == "*" => &found[0],
                None => match inside.parse::<usize>() {
                    Ok(index) => &found[index],
                    Err(_) => &found[inside.trim_matches(['"', '\''])],
                },
            };
            rest = after.trim_start_matches('.');
        } else {
            // A dot in a name is written with a backslash before it.
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
    fn conditions_are_found_by_their_type() {
        let object = json!({"status": {"conditions": [{"type": "A", "status": "x"}, {"type": "Ready", "status": "True"}]}});
        assert_eq!(at(&object, ".status.conditions[?(@.type==\"Ready\")].status"), "True");
    }
}
