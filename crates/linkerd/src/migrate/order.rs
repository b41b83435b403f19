//! Compares the order of a profile's routes with the precedence of HTTPRoutes.

use super::condition::Alternative;
use super::{Kind, Migration};
use crate::expression;

/// Reports pairs of routes that match the same requests and of which the later one is more specific: as HTTPRoutes the later
/// one applies, in a profile the first.
pub(super) fn compare(routes: &[(usize, &[Alternative])], found: &mut Migration) {
    for (at, (earlier, first)) in routes.iter().enumerate() {
        for (later, second) in &routes[at + 1..] {
            let pairs = first.iter().flat_map(|a| second.iter().map(move |b| (a, b)));
            if pairs.into_iter().any(|(a, b)| rank(b) > rank(a) && overlap(a, b)) {
                let what = format!(
                    "route {earlier} came before route {later}, which is more specific and now applies to requests of both"
                );
                found.differ(Kind::RouteOrder, format!("spec.routes[{later}]"), what);
            }
        }
    }
}

/// How specific a match is: exact path, expression, prefix; then its length; then the method.
fn rank(one: &Alternative) -> (u8, usize, bool) {
    let (kind, length) = match one.literal() {
        _ if one.is_any_path() => (1, 1),
        Some(path) => (3, path.len()),
        None => (2, one.anchored().len()),
    };
    (kind, length, one.method.is_some())
}

/// Returns whether a request may match both. Expressions overlap unless their fixed beginnings differ.
fn overlap(a: &Alternative, b: &Alternative) -> bool {
    let methods = a.method.is_none() || b.method.is_none() || a.method == b.method;
    let matches = |one: &Alternative, path: &str| {
        expression::compiled(&one.anchored()).is_ok_and(|regex| regex.is_match(path))
    };
    let paths = a.is_any_path()
        || b.is_any_path()
        || match (a.literal(), b.literal()) {
            (Some(a), Some(b)) => a == b,
            (Some(path), None) => matches(b, &path),
            (None, Some(path)) => matches(a, &path),
            (None, None) => {
                let (a, b) = (beginning(a), beginning(b));
                a.starts_with(&b) || b.starts_with(&a)
            }
        };
    methods && paths
}

/// The part of an expression before its first special character. The character before a repetition may be absent.
fn beginning(one: &Alternative) -> String {
    let text = one.anchored();
    let text = text.trim_start_matches('^');
    let end = text.find(|c: char| "\\.+*?()|[]{}$".contains(c)).unwrap_or(text.len());
    let optional = text[end..].starts_with(['*', '?', '{']);
    let end = if optional { text[..end].char_indices().next_back().map_or(0, |(at, _)| at) } else { end };
    if text.contains('|') { String::new() } else { text[..end].to_owned() }
}
