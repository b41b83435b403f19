//! The kubeconfig of the server.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::auth::Token;
use crate::tls::CertificateAuthority;

/// Returns a kubeconfig as JSON (a subset of YAML) with one context, which is the current one. `server` is
/// `https://127.0.0.1:PORT`. It contains the token: write it with mode 0600.
pub fn kubeconfig(context: &str, server: &str, authority: &CertificateAuthority, token: &Token) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{"name": context, "cluster": {
            "server": server, "certificate-authority-data": BASE64_STANDARD.encode(authority.certificate_pem()),
        }}],
        "users": [{"name": context, "user": {"token": token.secret()}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    })
}
