//! Who may come in over a socket: whoever shows the token or a client certificate of the server's own authority.

use sha2::{Digest, Sha256};

/// A bearer token. Its text appears in the kubeconfig and nowhere else.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token of 256 random bits.
    pub fn random() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A token kept from before.
    pub fn known(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text, for a kubeconfig that only the user can read.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether an `Authorization` header carries it. Compares digests, so that the time tells nothing.
    pub(crate) fn is_shown_by(&self, header: Option<&str>) -> bool {
        let shown = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
        Sha256::digest(shown.trim()) == Sha256::digest(&self.0)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}
