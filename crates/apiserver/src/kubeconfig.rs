//! The document that lets kubectl and kube-rs in.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::{Authority, Token};

/// A kubeconfig with one context, also the current one; `server` is `https://127.0.0.1:PORT`. It is JSON, which is
/// YAML too. Holds the token: write it with mode 0600.
pub fn kubeconfig(context: &str, server: &str, authority: &Authority, token: &Token) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{"name": context, "cluster": {
            "server": server, "certificate-authority-data": BASE64_STANDARD.encode(authority.pem()),
        }}],
        "users": [{"name": context, "user": {"token": token.reveal()}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    })
}
