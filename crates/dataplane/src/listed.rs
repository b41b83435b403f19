//! Headers that are lists of words, over one line or several.

use http::{HeaderMap, HeaderName};

/// Whether a header lists a word, in whatever case.
pub(crate) fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
}
