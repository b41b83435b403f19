//! Expressions for paths that do not match what they look like.

use regex::Regex;

use super::Sink;

pub(super) fn lint(sink: &mut Sink<'_>, text: &str, at: &str) {
    if let Err(error) = anchored(text) {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        return sink.add(
            "regex-invalid",
            at,
            format!("`{text}`: {reason}"),
            "correct the expression; look-around and back references are not known",
        );
    }
    let body = text.trim().trim_start_matches('^').trim_end_matches('$');
    if let Some(before) = body.split_once('?').map(|(before, _)| before)
        && body.contains("?")
        && looks_like_a_query(body)
    {
        let todo = format!("leave the query away: `{}`", before.trim_end_matches('\\'));
        return sink.add("regex-never", at, format!("`{text}` asks for a query"), todo);
    }
    let starts = body.chars().next();
    // A path begins with a slash (or is `*`); a letter or digit that must come first can never be there.
    if starts.is_some_and(|c| c.is_ascii_alphanumeric()) {
        let optional = body.chars().nth(1).is_some_and(|c| matches!(c, '?' | '*'));
        if !optional && !body.contains('|') {
            let todo = format!("write `/{body}`, or `.*{body}` for paths that end so");
            return sink.add("regex-never", at, format!("`{text}` does not begin with `/`"), todo);
        }
    }
    if let Some(place) = glob(body) {
        let todo = format!("write `{}.*` for everything below", &body[..=place]);
        sink.add("regex-glob", at, format!("`{text}` repeats the `/` and matches nothing below it"), todo);
    }
}

/// The expression as the proxy builds it: trimmed, and anchored at both ends.
pub(super) fn anchored(text: &str) -> Result<Regex, regex::Error> {
    let body = text.trim();
    let start = if body.starts_with('^') { "" } else { "^" };
    let end = if body.ends_with('$') { "" } else { "$" };
    Regex::new(&format!("{start}{body}{end}"))
}

/// `name=` after a question mark: a query rather than an optional part.
fn looks_like_a_query(body: &str) -> bool {
    body.split_once('?').is_some_and(|(_, rest)| {
        let name = rest.split('=').next().unwrap_or_default();
        rest.contains('=')
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    })
}

/// The place of a slash that a star follows, as in a shell's `/api/*`.
fn glob(body: &str) -> Option<usize> {
    body.find("/*").filter(|place| place + 2 == body.len() || body[place + 2..].starts_with('/'))
}
