//! Continue tokens of lists.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::error::{ApiError, Result};
use crate::store::Key;

/// The position of the next page of a list.
pub(super) struct ContinueToken {
    /// Revision of the first page.
    pub(super) revision: u64,
    /// Last object of the previous page.
    pub(super) after: Key,
}

impl ContinueToken {
    /// Returns the token as text.
    pub(super) fn to_text(&self) -> String {
        let start = [&self.after.namespace, &self.after.name];
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": start});
        BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
    }

    /// Parses a token; an empty text is `None`.
    ///
    /// # Errors
    /// 400 for an invalid token.
    pub(super) fn parse(text: &str) -> Result<Option<Self>> {
        if text.is_empty() {
            return Ok(None);
        }
        let error = |why: &str| ApiError::bad_request(format!("continue key is not valid: {why}"));
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| error("illegal base64 data"))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| error("not a token"))?;
        let (namespace, name) = (token["start"][0].as_str(), token["start"][1].as_str());
        match (token["rv"].as_u64(), namespace, name) {
            (Some(revision), Some(namespace), Some(name)) => {
                Ok(Some(Self { revision, after: Key::new(namespace, name) }))
            }
            _ => Err(error("incomplete token")),
        }
    }
}
