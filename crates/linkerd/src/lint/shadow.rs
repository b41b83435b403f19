//! Decides whether an earlier condition matches all requests of a later one. Undecided cases count as "no", to avoid
//! false findings.

use crate::expression;
use crate::profile::RequestMatch;

/// Returns whether `earlier` matches every request that `later` matches.
pub(super) fn covers(earlier: &RequestMatch, later: &RequestMatch) -> bool {
    if earlier == later {
        return true;
    }
    // An empty condition is invalid.
    if earlier.not.is_some() || *earlier == RequestMatch::default() {
        return false;
    }
    let method = earlier.method.as_ref().is_none_or(|m| methods(later).contains(&m.as_str()));
    let path = earlier.path_regex.as_ref().is_none_or(|regex| path_covers(regex, later));
    let all = earlier.all.iter().flatten().all(|part| covers(part, later));
    let any = earlier.any.as_ref().is_none_or(|parts| parts.iter().any(|part| covers(part, later)));
    method && path && all && any
}

/// Returns the methods that the condition requires outside `any` and `not`.
pub(super) fn methods(condition: &RequestMatch) -> Vec<&str> {
    let own = condition.method.as_deref().into_iter();
    own.chain(condition.all.iter().flatten().flat_map(methods)).collect()
}

/// Returns the path expressions that the condition requires outside `any` and `not`.
fn paths(condition: &RequestMatch) -> Vec<&str> {
    let own = condition.path_regex.as_deref().into_iter();
    own.chain(condition.all.iter().flatten().flat_map(paths)).collect()
}

fn path_covers(regex: &str, later: &RequestMatch) -> bool {
    let body = regex.trim().trim_start_matches('^').trim_end_matches('$');
    if matches!(body, ".*" | "/.*" | "(/.*)?" | "/?.*") {
        return true;
    }
    let Ok(compiled) = expression::whole_path(regex) else { return false };
    paths(later)
        .into_iter()
        .any(|path| path == regex || is_literal(path) && compiled.is_match(&unescape(path)))
}

fn is_literal(regex: &str) -> bool {
    let plain = unescape(regex.trim().trim_start_matches('^').trim_end_matches('$'));
    regex::escape(&plain) == regex.trim().trim_start_matches('^').trim_end_matches('$')
        || !plain.contains(|c| "\\.+*?()|[]{}^$".contains(c))
}

fn unescape(regex: &str) -> String {
    regex
        .trim()
        .trim_start_matches('^')
        .trim_end_matches('$')
        .replace("\\.", ".")
        .replace("\\-", "-")
        .replace("\\/", "/")
}
