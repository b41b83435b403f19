//! Checks of path expressions that match other paths than intended.

use super::Sink;
use crate::expression;

pub(super) fn lint(sink: &mut Sink<'_>, text: &str, at: &str) {
    if let Err(error) = expression::whole_path(text) {
        let reason = reason(&error);
        return sink.add(
            "regex-invalid",
            at,
            format!("`{text}`: {reason}"),
            "correct the expression; look-around and back-references are not supported",
        );
    }
    let body = text.trim().trim_start_matches('^').trim_end_matches('$');
    if let Some(before) = body.split_once('?').map(|(before, _)| before)
        && body.contains('?')
        && has_query(body)
    {
        let todo = format!("remove the query: `{}`", before.trim_end_matches('\\'));
        return sink.add("regex-never", at, format!("`{text}` contains a query"), todo);
    }
    let first = body.chars().next();
    // A path starts with a slash (or is `*`), so an expression that requires a letter or digit first never matches.
    if first.is_some_and(|c| c.is_ascii_alphanumeric()) {
        let optional = body.chars().nth(1).is_some_and(|c| matches!(c, '?' | '*'));
        if !optional && !body.contains('|') {
            let todo = format!("write `/{body}`, or `.*{body}` for paths that end with it");
            return sink.add("regex-never", at, format!("`{text}` does not start with `/`"), todo);
        }
    }
    if let Some(slash) = glob(body) {
        let todo = format!("write `{}.*` to match all paths below", &body[..=slash]);
        sink.add(
            "regex-glob",
            at,
            format!("`{text}` repeats the `/` and does not match the paths below it"),
            todo,
        );
    }
}

/// Returns why an expression cannot be compiled: the last line of the error, the others show the position.
pub(super) fn reason(error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(limit) = error {
        return format!("more than {} KiB when compiled", limit >> 10);
    }
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Returns whether `name=` follows a question mark: a query, not an optional character.
fn has_query(body: &str) -> bool {
    body.split_once('?').is_some_and(|(_, rest)| {
        let name = rest.split('=').next().unwrap_or_default();
        rest.contains('=')
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    })
}

/// Returns the position of a slash that a `*` follows, as in the shell pattern `/api/*`.
fn glob(body: &str) -> Option<usize> {
    body.find("/*").filter(|slash| slash + 2 == body.len() || body[slash + 2..].starts_with('/'))
}
