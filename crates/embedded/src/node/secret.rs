//! Secrets' values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The text of a Secret's value; none when it is no text.
pub(crate) fn decode(value: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(value).ok()?).ok()
}
