//! The policies of inbound traffic: Server, AuthorizationPolicy, ServerAuthorization, MeshTLSAuthentication,
//! NetworkAuthentication and HTTPLocalRateLimitPolicy. One file for each kind; unknown fields are ignored.

mod authorization_policy;
mod default_policy;
mod mesh_tls_authentication;
mod network_authentication;
mod rate_limit;
mod server;
mod server_authorization;

pub use authorization_policy::AuthorizationPolicy;
pub use default_policy::{DEFAULT_INBOUND_POLICY, DefaultPolicy};
pub use mesh_tls_authentication::MeshTlsAuthentication;
pub use network_authentication::{NetworkAuthentication, NetworkSpec, cidr};
pub use rate_limit::{Limit, Override, RateLimitPolicy};
pub use server::{LabelSelector, Port, Server};
pub use server_authorization::{Clients, ServerAuthorization, ServiceAccount};

pub(crate) use network_authentication::check as check_networks;

use serde::Deserialize;
use serde_json::Value;

/// An object that Linkerd's policy controller ignores.
#[derive(Debug, thiserror::Error)]
#[error("invalid {kind}: {what}")]
pub struct InvalidPolicy {
    kind: &'static str,
    what: String,
}

impl InvalidPolicy {
    pub(crate) fn new(kind: &'static str, what: impl ToString) -> Self {
        Self { kind, what: what.to_string() }
    }
}

/// A reference to an object in the same or in another namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Reference {
    /// The API group; empty or `core` for a ServiceAccount and a Namespace.
    #[serde(default)]
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; that of the referring object where absent.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// Reads the `spec` of an object.
pub(crate) fn spec<T: for<'de> Deserialize<'de>>(
    kind: &'static str,
    object: &Value,
) -> Result<T, InvalidPolicy> {
    T::deserialize(&object["spec"]).map_err(|error| InvalidPolicy::new(kind, error))
}
