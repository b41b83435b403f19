//! Compares objects with the types of their fields. Reports all differences, and repairs the object so that the other checks
//! can read it: one mistake does not hide the others.

use serde_json::{Map, Value};

/// The type of a field.
pub(super) enum Shape {
    Any,
    Flag,
    Number,
    Text,
    /// A whole number up to this one.
    Whole(u64),
    List(&'static Shape),
    /// A map whose unknown fields stay.
    Map(&'static [Field]),
    /// A map whose unknown fields are mistakes.
    Strict(&'static [Field]),
}

/// A field of a map: name, type, whether it is required.
pub(super) struct Field(pub(super) &'static str, pub(super) &'static Shape, pub(super) bool);

/// A difference: the field and the problem.
pub(super) type Mistake = (String, String);

/// Compares a value with its type and returns the mistakes. Removes unknown and unusable fields; required ones and elements of
/// lists get an empty value, so that indices stay.
pub(super) fn repair(value: &mut Value, shape: &Shape, place: &str) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if !usable(value, shape, place, &mut mistakes) {
        *value = empty(shape);
    }
    mistakes
}

fn usable(value: &mut Value, shape: &Shape, place: &str, mistakes: &mut Vec<Mistake>) -> bool {
    let fits = match (&mut *value, shape) {
        (_, Shape::Any) | (Value::Bool(_), Shape::Flag) | (Value::Number(_), Shape::Number) => true,
        (Value::String(_), Shape::Text) => true,
        (Value::Number(number), Shape::Whole(most)) => number.as_u64().is_some_and(|n| n <= *most),
        (Value::Array(items), Shape::List(element)) => {
            for (i, item) in items.iter_mut().enumerate() {
                mistakes.append(&mut repair(item, element, &format!("{place}[{i}]")));
            }
            true
        }
        (Value::Object(map), Shape::Map(fields)) => {
            repair_fields(map, fields, place, mistakes);
            true
        }
        (Value::Object(map), Shape::Strict(fields)) => {
            drop_unknown(map, fields, place, mistakes);
            repair_fields(map, fields, place, mistakes);
            true
        }
        _ => false,
    };
    if !fits {
        mistakes.push((
            place.to_owned(),
            format!("invalid value `{}`, expected {}", excerpt(value), words(shape)),
        ));
    }
    fits
}

fn repair_fields(map: &mut Map<String, Value>, fields: &[Field], place: &str, mistakes: &mut Vec<Mistake>) {
    for Field(name, shape, required) in fields {
        let at = format!("{place}.{name}");
        match map.get_mut(*name) {
            // A field without a value is absent.
            Some(Value::Null) if matches!(shape, Shape::Any) => {}
            Some(Value::Null) | None if *required => {
                mistakes.push((at, "missing".to_owned()));
                map.insert((*name).to_owned(), empty(shape));
            }
            Some(Value::Null) => drop(map.remove(*name)),
            None => {}
            Some(value) => {
                let kept = usable(value, shape, &at, mistakes);
                if !kept {
                    map.remove(*name);
                    if *required {
                        map.insert((*name).to_owned(), empty(shape));
                    }
                }
            }
        }
    }
}

fn drop_unknown(map: &mut Map<String, Value>, fields: &[Field], place: &str, mistakes: &mut Vec<Mistake>) {
    let names = || fields.iter().map(|Field(name, ..)| *name);
    map.retain(|key, _| {
        let known = names().any(|name| name == key);
        if !known {
            let nearest = names().min_by_key(|name| strsim::levenshtein(name, key));
            let nearest = nearest.filter(|name| strsim::levenshtein(name, key) <= 3);
            let hint = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            mistakes.push((format!("{place}.{key}"), format!("unknown field `{key}`{hint}")));
        }
        known
    });
}

/// An empty value of a type, with its required fields.
fn empty(shape: &Shape) -> Value {
    match shape {
        Shape::Any => Value::Null,
        Shape::Flag => false.into(),
        Shape::Number | Shape::Whole(_) => 0.into(),
        Shape::Text => "".into(),
        Shape::List(_) => Vec::<Value>::new().into(),
        Shape::Map(fields) | Shape::Strict(fields) => {
            let required = fields.iter().filter(|Field(.., required)| *required);
            required
                .map(|Field(name, shape, _)| ((*name).to_owned(), empty(shape)))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}

fn words(shape: &Shape) -> String {
    match shape {
        Shape::Any => "any value".to_owned(),
        Shape::Flag => "true or false".to_owned(),
        Shape::Number => "a number".to_owned(),
        Shape::Text => "text".to_owned(),
        Shape::Whole(most) => format!("a whole number from 0 to {most}"),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(_) | Shape::Strict(_) => "a map".to_owned(),
    }
}

/// The beginning of a value, as JSON.
fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
