//! Prints objects as kustomize does: keys in natural order, two spaces, lists at their parent's depth.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::scalar;
use super::text::pad;

/// Returns `objects` as a YAML stream in the format of kustomize.
#[must_use]
pub fn print(objects: &[Value]) -> String {
    let mut out = String::new();
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            out.push_str("---\n");
        }
        block(&mut out, object, 0, Place::Document);
    }
    out
}

/// The text before a value on its line.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Nothing: it begins the document.
    Document,
    /// `key:`
    Key,
    /// `-`
    Item,
}

/// Writes `value`, whose parent is indented by `indent`, to the end of its last line.
fn block(out: &mut String, value: &Value, indent: usize, place: Place) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let inner = if place == Place::Document { indent } else { indent + 2 };
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(a, _), (b, _)| natural(a, b));
            for (index, (key, value)) in fields.into_iter().enumerate() {
                begin(out, inner, place, index);
                scalar::write_key(out, key, inner);
                out.push(':');
                block(out, value, inner, Place::Key);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            // A list in an object is not indented further; a list in a list is.
            let inner = if place == Place::Item { indent + 2 } else { indent };
            for (index, item) in items.iter().enumerate() {
                begin(out, inner, place, index);
                out.push('-');
                block(out, item, inner, Place::Item);
            }
        }
        leaf => {
            if place != Place::Document {
                out.push(' ');
            }
            match leaf {
                Value::Object(_) => out.push_str("{}"),
                Value::Array(_) => out.push_str("[]"),
                Value::Null => out.push_str("null"),
                Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
                Value::Number(number) => out.push_str(&number_text(number)),
                Value::String(text) => scalar::write(out, text, indent),
            }
            out.push('\n');
        }
    }
}

/// Starts the entry of that index: on the line of a `-`, or on a new line.
fn begin(out: &mut String, indent: usize, place: Place, index: usize) {
    match (place, index) {
        (Place::Item, 0) => out.push(' '),
        (Place::Key, 0) => {
            out.push('\n');
            pad(out, indent);
        }
        _ => pad(out, indent),
    }
}

/// A float as Go prints it: the shortest digits, an exponent of at least two digits beyond 21 and below -4.
fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..21).contains(&exponent) && float.fract() != 0.0 {
        return format!("{float}");
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// Returns the order of keys in Go's YAML: runs of digits by their value, letters after everything else.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for (index, (&x, &y)) in a.iter().zip(&b).enumerate() {
        if x == y {
            digits = x.is_ascii_digit();
            continue;
        }
        if x.is_alphabetic() && y.is_alphabetic() {
            return x.cmp(&y);
        }
        if x.is_alphabetic() || y.is_alphabetic() {
            // Inside a number the shorter run, which a letter ends, comes first.
            let letter_first = digits;
            return if letter_first == x.is_alphabetic() { Ordering::Less } else { Ordering::Greater };
        }
        return numbers(&a, &b, index);
    }
    a.len().cmp(&b.len())
}

/// Compares what two keys have from the first difference on: the digits there by their value, then by their number, then
/// the character itself. No digits are the number zero.
fn numbers(a: &[char], b: &[char], index: usize) -> Ordering {
    let digits = |key: &[char]| key[index..].iter().take_while(|c| c.is_ascii_digit()).count();
    // `100` and `10` differ in a zero; the digits before it keep it from counting as nothing.
    let zero = a[index] == '0' || b[index] == '0';
    let before = a[..index].iter().rev().take_while(|c| c.is_ascii_digit());
    let head = u128::from(zero && before.clone().any(|c| *c != '0'));
    let value = |key: &[char]| {
        let run = key[index..].iter().map_while(|c| c.to_digit(10));
        run.fold(head, |sum, digit| sum.saturating_mul(10).saturating_add(u128::from(digit)))
    };
    value(a).cmp(&value(b)).then(digits(a).cmp(&digits(b))).then(a[index].cmp(&b[index]))
}
