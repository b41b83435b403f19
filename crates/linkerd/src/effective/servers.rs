//! The objects that decide what the proxies of a Service's pods allow.

use std::collections::BTreeMap;

use crate::inbound::{
    AuthorizationPolicy, MeshTlsAuthentication, NetworkAuthentication, Port, RateLimitPolicy, Server,
    ServerAuthorization,
};

/// Namespace and name.
pub type Key = (String, String);

/// The objects that decide what the proxies of a Service's pods allow. Lists of objects with their names are in the order of
/// their age: the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// The pods of the Service.
    pub pods: Vec<ServerPod>,
    /// The ports of the pods to which the Service sends requests.
    pub ports: Vec<Port>,
    /// The default policy that the namespace of the Service names.
    pub of_namespace: Option<String>,
    /// The Servers of the namespace.
    pub servers: Vec<(String, Server)>,
    /// Its ServerAuthorizations.
    pub server_authorizations: Vec<(String, ServerAuthorization)>,
    /// Its AuthorizationPolicies.
    pub policies: Vec<(String, AuthorizationPolicy)>,
    /// The MeshTLSAuthentications that the policies name.
    pub mesh_tls: BTreeMap<Key, MeshTlsAuthentication>,
    /// The NetworkAuthentications that the policies name.
    pub networks: BTreeMap<Key, NetworkAuthentication>,
    /// The rate limits of the namespace.
    pub rate_limits: Vec<(String, RateLimitPolicy)>,
    /// The routes whose parent is a Server of the namespace.
    pub routes: Vec<ServerRoute>,
    /// The objects that Linkerd ignores, with the reason.
    pub invalid: Vec<(String, String)>,
}

/// What the policies of a pod depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerPod {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The numbers of its named ports.
    pub named_ports: BTreeMap<String, u16>,
    /// Whether it has a proxy.
    pub meshed: bool,
    /// The default policy that its annotation names.
    pub annotated: Option<String>,
    /// The default policy in the environment of its proxy.
    pub of_proxy: Option<String>,
}

/// A route of a Server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRoute {
    /// The API group of the route.
    pub group: String,
    /// `HTTPRoute` or `GRPCRoute`.
    pub kind: String,
    /// The name of the route.
    pub name: String,
    /// The name of the Server.
    pub server: String,
}
