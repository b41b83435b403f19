//! Compiles the regular expressions of profiles and routes, each once, and none beyond a size.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};

/// The most bytes of a compiled expression. Expressions come from anybody who can write a profile, and `(a{999}){999}` would
/// take all memory.
pub(crate) const MOST_COMPILED: usize = 256 << 10;

/// The most expressions that are kept. With `MOST_COMPILED` the cache is bounded to 64 MiB.
const MOST_KEPT: usize = 256;

static KEPT: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);

/// Returns the compiled expression. The same text is compiled once: profiles are translated again for each client and after
/// each change.
///
/// # Errors
/// Returns an error if the expression is invalid, or larger than `MOST_COMPILED` when compiled.
pub fn compiled(text: &str) -> Result<Regex, regex::Error> {
    if let Some(found) = KEPT.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
        return Ok(found.clone());
    }
    let regex = RegexBuilder::new(text).size_limit(MOST_COMPILED).dfa_size_limit(MOST_COMPILED).build()?;
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MOST_KEPT {
        kept.clear();
    }
    kept.insert(text.to_owned(), regex.clone());
    Ok(regex)
}

/// Returns the compiled `pathRegex` of a profile, which the proxy trims and anchors at both ends.
///
/// # Errors
/// Returns the errors of [`compiled`].
pub fn whole_path(text: &str) -> Result<Regex, regex::Error> {
    let body = text.trim();
    let start = if body.starts_with('^') { "" } else { "^" };
    let end = if body.ends_with('$') { "" } else { "$" };
    compiled(&format!("{start}{body}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_that_is_too_large_is_an_error() {
        let error = compiled("(a{999}){999}").unwrap_err();
        assert!(matches!(error, regex::Error::CompiledTooBig(MOST_COMPILED)), "{error}");
        let usual = r"/api/v[0-9]+/[\w-]+/[^/]+/(a|b|c)/\d{1,12}(/.*)?";
        assert!(whole_path(usual).is_ok_and(|regex| regex.is_match("/api/v2/shop-1/x/a/7")));
    }

    #[test]
    fn the_number_of_kept_expressions_is_bounded() {
        for number in 0..3 * MOST_KEPT {
            let text = format!("/path-{number}");
            assert!(compiled(&text).is_ok_and(|regex| regex.is_match(&text)));
        }
        assert!(KEPT.lock().is_ok_and(|kept| kept.len() <= MOST_KEPT));
    }

    #[test]
    fn a_path_must_match_as_a_whole() {
        assert!(whole_path(" /a ").is_ok_and(|regex| regex.is_match("/a") && !regex.is_match("/a/b")));
        assert!(whole_path("^/a$").is_ok_and(|regex| regex.as_str() == "^/a$"));
        assert!(whole_path("/(a").is_err());
    }
}
