//! The bearer token of the server.

use sha2::{Digest, Sha256};

/// A bearer token. Its text is written to the kubeconfig only, and not to debug output.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Returns a token of 256 random bits.
    pub fn random() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Returns a token with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text of the token, for a kubeconfig with mode 0600.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Returns whether an `Authorization` header contains the token. Compares digests, so that the duration does not depend
    /// on the token.
    pub(crate) fn matches(&self, header: Option<&str>) -> bool {
        let bearer = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
        Sha256::digest(bearer.trim()) == Sha256::digest(&self.0)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}
