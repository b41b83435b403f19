//! Paths of operations.

use json_patch::jsonptr::PointerBuf;
use serde_json::Value;

use super::Error;

/// The location of a path in a document.
pub(super) struct Location {
    /// The path with list indices as in RFC 6902.
    pub(super) path: PointerBuf,
    /// Whether the parent is an object without this key.
    pub(super) is_missing_key: bool,
}

impl Location {
    /// Finds a path. `insert` allows an index one past the end of a list.
    ///
    /// # Errors
    /// [`Error::InvalidPath`] if the path is not a JSON pointer.
    pub(super) fn find(document: &Value, path: &str, insert: bool) -> Result<Self, Error> {
        let mut found = String::with_capacity(path.len());
        let (mut current, mut is_missing_key) = (Some(document), false);
        let tokens: Vec<&str> = path.split('/').skip(1).collect();
        for (position, token) in tokens.iter().enumerate() {
            let is_last = position + 1 == tokens.len();
            found.push('/');
            match current {
                Some(Value::Array(items)) => {
                    let length = items.len() + usize::from(insert && is_last);
                    let index = list_index(token, length).unwrap_or_else(|| (*token).to_owned());
                    current = index.parse().ok().and_then(|index: usize| items.get(index));
                    found.push_str(&index);
                }
                parent => {
                    let key = token.replace("~1", "/").replace("~0", "~");
                    current = parent.and_then(|parent| parent.get(&key));
                    is_missing_key = is_last && current.is_none() && parent.is_some_and(Value::is_object);
                    found.push_str(token);
                }
            }
        }
        let invalid = || Error::InvalidPath(path.to_owned());
        if found.is_empty() && !path.is_empty() {
            return Err(invalid());
        }
        let path = PointerBuf::parse(found).map_err(|_| invalid())?;
        Ok(Self { path, is_missing_key })
    }
}

/// Returns a list index as RFC 6902 writes it, or `None` for anything but an index in a list of this length.
fn list_index(token: &str, length: usize) -> Option<String> {
    let index: i64 = token.parse().ok()?;
    let index = if index < 0 { index + i64::try_from(length).ok()? } else { index };
    usize::try_from(index).ok().map(|index| index.to_string())
}
